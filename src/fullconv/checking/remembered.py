"""A check that is not repeated while nothing has changed: for training, which asks before every run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.checking.check import check
from fullconv.checking.findings import Finding
from fullconv.checking.report import CheckReport
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.files import cache_folder, write_text

SETTLED = 2.0
"""Seconds: a file that changed so shortly before a check may change again without a new time."""
COUNTS = ("pixels", "presence", "exposure")


def check_once(spec: DatasetSpec, splits: Sequence[str]) -> tuple[CheckReport, str]:
    """The report of :func:`fullconv.check`, and when it was made if that was earlier (else empty).

    A sound report is kept in ``$FULLCONV_CACHE`` (``~/.cache/fullconv``), one for each folder of data, with a digest of
    all that it depends on: names, sizes and times of change of every file and folder, classes, rules, splits, and this
    program. It is taken only where that is the same. Its findings name no items, and the images' values are not counted
    in it; what images without masks teach with is not looked at. ``fullconv check`` always reads.
    """
    if not any(item.files for split in splits for item in spec.splits.get(split, ())):  # drawn as fast as looked up
        return check(spec, splits, labels=None), ""
    started = time.time()
    digest, newest = _digest(spec, splits)
    place = hashlib.sha256(str(spec.root.resolve()).encode()).hexdigest()[:16]
    file = cache_folder() / "checked" / f"{spec.name}-{place}.json"
    kept = _read(file)
    if digest and kept.get("digest") == digest:
        return _report(spec, kept), str(kept["when"])
    report = check(spec, splits, labels=None)
    if digest and not report.problems and newest < started - SETTLED and _digest(spec, splits)[0] == digest:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        with suppress(OSError):  # a full or read-only disk: it is read again next time
            write_text(file, json.dumps({"digest": digest, "when": now, **_content(report)}))
    return report, ""


def ago(when: str, now: datetime | None = None) -> str:
    """How long before ``now`` (the present) a time of :func:`check_once` was: ``5 minutes ago``."""
    seconds = ((now or datetime.now().astimezone()) - datetime.fromisoformat(when)).total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds / length)
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return "just now"


def _digest(spec: DatasetSpec, splits: Sequence[str]) -> tuple[str, float]:
    """Of everything that a check depends on, and the newest time of change; empty where some of it cannot be told."""
    chosen = [(split, item) for split in splits for item in spec.splits.get(split, ())]
    rules = (
        [getattr(spec, field.name) for field in dataclasses.fields(spec) if field.name != "splits"],
        [(split, item.id, item.source, item.image, item.annotation) for split, item in chosen],
    )
    try:
        digest = hashlib.sha256(pickle.dumps((_program(), rules)))
        newest = 0.0
        for path in dict.fromkeys(path for _, item in chosen for path in _files(item)):
            status = path.stat()
            digest.update(f"{path}|{status.st_size}|{status.st_mtime_ns}\n".encode())
            newest = max(newest, status.st_mtime)
    except Exception:  # a file that is gone, labels that cannot be pickled: read it all
        return "", 0.0
    return digest.hexdigest(), newest


def _files(item: Item) -> Iterator[Path]:
    """The files that an item is read from, and their folders, which change when files come and go."""
    for path in item.files:
        yield path
        yield path.parent


@cache
def _program() -> str:
    """This program: its version, and its files where they are being worked on."""
    folder = Path(__file__).resolve().parents[2]
    files = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*.py"))
    return f"{version('fullconv')} {hashlib.sha256(repr(files).encode()).hexdigest()}"


def _content(report: CheckReport) -> dict[str, Any]:
    return {
        "images": report.images,
        "void": report.void,
        "sizes": [[*size, count] for size, count in report.sizes.items()],
        "encodings": report.encodings,
        **{name: {split: row.tolist() for split, row in getattr(report, name).items()} for name in COUNTS},
        "notes": [[finding.kind, finding.text, finding.fix] for finding in report.findings],
    }


def _report(spec: DatasetSpec, kept: dict[str, Any]) -> CheckReport:
    counts: dict[str, Any] = {
        name: {split: np.array(row, np.int64) for split, row in kept[name].items()} for name in COUNTS
    }
    sizes = Counter({(height, width): count for height, width, count in kept["sizes"]})
    return CheckReport(
        spec, images=kept["images"], void=kept["void"], sizes=sizes, encodings=Counter(kept["encodings"]),
        findings=[Finding(*row) for row in kept["notes"]], **counts,
    )  # fmt: skip


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
