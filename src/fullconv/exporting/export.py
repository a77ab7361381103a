"""``export``: one file that takes bytes and gives labels, proved equal to PyTorch before it gets its name."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path

from fullconv.data import DatasetSpec
from fullconv.errors import UsageError
from fullconv.evaluation.matching import by_position, with_classes_of
from fullconv.exporting import deepness, hub, model_api, triton
from fullconv.exporting.artefact import Asked, write_artefact
from fullconv.exporting.report import ExportReport
from fullconv.exporting.stages import silent
from fullconv.exporting.targets import ONNX, OPENVINO, SUFFIXES, refuse_full, refuse_target, target_of
from fullconv.formats.open import open_dataset
from fullconv.pretrained import load
from fullconv.segmenter import Segmenter
from fullconv.there import refuse_existing

CONSUMERS = {model_api.NAME: (OPENVINO,), deepness.NAME: (ONNX,), triton.NAME: (ONNX,), hub.NAME: ("", *SUFFIXES)}
"""Other programs, and the targets that each reads; the first by default."""
FOLDERS = (triton.NAME, hub.NAME)


def export(
    model: Segmenter | str | os.PathLike[str],
    to: str = "",
    out: str | os.PathLike[str] = "",
    *,
    scores: bool = False,
    probabilities: bool = False,
    check: str | os.PathLike[str] | DatasetSpec | None = None,
    split: str = "val",
    int8: bool = False,
    calibrate: str | os.PathLike[str] | DatasetSpec | None = None,
    consumer: str = "",
    tile: int = 512,
    resolution: float | None = None,
    progress: Callable[[str, int, int | None], None] = silent,
) -> ExportReport:
    """Write a network as a file for other programs: uint8 images ``n height width channels`` in, labels out.

    Any number and size of images; normalisation, padding, the exact enlargement and the argmax are inside. Coarse
    ``logits`` are a second output. Before the file gets its name, every runner that is installed computes generated
    images of several sizes with it, and the labels have to be PyTorch's.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        to: ``onnx``, ``openvino`` or ``torch`` (a program for ``torch.export.load``); by default as ``out`` ends,
            or as the ``consumer`` reads it.
        out: the file to write: ``.onnx``, ``.xml`` (with ``.bin`` beside it) or ``.pt2``; for ``triton`` and ``hub``
            a folder.
        scores, probabilities: of every class at every pixel, as further outputs.
        check: also compare the images of this data set, and the mean IoU on it.
        split: of ``check``.
        int8: have the network compute in 8 bits (OpenVINO alone). Labels may differ then; on the images of ``check``,
            by default those of ``calibrate``, the mean IoU may lose 0.3 points.
        calibrate: a data set of the model's classes whose train images (up to 300) show the ranges of activations.
        consumer: another program whose form the file is to have (``--for``): ``model-api``, ``deepness``, ``triton``
            or ``hub``. ``predict`` does not read files of the first two.
        tile: for ``deepness``: the side of the tiles that it cuts.
        resolution: for ``deepness``: centimetres of ground a pixel in training.
        progress: called with what it is at in words, how many images of that are done, and of how many (None where it
            counts none).

    Raises:
        UsageError: wrong arguments, or a library that is not installed.
        FullconvError: PyTorch cannot write the network.
        GateError: the artefact has other labels; nothing is written.
    """
    if not os.fspath(out):
        raise UsageError("--out names the file to write; give one")
    out = Path(out)
    to = _target(to, consumer, out)
    _refuse(to, out, consumer, int8, calibrate is not None)
    if consumer in (model_api.NAME, deepness.NAME) and (scores or probabilities or int8 or check):
        raise UsageError(f"--for {consumer} settles the outputs, in fp32; leave the other options to a plain export")
    if consumer != deepness.NAME and (tile != 512 or resolution is not None):
        raise UsageError("--tile and --resolution are of --for deepness")
    progress("reading the model", 0, None)
    segmenter = in_fp32(model if isinstance(model, Segmenter) else load(model, "cpu", "fp32"))
    weights = sum(value.nbytes for value in segmenter.network.state_dict().values())
    refuse_full(out, weights * (2 if consumer == hub.NAME and to else 1))
    given = [None if data is None else open_dataset(data) for data in (calibrate, check)]
    shown, spec = (None if data is None else with_classes_of(segmenter, data) for data in given)
    report = ExportReport(out)
    matched = (by_position(segmenter, data) for data in given if data is not None)
    report.notes += [line for line in dict.fromkeys(matched) if line]
    runners = triton.RUNNERS if consumer == triton.NAME else ()
    asked = Asked(scores, probabilities, spec or shown, split, shown, runners, progress)
    if consumer == model_api.NAME:
        model_api.write_for_model_api(segmenter, out, report, progress)
    elif consumer == deepness.NAME:
        deepness.write_for_deepness(segmenter, out, report, tile, resolution, progress)
    elif consumer == triton.NAME:
        triton.write_for_triton(segmenter, out, asked, report)
    elif consumer == hub.NAME:
        hub.write_for_hub(segmenter, to, out, asked, report)
    else:
        write_artefact(segmenter, to, out, asked, report)
    return report


def in_fp32(segmenter: Segmenter) -> Segmenter:
    """A copy on the CPU, in fp32, that nothing else uses."""
    return segmenter.with_network(copy.deepcopy(segmenter.network)).to("cpu", "fp32")


def _target(to: str, consumer: str, out: Path) -> str:
    """What is to be written.

    Raises:
        UsageError: no such consumer, or one that does not read it; nobody says what.
    """
    if not consumer:
        return to or target_of(out)
    if consumer not in CONSUMERS:
        raise UsageError(f"--for must be {', '.join(CONSUMERS)}, found {consumer!r}")
    reads = CONSUMERS[consumer]
    if to and to not in reads:
        raise UsageError(f"--for {consumer} is written with --to {' or '.join(filter(None, reads))}, found --to {to}")
    return to or reads[0]


def _refuse(to: str, out: Path, consumer: str, int8: bool, calibrates: bool) -> None:
    if to or not consumer:
        file = out / f"model{SUFFIXES.get(to, '')}" if consumer in FOLDERS else out
        refuse_target(to, file, triton.RUNNERS if consumer == triton.NAME else ())
    if int8 and (to != OPENVINO or not calibrates):
        raise UsageError("--int8 is written for --to openvino, and needs --calibrate DATA: images of the kind to come")
    if calibrates and not int8:
        raise UsageError("--calibrate is of --int8; give both")
    refuse_existing(out)
