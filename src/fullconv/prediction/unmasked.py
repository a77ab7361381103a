"""Which images of a data set get pseudo-labels, which keep their masks, and what is known of those without one."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.evaluation.matching import by_position, with_classes_of
from fullconv.formats.open import NotRecognisedError, open_partly_masked
from fullconv.formats.read import image_files
from fullconv.images.encoding import MaskEncoding
from fullconv.segmenter import Segmenter
from fullconv.weak.annotated import has_mask
from fullconv.weak.sight import Labels, Sight
from fullconv.weak.supervised import Supervised


class Task(NamedTuple):
    """An item of the new data set; what is known of one that is predicted; whether it keeps its mask."""

    split: str
    item: Item
    known: Supervised | None
    masked: bool


def open_or_images(
    segmenter: Segmenter, data: str | os.PathLike[str] | DatasetSpec
) -> tuple[DatasetSpec, dict[Path, str]]:
    """The data as they are, and the images beside them that have no mask, with the split that lists them; a folder that
    holds nothing but images is a data set of the model's classes without an item.

    Raises:
        UsageError, DataError: it cannot be opened.
    """
    try:
        return open_partly_masked(data)
    except NotRecognisedError:
        assert not isinstance(data, DatasetSpec)
        root = Path(data).expanduser()
        if not (bare := image_files(root) if root.is_dir() else []):
            raise
        values = segmenter.preprocessing.values
        reason = "a folder of images without masks"
        spec = DatasetSpec(
            root.name, root, "images", (reason,), segmenter.classes, MaskEncoding(), {"train": ()},
            segmenter.preprocessing.channels, values=values,
        )  # fmt: skip
        return spec, dict.fromkeys(bare, "")


def opened(segmenter: Segmenter, data: str | os.PathLike[str] | DatasetSpec) -> tuple[DatasetSpec, dict[Path, str]]:
    """The data with the model's classes, and the images beside them that have no mask, with the split that lists them.

    Raises:
        UsageError, DataError: it cannot be opened, or the classes are not the model's.
    """
    spec, bare = open_or_images(segmenter, data)
    if spec.layout == "images":
        return spec, bare
    matched = with_classes_of(segmenter, spec)
    theirs = {name.casefold() for name in spec.classes.names}
    lost = [name for name in segmenter.classes.names if name.casefold() not in theirs]
    masked = any(has_mask(item.annotation) for items in spec.splits.values() for item in items)
    if lost and masked and spec.declared:
        raise DataError(
            f"{spec.root}: its masks do not label {first_few(lost)}, which the model knows; masks and pseudo-labels "
            "would contradict each other: give a model of the same classes, or a folder of the images alone"
        )
    line = by_position(segmenter, spec) if masked else ""
    reasons = (*matched.reasons, *([line] if line else []))
    return dataclasses.replace(matched, classes=segmenter.classes, reasons=reasons), bare


def tasks_of(spec: DatasetSpec, bare: Mapping[Path, str], labels: Labels, out: Path, notes: list[str]) -> list[Task]:
    """Every item of the new data set.

    Raises:
        DataError: all images have masks, and may keep them.
    """
    see, tasks, left = Sight(spec, labels), list[Task](), Counter[str]()
    for split, items in spec.splits.items():
        for item in items:
            masked = has_mask(item.annotation)
            if masked and (split != "train" or labels == "auto"):
                tasks.append(Task(split, item, None, True))
                continue
            if split not in ("train", "val"):
                left[split] += 1
                continue
            seen = see(item, split)
            known = seen.item.annotation if seen is not None else None
            tasks.append(Task("train", item, known if isinstance(known, Supervised) else None, False))
    for path, split in bare.items():
        if split in ("", "train", "val"):
            tasks.append(Task("train", bare_item(path, spec.root), None, False))
        else:
            left[split] += 1
    if not any(not task.masked for task in tasks):
        raise DataError(
            f"{spec.root}: all {len(tasks)} images have a mask already, nothing is left to label; --labels boxes (or "
            "tags, scribbles, points) labels those of train anew, held to what is derived from their masks"
        )
    for split, count in left.items():
        notes.append(
            f"{plural(count, f'image of {split}', 'has')} no mask and {'is' if count == 1 else 'are'} left out"
        )
    moved = sum(task.split == "train" and not task.masked for task in tasks)
    if not any(task.split == "val" for task in tasks):
        notes.append(
            f"no val image has a mask of its own, so fullconv train {out} scores against pseudo-labels; better "
            f"give it masks to be scored against, for example as {out}+OTHER"
        )
    elif len(spec.splits.get("val", ())) > sum(task.split == "val" for task in tasks):
        notes.append(f"val keeps the images that have a mask; of the {moved} others all are in train")
    return tasks


def refuse_partly_labelled(spec: DatasetSpec, tasks: Sequence[Task]) -> None:
    """Refuse masks to keep in which a class of the model's is part of another: the new data set cannot say so.

    Raises:
        DataError: there are such.
    """
    for source in sorted({task.item.source for task in tasks if task.masked}) if spec.labelled else ():
        labelled = (spec.labelled or ())[source]
        if lost := [name for name, known in zip(spec.classes.names, labelled, strict=True) if not known]:
            kept = sum(task.masked and task.item.source == source for task in tasks)
            raise DataError(
                f"{spec.root}: {kept} masks, which would be kept, do not label {first_few(lost)}, as the model does: "
                "they would contradict each other; label the data without masks alone, and train on both as A+OUT"
            )


def bare_item(path: Path, root: Path) -> Item:
    """An image file without an annotation."""
    name = path.relative_to(root).with_suffix("").as_posix() if path.is_relative_to(root) else path.stem
    nothing = Annotations(str(path), (0, 0), (), has_label_map=False)
    return Item(name.rpartition("/")[2], FileImage(path), nothing)
