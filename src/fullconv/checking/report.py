"""All that a check found: its findings, with the counts that they rest on."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fullconv.checking.findings import Finding, FindingKind, SplitItem, file_name
from fullconv.checking.values import ValueCounts
from fullconv.data.annotations import KINDS, Kind, in_words
from fullconv.data.dataset import DatasetSpec
from fullconv.errors import DataError, first_few, plural
from fullconv.html.notebook import card, class_table, lines

FIX_IN_COPY = "save masks without smoothing, or train on a mended copy: fullconv check DATA --fix COPY"
MOST_OF_A_KIND = 3
MOST_CLASSES = 25


def check_command(data: str) -> str:
    """What to type to see all findings; of data that were made in Python, the command alone."""
    return f"fullconv check {shlex.quote(data)}" if data else "fullconv check"


@dataclass
class CheckReport:
    """What :func:`fullconv.check` found.

    Attributes:
        dataset: what was read.
        images: images per split.
        sizes: how many images have each ``(height, width)``.
        encodings: how many items have their labels stored in each way.
        pixels: labelled pixels per split and class, ``{split: int64 [classes]}``.
        presence: images per split in which each class appears.
        exposure: labelled pixels per split of the images in which each class appears.
        void: pixels without a label, per split.
        values: of the images that could be read, counted per band; None where none could.
        annotations: how many there are of each kind and class id (-1: of no class), as far as they are no mask files.
        findings: problems and notes, in the order in which they were found.
        fixed: what is in the fixed copy, and what is not, one line each; empty where none was written.
        supervision: what the train images teach with, in lines; empty where it is their masks.
        guessed: whether the classes are our guess, by a question that is among the problems: what follows from the
            guess alone is no finding.
        photographs: whether it is among the problems that there are photographs alone where masks should be.
    """

    dataset: DatasetSpec
    images: dict[str, int] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    presence: dict[str, np.ndarray] = field(default_factory=dict)
    exposure: dict[str, np.ndarray] = field(default_factory=dict)
    void: dict[str, int] = field(default_factory=dict)
    values: ValueCounts | None = None
    annotations: Counter[tuple[Kind, int]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    supervision: tuple[str, ...] = ()
    guessed: bool = False
    photographs: bool = False

    def __repr__(self) -> str:
        shown = [f"{word}: {one.seen}" for word, one in self._first()]
        return "\n  ".join([f"CheckReport({self._title()})", *shown])

    def _repr_html_(self) -> str:
        """For notebooks: how much of each class there is, problems and notes."""
        spec = self.dataset
        columns = {
            f"{split}, {what}": [f"{count:,}" for count in counts[split]]
            for split in self.images
            for what, counts in (("pixels", self.pixels), ("images", self.presence))
        }
        facts = {"images": ", ".join(f"{count} {split}" for split, count in self.images.items())}
        facts["sizes"] = first_few([f"{w}x{h} ({count})" for (h, w), count in self.sizes.most_common()])
        table = class_table(spec.classes.names, spec.classes.palette, columns)
        said = [f"{word}: {one.seen}. Fix: {one.fix}." for word, one in self._first(MOST_OF_A_KIND)]
        return card(f"Check of {self._title()}", facts, table, lines(said))

    def _title(self) -> str:
        counts = ((len(self.problems), "problem"), (len(self.notes), "note"))
        said = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts]
        return ", ".join([f"{self.dataset.name}: {plural(sum(self.images.values()), 'image')}", *said])

    def _first(self, most: int = 1) -> list[tuple[str, Finding]]:
        """Of each kind the first, problems before notes."""
        kinds = [(word, self._of_kinds(problem)) for word, problem in (("problem", True), ("note", False))]
        return [(word, one) for word, by_kind in kinds for same in by_kind.values() for one in same[:most]]

    def left_out(self) -> str:
        """How many pairs are in no figure of what the data hold, in words; empty where none or all are."""
        total, not_read = sum(self.images.values()), self.not_read
        return f"{not_read} of {plural(total, 'pair')}, see the problems" if 0 < not_read < total else ""

    @property
    def not_read(self) -> int:
        """How many of the pairs are in no figure: what they hold could not be read."""
        return sum(self.images.values()) - sum(self.sizes.values())

    @property
    def classless(self) -> bool:
        """Whether nobody named classes and no mask could be read to count them."""
        return not (self.sizes or self.guessed or self.dataset.declared) and len(self.dataset.classes) == 1

    @property
    def problems(self) -> list[str]:
        """One line each; training would go wrong."""
        return [finding.text for finding in self.findings if finding.problem]

    @property
    def notes(self) -> list[str]:
        """One line each; training works, but look at it."""
        return [finding.text for finding in self.findings if not finding.problem]

    def add(self, kind: FindingKind, text: str, fix: str, **rest: Any) -> None:
        """Add a finding; the arguments are its fields."""
        self.findings.append(Finding(kind, text, fix, **rest))

    def shown(self, problem: bool) -> list[Finding]:
        """The problems, or the notes; of each kind the first :data:`MOST_OF_A_KIND` and a line about the others."""
        shown: list[Finding] = []
        for kind, same in self._of_kinds(problem).items():
            shown += same[:MOST_OF_A_KIND]
            if (more := len(same) - MOST_OF_A_KIND) > 0:
                of = f", {len(same)} of {sum(self.images.values())} images in all" if same[0].items else ""
                shown.append(Finding(kind, f"and {more} more of the kind '{kind}'{of}", "--json lists all"))
        return shown

    def _of_kinds(self, problem: bool) -> dict[FindingKind, list[Finding]]:
        """The problems, or the notes, by their kind."""
        kinds: dict[FindingKind, list[Finding]] = {}
        for finding in self.findings:
            if finding.problem == problem:
                kinds.setdefault(finding.kind, []).append(finding)
        return kinds

    def raise_problems(self, data: str = "") -> None:
        """Raise a DataError with the first problem and the number of the others.

        Args:
            data: what names the data on a command line; empty where they were made in Python.
        """
        if self.problems:
            more = len(self.problems) - 1
            tail = f" (and {more} more problem{'s' * (more > 1)}: {check_command(data)} lists them)" if more else ""
            first = next(finding for finding in self.findings if finding.problem)
            mend = f"; {FIX_IN_COPY}" if first.kind == "smoothed" else ""
            raise DataError(first.text + mend + tail)

    def median_frequency_weights(self, split: str = "train") -> list[float]:
        """A weight per class: the median class frequency over the class's own; 0 for absent classes.

        The frequency of a class is its share of the labelled pixels of the images in which it appears.
        Source: Eigen & Fergus, arXiv:1411.4734, section 6.3.2.
        """
        pixels, exposure = self.pixels[split].astype(float), self.exposure[split]
        present = pixels > 0
        weights = np.zeros(len(pixels))
        if present.any():
            frequency = pixels[present] / exposure[present]
            weights[present] = np.median(frequency) / frequency
        return [float(weight) for weight in weights]

    def present(self) -> np.ndarray:
        """The class ids that appear in any split, ascending."""
        return np.flatnonzero(sum(self.pixels.values(), np.zeros(len(self.dataset.classes), np.int64)))

    def absent(self, split: str) -> list[str]:
        """The classes of which a split that was read has no pixel."""
        names = self.dataset.classes.names
        return [names[index] for index in np.flatnonzero(self.pixels[split] == 0)] if split in self.pixels else []

    def annotations_of(self, kind: Kind) -> dict[str, int]:
        """Annotations of a kind by the name of their class (``no class`` for others), most first."""
        names = self.dataset.classes.names
        found = self.annotations.most_common()
        return {names[label] if label >= 0 else "no class": count for (k, label), count in found if k == kind}

    def annotations_in_words(self) -> list[str]:
        """``3 boxes (person 2, car 1)``, a line for each kind that there is."""
        said = []
        for kind in KINDS:
            if found := self.annotations_of(kind):
                classes = first_few([f"{name} {count}" for name, count in found.items()], MOST_CLASSES)
                said.append(f"{in_words(Counter({kind: sum(found.values())}))} ({classes})")
        return said

    def void_share(self, split: str) -> float:
        """The share of the split's pixels that have no label."""
        return self.void[split] / max(int(self.pixels[split].sum()) + self.void[split], 1)

    def name(self, place: SplitItem) -> str:
        """``split/file``, the file relative to the data set's folder."""
        return f"{place[0]}: {file_name(self.dataset, place[1])}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        classes = self.dataset.classes
        return {
            "name": self.dataset.name,
            "layout": self.dataset.layout,
            "reasons": list(self.dataset.reasons),
            "licence": self.dataset.licence,
            "classes": list(classes.names),
            "declared": self.dataset.declared,
            "ids_present": self.present().tolist(),
            "images": self.images,
            "images_not_read": self.not_read,
            "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in self.sizes.most_common()],
            "encodings": dict(self.encodings.most_common()),
            "pixels": {split: counts.tolist() for split, counts in self.pixels.items()},
            "presence": {split: counts.tolist() for split, counts in self.presence.items()},
            "void": self.void,
            "void_share": {split: self.void_share(split) for split in self.void},
            "values": {
                "range": [list(pair) for pair in self.dataset.values.range] if self.dataset.values else [],
                "nodata": list(self.dataset.values.nodata) if self.dataset.values else [],
                "bands": self.values.to_dict() if self.values else [],
            },
            "supervision": list(self.supervision),
            "annotations": {kind: found for kind in KINDS if (found := self.annotations_of(kind))},
            "class_weights": self.median_frequency_weights() if "train" in self.pixels else None,
            "problems": self.problems,
            "notes": self.notes,
            "findings": [
                {
                    "kind": finding.kind,
                    "problem": finding.problem,
                    "text": finding.text,
                    "fix": finding.fix,
                    "items": [self.name(place) for place in finding.items],
                    "pairs": [[self.name(place) for place in pair] for pair in finding.pairs],
                }
                for finding in self.findings
            ],
        }
