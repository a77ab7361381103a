"""``check --fix``: a copy of the data set as a plain folder, with what can be fixed soundly."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fullconv.checking.findings import Finding, FindingKind, file_name
from fullconv.checking.report import CheckReport
from fullconv.checking.smoothing import decode_strays
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sources import FileMask
from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.formats.convert import convert
from fullconv.images.mask_reading import read_mask
from fullconv.spec import ClassSet

LEFT_OUT: dict[FindingKind, str] = {
    "unreadable": "unreadable",
    "photograph": "with a photograph for a mask",
    "jpeg": "with a JPEG mask",
    "size": "with a mask of another size",
    "form": "with a mask that is not a single map of labels",
    "names": "with ids of no name",
    "ids": "with ids or colours of no class",
    "colours": "with colours of no class",
    "leak": "also in another split",
}
"""Kinds of findings whose items are left out, and what is said of them."""
ONLY_THE_OWNER: tuple[FindingKind, ...] = ("undecided", "background", "photographs", "classes", "description", "lists")
"""Kinds of findings that nobody else can settle."""
LOG = "fixed.txt"


@dataclass
class Fixed:
    """What was written.

    Attributes:
        out: the folder.
        images: pairs per split.
        left_out: items that were left out, by the reason in words.
        unpaired: what was found to belong to no pair, one line each.
        smoothed: masks whose smoothed edges were fixed, with the pixels changed: ``(file, pixels)``.
    """

    out: Path
    images: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unpaired: list[str] = field(default_factory=list)
    smoothed: list[tuple[str, int]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What was done, one line each."""
        counts = ", ".join(f"{count} {split}" for split, count in self.images.items())
        pairs = "pair" if sum(self.images.values()) == 1 else "pairs"
        said = [f"{self.out}: fixed copy, {counts} {pairs}, masks as ids in palette PNG"]
        said += [f"left out: {len(names)} {reason}" for reason, names in self.left_out.items()]
        said += [f"left out: {line}" for line in self.unpaired]
        if self.smoothed:
            changed, masks = sum(pixels for _, pixels in self.smoothed), len(self.smoothed)
            said.append(
                f"smoothed edges: {changed:,} pixels of {masks} mask{'' if masks == 1 else 's'} took the nearest "
                "colour of the classes around them"
            )
        return said

    def log(self) -> list[str]:
        """Every file that is not there, or not as it was, one line each."""
        lines = [f"left out, {reason}: {name}" for reason, names in self.left_out.items() for name in names]
        lines += [f"left out: {line}" for line in self.unpaired]
        lines += [f"smoothed edges, {pixels} pixels changed: {name}" for name, pixels in self.smoothed]
        return lines or ["nothing had to be fixed"]


@dataclass(frozen=True)
class NearestColours(FileMask):
    """A mask with smoothed edges, by the nearest colour or value of the classes around each pixel."""

    classes: ClassSet = field(kw_only=True)

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """Labels ``[height, width]``: uint8, or int32 when ``ignore_index`` needs it."""
        decoded = decode_strays(read_mask(self.path), self.encoding, self.classes)
        assert decoded is not None  # only masks that could be decoded are called smoothed
        return decoded.nearest().astype(np.uint8 if ignore_index <= 255 else np.int32)


def refuse_existing(out: Path, spec: DatasetSpec) -> None:
    """Refuse a folder that exists, or that lies in the data set.

    Raises:
        UsageError: either of them.
    """
    if out.exists():
        raise UsageError(f"{out}: exists; --fix writes a new folder, choose another name")
    if spec.root.is_dir() and out.resolve().is_relative_to(spec.root.resolve()):
        raise UsageError(f"{out}: lies in the data set itself, which --fix never changes; choose a folder beside it")


def write_fixed(report: CheckReport, out: Path) -> Fixed:
    """Write the fixed copy: ``images/``, ``masks/``, ``dataset.yaml``, a list per split, and ``fixed.txt``.

    Left out is what cannot be fixed: unreadable or unpaired files, masks of another size (labels are never
    resized), ids of no class, JPEG masks, and images of a later split that are in an earlier one pixel for pixel.
    Image files are copied as they are, masks become ids. The folder appears in one step, when it is complete.

    Raises:
        UsageError: ``out`` exists or lies in the data set.
        DataError: only the owner can say what the masks mean, or a split would be empty.
    """
    refuse_existing(out, report.dataset)
    undecided = [finding for finding in report.findings if finding.kind in ONLY_THE_OWNER]
    if undecided:
        question = undecided[0].text if undecided[0].text.endswith("?") else f"{undecided[0].text};"
        raise DataError(f"{question} --fix cannot know; {undecided[0].fix}")
    fixed = Fixed(out, unpaired=[finding.text for finding in report.findings if _belongs_to_no_pair(finding)])
    kept = _kept(report, fixed)
    with _folder_beside(out) as folder:
        fixed.images = convert(kept, folder / "data", "folder").images
        (folder / "data" / LOG).write_text("".join(f"{line}\n" for line in fixed.log()), encoding="utf-8")
        (folder / "data").rename(out)
    return fixed


def _belongs_to_no_pair(finding: Finding) -> bool:
    return finding.kind in ("unpaired", "unreadable") and not finding.items


def _kept(report: CheckReport, fixed: Fixed) -> DatasetSpec:
    """The data set without the items that are left out, smoothed masks read by the nearest colour."""
    spec = report.dataset
    reasons: dict[tuple[str, int], str] = {}
    smoothed: dict[int, Item] = {}
    changed: dict[int, int] = {}
    for finding in report.findings:
        for split, item in finding.items:
            if finding.kind in LEFT_OUT:
                reasons.setdefault((split, id(item)), LEFT_OUT[finding.kind])
            elif finding.kind == "smoothed":
                mask = item.annotation
                assert isinstance(mask, FileMask)  # no other is found smoothed
                source = NearestColours(mask.path, mask.encoding, classes=spec.classes)
                smoothed[id(item)] = dataclasses.replace(item, annotation=source)
                changed[id(item)] = finding.pixels
        if finding.kind == "leak":
            leaked = {id(item) for _, (_, item) in finding.pairs}
            (_, (late, _)), *_ = finding.pairs
            whole = leaked >= {id(item) for item in spec.splits[late]}  # then the earlier split gives way
            for pair in finding.pairs:
                split, item = pair[0 if whole else 1]
                reasons.setdefault((split, id(item)), LEFT_OUT["leak"])
    splits: dict[str, list[Item]] = {}
    for split in report.images:
        splits[split] = []
        for item in spec.splits[split]:
            reason = reasons.get((split, id(item)))
            if reason is None:
                splits[split].append(smoothed.get(id(item), item))
                if id(item) in changed:
                    fixed.smoothed.append((file_name(spec, item), changed.pop(id(item))))
            else:
                fixed.left_out.setdefault(reason, []).append(report.name((split, item)))
        if not splits[split]:
            left = ", ".join(f"{len(names)} {reason}" for reason, names in fixed.left_out.items())
            raise DataError(f"{spec.root}: nothing of split {split} would be left ({left}); add images or fix files")
    return dataclasses.replace(spec, splits=splits)


@contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out`` that vanishes again."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    except OSError as error:
        raise FullconvError(f"{out.parent}: cannot be written ({error.strerror}); choose another --fix") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
