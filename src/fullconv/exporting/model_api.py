"""``--for model-api``: the form of ``openvino-model-api``'s ``SegmentationModel``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fullconv.errors import UsageError, first_few
from fullconv.exported.geometry import LABELS, SCORES, Places
from fullconv.exported.runners import ExportedRunner, open_runner
from fullconv.exporting.artefact import graph_of
from fullconv.exporting.gate import SIZES, generated_images, pass_gate
from fullconv.exporting.report import ExportReport
from fullconv.exporting.stages import Told, counted, silent
from fullconv.exporting.write import write_openvino
from fullconv.libraries import library
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet

if TYPE_CHECKING:
    import onnx

NAME = "model-api"


def write_for_model_api(segmenter: Segmenter, out: Path, report: ExportReport, told: Told = silent) -> None:
    """The pair of files, after the gate.

    Raises:
        UsageError: names that its list cannot hold apart.
        GateError: other labels; nothing is written.
    """
    built = graph_of(segmenter, False, NAME, told, scores=True)
    with write_openvino(built, out, _with_scores_alone(built, segmenter.classes)) as file:
        ours = segmenter.torch_runner
        runner = _by_scores(file, Places.of(ours.network, ours.context))
        images = counted(told, "gate, openvino", generated_images(ours.preprocessing.channels), len(SIZES))
        report.compared[str(runner)] = pass_gate(segmenter, runner, images)


def _with_scores_alone(model: onnx.ModelProto, classes: ClassSet) -> Any:
    """The scores as the only output, and ``model_info``.

    It takes images as they are (``embedded_processing``, any size) and the argmax itself.
    """
    openvino = library("openvino", f"export --for {NAME}")
    labels = ["_".join(name.split()) for name in classes.names]
    twice = sorted({name for name in labels if labels.count(name) > 1})
    if twice:
        raise UsageError(f"--for {NAME} writes blanks in names as _, which makes {first_few(twice)} stand for two")
    whole = openvino.Core().read_model(model.SerializeToString())
    cut = openvino.Model([whole.output(SCORES)], whole.get_parameters())
    cut.get_parameters()[0].set_layout(openvino.Layout("NHWC"))
    said = {
        "model_type": "Segmentation", "labels": " ".join(labels), "embedded_processing": "True",
        "resize_type": "standard", "reverse_input_channels": "False", "input_dtype": "u8", "blur_strength": "-1",
        "soft_threshold": "0.0", "return_soft_prediction": "False",
    }  # fmt: skip
    for key, value in said.items():
        cut.set_rt_info(value, ["model_info", key])
    return cut


def _by_scores(file: Path, places: Places) -> ExportedRunner:
    """Who computes such a file for the gate: labels are the argmax of the scores, as the other program takes it."""
    runner = open_runner("openvino", file, places)
    scores = runner.run

    def labels(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        assert outputs == (LABELS,)
        (found,) = scores(images, (SCORES,))
        return [found.argmax(1)]

    runner.run = labels
    return runner
