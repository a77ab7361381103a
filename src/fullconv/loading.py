"""A model file -> what a segmenter is made of: a network of ours with its weights, or an exported file's runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from fullconv.errors import ModelFileError
from fullconv.exported.header import SUFFIXES as EXPORTED
from fullconv.exported.open import computed_by, open_exported
from fullconv.model_file import read_header
from fullconv.models.build import BuiltModel
from fullconv.models.rebuild import rebuild
from fullconv.models.weights import read_safetensors
from fullconv.names import RUNNERS, refuse_unknown_runner
from fullconv.runner import RunModel, TorchRunner
from fullconv.spec import ClassSet, Preprocessing


class Loaded(NamedTuple):
    """The arguments of :class:`fullconv.segmenter.Segmenter`."""

    model: BuiltModel | RunModel
    classes: ClassSet
    preprocessing: Preprocessing
    provenance: dict[str, Any]


def load_model(file: Path, runner: str = "auto", device: str = "auto", precision: str = "auto") -> Loaded:
    """Read a model file; a network that PyTorch computes comes on the CPU in float32, whatever ``device`` says.

    Args:
        file: ``.safetensors``, ``.onnx`` or OpenVINO's ``.xml``.
        runner, device, precision: as :meth:`fullconv.segmenter.Segmenter.load`.

    Raises:
        UsageError: no such runner.
        ModelFileError: not a fullconv model, damaged, of a newer format, or with weights that are not finite.
    """
    refuse_unknown_runner(runner)
    if file.suffix in EXPORTED:
        return Loaded(*open_exported(file, runner, device, precision))
    header = read_header(file)
    state, _ = read_safetensors(file)
    try:
        with torch.random.fork_rng(devices=[]):  # its first, random weights are no matter of the host program
            built, classes, preprocessing = rebuild(header, str(file), sum(value.numel() for value in state.values()))
        built.network.load_state_dict(state)
        loaded = Loaded(built, classes, preprocessing, header["provenance"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"{file}: its header does not fit its weights ({reason}); save it again") from error
    if runner in RUNNERS:
        ours = TorchRunner(built.network, preprocessing)
        ours.to("cpu", "fp32")
        return loaded._replace(model=computed_by(runner, ours, header, device, precision))
    return loaded
