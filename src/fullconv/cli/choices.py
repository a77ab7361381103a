"""Values of options that are none of their choices, or no numbers, in one line."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from cyclopts.exceptions import CoercionError

from fullconv.training.option_names import meant

NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}


def wrong_value(error: CoercionError) -> str:
    """What an option takes, what was found, and what may be meant; empty where that is not known."""
    choices = choices_of(error.target_type)
    expected = _listed(choices) if choices else NUMBERS.get(error.target_type, "")
    if error.msg is not None or error.token is None or not expected:
        return ""
    name = error.token.keyword or (error.argument.name.lstrip("-").upper() if error.argument is not None else "")
    found = error.token.value
    line = f"{name}: expected {expected} (found {found!r})"
    return f"{line}; {near}" if (near := meant(found.casefold(), choices)) else line


def choices_of(kind: Any) -> list[str]:
    """The values of a ``Literal`` that can be typed: an empty one stands for the option left out."""
    return [str(one) for one in get_args(kind) if one != ""] if get_origin(kind) is Literal else []


def _listed(choices: list[str]) -> str:
    *most, last = [f"{choice!r}" for choice in choices]
    return f"{', '.join(most)} or {last}" if most else last
