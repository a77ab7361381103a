"""One thing that a check found, and the kinds of such things."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.formats.problems import SEE_LINE, OpeningKind
from fullconv.images.damage import COPY_AGAIN
from fullconv.weak.faults import FaultKind as SupervisionKind

FaultKind = Literal["unreadable", "photograph", "jpeg", "size", "form", "undecided", "ids", "smoothed", "colours"]
"""What may be wrong with a pair of files."""
FindingKind = (
    OpeningKind
    | FaultKind
    | Literal[
        "split",
        "one-image",
        "few",
        "no-mask",
        "empty",
        "one-id",
        "interpolated",
        "blank",
        "absent",
        "void",
        "unlearned",
        "rare",
        "range",
    ]
    | SupervisionKind
    | Literal["leak", "copies", "near-leak", "near-copies", "turned", "gaps"]
)
OF_CLASSES = ("ids", "smoothed", "colours")
"""Faults by which a mask does not fit the classes."""
FIXED_TWICE = ("ids", "jpeg", "photograph")

SplitItem = tuple[str, Item]
"""An item and the split that it is in."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that should be looked at.

    Attributes:
        kind: a short name of the sort of finding.
        text: one line: what was found, where.
        fix: one line: what to do about it.
        problem: training would go wrong; else it is a note.
        items: the items concerned.
        pairs: pairs of items that are (nearly) the same, the earlier split first.
        files: files concerned that are no item's.
        pixels: how many pixels are concerned, where they are counted.
    """

    kind: FindingKind
    text: str
    fix: str
    problem: bool = False
    items: tuple[SplitItem, ...] = ()
    pairs: tuple[tuple[SplitItem, SplitItem], ...] = ()
    files: tuple[Path, ...] = ()
    pixels: int = 0

    @property
    def seen(self) -> str:
        """The text; where a reader's line ends with what to do, which ``fix`` says too, without that."""
        twice = self.kind in FIXED_TWICE or (self.text.endswith(f"; {COPY_AGAIN}") and self.fix != SEE_LINE)
        return self.text.rpartition("; ")[0] or self.text if twice else self.text


def file_name(spec: DatasetSpec, item: Item) -> str:
    """The item's image relative to the data set's folder; its id where it has no file."""
    if not item.image.files:
        return item.id
    path = item.image.files[0]
    name = (path.relative_to(spec.root) if path.is_relative_to(spec.root) else path).as_posix()
    return name if item.block < 0 else f"{name}: {item.id}"
