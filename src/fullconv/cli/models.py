"""``info`` and ``import``: what a model file says, and model files of what other libraries saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fullconv.errors import UsageError, plural
from fullconv.exported.header import SUFFIXES, read_exported_header
from fullconv.exported.runners import ExportedRunner
from fullconv.facts import facts, in_lines, sees
from fullconv.imported import from_elsewhere, import_keras, refuse_other_kinds
from fullconv.model_file import model_file, read_header
from fullconv.pretrained import find_model, load
from fullconv.there import refuse_existing


class Info(dict[str, Any]):
    """What a model says of itself; at a prompt what people ask for first."""

    def __init__(self, header: Mapping[str, Any], said: Mapping[str, str]) -> None:
        super().__init__(header)
        self._said = said

    def __repr__(self) -> str:
        return in_lines(self["file"], self._said)


def info(model: str | os.PathLike[str]) -> Info:
    """What a model is: its header (network, classes, preprocessing, provenance, licence), ``file``, ``sees``
    and who computes it on this machine for ``predict`` and ``evaluate``, where nothing else is asked for (``runner``).

    Args:
        model: a model file, a run folder, or ``torchvision/NAME`` (downloaded once).

    Raises:
        UsageError, ModelFileError: as :func:`fullconv.load`.
    """
    found = find_model(model)
    file = model_file(found)
    segmenter = load(file, "cpu", "fp32")
    header = read_exported_header(file) if file.suffix in SUFFIXES else read_header(found)
    seen = sees(segmenter.preprocessing, segmenter.runner)  # by trying, in fp32
    if not isinstance(segmenter.runner, ExportedRunner):
        segmenter.to()
    said = {**facts(segmenter.header(), segmenter.runner), "sees": seen}
    return Info({**header, "file": str(file), "sees": seen, "runner": str(segmenter.runner)}, said)


def import_model(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    head_weights: str = "",
) -> list[str]:
    """Make a model file of a network that another library saved.

    Args:
        model: a folder that ``save_pretrained`` of segmentation_models.pytorch wrote, the checkpoint (``.ckpt``) of
            MindSpore's FCN-8s, or Keras's ResNet-50 (``.h5``), which gives weights for ``heatmap``.
        out: the file to write, ending in ``.safetensors``.
        classes: names of the output channels; not for Keras's ResNet-50.
        mean, std: what the training images were normalised with, of 1; by default ImageNet's, for the files do not say.
        head_weights: an HDF5 file with datasets ``w`` and ``b``: the last layer of a Keras network saved without it.

    Returns:
        What was written, assumed and left out, one line each.

    Raises:
        UsageError: ``out`` exists, wrong arguments, or a file of another kind, with what to do instead.
        ModelFileError: a file that is damaged or does not fit.
    """
    model, out = Path(model), Path(out)
    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: a model file ends in .safetensors")
    refuse_existing(out)
    if model.suffix in (".h5", ".hdf5"):
        if classes or mean or std:
            raise UsageError(f"{model}: a classifier of known classes; leave --classes, --mean and --std out")
        import_keras(model, out, head_weights)
        return [f"{out}: for heatmap --encoder keras_resnet50 --encoder-weights {out}"]
    refuse_other_kinds(model)
    if head_weights:
        raise UsageError(f"{model}: --head-weights belongs to Keras's ResNet-50 (.h5); leave it out")
    if not classes:
        raise UsageError(f"{model}: needs --classes, the names of its output channels")
    segmenter = from_elsewhere(model, classes, mean, std)
    segmenter.save(out)
    said = [
        f"  {what}: {segmenter.provenance[what]}" for what in ("assumed", "left out") if what in segmenter.provenance
    ]
    return [f"{out}: {plural(len(classes), 'class')}", *said]
