"""One thing that goes wrong, what to try, and both in lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class Finding:
    """One thing that goes wrong.

    Attributes:
        kind: ``void``, ``shifted``, ``one-class``, ``swapped``, ``unlearned``, ``never-predicted``, ``thin``, ``rare``,
            ``confused``, ``too-often`` or ``not-in-truth``; of a run ``short``, ``rate`` or ``gap``.
        classes: that it is about; of ``confused`` the other class is the second, of ``swapped`` each is predicted as
            the next.
        text: what was found.
        advice: what to try.
    """

    kind: str
    classes: tuple[str, ...]
    text: str
    advice: str

    def __repr__(self) -> str:
        return f"Finding({self.text})"

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "classes": list(self.classes), "text": self.text, "advice": self.advice}


def by_advice(found: Iterable[Finding]) -> list[tuple[list[str], str]]:
    """What was found, and what to try: findings of one advice together, in the order of the first of them."""
    texts: dict[str, list[str]] = {}
    for finding in found:
        texts.setdefault(finding.advice, []).append(finding.text)
    return [(together, advice) for advice, together in texts.items()]


def told(found: Sequence[Mapping[str, Any]], most: int) -> list[str]:
    """The first of what was found, as :meth:`Finding.to_dict` gives it, in lines."""
    shown = [Finding(one["kind"], tuple(one["classes"]), one["text"], one["advice"]) for one in found[:most]]
    lines = [line for texts, advice in by_advice(shown) for line in (*texts, f"  try: {advice}")]
    more = len(found) - most
    if more > 0:
        lines.append(f"and {more_findings(more)}: fullconv evaluate says {'it' if more == 1 else 'them'}")
    return lines


def more_findings(number: int) -> str:
    return f"{number} finding{'s' * (number != 1)} more"
