"""``export``: one file that takes bytes and gives labels, proved equal to PyTorch before it gets its name."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fullconv.data import DatasetSpec, EvalData
from fullconv.data.loader import EvalBatches
from fullconv.errors import UsageError
from fullconv.evaluation.evaluate import evaluate
from fullconv.evaluation.matching import with_classes_of
from fullconv.exported.geometry import Places
from fullconv.exported.libraries import installed, library
from fullconv.exported.open import open_exported
from fullconv.exported.runners import NAMES, ExportedRunner
from fullconv.exporting.cost import SIDE, Cost, cost
from fullconv.exporting.gate import Compared, generated_images, pass_gate
from fullconv.exporting.write import write_onnx, write_openvino
from fullconv.formats.open import open_dataset
from fullconv.pretrained import load
from fullconv.segmenter import Segmenter

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
    """

    file: Path
    compared: dict[str, list[Compared]] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    mean_iou: dict[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For people."""
        said = [f"{self.file}: {self.file.stat().st_size / 1e6:.1f} MB"]
        for name, rows in self.compared.items():
            sure, pixels = sum(row.sure for row in rows), sum(row.pixels for row in rows)
            said.append(
                f"  {name}: labels equal to PyTorch's on {len(rows)} images, at all {sure:,} of {pixels:,} pixels "
                "where the margin is above 0.001"
            )
            if not sure:
                said.append("  warning: no pixel has such a margin, so nothing was proved; is the network trained?")
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

    Raises:
        UsageError: wrong arguments, or a library that is not installed.
        FullconvError: PyTorch cannot write the network.
        GateError: the artefact has other labels; nothing is written.
    """
    out = Path(out)
    _refuse(to, out)
    segmenter = in_fp32(model if isinstance(model, Segmenter) else load(model, "cpu", "fp32"))
    _refuse_resize(segmenter)
    from fullconv.exported.build import build  # needs onnx

    ours = segmenter.torch_runner
    built = build(
        ours.network, ours.preprocessing, Places.of(ours.network, ours.context), segmenter.header(), scores=scores,
        probabilities=probabilities,
    )  # fmt: skip
    report = ExportReport(out)
    spec = None if check is None else with_classes_of(segmenter, open_dataset(check))
    with WRITERS[to](built, out) as file:
        runners = runners_of(to)
        for name in runners:
            _pass(segmenter, Segmenter(*open_exported(file, name)), report, spec, split)
        _measure(segmenter, file, report, runners)
    return report


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


def _refuse(to: str, out: Path) -> None:
    if to not in SUFFIXES:
        raise UsageError(f"--to must be {' or '.join(SUFFIXES)}, found {to!r}")
    for name in ("onnx", "onnxscript", *["openvino"] * (to == "openvino")):
        library(name, f"export --to {to}")
    if out.suffix != SUFFIXES[to]:
        raise UsageError(f"{out}: a file for --to {to} ends in {SUFFIXES[to]}")
    if out.exists():
        raise UsageError(f"{out}: exists; choose another name")
    runners_of(to)


def _refuse_resize(segmenter: Segmenter) -> None:
    if segmenter.preprocessing.resize is not None:
        raise UsageError(
            "this model brings every image to {} x {} first (resize), which exported files do not do; train without "
            "resize, or predict with the .safetensors file".format(*segmenter.preprocessing.resize)
        )


def _pass(
    segmenter: Segmenter, exported: Segmenter, report: ExportReport, spec: DatasetSpec | None, split: str
) -> None:
    """Have the gate judge what one runner makes of the artefact."""
    runner = exported.runner
    assert isinstance(runner, ExportedRunner)
    name = str(runner)
    report.compared[name] = pass_gate(segmenter, runner, generated_images(segmenter.preprocessing.channels))
    if spec is None:
        return
    report.compared[name] += pass_gate(segmenter, runner, _images_of(spec, split))
    for who, model in ((PYTORCH, segmenter), (name, exported)):
        if who not in report.mean_iou:
            report.mean_iou[who] = evaluate(model, spec, split).mean_iou


def _measure(segmenter: Segmenter, file: Path, report: ExportReport, runners: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        segmenter.save(model)
        report.costs[PYTORCH] = cost(model, "torch")
    for runner, name in zip(runners, report.compared, strict=True):
        report.costs[name] = cost(file, runner)


def _images_of(spec: DatasetSpec, split: str) -> Iterator[tuple[str, np.ndarray]]:
    for batch in EvalBatches(EvalData(spec, spec.split(split)), 1, 0):
        for name, pixels in zip(batch.ids, batch.pixels, strict=True):
            yield name, pixels.permute(1, 2, 0).numpy()
