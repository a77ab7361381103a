"""Bytes brought to one size inside an artefact are PyTorch's, bit for bit, whoever computes them."""

from __future__ import annotations

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper

from fullconv.exported.build import OPSET
from fullconv.exported.graph import Graph
from fullconv.exported.resize import brought_to


def artefact(size: tuple[int, int]) -> bytes:
    graph = Graph()
    graph.op("Identity", brought_to(graph, graph.as_float("x"), size), called="y")
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 3, "h", "w"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, *size])
    whole = helper.make_graph(graph.nodes, "resize", [x], [y], graph.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("size", [(33, 65), (224, 224), (300, 7)])
def test_pixels_are_those_of_pytorch(size: tuple[int, int]) -> None:
    content = artefact(size)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    random = np.random.default_rng(0)
    for height, width in ((1, 1), (2, 40), (33, 65), (200, 131), (999, 1501), (35, 9000), (4100, 23)):
        images = random.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        expected = F.interpolate(pixels, size, mode="bilinear", antialias=True).numpy()
        given = np.ascontiguousarray(pixels.numpy())
        assert np.array_equal(session.run(None, {"x": given})[0], expected), (height, width)
        assert np.array_equal(compiled([given])[0], expected), (height, width)
