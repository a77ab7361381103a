"""``sweep --over``: one option and its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from fullconv.errors import UsageError
from fullconv.files import read_value
from fullconv.training.config import TrainConfig
from fullconv.training.option_names import meant


def parse_over(text: str) -> tuple[str, list[Any]]:
    """``encoder_args.dropout=0.5,0.25`` -> the option and its values, each as YAML reads it.

    Raises:
        UsageError: no such option, or no values.
    """
    option, equals, values = text.partition("=")
    option = option.strip().replace("-", "_")
    if not equals:
        raise UsageError(f"--over: expected OPTION=VALUE,VALUE,..., found {text!r}")
    _refuse_unknown(option)
    try:
        parsed = read_value(f"[{values}]")
    except yaml.YAMLError as error:
        raise UsageError(f"--over {option}: the values are not valid YAML: {values!r}") from error
    if not parsed or len({folder_name(option, value) for value in parsed}) != len(parsed):
        raise UsageError(f"--over {option}: expected different values separated by commas, found {values!r}")
    return option, parsed


def _refuse_unknown(option: str) -> None:
    name, dot, _ = option.partition(".")
    if name not in TrainConfig.model_fields or (dot and name not in ("encoder_args", "model_args")):
        hint = meant(name, TrainConfig.model_fields) or "fullconv train --help lists them"
        raise UsageError(f"--over: there is no option {option!r}; {hint}")


def with_value(base: dict[str, Any], option: str, value: Any) -> dict[str, Any]:
    """The options with one of them, or one entry of one of them, set."""
    name, dot, entry = option.partition(".")
    return {**base, name: {**base.get(name, {}), entry: value} if dot else value}


def folder_name(option: str, value: Any) -> str:
    """A folder's name for a value."""
    text = "x".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    kept = "".join(c if c.isalnum() or c in ".-_" else "-" for c in text)
    return f"{option.rpartition('.')[2]}-{kept}"
