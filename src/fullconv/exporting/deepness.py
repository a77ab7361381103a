"""``--for deepness``: the form of the QGIS plugin Deepness (``Segmentor`` in ``deepness/processing/models``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fullconv.errors import UsageError
from fullconv.exported.geometry import IMAGES, LABELS, PROBABILITIES, Places
from fullconv.exported.runners import ExportedRunner
from fullconv.exporting.artefact import graph_of
from fullconv.exporting.gate import generated_images, pass_gate
from fullconv.exporting.report import ExportReport
from fullconv.exporting.stages import Told, counted, silent
from fullconv.exporting.write import write_onnx
from fullconv.libraries import library
from fullconv.segmenter import Segmenter

if TYPE_CHECKING:
    import onnx

NAME = "deepness"
INPUT = "tiles"
MOST_CLASSES = 255
"""The plugin keeps labels from 1 on in bytes."""
FAR = 1 << 16
"""A side that no tile has: how a map of it is cut says how far tiles overlap."""


def write_for_deepness(
    segmenter: Segmenter, out: Path, report: ExportReport, tile: int, resolution: float | None,
    told: Told = silent,
) -> None:  # fmt: skip
    """The file, after the gate.

    Args:
        tile: its side: the plugin reads it from the shape of the input, which must state it.
        resolution: centimetres of ground a pixel, to which the plugin brings its maps; None: whoever uses it sets it.

    Raises:
        UsageError: a model that the plugin cannot run.
        GateError: other labels; nothing is written.
    """
    _refuse(segmenter, tile, resolution)
    overlap = segmenter.tiling((FAR, FAR), tile).overlap
    built = graph_of(segmenter, False, NAME, told, probabilities=True)
    _take_tiles(built, segmenter.preprocessing.channels, tile)
    said = {
        "model_type": "Segmentor", "class_names": dict(enumerate(segmenter.classes.names)),
        "standardization_mean": [0.0] * segmenter.preprocessing.channels,
        "standardization_std": [1.0] * segmenter.preprocessing.channels,
        "tile_size": tile, "tiles_size": tile,  # the plugin reads the first, its documentation names the second
        "tiles_overlap": min(50, -(-100 * overlap // tile)), "seg_thresh": 0, "seg_small_segment": 0,
        **({} if resolution is None else {"resolution": resolution}),
    }  # fmt: skip
    _state(built, said)
    with write_onnx(built, out) as file:
        ours = segmenter.torch_runner
        runner = _as_the_plugin(file, Places.of(ours.network, ours.context))
        sizes = ((tile, tile), (tile, tile))
        images = counted(told, "gate, onnxruntime", generated_images(ours.preprocessing.channels, sizes), len(sizes))
        report.compared[str(runner)] = pass_gate(segmenter, runner, images, batch_of=(tile, tile))
    if resolution is None:
        report.notes.append("resolution: not stated (--resolution); set the cm per pixel of training in the plugin")


def _refuse(segmenter: Segmenter, tile: int, resolution: float | None) -> None:
    classes, preprocessing = len(segmenter.classes), segmenter.preprocessing
    step = segmenter.runner.coarsest_stride
    if not step <= tile <= FAR:
        raise UsageError(f"--tile is the side of a tile, {step} to {FAR} pixels, found {tile}")
    if resolution is not None and not 0 < resolution < float("inf"):
        raise UsageError(f"--resolution is in centimetres a pixel, above 0, found {resolution:g}")
    if preprocessing.resize is not None:
        raise UsageError(
            "--for deepness: the plugin cuts maps into tiles, and this model was trained on whole images brought to "
            "{} x {} (resize); train without resize".format(*preprocessing.resize)
        )
    if preprocessing.values is not None and preprocessing.values.range:
        raise UsageError(
            f"--for deepness: the plugin gives bytes, and this model's values are {preprocessing.values}; predict with "
            "fullconv"
        )
    if not 2 <= classes <= MOST_CLASSES:
        raise UsageError(f"--for deepness: the plugin takes 2 to {MOST_CLASSES} classes, found {classes}")


def _take_tiles(model: onnx.ModelProto, channels: int, tile: int) -> None:
    """Bytes divided by 255, float32 ``n channels tile tile``, in; the probabilities alone out."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    names = [f"fullconv/{NAME}_{index}" for index in range(4)]
    largest = numpy_helper.from_array(np.array(255, np.float32), names[0])
    front = [
        helper.make_node("Mul", [INPUT, names[0]], [names[1]]),
        helper.make_node("Round", [names[1]], [names[2]]),  # the very bytes again
        helper.make_node("Cast", [names[2]], [names[3]], to=TensorProto.UINT8),
        helper.make_node("Transpose", [names[3]], [IMAGES], perm=[0, 2, 3, 1]),
    ]
    nodes = list(graph.node)
    del graph.node[:], graph.input[:]
    graph.node.extend([*front, *nodes])
    graph.initializer.append(largest)
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", channels, tile, tile]))
    (probabilities,) = (value for value in graph.output if value.name == PROBABILITIES)
    for axis in (2, 3):
        probabilities.type.tensor_type.shape.dim[axis].dim_value = tile
    del graph.output[:]
    graph.output.append(probabilities)


def _state(model: onnx.ModelProto, said: dict[str, object]) -> None:
    """Metadata as the plugin reads them, in place of ours where the names are the same."""
    kept = {prop.key: prop.value for prop in model.metadata_props}
    del model.metadata_props[:]
    for key, value in {**kept, **{key: json.dumps(value) for key, value in said.items()}}.items():
        model.metadata_props.add(key=key, value=value)


def _as_the_plugin(file: Path, places: Places) -> ExportedRunner:
    """Who computes such a file for the gate: with the plugin's arithmetic before and after."""
    runtime = library("onnxruntime", f"the gate of --for {NAME}")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def labels(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        assert outputs == (LABELS,)
        tiles = (images * 1.0 / 255.0).astype(np.float32).transpose(0, 3, 1, 2)
        (found,) = session.run(None, {INPUT: np.ascontiguousarray(tiles)})
        return [found.argmax(1)]

    return ExportedRunner(labels, places, f"onnxruntime {runtime.__version__}, fp32 on cpu", "fp32")
