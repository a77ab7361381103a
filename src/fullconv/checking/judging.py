"""From counts and fingerprints to findings: what would go wrong, and what to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fullconv.checking.duplicates import equal_groups, near_pairs
from fullconv.checking.findings import FindingKind, SplitItem, file_name
from fullconv.checking.forms import Form, judge_forms
from fullconv.checking.reading import Fingerprint
from fullconv.checking.report import CheckReport
from fullconv.checking.unlisted import unlisted_files
from fullconv.checking.values import judge_range
from fullconv.errors import first_few, plural
from fullconv.formats.read.base import SPLIT_NAMES

MAIN_SPLITS = {split for split, _ in SPLIT_NAMES}
RARE = 0.1
"""A class is rare whose share of the labelled pixels is less than this part of an equal share."""
MOSTLY_VOID = 0.5
SMOOTHED_SHARE, FEWEST_BORDERS = 0.15, 100


@dataclass
class Totals:
    """What is kept of every sound item until all are read; mask files of ids without a name, and the items of these;
    mask files of which it is asked already what they are; the lines about those that were found to be photographs."""

    items: list[SplitItem] = field(default_factory=list)
    fingerprints: list[Fingerprint] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    blank: list[SplitItem] = field(default_factory=list)
    nameless: set[Path] = field(default_factory=set)
    unnamed: list[SplitItem] = field(default_factory=list)
    doubted: set[Path] = field(default_factory=set)
    photographs: dict[Path, str] = field(default_factory=dict)
    between: int = 0
    borders: int = 0


def judge(report: CheckReport, splits: Sequence[str], totals: Totals) -> None:
    """Add the findings that need the whole data set."""
    read = [split for split in splits if split in report.pixels]
    judge_forms(report, totals.items, totals.forms)
    _judge_few(report)
    if not report.guessed:
        _judge_labels(report, read, totals)
        nowhere = _judge_unused(report, read, totals)
        for split in read:
            _judge_classes(report, split, nowhere | _marked_otherwise(report, split, totals))
        _judge_rare(report, read, _marked_otherwise(report, "train", totals))
    for text, fix in judge_range(report.dataset, report.values) if report.values else []:
        report.add("range", text, fix)
    _judge_equal(report, splits, totals)
    _judge_near(report, splits, totals)
    _judge_unlisted_files(report)


def _judge_few(report: CheckReport) -> None:
    """One image alone, and a val of one: scores of them say nothing of others."""
    if not {"train", "val"} <= set(report.images):
        return
    train, val = ([item.id for item in report.dataset.split(split)] for split in ("train", "val"))
    if train == val and len(val) == 1:
        text = "there is one image only, both train and val: training would run, and its scores show memory, not skill"
        report.add("one-image", text, "label more images: a dozen for a first try")
    elif len(val) == 1:
        text = "val is one image: its scores say next to nothing of others"
        report.add("few", text, "label more images, or raise val_fraction in dataset.yaml")


def _judge_labels(report: CheckReport, splits: Sequence[str], totals: Totals) -> None:
    spec = report.dataset
    masked = {split for split, _ in totals.items}
    empty = [split for split in splits if split in masked and report.pixels[split].sum() == 0]
    if empty and not report.problems:
        report.add(
            "empty",
            f"{spec.root}: split {empty[0]} has no labelled pixel, all are ignored; see its masks",
            "label some of it, or correct 'ignore' in dataset.yaml",
            problem=True,
        )
    present = report.present()
    if len(present) == 1 and (len(spec.classes) > 1 or not spec.declared) and len(totals.items) > 1:
        report.add(
            "one-id",
            f"suspicious: every labelled pixel of the data set is {spec.classes.names[present[0]]}; a network would "
            "learn nothing else",
            "look at the masks: were they exported empty, or drawn over?",
            problem=True,
        )
    if totals.borders >= FEWEST_BORDERS and totals.between / totals.borders >= SMOOTHED_SHARE:
        report.add(
            "interpolated",
            f"suspicious: {totals.between / totals.borders:.0%} of the border pixels have an id between those of their "
            "neighbours, as in masks that were resized or smoothed with interpolation",
            "export the masks again, resized by nearest neighbour only: which ids are real is lost; or "
            "name the real ones in dataset.yaml (values)",
            problem=not spec.declared,
        )
    if totals.blank and not empty:
        report.add(
            "blank",
            f"{_plural(len(totals.blank), 'image')} without a labelled pixel ({_some(report, totals.blank)})",
            "label them, or take them out: they teach nothing",
            items=tuple(totals.blank),
        )


def _marked_otherwise(report: CheckReport, split: str, totals: Totals) -> set[int]:
    """Classes that images without a mask may show, where a split has such: by their boxes, lines, points and tags."""
    if sum(place[0] == split for place in totals.items) == report.images.get(split, 0):
        return set()
    return {label for kind, label in report.annotations if kind != "mask"}


def _judge_unused(report: CheckReport, splits: Sequence[str], totals: Totals) -> set[int]:
    """Classes that a file names and nothing shows: the file may be another data set's. Their ids."""
    spec, file = report.dataset, report.dataset.encoding.named_in
    marked = set().union(*(_marked_otherwise(report, split, totals) for split in splits))
    unused = set(range(len(spec.classes))) - set(report.present().tolist()) - marked
    if not file or not unused or len(unused) == len(spec.classes) or report.problems:
        return set()
    names = [spec.classes.names[index] for index in sorted(unused)]
    report.add(
        "absent",
        f"{file} names {plural(len(spec.classes), 'class')}, and {len(unused)} of them {_are(len(unused))} in no mask: "
        f"{first_few(names, 25)}",
        f"see that {file} is that of these masks, or take them out of it; absent classes get weight 0 and no IoU",
    )
    return unused


def _judge_classes(report: CheckReport, split: str, otherwise: set[int]) -> None:
    names, pixels = report.dataset.classes.names, report.pixels[split]
    absent = [name for i, name in enumerate(names) if pixels[i] == 0 and i not in otherwise]
    if absent and pixels.sum():
        report.add(
            "absent",
            f"absent from {split}: {first_few(absent, 25)}",
            "add images that show them, or leave them out of the classes; absent classes get weight 0 and no IoU",
        )
    if report.void_share(split) > MOSTLY_VOID:
        report.add(
            "void",
            f"{report.void_share(split):.0%} of the pixels of {split} are ignored",
            "check that the ignored values are intended (ignore in dataset.yaml); the loss sees the rest only",
        )


def _judge_rare(report: CheckReport, splits: Sequence[str], otherwise: set[int]) -> None:
    if "train" not in splits or not report.pixels["train"].any():
        return
    names, train = report.dataset.classes.names, report.pixels["train"]
    unlearned = [
        f"{name} ({split})"
        for split in splits
        for i, (name, here, count) in enumerate(zip(names, train, report.pixels[split], strict=True))
        if here == 0 and count > 0 and i not in otherwise
    ]
    if unlearned:
        report.add(
            "unlearned",
            f"in other splits but not in train, so never learned: {first_few(unlearned, 25)}",
            "split again so that train shows every class (val_fraction, split_seed or lists in dataset.yaml)",
        )
    shares = train / max(int(train.sum()), 1)
    rare = [index for index in np.argsort(shares) if 0 < shares[index] < RARE / len(names)]
    if rare:
        weights = report.median_frequency_weights()
        shown = ", ".join(f"{names[i]} {shares[i]:.3%} (weight {weights[i]:.1f})" for i in rare[:5])
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        report.add(
            "rare",
            f"rare in train: {shown}{more}",
            "add images of them, or train with --class-weights median-frequency (the weights of the table)",
        )


def _judge_equal(report: CheckReport, splits: Sequence[str], totals: Totals) -> None:
    """Images that are equal pixel for pixel: leaks between splits, copies within one."""
    groups = equal_groups([fingerprint.pixels for fingerprint in totals.fingerprints])
    for late, split in enumerate(splits):
        for early in splits[:late]:
            if not {early, split} <= MAIN_SPLITS and "train" not in (early, split):
                continue  # a part of val by design, such as seg11valid
            firsts = [next((place for place in group if totals.items[place][0] == early), None) for group in groups]
            pairs = [
                (first, place)
                for first, group in zip(firsts, groups, strict=True)
                if first is not None
                for place in group
                if totals.items[place][0] == split
            ]
            whole = len({place for _, place in pairs}) == sum(place[0] == split for place in totals.items)
            emptied = whole and len({first for first, _ in pairs}) == sum(place[0] == early for place in totals.items)
            fix = f"take them out of {early if whole else split} (--fix does)"
            _add_pairs(
                report, totals, pairs, "leak", "=",
                f"leak: {_plural(len(pairs), 'image')} of {split} {_are(len(pairs))} also in {early}, pixel for pixel",
                f"the scores on {split} flatter", f"add images: {early} holds no others" if emptied else fix,
            )  # fmt: skip
        pairs = []
        for group in groups:
            inside = [place for place in group if totals.items[place][0] == split]
            pairs += [(inside[0], place) for place in inside[1:]]
        _add_pairs(
            report, totals, pairs, "copies", "=",
            f"{_plural(len(pairs), 'image')} of {split} {_are(len(pairs))} a copy of an earlier one, pixel for pixel",
            "copies count twice", "keep one of each",
        )  # fmt: skip


def _judge_near(report: CheckReport, splits: Sequence[str], totals: Totals) -> None:
    """Images that are nearly equal: frames of one scene, re-encoded or smaller copies."""
    if len(totals.items) < 2:
        return
    hashes = np.array([fingerprint.hash for fingerprint in totals.fingerprints], np.uint64)
    greys = np.stack([fingerprint.grey for fingerprint in totals.fingerprints])
    digests = [fingerprint.pixels for fingerprint in totals.fingerprints]
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    order = {split: number for number, split in enumerate(splits)}
    for pair in near_pairs(hashes, greys).tolist():
        if digests[pair[0]] != digests[pair[1]]:
            first, second = sorted(pair, key=lambda place: (order[totals.items[place][0]], place))
            found.setdefault((totals.items[first][0], totals.items[second][0]), []).append((first, second))
    for (early, late), pairs in sorted(found.items(), key=lambda entry: (entry[0][0] == entry[0][1], entry[0])):
        count = len({second for _, second in pairs})
        if early != late:
            _add_pairs(
                report, totals, pairs, "near-leak", "~",
                f"leak: {_plural(count, 'image')} of {late} {_are(count)} nearly equal to images of {early}",
                f"the scores on {late} flatter",
                "keep images of one scene, and copies of one image, in one split",
            )  # fmt: skip
        else:
            _add_pairs(
                report, totals, pairs, "near-copies", "~",
                f"{_plural(count, 'image')} of {early} {_are(count)} nearly equal to others of it",
                "frames of one scene, or copies", "keep them in one split; fewer of them train just as well",
            )  # fmt: skip


def _add_pairs(
    report: CheckReport,
    totals: Totals,
    pairs: list[tuple[int, int]],
    kind: FindingKind,
    sign: Literal["=", "~"],
    text: str,
    so: str,
    fix: str,
) -> None:
    """A finding about pairs, equal (``=``) or nearly (``~``): first few named, and other labels counted."""
    if not pairs:
        return
    spec = report.dataset
    shown = [f"{file_name(spec, totals.items[b][1])} {sign} {file_name(spec, totals.items[a][1])}" for a, b in pairs]
    text = f"{text} ({first_few(shown)}): {so}"
    prints = totals.fingerprints
    different = sum(prints[a].labels != prints[b].labels for a, b in pairs) if sign == "=" else 0
    if different:
        text += f"; labelled differently: {_plural(different, 'pair')}"
    report.add(kind, text, fix, pairs=tuple((totals.items[a], totals.items[b]) for a, b in pairs))


def _judge_unlisted_files(report: CheckReport) -> None:
    """Files of the data set's folders that belong to no item."""
    named = {path for finding in report.findings for path in finding.files}
    for folder, names, what in unlisted_files(report.dataset, named):
        report.add(
            "unpaired",
            f"{folder}: {_plural(len(names), what)} ({first_few(names)})",
            "pair them by name, list them, or move them away (--fix leaves them out)",
        )


def _some(report: CheckReport, places: Sequence[SplitItem]) -> str:
    return first_few([file_name(report.dataset, item) for _, item in places])


def _plural(count: int, what: str) -> str:
    """``1 image without a mask``, ``2 images without a mask``."""
    noun, _, rest = what.partition(" ")
    return f"{count} {noun}{'' if count == 1 else 's'}{' ' + rest if rest else ''}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
