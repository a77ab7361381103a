"""What may be said of a network: names and types of arguments that mean architecture, and nothing else.

Model headers, the metadata of weights files, recipes and other libraries' configs come from elsewhere. Whatever they
say passes here before it reaches timm or segmentation_models.pytorch, some of whose arguments read files, open
addresses or unpickle.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fullconv.errors import FullconvError, UsageError, first_few
from fullconv.names import NETWORK

LARGEST = 1 << 16
"""No width, size or factor is larger."""
SMALL = 512
"""Widths up to here make no network that is large for any computer."""
MOST_LAYERS = 1 << 9
"""No part of a network has more layers."""
LONGEST = 64
"""Entries of a list."""
_WORD = re.compile(r"[A-Za-z0-9_+-]{0,48}")

Numbers = float | list[float] | list[list[float]] | None
Flag = bool | None
Word = str | None


_LAYERS = ("depth", "depths", "layers", "levels", "stages", "num_blocks", "depth_mult", "depth_multiplier")


def check_arguments(
    takes: Mapping[str, Any], args: Any, what: str, error: type[FullconvError] = UsageError
) -> dict[str, Any]:
    """``args``, all of them known by name and of the right type.

    Args:
        takes: ``{name: type}``.
        what: whose arguments they are, for the message: ``encoder resnet34: encoder_args``.

    Raises:
        FullconvError: of the kind ``error``: another name, type or size.
    """
    if not isinstance(args, Mapping):
        raise error(f"{what} must be named values, found {str(args)[:60]!r}")
    for name, value in args.items():
        if not isinstance(name, str) or name not in takes:
            near = difflib.get_close_matches(str(name), takes, 3, cutoff=0.6)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are {first_few(sorted(takes), 6)}"
            raise error(
                f"{what}: {str(name)[:60]!r} is not among the arguments that fullconv passes on, which name the "
                f"architecture only; {hint if takes else 'it takes none'}"
            )
        word = NETWORK if name == "encoder_name" else _WORD
        if not _plain(value, word, MOST_LAYERS if name in _LAYERS else LARGEST) or not is_of(takes[name], value):
            raise error(f"{what}: {name} cannot be {str(value)[:60]!r}; expected {in_words(takes[name])}")
    return dict(args)


def named(kind: Any, names: str) -> dict[str, Any]:
    """``{name: kind}`` of some names in a text."""
    return dict.fromkeys(names.split(), kind)


def names_large(args: Mapping[str, Any]) -> bool:
    """Whether arguments could make a network large: numbers above :data:`SMALL`, or numbers of layers."""
    return any(_large(value) or name in _LAYERS for name, value in args.items())


def is_of(kind: Any, value: Any) -> bool:
    """Whether a value is of a type, without conversion; tuples count as lists."""
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(_lists(value))
    except ValidationError:
        return False
    return True


def _large(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_large, value))
    return isinstance(value, (int, float)) and value > SMALL


def arguments_of(maker: Any) -> dict[str, Any]:
    """What one of our own classes takes beside its encoder and channels."""
    hints = get_type_hints(maker.__init__)
    return {
        name: kind for name, kind in hints.items() if name not in ("encoder", "num_classes", "in_channels", "return")
    }


def _plain(value: Any, word: re.Pattern[str], largest: int, depth: int = 0) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return abs(value) <= largest  # neither nan nor infinite
    if isinstance(value, str):
        return word.fullmatch(value) is not None
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    return (
        isinstance(value, (list, tuple))
        and depth < 2
        and len(value) <= LONGEST
        and all(_plain(entry, word, largest, depth + 1) for entry in value)
    )


def _lists(value: Any) -> Any:
    """Tuples as JSON and YAML have them."""
    return [_lists(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        *first, last = map(str, get_args(kind))
        return f"{', '.join(first)} or {last}" if first else last
    known = [
        (Numbers, "a number or a list of numbers"), (Flag, "true or false"), (bool, "true or false"),
        (Word, "one word"), (str, "one word"), (int, f"a whole number up to {LARGEST}"),
        (float, f"a number up to {LARGEST}"), (dict, "named values"),
    ]  # fmt: skip
    if Sequence in (get_origin(entry) for entry in (kind, *get_args(kind))):
        return "a list of numbers"
    return next((text for entry, text in known if kind == entry), str(kind))
