"""What is said after the scores: which classes are taken for which, the worst images, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fullconv.draw.confusion import percent
from fullconv.evaluation.finding import by_advice, more_findings
from fullconv.evaluation.metrics import Scores
from fullconv.terminal import print_lines

CELL = 4
SHORTEST = 12
"""Letters that a class's name has at least: 21 classes fit into 80 columns."""
PAIRS = 10
"""So many pairs are listed where the matrix is too wide."""
MOST_FINDINGS = 12
BAD = 10
"""Percent of a class that stand out where they are predicted as another."""


def evaluation_report(scores: Scores, console: Console | None = None, written: Path | None = None) -> None:
    """Confusion, worst images, findings; nothing of what there is nothing to say of.

    Args:
        written: a file that has all findings.
    """
    console = console or Console(emoji=False)
    totals = scores.confusion.sum(1)
    known = [i for i, total in enumerate(totals) if total]
    if len(known) > 1 or any(totals[i] > scores.confusion[i, i] for i in known):
        _confusion(scores, known, console)
    if scores.images > 1 and scores.worst:
        print_lines(console, "worst images (mean IoU in the image alone):")
        for image in scores.worst:
            print_lines(console, f"  {image.mean_iou:.3f}  {image.id}" + (f"  {image.file}" if image.file else ""))
    for texts, advice in by_advice(scores.findings[:MOST_FINDINGS]):
        print_lines(console, "\n".join([*texts, f"  try: {advice}"]), style="yellow")
    if (more := len(scores.findings) - MOST_FINDINGS) > 0:
        print_lines(console, f"and {more_findings(more)}: {written or '--report FILE'} has all")


def _confusion(scores: Scores, known: Sequence[int], console: Console) -> None:
    """The matrix in percent of each row where there is room for it; else the pairs that are confused most."""
    names = scores.classes.names
    width = min(console.width, 120)
    for cell in (CELL, CELL - 1):  # the narrower one where there is no room
        left = width - cell * len(names) - CELL - 1
        if left >= SHORTEST:
            break
    else:
        _pairs(scores, known, console)
        return
    print_lines(console, "confusion: percent of each true class (row) predicted as class number ...")
    room = min(max(map(len, names)), left)
    head = Text(" " * (room + CELL + 1), style="dim")
    console.print(head + Text("".join(f"{i:>{cell}}" for i in range(len(names))), style="dim"), soft_wrap=True)
    for i in known:
        row, total = scores.confusion[i].tolist(), int(scores.confusion[i].sum())
        line = Text(f"{_cut(names[i], room):<{room}} ") + Text(f"{i:<{CELL}}", style="dim")
        for j, count in enumerate(row):
            share = count / total
            style = "bold" if i == j else "red" if 100 * share >= BAD else ""
            line += Text(f"{percent(share) if count else '':>{cell}}", style=style)
        console.print(line, soft_wrap=True)


def _pairs(scores: Scores, known: Sequence[int], console: Console) -> None:
    pairs = [
        (count / int(scores.confusion[i].sum()), i, j)
        for i in known
        for j, count in enumerate(scores.confusion[i].tolist())
        if i != j and count
    ]
    if not pairs:
        return
    print_lines(console, "confused most, in percent of the true class's pixels:")
    for share, i, j in sorted(pairs, reverse=True)[:PAIRS]:
        names = scores.classes.names
        print_lines(console, f"  {percent(share):>3}  {names[i]} taken for {names[j]}")


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 1]}…"
