"""Any recognised data set -> another layout, with what is lost on the way named."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item, refuse_without_label_maps
from fullconv.data.grouping import regrouped
from fullconv.data.sample import read_sample
from fullconv.errors import UsageError, plural
from fullconv.files import new_folder
from fullconv.formats.open import open_dataset
from fullconv.formats.write import TARGETS, Writer, free_name
from fullconv.formats.write.objects import Coarse
from fullconv.polygons.trace import TOLERANCE, check


@dataclass
class Converted:
    """What :func:`convert` did.

    Attributes:
        out: the new folder.
        images: per split.
        source: the data, in a line.
        reasons: how they were read; one line each.
        notes: what the target cannot hold, and every rule applied in writing; one line each.
    """

    out: Path
    images: dict[str, int] = field(default_factory=dict)
    source: str = ""
    reasons: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def convert(
    data: str | os.PathLike[str] | DatasetSpec,
    out: str | os.PathLike[str],
    to: str = "folder",
    *,
    classes: str = "",
    tolerance: float | None = None,
    min_area: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write a data set in another layout.

    Images keep their own files where the target takes them; label maps are written as they are read, id by id.

    Args:
        data: whatever :func:`fullconv.open_dataset` takes.
        out: a folder that does not exist; it appears when all of it is written.
        to: one of :data:`TARGETS`.
        classes: other classes by name (:func:`fullconv.data.grouping.regrouped`); empty for those of the data.
        tolerance: of ``labelme``, ``yolo`` and ``cvat``: polygons that share their borders, simplified by so many
            pixels (:func:`fullconv.polygons.trace.trace`); by default outlines that show every pixel.
        min_area: of those, too, in pixels: smaller pieces become a neighbour. Given alone the tolerance is 1.
        progress: called with the number of images done and of all.

    Raises:
        UsageError: ``out`` exists, an unknown target, classes that it cannot hold or that the data do not have.
        DataError: a file that cannot be read.
    """
    out = Path(out)
    if to not in TARGETS:
        raise UsageError(f"--to {to}: no such target; there are {', '.join(TARGETS)}")
    if out.exists():
        raise UsageError(f"{out}: exists; choose another folder for the converted data")
    coarse = _coarse(to, tolerance, min_area)
    spec = open_dataset(data)
    refuse_without_label_maps(spec)
    odd = [
        split
        for split in spec.splits
        if not re.fullmatch(r"[\w-][\w.-]*", split) or (to, split) == ("coco", "annotations")
    ]
    if odd:
        raise UsageError(f"--to {to}: a split called {odd[0]!r} cannot be written; rename it in the data")
    result = Converted(out, source=spec.title, reasons=spec.reasons)
    if classes:
        spec = regrouped(spec, classes)
        result.notes.append(spec.reasons[-1])
    if spec.labelled is not None and not TARGETS[to].parts:
        result.notes.append(
            "a mixture: which classes each of its data sets labels is not kept; in the copy every image counts as "
            "labelled with all of them (--to folder and --to webdataset keep it)"
        )
    with new_folder(out) as partial, closing(TARGETS[to](spec, partial, result.notes)) as writer:
        writer.coarse = coarse
        _write_all(writer, spec, result, progress)
    if coarse is not None:
        result.notes.append(
            f"outlines are simplified by a tolerance of {coarse.tolerance:g} pixels, pieces of fewer than "
            f"{coarse.min_area} pixels became a neighbour: the labels of the copy differ by that"
        )
    return result


def _coarse(to: str, tolerance: float | None, min_area: int) -> Coarse | None:
    """How simple outlines are to be; None: as the pixels are.

    Raises:
        UsageError: a target that has none, or a value that cannot be.
    """
    if tolerance is None and not min_area:
        return None
    if not TARGETS[to].outlines:
        able = ", ".join(name for name, target in TARGETS.items() if target.outlines)
        raise UsageError(f"--tolerance and --min-area are of outlines, which --to {to} keeps none of; {able} do")
    coarse = Coarse(TOLERANCE if tolerance is None else tolerance, min_area)
    check(*coarse)
    return coarse


def _write_all(
    writer: Writer, spec: DatasetSpec, result: Converted, progress: Callable[[int, int], None] | None
) -> None:
    names: dict[str, list[str]] = {}
    written: dict[bytes, str] = {}
    taken: set[str] = set()
    done, total = 0, sum(len(items) for items in spec.splits.values())
    for split, items in spec.splits.items():
        names[split] = []
        for item in items:
            key = pickle.dumps((item.id, item.image, item.annotation))
            fresh = key not in written or not writer.lists
            if key not in written:
                written[key] = free_name(_name(spec, item), taken)
                taken.add(written[key])
            name = written[key]
            names[split].append(name)
            if fresh:  # one in several splits is written once where the layout has lists
                writer.add(split, name, item, read_sample(spec, item))
            done += 1
            if progress is not None:
                progress(done, total)
        result.images[split] = len(items)
    writer.finish(names)
    if writer.turned:
        result.notes.append(
            f"{plural(writer.turned, 'image', 'has')} an EXIF orientation: written upright as PNG (or .npy), as the "
            "masks are"
        )


def _name(spec: DatasetSpec, item: Item) -> str:
    """The item's id; of a mixture it begins with the number of its part, which ``dataset.yaml`` then describes."""
    number = str(item.source)
    if spec.labelled is None or item.id.startswith((f"{number}/", f"{number}_")):
        return item.id
    return f"{number}_{item.id}"
