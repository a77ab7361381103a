"""Read a whole data set once and say what is in it and what would go wrong."""

from __future__ import annotations

import dataclasses
import json as _json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fullconv.checking.findings import OF_CLASSES, Finding, SplitItem
from fullconv.checking.judging import Totals, judge
from fullconv.checking.reading import Fault, Inspection, fix_of, inspect
from fullconv.checking.report import CheckReport
from fullconv.checking.values import ValueCounts
from fullconv.data.annotations import MASK_THEM
from fullconv.data.dataset import DatasetSpec, Item, without_label_maps
from fullconv.errors import DataError
from fullconv.files import write_text
from fullconv.formats.open import open_as_far_as_it_goes
from fullconv.formats.problems import SEE_LINE, Problem
from fullconv.libraries import installed
from fullconv.weak import Labels, supervise

OF_NAMES = ("names", "background")
"""Problems that stand for those of every mask with ids without a name."""
FIX_LEAVES_OUT = {"unpaired": " (--fix leaves them out)", "names": " (--fix leaves these pairs out)"}

__all__ = ["CheckReport", "Finding", "check"]


def check(
    data: str | os.PathLike[str] | DatasetSpec,
    splits: Iterable[str] | None = None,
    *,
    labels: Labels | None = "auto",
    json: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    fix: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Read all of a data set and say what is in it, and what would go wrong in training.

    Args:
        data: whatever :func:`fullconv.open_dataset` takes. What that refuses is read as far as it goes, and what is
            wrong with it is among the findings.
        splits: the splits to read; by default all.
        labels: what the images shall teach with, as ``train`` takes it: what is missing or wrong for that is found.
            None where the caller finds it.
        json: also write the findings to this file.
        html: also write them to this file as a page with pictures; it needs no other file.
        fix: also write a fixed copy of the data to this new folder; the data itself is never changed.
        progress: called with the number of items read and of all items.

    Raises:
        UsageError: no such folder, or ``fix`` exists.
        DataError: nothing that can be recognised; with ``fix``, what only the owner of the data can settle.
    """
    from fullconv.checking.fixing import refuse_existing, write_fixed
    from fullconv.checking.page import write_page

    spec, problems = open_as_far_as_it_goes(data)
    if fix is not None:
        refuse_existing(Path(fix), spec)
    report = _read_all(spec, splits, problems, labels, progress)
    if json is not None:
        write_text(Path(json), _json.dumps(report.to_dict(), indent=2) + "\n")
    if html is not None:
        write_page(report, Path(html))
    if fix is not None:
        report.fixed = write_fixed(report, Path(fix)).lines()
    return report


def _read_all(
    spec: DatasetSpec,
    splits: Iterable[str] | None,
    problems: Iterable[Problem],
    labels: Labels | None,
    progress: Callable[[int, int], None] | None,
) -> CheckReport:
    """Read every image and mask of the splits (all by default) once, with all cores; never raises for bad data."""
    report = CheckReport(spec)
    for problem in problems:
        fix = problem.fix + FIX_LEAVES_OUT.get(problem.kind, "")
        report.add(problem.kind, problem.text, fix, problem=True, files=problem.files)
        report.guessed |= problem.kind == "undecided" and not spec.declared
        report.photographs |= problem.kind == "photographs"
    chosen = list(spec.splits) if splits is None else list(splits)
    places: list[SplitItem] = []
    if splits is None and "train" not in spec.splits:
        report.add(
            "split",
            f"{spec.root}: no split is train, only {' and '.join(spec.splits)}: nothing to train on",
            "add the training part of the data; evaluate works without",
            problem=True,
        )
    for split in chosen:
        try:
            items = spec.split(split)
        except DataError as error:
            report.add("split", str(error), "list at least one image in it", problem=True)
            continue
        places += [(split, item) for item in items]
        report.images[split] = len(items)
        report.pixels[split], report.presence[split], report.exposure[split] = (
            np.zeros(len(spec.classes), np.int64) for _ in range(3)
        )
        report.void[split] = 0
    if labels is not None:
        _judge_supervision(report, labels, chosen)
    nameless, doubted = (
        {path for one in report.findings if one.kind in kinds for path in one.files}
        for kinds in (OF_NAMES, ("undecided",))
    )
    photographs = {path: one.text for one in report.findings if one.kind == "photograph" for path in one.files}
    totals = Totals(nameless=nameless, doubted=doubted, photographs=photographs)
    for done, (place, result) in enumerate(_inspections(spec, places), 1):
        _add(report, totals, place, result)
        if progress is not None:
            progress(done, len(places))
    _with_items(report, totals.unnamed)
    explained = {finding.text for finding in report.findings if finding.items}
    report.findings = [finding for finding in report.findings if finding.items or finding.text not in explained]
    judge(report, chosen, totals)
    return report


def _with_items(report: CheckReport, unnamed: list[SplitItem]) -> None:
    """The finding about names that are missing with the items that it is about."""
    report.findings = [
        dataclasses.replace(finding, items=tuple(unnamed)) if finding.kind in OF_NAMES else finding
        for finding in report.findings
    ]


def _judge_supervision(report: CheckReport, labels: Labels, splits: list[str]) -> None:
    """What train's ``--labels`` says of the data."""
    spec = report.dataset
    if labels == "masks":
        if line := without_label_maps(spec, *splits):
            report.add("no-mask", line, MASK_THEM, problem=True)
        return
    chosen = {name: items for name, items in spec.splits.items() if name in splits}
    try:
        found = supervise(dataclasses.replace(spec, splits=chosen), labels, installed("skimage"))
    except DataError as error:
        report.add("no-mask", str(error), SEE_LINE, problem=True)
        return
    report.supervision = found.lines
    for fault in found.faults:
        report.add(fault.kind, fault.text, fault.fix)


def _inspections(spec: DatasetSpec, places: list[SplitItem]) -> Iterator[tuple[SplitItem, Inspection]]:
    """Every item with its inspection, in order; an item that is in two splits is read once."""
    first: dict[int, int] = {}
    for number, (_, item) in enumerate(places):
        first.setdefault(id(item), number)
    again: dict[int, Inspection] = {}
    twice = {id(item) for number, (_, item) in enumerate(places) if first[id(item)] != number}

    def read(item: Item) -> Inspection:
        return inspect(spec, item)

    with ThreadPoolExecutor() as pool:
        try:
            results = pool.map(read, [places[number][1] for number in first.values()])
            for number, place in enumerate(places):
                key = id(place[1])
                result = next(results) if first[key] == number else again[key]
                if key in twice:
                    again[key] = result
                yield place, result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C need not wait for the files in line
            raise


def _as_known(fault: Fault, totals: Totals, item: Item) -> Fault:
    """The fault; of a mask that was found to be a photograph beside the others, what was said of it then."""
    lines = [totals.photographs[path] for path in item.annotation.files if path in totals.photographs]
    return Fault("photograph", lines[0]) if lines and fault.kind in (*OF_CLASSES, "photograph") else fault


def _add(report: CheckReport, totals: Totals, place: SplitItem, result: Inspection) -> None:
    """Add one inspection to the totals."""
    split = place[0]
    for found in result.faults:
        fault = _as_known(found, totals, place[1])
        if fault.kind == "ids" and not totals.nameless.isdisjoint(place[1].annotation.files):
            totals.unnamed.append(place)
            continue
        if fault.kind == "photograph" and not totals.doubted.isdisjoint(place[1].annotation.files):
            continue
        if (report.guessed and fault.kind in OF_CLASSES) or (fault.kind == "photograph" and report.photographs):
            continue
        fix = fix_of(fault.kind, report.dataset)
        report.add(fault.kind, fault.text, fix, problem=True, items=(place,), pixels=fault.pixels)
    if result.encoding:
        report.encodings[result.encoding] += 1
    report.annotations += result.marked
    if result.faults or not all(result.size):
        return
    report.sizes[result.size] += 1
    if result.values is not None:
        if report.values is None:
            report.values = ValueCounts.none(len(result.values.levels))
        report.values.add(result.values)
    if result.counts is None or result.fingerprint is None:
        return  # no masks
    report.pixels[split] += result.counts
    report.presence[split] += result.counts > 0
    report.exposure[split] += (result.counts > 0) * result.counts.sum()
    report.void[split] += result.void
    totals.items.append(place)
    totals.fingerprints.append(result.fingerprint)
    totals.forms.append(result.form)
    totals.between += result.between[0]
    totals.borders += result.between[1]
    if not result.counts.any():
        totals.blank.append(place)
