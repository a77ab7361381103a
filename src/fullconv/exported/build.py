"""A network of ours -> one ONNX model: bytes in, labels out, of any number and size of images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper

from fullconv.errors import FullconvError
from fullconv.exported.geometry import IMAGES, LABELS, LOGITS, PROBABILITIES, SCORES, Places
from fullconv.exported.graph import Graph
from fullconv.exported.header import metadata
from fullconv.exported.sides import label_type, to_input, to_outputs
from fullconv.exported.tracing import Plain, quiet, reason_of, refuse_objects, same_padding_of_multiples
from fullconv.models.network import SegmentationNetwork
from fullconv.spec import Preprocessing

OPSET = 20
_INPUT = "fullconv/input"


def build(
    network: SegmentationNetwork,
    preprocessing: Preprocessing,
    places: Places,
    header: Mapping[str, Any],
    *,
    scores: bool = False,
    probabilities: bool = False,
) -> onnx.ModelProto:
    """The whole artefact.

    Input ``images``: uint8 ``n height width channels``. Outputs ``labels`` ``n height width`` (uint8, int32 above 256
    classes), ``logits`` float32 ``n classes rows columns`` (coarse), and if wanted ``scores`` and ``probabilities``
    float32 ``n classes height width``.

    Args:
        header: as :meth:`fullconv.segmenter.Segmenter.header` gives it; kept in the file.

    Raises:
        UsageError: a network that finds objects.
        FullconvError: PyTorch cannot write this network as ONNX.
    """
    refuse_objects(network)
    classes = len(header["classes"]["names"])
    model = network_graph(network, preprocessing.channels, places.multiple)
    graph = Graph()
    to_input(graph, preprocessing, places.multiple, _INPUT, wider=bool(header.get("export", {}).get("int8")))
    before = len(graph.nodes)
    to_outputs(graph, places, preprocessing.resize, classes, scores, probabilities)
    inner = model.graph
    nodes = [*graph.nodes[:before], *inner.node, *graph.nodes[before:]]
    constants = [*inner.initializer, *graph.constants]
    full: list[int | str | None] = ["n", classes, "height", "width"]
    outputs = [
        helper.make_tensor_value_info(LABELS, label_type(classes), ["n", "height", "width"]),
        helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["n", classes, "rows", "columns"]),
        *[helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, full)] * scores,
        *[helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, full)] * probabilities,
    ]
    sides: list[int | str | None] = ["n", "height", "width", preprocessing.channels]
    images = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, sides)
    whole = helper.make_graph(nodes, "fullconv", [images], outputs, constants)
    built = helper.make_model(
        whole, opset_imports=model.opset_import, functions=model.functions, ir_version=model.ir_version,
        producer_name="fullconv",
    )  # fmt: skip
    helper.set_model_props(built, {key: _text(value) for key, value in metadata(header, places).items()})
    return built


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def network_graph(network: SegmentationNetwork, channels: int, multiple: int) -> onnx.ModelProto:
    """The network alone, of normalised images whose sides are multiples of ``multiple``: ``logits``.

    Raises:
        FullconvError: PyTorch cannot write it.
    """
    n, rows, columns = (torch.export.Dim(name, min=1, max=1 << 16) for name in ("n", "rows", "columns"))
    sides = {2: multiple * rows, 3: multiple * columns} if multiple > 1 else {2: rows, 3: columns}
    pixels = torch.zeros(2, channels, *((3 * multiple, 5 * multiple) if multiple > 1 else (67, 93)))
    plain = Plain(network).eval()
    try:
        with torch.no_grad(), quiet(), same_padding_of_multiples():
            program = torch.onnx.export(
                plain, (pixels.to(next(network.parameters()).device),), dynamo=True, opset_version=OPSET,
                dynamic_shapes={"pixels": {0: n, **sides}}, input_names=[_INPUT], output_names=[LOGITS], verbose=False,
            )  # fmt: skip
    except Exception as error:  # on an operator that it does not know the exporter raises almost anything
        raise FullconvError(
            f"PyTorch cannot write this network as ONNX ({reason_of(error)}); try --to torch, or predict with the "
            ".safetensors file"
        ) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model
