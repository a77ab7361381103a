"""Errors that teach: one line that says what was found, what was expected and what to do.

The command line prints the message and leaves with ``exit_code``; nothing else in the package exits.
"""

from __future__ import annotations

from collections.abc import Sequence


class FullconvError(Exception):
    """Something failed while running (exit code 1)."""

    exit_code = 1


class UsageError(FullconvError, ValueError):
    """A flag, an argument or a file named on the command line is wrong (exit code 2)."""

    exit_code = 2


class ModelFileError(UsageError):
    """A model or weights file is not ours, damaged, or newer than this program (exit code 2)."""


class DataError(FullconvError, ValueError):
    """The data set cannot be used as it is (exit code 3)."""

    exit_code = 3


class NotFiniteError(FullconvError):
    """A number that must be finite is nan or infinite: a loss, a gradient, weights, scores (exit code 1)."""


class GateError(FullconvError):
    """An exported network has other labels than PyTorch; it was not written (exit code 4)."""

    exit_code = 4


class Interrupted(FullconvError):
    """Stopped by the user after a checkpoint was saved (exit code 130)."""

    exit_code = 130


SINGULAR_VERBS = {"is": "are", "has": "have", "was": "were"}


def plural(count: int, what: str, verb: str = "") -> str:
    """``1 image has``, ``2 images have``; what follows the first word of ``what`` stays (``image without a mask``)."""
    noun, space, rest = what.partition(" ")
    if count != 1:
        last = noun[-1:]
        many = f"{noun[:-1]}ies" if last == "y" and noun[-2:-1] not in "aeiou" else (
            f"{noun}es" if noun.endswith(("s", "x", "sh", "ch")) else f"{noun}s"
        )  # fmt: skip
        noun, verb = many, SINGULAR_VERBS.get(verb, verb.removesuffix("s"))
    return f"{count:,} {noun}{space}{rest}" + f" {verb}" * bool(verb)


MOST_NAMED = 6
"""So many names a message gives where each may matter."""


def first_few(names: Sequence[str], count: int = 3) -> str:
    """``a, b, c and 7 more``: enough to find the fault, short enough for one line."""
    shown = ", ".join(names[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more"
