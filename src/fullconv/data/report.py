"""Read a whole data set once and say what is in it and what would go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fullconv.data.checking.findings import REFUSED, CheckReport, Finding, Place
from fullconv.data.checking.judging import Seen, judge
from fullconv.data.checking.reading import MENDS, Look, look
from fullconv.data.checking.values import ValueCounts
from fullconv.data.spec import DatasetSpec, Item
from fullconv.errors import DataError

__all__ = ["CheckReport", "Finding", "check"]


def check(
    spec: DatasetSpec,
    splits: Iterable[str] | None = None,
    *,
    found: Iterable[Finding] = (),
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Read every image and mask of the splits (all by default) once, with all cores; never raises for bad data.

    Args:
        found: what opening the data set found already.
        progress: called with the number of items read and of all items.
    """
    report = CheckReport(spec, findings=list(found))
    chosen = list(spec.splits) if splits is None else list(splits)
    places: list[Place] = []
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
    seen = Seen()
    for done, (place, result) in enumerate(_looks(spec, places), 1):
        _add(report, seen, place, result)
        if progress is not None:
            progress(done, len(places))
    if len(report.problems) > 1:
        report.findings = [finding for finding in report.findings if finding.kind != REFUSED]
    judge(report, chosen, seen)
    return report


def _looks(spec: DatasetSpec, places: list[Place]) -> Iterator[tuple[Place, Look]]:
    """Every place with its look, in order; an item that is in two splits is read once."""
    first: dict[int, int] = {}
    for number, (_, item) in enumerate(places):
        first.setdefault(id(item), number)
    again: dict[int, Look] = {}
    twice = {id(item) for number, (_, item) in enumerate(places) if first[id(item)] != number}

    def read(item: Item) -> Look:
        return look(spec, item)

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


def _add(report: CheckReport, seen: Seen, place: Place, result: Look) -> None:
    """Add one look to the counts."""
    split = place[0]
    for fault in result.faults:
        report.add(fault.kind, fault.text, MENDS[fault.kind], problem=True, places=(place,))
    if result.encoding:
        report.encodings[result.encoding] += 1
    if result.counts is None or result.fingerprint is None:
        return
    report.sizes[result.size] += 1
    report.pixels[split] += result.counts
    report.presence[split] += result.counts > 0
    report.exposure[split] += (result.counts > 0) * result.counts.sum()
    report.void[split] += result.void
    if result.values is not None:
        if report.values is None:
            report.values = ValueCounts.none(len(result.values.levels))
        report.values.add(result.values)
    seen.places.append(place)
    seen.fingerprints.append(result.fingerprint)
    seen.forms.append(result.form)
    seen.between += result.between[0]
    seen.borders += result.between[1]
    if not result.counts.any():
        seen.blank.append(place)
