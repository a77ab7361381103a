"""What people type, brought to the form that the verbs take."""

from __future__ import annotations

from collections.abc import Sequence

LATEST = "latest"
"""Stands for the run of ``--resume`` where none is named."""


def as_meant(arguments: Sequence[str]) -> list[str]:
    """``--resume`` alone is ``--resume latest``; ``help VERB`` is ``VERB --help``."""
    given = list(arguments)
    if given[:1] == ["help"]:
        given = [*given[1:2], "--help"]
    if given[:1] != ["train"]:
        return given
    result = []
    for word, after in zip(given, [*given[1:], "--"], strict=True):
        result.append(word)
        if word == "--resume" and after.startswith("-"):
            result.append(LATEST)
    return result
