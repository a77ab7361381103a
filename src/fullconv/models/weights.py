"""Bringing trained weights in: reading files safely, and a transplant that accounts for every parameter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fullconv.errors import ModelFileError, UsageError, first_few
from fullconv.models import elsewhere
from fullconv.models.finite import refuse_not_finite
from fullconv.text import parse_json

FEW = 3
"""Reasons, and names of each, that the lines of a report tell; its listing has all."""


@dataclass
class TransplantReport:
    """The parameters and buffers of the target: loaded, reshaped, missing.

    Attributes:
        copied: names taken over as they are.
        reshaped: names whose values were taken over in another shape (a Linear into a convolution), with how.
        left: names that keep their initial values, with the reason.
        unused: names of the source that no parameter took.
        by_class: names whose values were taken over class by class (:mod:`fullconv.models.by_class`).
        class_lines, every_class_line: which classes those were; in short, and one by one.
    """

    copied: list[str] = field(default_factory=list)
    reshaped: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    by_class: list[str] = field(default_factory=list)
    class_lines: list[str] = field(default_factory=list)
    every_class_line: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Counts, then the first parameters that are not simply copied, and why."""
        shown = [*_in_short("reshaped", self.reshaped), *_in_short("left", self.left)]
        return "\n".join([self._counts(), *self.class_lines, *shown])

    def listing(self) -> str:
        """Counts, then every parameter as copied, reshaped or left, and why; then what of the source was unused."""
        unused = [f"  unused   {name}" for name in self.unused]
        by_class = [f"  by class {name}" for name in self.by_class]
        return "\n".join([self._counts(), *self.every_class_line, *self._lines(), *by_class, *unused])

    def _counts(self) -> str:
        counts = {
            "reshaped": self.reshaped, "left": self.left, "of the file not used": self.unused, "by class": self.by_class
        }  # fmt: skip
        others = [f"{len(names)} {what}" for what, names in counts.items() if names]
        return ", ".join([f"{len(self.copied)} copied", *others])

    def _lines(self) -> list[str]:
        lines = [f"  copied   {name}" for name in self.copied]
        lines += [f"  reshaped {name}: {how}" for name, how in self.reshaped.items()]
        return lines + [f"  left     {name}: {why}" for name, why in self.left.items()]


def _in_short(what: str, reasons: Mapping[str, str]) -> list[str]:
    """The first names of each reason, and the first reasons."""
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        names.setdefault(why, []).append(name)
    lines = [f"  {what}: {first_few(some)} ({why})" for why, some in names.items()]
    more = sum(len(some) for some in list(names.values())[FEW:])
    return [*lines[:FEW], *[f"  and {more} more {what}"] * bool(more)]


@torch.no_grad()
def transplant(
    source: Mapping[str, Tensor], target: nn.Module, rename: Mapping[str, str] | None = None
) -> TransplantReport:
    """Copy every value of ``source`` that has a place in ``target``.

    A linear layer of as many elements becomes a convolution (VGG's fc6 ``[4096, 25088]`` a 7x7 one);
    a first convolution for another number of image channels takes the mean over the source's channels, scaled
    so that a grey image gives the same response. Anything else is left, with the reason.

    Args:
        source: a state dict.
        target: the module to fill.
        rename: names of the target for names of the source; unnamed ones keep their own.
    """
    rename = rename or {}
    values = {rename.get(name, name): value for name, value in source.items()}
    report = TransplantReport()
    taken = set()
    for name, place in target.state_dict().items():
        if name not in values:
            if not name.endswith("num_batches_tracked"):
                report.left[name] = "not in the source"
            continue
        value = values[name]
        taken.add(name)
        if value.shape == place.shape:
            place.copy_(value)
            report.copied.append(name)
        elif value.numel() == place.numel() and value.shape[:1] == place.shape[:1] and value.ndim != place.ndim:
            place.copy_(value.reshape(place.shape))
            report.reshaped[name] = f"{list(value.shape)} -> {list(place.shape)}"
        elif (
            value.ndim == 4
            and place.ndim == 4
            and value.shape[0] == place.shape[0]
            and (value.shape[2:] == place.shape[2:] and value.shape[1] == 3)
        ):
            grey = value.mean(1, keepdim=True) * (3 / place.shape[1])
            place.copy_(grey.expand_as(place))
            report.reshaped[name] = f"{list(value.shape)} -> {list(place.shape)}: mean over the image channels"
        else:
            report.left[name] = f"shape {list(place.shape)}, the source has {list(value.shape)}"
    report.unused = [name for name in source if rename.get(name, name) not in taken]
    return report


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a weights file: ``.safetensors``, or a PyTorch file read with ``weights_only=True``.

    A state dict nested under ``state_dict`` or ``model``, and a ``module.`` prefix, are unwrapped. A VGG16 of MindSpore
    (``.ckpt``) or TensorFlow (the folder of a saved_model, or ``.index``) comes under our own names.

    Raises:
        UsageError: no such file, or one of a kind that is not read.
        ModelFileError: not a weights file, truncated, or values that are not finite.
    """
    path = Path(path)
    found = _from_elsewhere(path)
    if found is not None:
        refuse_not_finite(found[0], path)
        return found
    if not path.is_file():
        raise UsageError(f"{path}: no such weights file; give a .safetensors or .pth file, 'imagenet' or 'none'")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    advice = elsewhere.what_to_do(path)
    if advice:
        raise UsageError(f"{path}: {advice}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that are no state dict, torch.load raises almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "Weights only load failed" in reason:
            reason = "not a file of tensors alone"
        raise ModelFileError(
            f"{path}: cannot be read as a PyTorch state dict ({reason[:120]}); save it with torch.save(state_dict)"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise ModelFileError(f"{path}: holds no tensors; expected a state dict saved with torch.save")
    refuse_not_finite(tensors, path)
    return {str(name).removeprefix("module."): value for name, value in tensors.items()}, {}


def _from_elsewhere(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    index = elsewhere.find_bundle(path)
    if index is not None:
        return elsewhere.vgg16_from_tensorflow(elsewhere.read_bundle(index), str(path))
    if elsewhere.is_mindspore(path):
        return elsewhere.vgg16_from_mindspore(elsewhere.read_mindspore(path), str(path))
    return None


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, with our own words for what can be wrong with it.

    Raises:
        ModelFileError: not a safetensors file, truncated, or values that are not finite.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: not a readable safetensors file ({error}); it may be truncated: copy or save it again"
        ) from error
    refuse_not_finite(tensors, path)
    return tensors, metadata


def stated_architecture(path: str | Path) -> str:
    """The network that a weights file says it is of; empty where it says none.

    Raises:
        ModelFileError: a safetensors file that cannot be read.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return ""
    try:
        with safe_open(str(path), framework="pt") as file:
            return str(timm_metadata(dict(file.metadata() or {})).get("architecture", ""))
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: not a readable safetensors file ({error}); it may be truncated: copy or save it again"
        ) from error


def timm_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a weights file says of its architecture under the key ``timm``: architecture, args, mean, std, licence."""
    try:
        found = parse_json(metadata.get("timm", "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
