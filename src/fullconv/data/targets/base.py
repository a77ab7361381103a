"""What every target of :func:`fullconv.data.convert.convert` needs."""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from PIL import Image

from fullconv.data.loader import Sample
from fullconv.data.spec import DatasetSpec, Item
from fullconv.errors import UsageError
from fullconv.images.files import stored_size

BACKGROUNDS = ("background", "_background_")


class Writer(ABC):
    """One layout being written below ``root``.

    Attributes:
        lists: whether splits are lists of names, so that an image in several of them is written once.
        parts: whether it holds which classes each part of a mixture labels.
        notes: what the layout cannot hold, and every rule applied; one line each.
        turned: how many images had an EXIF orientation, and are written upright.
    """

    lists: ClassVar[bool] = False
    parts: ClassVar[bool] = False

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        self.spec, self.root, self.notes, self.turned = spec, root, notes, 0
        if not self.parts and spec.channels not in (1, 3):
            raise UsageError(
                f"its images have {spec.channels} channels, which only --to folder and webdataset can hold"
            )
        if not self.parts and spec.channels == 1:
            notes.append("that images have one channel is not kept: they are read as RGB")

    @abstractmethod
    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        """Write one image and its labels."""

    @abstractmethod
    def finish(self, names: Mapping[str, list[str]]) -> None:
        """Write what belongs to all of them; ``names`` per split."""

    def copied(self, item: Item) -> bool:
        """Whether an image's own file can be taken: it has one, and it is upright, as label maps are."""
        if item.pixels is not None or not item.image.is_file():
            return False
        upright = stored_size(item.image)[1] == 1
        self.turned += not upright
        return upright

    def close(self) -> None:  # noqa: B027 (most hold nothing open)
        """Let go of what is open, also after an error."""

    def image(self, folder: Path, name: str, item: Item, sample: Sample, suffix: str = "") -> Path:
        """The image in ``folder``: its own file where that is allowed and upright, else its pixels as PNG (or
        ``.npy``): a label map has no EXIF that would turn it along."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.copied(item) and not suffix:
            path = folder / f"{name}{item.image.suffix.lower()}"
            shutil.copyfile(item.image, path)
        elif sample.image.shape[2] in (1, 3, 4):
            path = folder / f"{name}{suffix or '.png'}"
            Image.fromarray(sample.image if sample.image.shape[2] > 1 else sample.image[..., 0]).save(path)
        else:
            path = folder / f"{name}.npy"
            np.save(path, sample.image)
        return path


def free_name(item_id: str, taken: set[str], allowed: str = r"\w.-") -> str:
    """A file name of an item's id, of ``allowed`` characters, that is not ``taken``."""
    plain = re.sub(rf"[^{allowed}]+", "_", item_id).strip("._") or "image"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def write_lists(folder: Path, names: Mapping[str, list[str]]) -> None:
    """``<split>.txt`` with one name a line."""
    folder.mkdir(parents=True)
    for split, stems in names.items():
        (folder / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def write_description(root: Path, spec: DatasetSpec, **more: Any) -> None:
    """``dataset.yaml`` of label maps written id by id."""
    classes = spec.classes
    content: dict[str, Any] = {
        "classes": {name: list(colour) for name, colour in zip(classes.names, classes.palette, strict=True)},
        "ignore": [classes.ignore_index],
        "channels": spec.channels,
        **more,
    }
    if len(set(classes.palette)) < len(classes):
        content["classes"] = list(classes.names)
    if len(classes) > 255:  # grey of 16 bits: its numbers are ids, not shades
        content["values"] = dict(enumerate(classes.names))
    if spec.labelled is not None:
        names = np.array(classes.names)
        used = {item.source for items in spec.splits.values() for item in items}
        content["labelled"] = {f"{i}_": names[list(row)].tolist() for i, row in enumerate(spec.labelled) if i in used}
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True)
    (root / "dataset.yaml").write_text(text, encoding="utf-8")
