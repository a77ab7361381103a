"""What every recogniser needs: lists, files, and what it gives back."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fullconv.data.dataset import AnnotationSource, Item
from fullconv.data.sources import FileImage, FileMask
from fullconv.errors import first_few
from fullconv.files import leads_outside
from fullconv.formats.problems import Problems
from fullconv.formats.read.names import spot
from fullconv.images.encoding import MaskEncoding
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.spec import ClassSet
from fullconv.text import read_text

SPLIT_NAMES = (
    ("train", ("train", "training")),
    ("val", ("val", "valid", "validation")),
    ("test", ("test", "testing")),
)
"""Each split with the names that its folders and lists go by."""


@dataclass
class Found:
    """A recognised layout, before defaults are filled in.

    Attributes:
        handles: for items with labels of their own: which of ``values`` and ``ignore`` of ``dataset.yaml`` the layout
            applies itself. Others are refused.
        public: whether it is the public data set of this layout, by its own names or lists, and not other data in its
            form: only then its licence is named, and its class names win over a list beside the data.
    """

    layout: str
    reasons: list[str]
    splits: Mapping[str, Sequence[Item]]
    classes: ClassSet | None = None
    encoding: MaskEncoding = field(default_factory=MaskEncoding)
    handles: tuple[str, ...] = ()
    public: bool = False


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, stripped."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def readings(line: str) -> tuple[str, str]:
    """What a line of a list may mean: all of it, or its first word, where others say something else."""
    return line, re.split(r"[\s,]+", line)[0]


def files_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Folder and name of every file at any depth; hidden files are passed over, links are followed, once."""
    seen = set[str]()
    for place, names, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            names.clear()  # a link back
            continue
        seen.add(real)
        yield from ((place, name) for name in files if not name.startswith("."))


def image_files(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """The image files at any depth of a folder, sorted; hidden ones are passed over, links are followed."""
    found = [
        os.path.join(place, name)
        for place, name in files_below(folder)
        if os.path.splitext(name)[1].lower() in suffixes
    ]
    found.sort(key=lambda path: path.split(os.sep))  # as paths are sorted, and many times faster
    return [Path(path) for path in found if os.path.isfile(path)]


def in_form_of(name: str) -> str:
    """What is said of data that have a public set's form, and not its names."""
    return (
        f"its files are not named as {name}'s own: other data in that form, whose licence is not known; if its classes "
        "are others, name them in classes.txt or dataset.yaml"
    )


def listed(
    names: Sequence[tuple[str, str]], images: Path, masks: Path, problems: Problems,
    labels: Callable[[Path], AnnotationSource] = FileMask,
) -> list[Item]:  # fmt: skip
    """Items of a list, as far as its files are there; ``labels`` reads the files of ``masks``."""
    inside = [pair for pair in names if not any(map(leads_outside, pair))]
    if len(inside) < len(names):
        report_outside(images.parent, [pair[0] for pair in names if any(map(leads_outside, pair))], problems)
    pairs = [(spot(images / image) or images / image, spot(masks / mask) or masks / mask) for image, mask in inside]
    lost = set[Path]()
    for place, folder in enumerate((images, masks)):
        missing = [pair[place] for pair in pairs if not pair[place].is_file()]
        if missing:
            problems.report(
                "unpaired",
                f"{folder}: {len(missing)} of {len(pairs)} listed files are missing "
                f"({first_few([path.name for path in missing])})",
                "add them, or take them off the list",
            )
        lost.update(missing)
    return [Item(image.stem, FileImage(image), labels(mask)) for image, mask in pairs if not lost & {image, mask}]


def report_outside(where: Path, entries: Sequence[str], problems: Problems) -> None:
    """Entries of a list are paths below the data's folder: no others are followed."""
    if entries:
        leads = "leads" if len(entries) == 1 else "lead"
        problems.report(
            "unpaired",
            f"{where}: a list names {first_few([repr(entry) for entry in entries])}, which {leads} outside the data's "
            "folder; refused",
            "write paths from there",
        )


def child_folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones are passed over."""
    with os.scandir(folder) as entries:  # asks no file for its kind: there may be a million
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return [folder / name for name in names]


def child(root: Path, names: Sequence[str]) -> Path | None:
    """The folder of ``root`` that has one of these names, whatever its case; the first name wins."""
    if not root.is_dir():
        return None
    children = {path.name.lower(): path for path in child_folders(root)}
    return next((children[name] for name in names if name in children), None)
