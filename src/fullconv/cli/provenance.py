"""What a model file says of where it comes from, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

IOU = "iou/"
"""Before the name of a class, in the columns of a run's log."""
SIZES = ("crop", "resize", "image_size")
"""Of a height and a width."""
PAIRS = ("crf_loss_deviations",)
"""Options of two numbers that are no range; other two numbers are one."""
WORDS = {"intervals": "ranges (95 %)", "mean_iou_of_val": "mean IoU of the classes in val"}
TOLD = ("epoch", "steps", "of_steps")
"""Said in one line: :func:`_epochs`."""


def provenance_rows(provenance: Mapping[str, Any], epochs: int = 0) -> dict[str, str]:
    """A row for each thing that is known.

    Args:
        epochs: that the run of the model has trained, as its log says; 0: there is no log.
    """
    rows = {}
    for key, value in provenance.items():
        if key == "epoch":
            rows["epochs"] = _epochs(provenance, epochs)
        elif key not in TOLD or "epoch" not in provenance:
            shown = _without_epochs(value) if key == "options" and "epoch" in provenance else value
            rows[_words(key)] = plain(_once(shown) if key == "scores" else shown, key)
    return {name: said for name, said in rows.items() if said}


def in_a_line(values: Mapping[str, Any]) -> str:
    """Named values, one after the other."""
    return "; ".join(f"{_words(name)} {plain(value)}" for name, value in values.items()) or "-"


def plain(value: Any, name: str = "") -> str:
    """A value of a header for people: four digits, entries one by line, sizes and ranges as such; empty of None."""
    if value is None or (isinstance(value, list) and None in value):
        return ""
    if isinstance(value, dict):
        said = {key: plain(entry, key) for key, entry in value.items()}
        return "\n".join(f"{_words(str(key))} {words}" for key, words in said.items() if words)
    if isinstance(value, list):
        ranges = all(isinstance(one, float) for one in value) and name not in PAIRS
        between = "x" if name in SIZES else " to " if ranges else ", "
        return (between if len(value) == 2 else ", ").join(map(plain, value))
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)


def _words(key: str) -> str:
    """A key as people say it; the name of a class as the data have it."""
    if key.startswith(IOU):
        return f"IoU of {key.removeprefix(IOU)}"
    return WORDS.get(key) or re.sub(r"\biou\b", "IoU", key.replace("_", " "))


def _epochs(provenance: Mapping[str, Any], trained: int) -> str:
    """How many were trained of how many, and which one the model is of; the plan of a run with a time changes."""
    own, steps, all_steps = (provenance.get(name, 0) for name in TOLD)
    options = provenance.get("options", {})
    planned = options.get("epochs") or (all_steps * own // steps if steps else 0)
    if options.get("minutes") is not None:
        planned = 0
    learned = f" ({steps:,} step{'s' * (steps != 1)})" if steps else ""
    if trained < own:
        return f"{own}{learned}" + f", of {planned} planned" * bool(planned)
    whole = f"{trained} of {planned}" if planned and planned != trained else f"{trained}"
    return f"{whole} trained; this is epoch {own}{learned}"


def _without_epochs(options: Any) -> Any:
    """The options, but for the number of epochs: how many were planned is said beside how many were trained."""
    return (
        {name: value for name, value in options.items() if name != "epochs"} if isinstance(options, dict) else options
    )


def _once(scores: Any) -> Any:
    """Scores without the one that the best epoch goes by, where it is the mean IoU."""
    if isinstance(scores, dict) and scores.get("mean_iou_of_val") == scores.get("mean_iou"):
        return {name: value for name, value in scores.items() if name != "mean_iou_of_val"}
    return scores
