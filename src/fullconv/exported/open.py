"""From an exported file, or from a network of ours that another runner is to compute, to a :class:`RunModel`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fullconv.errors import ModelFileError, UsageError
from fullconv.exported.geometry import Places
from fullconv.exported.header import read_exported_header
from fullconv.exported.runners import choose_runner, open_runner
from fullconv.libraries import library
from fullconv.models.rebuild import described, read_meaning
from fullconv.runner import RunModel, TorchRunner
from fullconv.spec import ClassSet, Preprocessing


class Exported(NamedTuple):
    """What a segmenter is made of."""

    model: RunModel
    classes: ClassSet
    preprocessing: Preprocessing
    provenance: dict[str, Any]


def open_exported(file: Path, runner: str = "auto", device: str = "auto", precision: str = "auto") -> Exported:
    """An exported file and who computes it.

    Raises:
        UsageError: a runner, device or precision that cannot be, or a library that is not installed.
        ModelFileError: a file that is damaged, or that fullconv did not export.
    """
    _refuse_other_devices(device)
    header = read_exported_header(file)
    if consumer := header["export"].get("for"):
        raise UsageError(f"{file}: written for {consumer}, which reads it; export once more without --for")
    name = choose_runner(runner, file.suffix, header["export"].get("refused", ()))
    try:
        places = Places.from_dict(header["export"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{file}: its fullconv header is damaged (export: {error}); export it again") from error
    config = described(header["model"], str(file))
    classes, preprocessing = read_meaning(header, config, str(file))
    opened = open_runner(name, file, places, precision, int8=bool(header["export"].get("int8")))
    return Exported(RunModel(opened, config, header["weights_licence"]), classes, preprocessing, header["provenance"])


def computed_by(name: str, ours: TorchRunner, header: Mapping[str, Any], device: str, precision: str) -> RunModel:
    """A network of ours, on a CPU, as another runner computes it; it is exported in memory, which takes seconds.

    Raises:
        UsageError: as :func:`open_exported`.
        FullconvError: it cannot be exported.
    """
    _refuse_other_devices(device)
    library("onnx", f"the runner {name}")
    library("onnxscript", f"the runner {name}")
    from fullconv.exported.build import build

    name = choose_runner(name, ".onnx")
    places = Places.of(ours.network, ours.context)
    model = build(ours.network, ours.preprocessing, places, header)
    opened = open_runner(name, model.SerializeToString(), places, precision)
    return RunModel(opened, header["model"], header["weights_licence"])


def _refuse_other_devices(device: str) -> None:
    if device not in ("auto", "cpu"):
        raise UsageError(f"exported networks are computed on the CPU, found --device {device}; leave it out")
