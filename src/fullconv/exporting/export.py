"""``export``: one file that takes bytes and gives labels, proved equal to PyTorch before it gets its name."""

from __future__ import annotations

import copy
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fullconv.data import DatasetSpec, EvalData
from fullconv.data.loader import EvalBatches
from fullconv.errors import GateError, UsageError
from fullconv.evaluation.evaluate import evaluate
from fullconv.evaluation.matching import with_classes_of
from fullconv.exported.geometry import Places
from fullconv.exported.header import refuse_runners
from fullconv.exported.open import open_exported
from fullconv.exported.runners import NAMES, ExportedRunner
from fullconv.exporting.cost import SIDE, Cost, cost
from fullconv.exporting.gate import Compared, compare, generated_images, lose_little, pass_gate
from fullconv.exporting.profiles import CONSUMERS, by_scores, for_model_api
from fullconv.exporting.quantise import IMAGES, quantised
from fullconv.exporting.write import write_onnx, write_openvino
from fullconv.formats.open import open_dataset
from fullconv.libraries import installed, library
from fullconv.pretrained import load
from fullconv.segmenter import Segmenter

if TYPE_CHECKING:
    import onnx

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
WRITERS = {"onnx": write_onnx, "openvino": write_openvino}
PYTORCH = "PyTorch, fp32 on cpu"


@dataclass
class ExportReport:
    """What was written and what the gate found.

    Attributes:
        file: the artefact; OpenVINO's has its ``.bin`` beside it.
        compared: the images that it was compared on, by runner.
        costs: of one image of 512x512, by who computes; PyTorch in fp32 among them.
        mean_iou: PyTorch's and the artefact's on the data of ``check``, by runner.
        refused: who computes other labels with an ONNX file that another runner computes right, and why.
    """

    file: Path
    compared: dict[str, list[Compared]] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    mean_iou: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For people."""
        said = [f"{self.file}: {self.file.stat().st_size / 1e6:.1f} MB"]
        for name, rows in self.compared.items():
            sure, pixels = sum(row.sure for row in rows), sum(row.pixels for row in rows)
            differ = sum(row.differ for row in rows)
            said.append(
                f"  {name}: labels of {len(rows)} images: {differ:,} of {sure:,} differ from PyTorch's where the "
                f"margin is above 0.001 ({pixels - sure:,} pixels are not)"
            )
            if not sure:
                said.append("  warning: no pixel has such a margin, so nothing was proved; is the network trained?")
        said += [f"  will not be computed by {name}: {reason}" for name, reason in self.refused.items()]
        said += [f"  one image of {SIDE}x{SIDE}: {name}: {found}" for name, found in self.costs.items()]
        said += [f"  mean IoU: {name}: {found:.4f}" for name, found in self.mean_iou.items()]
        return said


def export(
    model: Segmenter | str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    scores: bool = False,
    probabilities: bool = False,
    check: str | os.PathLike[str] | DatasetSpec | None = None,
    split: str = "val",
    int8: bool = False,
    calibrate: str | os.PathLike[str] | DatasetSpec | None = None,
    consumer: str = "",
) -> ExportReport:
    """Write a network as a file for other programs: uint8 images ``n height width channels`` in, labels out.

    Any number and size of images; normalisation, padding, the exact enlargement and the argmax are inside. Coarse
    ``logits`` are a second output. Before the file gets its name, every runner that is installed computes generated
    images of several sizes with it, and the labels have to be PyTorch's.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        to: ``onnx`` or ``openvino``.
        out: the file to write: ``.onnx``, or ``.xml`` (with ``.bin`` beside it).
        scores, probabilities: of every class at every pixel, as further outputs.
        check: also compare the images of this data set, and the mean IoU on it.
        split: of ``check``.
        int8: have the network compute in 8 bits (OpenVINO alone). Labels may differ then; on the images of ``check``,
            by default those of ``calibrate``, the mean IoU may lose 0.3 points.
        calibrate: a data set of the model's classes whose train images (up to 300) show the ranges of activations.
        consumer: another program whose form the file is to have (``--for``): ``model-api``. ``predict`` does not read
            such files.

    Raises:
        UsageError: wrong arguments, or a library that is not installed.
        FullconvError: PyTorch cannot write the network.
        GateError: the artefact has other labels; nothing is written.
    """
    out = Path(out)
    _refuse(to, out, int8, calibrate is not None)
    if consumer:
        _refuse_for(consumer, to, plain=not (scores or probabilities or int8 or check))
    segmenter = in_fp32(model if isinstance(model, Segmenter) else load(model, "cpu", "fp32"))
    given = (None if data is None else open_dataset(data) for data in (calibrate, check))
    shown, spec = (None if data is None else with_classes_of(segmenter, data) for data in given)
    built = graph_of(segmenter, int8, consumer, scores=scores or bool(consumer), probabilities=probabilities)
    report = ExportReport(out)
    if consumer:
        with write_openvino(built, out, for_model_api(built, segmenter.classes)) as file:
            ours = segmenter.torch_runner
            runner = by_scores(file, Places.of(ours.network, ours.context))
            report.compared[str(runner)] = pass_gate(segmenter, runner, generated_images(ours.preprocessing.channels))
        return report
    if shown is not None:
        spec = spec or shown
        writing = write_openvino(built, out, quantised(built, _to_calibrate(shown)))
    else:
        writing = WRITERS[to](built, out)
    with writing as file:
        passed = []
        for name in runners_of(to):
            try:
                _judge(segmenter, Segmenter(*open_exported(file, name)), report, spec, split)
            except GateError as error:
                report.refused[name] = str(error)
            else:
                passed.append(name)
        if not passed:
            raise GateError("; ".join(report.refused.values()))
        if report.refused:  # the file is right, but some do not compute it so: they will not be asked to
            refuse_runners(built, list(report.refused))
            file.write_bytes(built.SerializeToString())
        _measure(segmenter, file, report, passed)
    return report


def graph_of(segmenter: Segmenter, int8: bool, consumer: str, **outputs: bool) -> onnx.ModelProto:
    from fullconv.exported.build import build  # needs onnx

    ours = segmenter.torch_runner
    header = {**segmenter.header(), "export": {"int8": int8, "for": consumer}}
    return build(ours.network, ours.preprocessing, Places.of(ours.network, ours.context), header, **outputs)


def in_fp32(segmenter: Segmenter) -> Segmenter:
    """A copy on the CPU, in fp32, that nothing else uses."""
    return segmenter.with_network(copy.deepcopy(segmenter.network)).to("cpu", "fp32")


def runners_of(to: str) -> list[str]:
    """Who computes a target on this machine.

    Raises:
        UsageError: nobody.
    """
    able = NAMES if to == "onnx" else ("openvino",)
    found = [name for name in able if installed(name)]
    if not found:
        library(able[-1], f"the gate of --to {to}")
    return found


def _refuse(to: str, out: Path, int8: bool, calibrates: bool) -> None:
    if to not in SUFFIXES:
        raise UsageError(f"--to must be {' or '.join(SUFFIXES)}, found {to!r}")
    for name in ("onnx", "onnxscript", *["openvino"] * (to == "openvino")):
        library(name, f"export --to {to}")
    if out.suffix != SUFFIXES[to]:
        raise UsageError(f"{out}: a file for --to {to} ends in {SUFFIXES[to]}")
    if int8 and (to != "openvino" or not calibrates):
        raise UsageError("--int8 is written for --to openvino, and needs --calibrate DATA: images of the kind to come")
    if calibrates and not int8:
        raise UsageError("--calibrate is of --int8; give both")
    if out.exists():
        raise UsageError(f"{out}: exists; choose another name")
    runners_of(to)


def _refuse_for(consumer: str, to: str, *, plain: bool) -> None:
    if consumer not in CONSUMERS:
        raise UsageError(f"--for must be {' or '.join(CONSUMERS)}, found {consumer!r}")
    if to != "openvino":
        raise UsageError(f"--for {consumer} is written with --to openvino, found --to {to}")
    if not plain:
        raise UsageError(f"--for {consumer} settles the outputs, in fp32; leave the other options to a plain export")


def _judge(
    segmenter: Segmenter, exported: Segmenter, report: ExportReport, spec: DatasetSpec | None, split: str
) -> None:
    """Have the gate judge what one runner makes of the artefact."""
    runner = exported.runner
    assert isinstance(runner, ExportedRunner)
    name, int8 = str(runner), runner.precision == "int8"
    generated = generated_images(segmenter.preprocessing.channels)
    rows = [] if int8 else pass_gate(segmenter, runner, generated)
    if int8:
        for image, pixels in generated:
            compare(segmenter, runner, image, pixels)  # any size will do
    if spec is not None:
        real = _images_of(spec, split)
        rows += [compare(segmenter, runner, *each) for each in real] if int8 else pass_gate(segmenter, runner, real)
        for who, model in ((PYTORCH, segmenter), (name, exported)):
            if who not in report.mean_iou:
                report.mean_iou[who] = evaluate(model, spec, split).mean_iou
        if int8:
            lose_little(rows, report.mean_iou[PYTORCH], report.mean_iou[name])
    report.compared[name] = rows


def _measure(segmenter: Segmenter, file: Path, report: ExportReport, runners: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        segmenter.save(model)
        report.costs[PYTORCH] = cost(model, "torch")
    for runner, name in zip(runners, report.compared, strict=True):
        report.costs[name] = cost(file, runner)


def _to_calibrate(spec: DatasetSpec) -> Iterator[np.ndarray]:
    """Images of train that lie evenly over it."""
    items = spec.split("train")
    few = dataclasses.replace(spec, splits={"train": items[:: -(-len(items) // IMAGES)]})
    for _, pixels in _images_of(few, "train"):
        yield pixels


def _images_of(spec: DatasetSpec, split: str) -> Iterator[tuple[str, np.ndarray]]:
    for batch in EvalBatches(EvalData(spec, spec.split(split)), 1, 0):
        for name, pixels in zip(batch.ids, batch.pixels, strict=True):
            yield name, pixels.permute(1, 2, 0).numpy()
