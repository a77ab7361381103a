"""Values of options as they come from flags, recipes and Python, brought to one form; ValueError says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fullconv.files import read_value

TRACKED = ("tensorboard", "mlflow", "wandb", "trackio")
"""Programs that compare runs (:mod:`fullconv.training.trackers`)."""


def flags_as_values(value: Any) -> Any:
    """From the command line (``--model-args.head-channels 8``) names come with hyphens and values as text."""
    if not isinstance(value, dict):
        return value
    return {
        str(name).replace("-", "_"): read_value(entry) if isinstance(entry, str) else entry
        for name, entry in value.items()
    }


def loss_of_one_name(value: Any) -> Any:
    """``nll`` is the cross-entropy, of the log-softmax."""
    return "cross-entropy" if value == "nll" else value


def devices_as_text(value: Any) -> Any:
    """``devices: 2`` in a recipe, ``devices=2`` in Python."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ",".join(map(str, value))
    return str(value) if isinstance(value, int) else value


def devices_in_words(value: str) -> str:
    """``auto``, a number, or which."""
    numbers = value.removesuffix(",").split(",")
    if value not in ("auto", "-1") and not all(number.strip().isdigit() for number in numbers):
        raise ValueError("expected auto, a number of devices such as 2, or which GPUs such as 0,1")
    if value == "0":
        raise ValueError("expected at least 1; GPU number 0 alone is written 0, with a comma: '0,'")
    return value


def known_trackers(value: str) -> str:
    """Names of :data:`TRACKED`."""
    unknown = [name for name in value.split(",") if name not in TRACKED]
    if unknown and value not in ("auto", "none"):
        raise ValueError(f"expected auto, none, or {', '.join(TRACKED)}, joined by commas; there is no {unknown[0]!r}")
    return value


def weights_as_numbers(value: Any) -> Any:
    """``--class-weights 1,2,0.5``."""
    value = value.split(",") if isinstance(value, str) and "," in value else value
    if isinstance(value, (list, tuple)):
        try:
            value = [float(entry) for entry in value]
        except (TypeError, ValueError):
            raise ValueError("expected one number per class, 0 or more") from None
        if not all(map(math.isfinite, value)):
            raise ValueError("expected one finite number per class, 0 or more")
    return value
