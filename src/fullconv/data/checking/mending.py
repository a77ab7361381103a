"""``check --fix``: a copy of the data set as a plain folder, with what can be mended soundly."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from fullconv.data.checking.findings import UNDECIDED, CheckReport, Place, file_name
from fullconv.data.checking.strays import decode_strays
from fullconv.data.decode import read_raw_mask
from fullconv.data.loader import read_sample
from fullconv.data.masks import write_mask
from fullconv.data.open import open_dataset
from fullconv.data.spec import DatasetSpec, Item
from fullconv.errors import DataError, UsageError
from fullconv.spec import ClassSet

LEFT_OUT = {
    "unreadable": "unreadable",
    "jpeg": "with a JPEG mask",
    "size": "with a mask of another size",
    "ids": "with ids or colours of no class",
    "colours": "with colours of no class",
    "leak": "also in an earlier split",
}
LOG = "mended.txt"


@dataclass
class Mended:
    """What was written.

    Attributes:
        out: the folder.
        images: pairs per split.
        left_out: items that were left out, by the reason in words.
        unpaired: what was found to belong to no pair, one line each.
        smoothed: masks whose smoothed edges were mended, with the pixels changed: ``(file, pixels)``.
    """

    out: Path
    images: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unpaired: list[str] = field(default_factory=list)
    smoothed: list[tuple[str, int]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What was done, one line each."""
        counts = ", ".join(f"{count} {split}" for split, count in self.images.items())
        said = [f"{self.out}: mended copy, {counts} pairs, masks as ids in palette PNG"]
        said += [f"left out: {len(names)} {reason}" for reason, names in self.left_out.items()]
        said += [f"left out: {line}" for line in self.unpaired]
        if self.smoothed:
            changed = sum(pixels for _, pixels in self.smoothed)
            said.append(
                f"smoothed edges: {changed:,} pixels of {len(self.smoothed)} masks took the nearest colour of the "
                "classes around them"
            )
        return said


def refuse_existing(out: Path, spec: DatasetSpec) -> None:
    """Refuse a folder that exists, or that lies in the data set.

    Raises:
        UsageError: either of them.
    """
    if out.exists():
        raise UsageError(f"{out}: exists; --fix writes a new folder, choose another name")
    if spec.shapes is None and out.resolve().is_relative_to(spec.root.resolve()):
        raise UsageError(f"{out}: lies in the data set itself, which --fix never changes; choose a folder beside it")


def mend(report: CheckReport, out: Path) -> Mended:
    """Write the mended copy: ``images/``, ``masks/``, ``dataset.yaml``, a list per split, and ``mended.txt``.

    Left out is what cannot be mended: unreadable or unpaired files, masks of another size (labels are never
    resized), ids of no class, JPEG masks, and images of a later split that are in an earlier one pixel for pixel.
    Image files are copied as they are, masks become ids. The folder appears in one step, when it is complete.

    Raises:
        UsageError: ``out`` exists or lies in the data set.
        DataError: only the owner can say what the masks mean, or a split would be empty.
    """
    refuse_existing(out, report.dataset)
    undecided = [finding for finding in report.findings if finding.kind == UNDECIDED]
    if undecided:
        raise DataError(f"{undecided[0].text} --fix cannot know; {undecided[0].mend}")
    mended = Mended(out, unpaired=[finding.text for finding in report.findings if finding.kind == "unpaired"])
    kept, smoothed = _sort_out(report, mended)
    with _new_folder(out) as folder:
        _write(report.dataset, kept, smoothed, folder, mended)
        opened = open_dataset(folder)
        assert {split: len(items) for split, items in opened.splits.items()} == mended.images
    return mended


def _sort_out(report: CheckReport, mended: Mended) -> tuple[dict[str, list[Item]], set[int]]:
    """The items to keep per split, and the ids (of Python) of those with smoothed masks."""
    spec = report.dataset
    reasons: dict[tuple[str, int], str] = {}
    smoothed: set[int] = set()

    def drop(place: Place, reason: str) -> None:
        reasons.setdefault((place[0], id(place[1])), reason)

    for finding in report.findings:
        for place in finding.places:
            if finding.kind in LEFT_OUT:
                drop(place, LEFT_OUT[finding.kind])
            elif finding.kind == "smoothed":
                smoothed.add(id(place[1]))
        if finding.kind == "leak":
            for early, late in finding.pairs:
                if (early[0], id(early[1])) not in reasons:
                    drop(late, LEFT_OUT["leak"])
    kept: dict[str, list[Item]] = {}
    for split in report.images:
        kept[split] = [item for item in spec.splits[split] if (split, id(item)) not in reasons]
        for item in spec.splits[split]:
            if (split, id(item)) in reasons:
                mended.left_out.setdefault(reasons[split, id(item)], []).append(report.name((split, item)))
        if not kept[split]:
            raise DataError(
                f"{spec.root}: nothing of split {split} would be left ({mended.lines()[-1]}); mend its files first"
            )
    return kept, smoothed


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its name on success and vanishes on any error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        yield folder
        folder.chmod(out.parent.stat().st_mode & 0o777)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(spec: DatasetSpec, kept: dict[str, list[Item]], smoothed: set[int], folder: Path, mended: Mended) -> None:
    classes = ClassSet(spec.classes.names, spec.classes.palette)
    names = _names(kept)
    log = list(mended.unpaired)
    log += [f"{reason}: {name}" for reason, dropped in mended.left_out.items() for name in dropped]
    done: set[str] = set()
    for split, items in kept.items():
        listing = []
        for item in items:
            name = names[id(item)]
            if name not in done:  # the one image of a data set of one image is train and val
                changed = _write_pair(spec, item, classes, folder, name, id(item) in smoothed)
                done.add(name)
                if changed:
                    mended.smoothed.append((file_name(spec, item), changed))
                    log.append(f"smoothed edges, {changed} pixels changed: {split}: {file_name(spec, item)}")
            listing.append(name)
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in listing), encoding="utf-8")
        mended.images[split] = len(listing)
    description = {
        "images": "images",
        "masks": "masks",
        "classes": {name: list(colour) for name, colour in zip(classes.names, classes.palette, strict=True)},
        "ignore": [classes.ignore_index],
        "splits": {split: f"{split}.txt" for split in kept},
        "channels": spec.channels,
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    (folder / "dataset.yaml").write_text(f"# a mended copy of {spec.name}, by fullconv check --fix\n{text}", "utf-8")
    (folder / LOG).write_text("".join(f"{line}\n" for line in log or ["nothing had to be mended"]), encoding="utf-8")


def _names(kept: dict[str, list[Item]]) -> dict[int, str]:
    """A file name without ending for each item (by its ``id()``): its own, made safe for lists, each once."""
    names: dict[int, str] = {}
    taken: Counter[str] = Counter()
    for split, items in kept.items():
        for item in items:
            if id(item) in names:
                continue
            safe = re.sub(r"[^\w\-]", "_", item.id) or "image"
            for name in (safe, f"{split}_{safe}", *(f"{split}_{safe}_{n}" for n in range(2, len(items) + 2))):
                if not taken[name.lower()]:
                    taken[name.lower()] += 1
                    names[id(item)] = name
                    break
    return names


def _write_pair(spec: DatasetSpec, item: Item, classes: ClassSet, folder: Path, name: str, smoothed: bool) -> int:
    """Write one image and its mask; returns the number of mask pixels that took the nearest colour."""
    changed, sample = 0, None
    if smoothed:
        decoded = decode_strays(read_raw_mask(item.mask), spec)
        assert decoded is not None
        labels, changed = decoded.nearest(), int(decoded.stray.sum())
    else:
        sample = read_sample(spec, item)
        labels = sample.labels
    target = folder / "images" / name
    target.parent.mkdir(exist_ok=True)
    if sample is None or (item.image.is_file() and item.pixels is None):
        shutil.copyfile(item.image, target.with_name(name + item.image.suffix.lower()))
    else:
        _write_image(target, sample.image)
    ids = np.where(labels == spec.classes.ignore_index, classes.ignore_index, labels)
    write_mask(folder / "masks" / f"{name}.png", ids, classes)
    return changed


def _write_image(target: Path, image: np.ndarray) -> None:
    if image.shape[2] in (1, 3, 4):
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(target.with_name(f"{target.name}.png"))
    else:
        np.save(target.with_name(f"{target.name}.npy"), image)
