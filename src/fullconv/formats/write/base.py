"""What every target of :func:`fullconv.formats.convert.convert` needs."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from PIL import Image

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.data.sources import FileImage
from fullconv.data.values import stored_image
from fullconv.errors import UsageError
from fullconv.formats.write.objects import Coarse
from fullconv.images.encoded import EncodedFile
from fullconv.images.encoding import UInt8Array
from fullconv.images.files import stored_size

MAGIC = {
    b"\x89PNG": ".png", b"II*\0": ".tif", b"MM\0*": ".tif", b"II+\0": ".tif", b"MM\0+": ".tif", b"\x93NUMPY": ".npy",
}  # fmt: skip
"""First bytes of files of other than 8 bits, and their suffixes."""


class Writer(ABC):
    """One layout being written below ``root``.

    Attributes:
        lists: whether splits are lists of names, so that an image in several of them is written once.
        parts: whether it holds which classes each part of a mixture labels.
        notes: what the layout cannot hold, and every rule applied; one line each.
        outlines: whether it can hold simplified outlines.
        coarse: how simple outlines are to be; None: they show every pixel.
        turned: how many images had an EXIF orientation, and are written upright.
    """

    lists: ClassVar[bool] = False
    parts: ClassVar[bool] = False
    outlines: ClassVar[bool] = False
    coarse: Coarse | None = None

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
        if not isinstance(item.image, FileImage):
            return False
        upright = stored_size(item.image.path)[1] == 1
        self.turned += not upright
        return upright

    def close(self) -> None:  # noqa: B027 (most hold nothing open)
        """Let go of what is open, also after an error."""

    def image(self, folder: Path, name: str, item: Item, sample: Sample) -> Path:
        """The image in ``folder``, as :meth:`image_bytes` has it."""
        folder.mkdir(parents=True, exist_ok=True)
        content, suffix = self.image_bytes(item, sample)
        path = folder / f"{name}{suffix}"
        path.write_bytes(content)
        return path

    def image_bytes(self, item: Item, sample: Sample) -> tuple[bytes, str]:
        """An image's own file where it is upright, else its pixels as PNG (or ``.npy``): a label map has no EXIF that
        would turn it along. And its suffix.
        """
        if isinstance(item.image, FileImage) and self.copied(item):
            return item.image.path.read_bytes(), item.image.path.suffix.lower()
        if self.spec.values is not None and self.spec.values.range:
            return self._values(item)
        if sample.image.shape[2] in (1, 3, 4):
            return png(sample.image), ".png"
        return _npy(sample.image), ".npy"

    def _values(self, item: Item) -> tuple[bytes, str]:
        """An image of other than 8 bits: its file's bytes out of a container, else its values."""
        file = item.image.file()
        if isinstance(file, EncodedFile):
            content, upright = file.getvalue(), stored_size(file)[1] == 1
            suffix = next((end for magic, end in MAGIC.items() if content.startswith(magic)), "")
            if upright and suffix:
                return content, suffix
            self.turned += not upright
        stored = stored_image(item, self.spec.channels)
        return _npy(np.delete(stored.array, stored.alpha, axis=2)), ".npy"


def png(image: UInt8Array) -> bytes:
    """Pixels ``[height, width, 1, 3 or 4]`` as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image if image.shape[2] > 1 else image[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


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
        **_values_of(spec),
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


def write_values(root: Path, spec: DatasetSpec) -> None:
    """``dataset.yaml`` of a layout that says the rest itself: channels, range of values, nodata; none for 8 bits."""
    if spec.values is not None:
        text = yaml.safe_dump({"channels": spec.channels, **_values_of(spec)}, sort_keys=False, default_flow_style=None)
        (root / "dataset.yaml").write_text(text, encoding="utf-8")


def write_classes(root: Path, spec: DatasetSpec) -> None:
    """``dataset.yaml`` beside a tool's own files: the classes in their order with colours, background among them."""
    classes = spec.classes
    named = {name: list(colour) for name, colour in zip(classes.names, classes.palette, strict=True)}
    content: dict[str, Any] = {"classes": named if len(set(classes.palette)) == len(classes) else list(classes.names)}
    if spec.values is not None:
        content |= {"channels": spec.channels, **_values_of(spec)}
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True)
    (root / "dataset.yaml").write_text(text, encoding="utf-8")


def _values_of(spec: DatasetSpec) -> dict[str, Any]:
    if spec.values is None:
        return {}
    bounds, nodata = [list(pair) for pair in spec.values.range], list(spec.values.nodata)
    return {
        **({"range": bounds[0] if len(bounds) == 1 else bounds} if bounds else {}),
        **({"nodata": nodata[0] if len(nodata) == 1 else nodata} if nodata else {}),
        **({"bands": list(spec.values.bands)} if spec.values.bands else {}),
    }
