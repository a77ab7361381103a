"""One artefact from the network to the file: built, written beside its place, judged, measured."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fullconv.data import DatasetSpec, EvalData
from fullconv.data.loader import EvalBatches
from fullconv.errors import GateError, plural
from fullconv.evaluation.evaluate import evaluate
from fullconv.exported.geometry import Places
from fullconv.exported.header import refuse_runners
from fullconv.exported.open import open_exported
from fullconv.exported.runners import ExportedRunner
from fullconv.exporting.cost import cost
from fullconv.exporting.gate import SIZES, compare, generated_images, lose_little, pass_gate
from fullconv.exporting.quantise import IMAGES, quantised
from fullconv.exporting.report import ExportReport
from fullconv.exporting.stages import Told, counted, silent
from fullconv.exporting.targets import ONNX, OPENVINO, TORCH, runners_of
from fullconv.exporting.write import write_onnx, write_openvino
from fullconv.runner import RunModel
from fullconv.segmenter import Segmenter

if TYPE_CHECKING:
    import onnx

WRITERS = {ONNX: write_onnx, OPENVINO: write_openvino}
PYTORCH = "PyTorch, fp32 on cpu"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the artefact is to give, and what it is checked with.

    Attributes:
        scores, probabilities: further outputs.
        spec, split: real images that are compared too; None: generated ones alone.
        shown: images that show what values there are, for int8; None: fp32.
        runners: who has to compute it right; empty: one of those that can.
        told: of what it is at.
    """

    scores: bool = False
    probabilities: bool = False
    spec: DatasetSpec | None = None
    split: str = "val"
    shown: DatasetSpec | None = None
    runners: Sequence[str] = ()
    told: Told = silent


def write_artefact(segmenter: Segmenter, to: str, out: Path, asked: Asked, report: ExportReport) -> None:
    """Write ``out`` if the gate lets it pass; what it found goes to ``report``.

    Raises:
        FullconvError: PyTorch cannot write the network.
        GateError: the artefact has other labels; nothing is written.
    """
    if to == TORCH:
        _write_program(segmenter, out, asked, report)
        return
    built = graph_of(
        segmenter, asked.shown is not None, "", asked.told, scores=asked.scores, probabilities=asked.probabilities
    )
    if asked.shown is not None:
        shown = list(_to_calibrate(asked.shown, asked.told))
        asked.told(f"quantising by {plural(len(shown), 'image')}", 0, None)
        writing = write_openvino(built, out, quantised(built, shown))
    else:
        writing = WRITERS[to](built, out)
    with writing as file:
        passed = {}
        for name in runners_of(to, asked.runners):
            exported = Segmenter(*open_exported(file, name))
            try:
                _judge(segmenter, exported, name, report, asked)
            except GateError as error:
                report.refused[name] = str(error)
            else:
                passed[name] = str(exported.runner)
        if not passed:
            raise GateError("; ".join(report.refused.values()))
        if report.refused:  # the file is right, but some do not compute it so: they will not be asked to
            refuse_runners(built, list(report.refused))
            file.write_bytes(built.SerializeToString())
        _measure(segmenter, file, report, passed, asked.told)


def _write_program(segmenter: Segmenter, out: Path, asked: Asked, report: ExportReport) -> None:
    from fullconv.exporting.program import Program, open_torch, program_of, write_torch

    ours = segmenter.torch_runner
    places = Places.of(ours.network, ours.context)
    asked.told("tracing the network", 0, None)
    program = Program(ours.network, ours.preprocessing, places, asked.scores, asked.probabilities)
    traced = program_of(program, ours.preprocessing.channels)
    with write_torch(traced, header_of(segmenter), places, out) as file:
        runner, _ = open_torch(file)
        model = RunModel(runner, segmenter.config, segmenter.licence)
        exported = Segmenter(model, segmenter.classes, segmenter.preprocessing, segmenter.provenance)
        _judge(segmenter, exported, TORCH, report, asked)
        _measure(segmenter, file, report, {TORCH: str(runner)}, asked.told)


def header_of(segmenter: Segmenter, int8: bool = False, consumer: str = "") -> dict[str, object]:
    return {**segmenter.header(), "export": {"int8": int8, "for": consumer}}


def graph_of(segmenter: Segmenter, int8: bool, consumer: str, told: Told = silent, **outputs: bool) -> onnx.ModelProto:
    """The network with all that surrounds it, as ONNX."""
    from fullconv.exported.build import build  # needs onnx

    told("tracing the network", 0, None)
    ours = segmenter.torch_runner
    places = Places.of(ours.network, ours.context)
    return build(ours.network, ours.preprocessing, places, header_of(segmenter, int8, consumer), **outputs)


def _judge(segmenter: Segmenter, exported: Segmenter, short: str, report: ExportReport, asked: Asked) -> None:
    """Have the gate judge what one runner makes of the artefact.

    Args:
        short: the runner's name for the bar.
    """
    runner = exported.runner
    assert isinstance(runner, ExportedRunner)
    name, int8 = str(runner), runner.precision == "int8"
    told, stage = asked.told, f"gate, {short}"
    generated = counted(told, stage, generated_images(segmenter.preprocessing.channels), len(SIZES))
    rows = [] if int8 else pass_gate(segmenter, runner, generated)
    if int8:
        for image, pixels in generated:
            compare(segmenter, runner, image, pixels)  # any size will do
    if asked.spec is not None:
        real = counted(told, stage, _images_of(asked.spec, asked.split), len(asked.spec.split(asked.split)))
        rows += [compare(segmenter, runner, *each) for each in real] if int8 else pass_gate(segmenter, runner, real)
        for who, by, model in ((PYTORCH, "PyTorch", segmenter), (name, short, exported)):
            if who not in report.mean_iou:
                progress = functools.partial(told, f"mean IoU, {by}")
                report.mean_iou[who] = evaluate(model, asked.spec, asked.split, progress=progress).mean_iou
        if int8:
            lose_little(rows, report.mean_iou[PYTORCH], report.mean_iou[name])
    report.compared[name] = rows


def _measure(segmenter: Segmenter, file: Path, report: ExportReport, runners: dict[str, str], told: Told) -> None:
    """Time and memory, by the runners that passed, whose full names are the values."""
    told("time and memory, PyTorch", 0, None)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        segmenter.save(model)
        report.costs[PYTORCH] = cost(model, "torch")
    for runner, name in runners.items():
        told(f"time and memory, {runner}", 0, None)
        report.costs[name] = cost(file, runner)


def _to_calibrate(spec: DatasetSpec, told: Told) -> Iterator[np.ndarray]:
    """Images of train that lie evenly over it."""
    items = spec.split("train")
    few = dataclasses.replace(spec, splits={"train": items[:: -(-len(items) // IMAGES)]})
    for _, pixels in counted(told, "reading to calibrate", _images_of(few, "train"), len(few.splits["train"])):
        yield pixels


def _images_of(spec: DatasetSpec, split: str) -> Iterator[tuple[str, np.ndarray]]:
    for batch in EvalBatches(EvalData(spec, spec.split(split)), 1, 0):
        for name, pixels in zip(batch.ids, batch.pixels, strict=True):
            yield name, pixels.permute(1, 2, 0).numpy()
