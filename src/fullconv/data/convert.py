"""Any recognised data set -> another layout, with what is lost on the way named."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from fullconv.data.layouts import CITYSCAPES_CLASSES, VOC_NAMES
from fullconv.data.loader import Sample, read_sample
from fullconv.data.masks import VOID_COLOUR, write_mask
from fullconv.data.open import open_dataset
from fullconv.data.spec import DatasetSpec, Item
from fullconv.errors import DataError, FullconvError, UsageError, first_few

BACKGROUNDS = ("background", "_background_")
BLACK = (0, 0, 0)


@dataclass
class Converted:
    """What :func:`convert` did.

    Attributes:
        out: the new folder.
        images: per split.
        notes: what the target cannot hold, and every rule applied; one line each.
    """

    out: Path
    images: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class _Writer:
    """One layout being written below ``root``."""

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        self.spec, self.root, self.notes = spec, root, notes

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        raise NotImplementedError

    def finish(self, names: dict[str, list[str]]) -> None:
        raise NotImplementedError

    def image(self, folder: Path, name: str, item: Item, sample: Sample, suffix: str = "") -> Path:
        """The image in ``folder``: its own file where that is allowed, else its pixels as PNG (or ``.npy``)."""
        folder.mkdir(parents=True, exist_ok=True)
        if item.pixels is None and item.image.is_file() and not suffix:
            path = folder / f"{name}{item.image.suffix.lower()}"
            shutil.copyfile(item.image, path)
        elif sample.image.shape[2] in (1, 3, 4):
            path = folder / f"{name}{suffix or '.png'}"
            Image.fromarray(sample.image if sample.image.shape[2] > 1 else sample.image[..., 0]).save(path)
        else:
            path = folder / f"{name}.npy"
            np.save(path, sample.image)
        return path


class _Folder(_Writer):
    """``images/``, ``masks/``, lists and a ``dataset.yaml``: holds everything."""

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        self.image(self.root / "images", name, item, sample)
        write_mask(self.root / "masks" / f"{name}.png", sample.labels, self.spec.classes)

    def finish(self, names: dict[str, list[str]]) -> None:
        _write_lists(self.root / "lists", names)
        classes = self.spec.classes
        content: dict[str, Any] = {
            "classes": {name: list(colour) for name, colour in zip(classes.names, classes.palette, strict=True)},
            "ignore": [classes.ignore_index],
            "splits": {split: f"lists/{split}.txt" for split in names},
            "channels": self.spec.channels,
        }
        if len(set(classes.palette)) < len(classes):
            content["classes"] = list(classes.names)
        text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True)
        (self.root / "dataset.yaml").write_text(text, encoding="utf-8")


class _Voc(_Writer):
    """PASCAL VOC, with CVAT's ``labelmap.txt`` for classes that are not VOC's own."""

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        _one_byte(spec, "voc")
        names = [name.casefold() for name in spec.classes.names]
        black = not (set(names) & set(BACKGROUNDS) or BLACK in spec.classes.palette)
        self.void = BLACK if black else VOID_COLOUR  # a map without black would be given a background
        if spec.classes.names != VOC_NAMES:
            notes.append("voc has no place for class names: labelmap.txt (as CVAT writes it) holds them")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        self.image(self.root / "JPEGImages", name, item, sample)
        write_mask(self.root / "SegmentationClass" / f"{name}.png", sample.labels, self.spec.classes, self.void)

    def finish(self, names: dict[str, list[str]]) -> None:
        _write_lists(self.root / "ImageSets" / "Segmentation", names)
        classes = self.spec.classes
        if classes.names != VOC_NAMES:
            rows = [
                f"{name}:{','.join(map(str, colour))}::\n"
                for name, colour in zip(classes.names, classes.palette, strict=True)
            ]
            rows.append(f"ignored:{','.join(map(str, self.void))}::\n")
            (self.root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(rows), "utf-8")


class _Cityscapes(_Writer):
    """Cityscapes' folders with ``labelTrainIds``; classes find theirs by name, others become void."""

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        known = {name: index for index, name in enumerate(CITYSCAPES_CLASSES.names)}
        self.table = np.full(spec.classes.ignore_index + 1, 255, np.uint8)
        lost = []
        for index, name in enumerate(spec.classes.names):
            self.table[index] = known.get(name.casefold(), 255)
            if name.casefold() not in known:
                lost.append(name)
        if len(lost) == len(spec.classes):
            raise UsageError(
                f"--to cityscapes: none of the classes ({first_few(lost)}) is one of its 19; choose another target"
            )
        if lost:
            notes.append(f"cityscapes has 19 classes by name; void now: {', '.join(lost)}")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        images, masks = (self.root / kind / split / "data" for kind in ("leftImg8bit", "gtFine"))
        self.image(images, name, item, sample, "_leftImg8bit.png")
        masks.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.table[sample.labels]).save(masks / f"{name}_gtFine_labelTrainIds.png")

    def finish(self, names: dict[str, list[str]]) -> None:
        strange = [split for split in names if split not in ("train", "val", "test")]
        if strange:
            raise UsageError(f"--to cityscapes: it has splits train, val and test, not {strange[0]}")


class _Coco(_Writer):
    """COCO's instance annotations: one run-length mask for each class of an image."""

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        names = spec.classes.names
        self.background = next((i for i, name in enumerate(names) if name.casefold() in BACKGROUNDS), None)
        self.content: dict[str, dict[str, list[Any]]] = {}
        self.void = 0
        notes.append("coco keeps no colours, and one region for each class of an image")
        if self.background is None:
            notes.append("coco calls what no region covers background: one more class when it is read again")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        from pycocotools import mask as coco

        path = self.image(self.root / split, name, item, sample)
        content = self.content.setdefault(split, {"images": [], "annotations": [], "categories": self._categories()})
        number = len(content["images"]) + 1
        height, width = sample.labels.shape
        content["images"].append({"id": number, "file_name": path.name, "height": height, "width": width})
        for label in np.unique(sample.labels):
            if label == self.spec.classes.ignore_index:
                self.void += int((sample.labels == label).sum())
            elif label != self.background:
                encoded = coco.encode(np.asfortranarray(sample.labels == label).view(np.uint8))
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1, "image_id": number, "category_id": int(label) + 1,
                        "segmentation": {"size": [height, width], "counts": encoded["counts"].decode()},
                        "area": int(coco.area(encoded)), "bbox": coco.toBbox(encoded).tolist(), "iscrowd": 0,
                    }
                )  # fmt: skip

    def _categories(self) -> list[dict[str, Any]]:
        named = [(i, name) for i, name in enumerate(self.spec.classes.names) if i != self.background]
        return [{"id": index + 1, "name": name, "supercategory": ""} for index, name in named]

    def finish(self, names: dict[str, list[str]]) -> None:
        (self.root / "annotations").mkdir()
        for split, content in self.content.items():
            text = json.dumps(content)
            (self.root / "annotations" / f"instances_{split}.json").write_text(text, encoding="utf-8")
        if self.void:
            self.notes.append(f"coco has no void: {self.void:,} unlabelled pixels are background now")


WRITERS: dict[str, type[_Writer]] = {"folder": _Folder, "voc": _Voc, "cityscapes": _Cityscapes, "coco": _Coco}


def convert(
    data: str | os.PathLike[str] | DatasetSpec,
    out: str | os.PathLike[str],
    to: str = "folder",
    progress: Callable[[int], None] | None = None,
) -> Converted:
    """Write a data set in another layout.

    Images keep their own files where the target takes them; label maps are written as they are read, id by id.

    Args:
        data: whatever :func:`fullconv.data.open_dataset` takes.
        out: a folder that does not exist; it appears when all of it is written.
        to: one of :data:`WRITERS`.
        progress: called with the number of images done.

    Raises:
        UsageError: ``out`` exists, an unknown target, or classes that it cannot hold.
        DataError: a file that cannot be read.
    """
    out = Path(out)
    if to not in WRITERS:
        raise UsageError(f"--to {to}: no such target; there are {', '.join(WRITERS)}")
    if out.exists():
        raise UsageError(f"{out}: exists; choose another folder for the converted data")
    spec = open_dataset(data)
    result = Converted(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=".converting-"))
    except OSError as error:
        raise FullconvError(f"{out.parent}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        writer = WRITERS[to](spec, partial, result.notes)
        _write_all(writer, spec, result, progress)
        partial.chmod(0o755)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def _write_all(writer: _Writer, spec: DatasetSpec, result: Converted, progress: Callable[[int], None] | None) -> None:
    names: dict[str, list[str]] = {}
    written: dict[tuple[Path, int, str], str] = {}
    taken: set[str] = set()
    done = 0
    for split, items in spec.splits.items():
        names[split] = []
        for item in items:
            key = (item.image, item.index, item.id)
            fresh = key not in written or not isinstance(writer, _Folder | _Voc)
            if key not in written:
                written[key] = _name(item.id, taken)
                taken.add(written[key])
            name = written[key]
            names[split].append(name)
            if fresh:  # one in several splits is written once where the layout has lists
                writer.add(split, name, item, read_sample(spec, item))
            done += 1
            if progress is not None:
                progress(done)
        result.images[split] = len(items)
    writer.finish(names)


def _name(item_id: str, taken: set[str]) -> str:
    """A file name of an item's id that no other has."""
    plain = re.sub(r"[^\w.-]+", "_", item_id).strip("._") or "image"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _write_lists(folder: Path, names: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True)
    for split, stems in names.items():
        (folder / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def _one_byte(spec: DatasetSpec, target: str) -> None:
    if len(spec.classes) > 255:
        raise DataError(f"{spec.root}: {len(spec.classes)} classes; {target} holds 255 at most: use --to folder")
