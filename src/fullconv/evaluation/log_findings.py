"""The log of a training run -> what went wrong in it, in words, with what to try."""

from __future__ import annotations

import csv
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fullconv.evaluation.finding import Finding

Row = Mapping[str, float]
"""An epoch's figures by name, as in ``log.csv``."""
GAP = 0.15
"""The mean IoU of train may be so much above that of val."""
ROSE = 1.5
"""A loss has risen if it ends at so many times its lowest."""
SWING, TURNS = 1.3, 2
"""A loss swings if it goes up or down by this factor in an epoch; so many turns between both are too many."""
SETTLED = 1.05
"""The val loss has settled if it ends below so many times its lowest."""


def log_findings(rows: Sequence[Row], less: bool = False, options: Mapping[str, Any] | None = None) -> list[Finding]:
    """What the epochs of a run show; empty where nothing does. The limits are rules of thumb.

    Args:
        less: the run learns from less than masks, so that the scores of train and val are not of one kind.
        options: of the run, but for defaults: what was tried already is no advice.
    """
    if not rows:
        return []
    given = options or {}
    wild = _diverged(rows, given) if less else _diverged(rows, given) or _unsteady(rows, given)
    found = [wild] if less else [wild, _gap(rows[-1], given)]
    return [finding for finding in found if finding is not None]


def read_log(path: Path) -> list[Row]:
    """``log.csv``; empty where there is none, or it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def log_beside(model: str | os.PathLike[str]) -> list[Row]:
    """The log of a run folder, or of the one that a model file lies in."""
    folder = Path(model).parent if Path(model).is_file() else Path(model)
    return read_log(folder / "log.csv")


def _diverged(rows: Sequence[Row], options: Mapping[str, Any]) -> Finding | None:
    """The train loss ends far above its lowest, and the val loss too, or above that of guessing.

    The train loss alone may rise for another reason: new labels, or a loss that is added.
    """
    train, val = _losses(rows, "train_loss"), _losses(rows, "val_loss")
    guessing = math.log(max(2, sum(name.startswith("iou/") for name in rows[0])))
    if not (train[-1] >= ROSE * min(train) and (val[-1] >= ROSE * min(val) or val[-1] > guessing)):
        return None
    words = f"the train loss ended at {train[-1]:.3g}, its lowest was {min(train):.3g}: training diverged"
    return _rate(words, options)


def _unsteady(rows: Sequence[Row], options: Mapping[str, Any]) -> Finding | None:
    """Where the val loss ends at its lowest, it has settled, however it went before."""
    losses = _losses(rows, "val_loss")
    turns = _turns(losses)
    if turns < TURNS or losses[-1] <= SETTLED * min(losses):
        return None
    words = f"the val loss went up and down by more than {SWING - 1:.0%} an epoch, and turned {turns} times"
    return _rate(words, options)


def _losses(rows: Sequence[Row], name: str) -> list[float]:
    return [row.get(name, math.nan) for row in rows]


def _rate(words: str, options: Mapping[str, Any]) -> Finding:
    advice = "a --rate ten times smaller" + ", or --clip-norm 1" * (not options.get("clip_norm"))
    advice += "; --schedule one-cycle warms up and decays" * ("schedule" in options)  # it is the default
    return Finding("rate", (), f"the rate was too high: {words}", advice)


def _turns(losses: Sequence[float]) -> int:
    """How often a loss that swings turns from up to down or back."""
    ways = []
    for before, after in itertools.pairwise(losses):
        if after >= SWING * before or before >= SWING * after:
            ways.append(after > before)
    return sum(a != b for a, b in itertools.pairwise(ways))


def _gap(last: Row, options: Mapping[str, Any]) -> Finding | None:
    train, val = (last.get(name, math.nan) for name in ("train_mean_iou", "mean_iou"))
    if not train - val >= GAP:
        return None
    random = options.get("encoder_weights") == "none" and not options.get("init_from")
    more = ["a wider --scale", "more --colour", *["--flip"] * (options.get("flip") is False)]
    advice = [
        f"more images, or more variation of those there are: {', '.join(more)}",
        *["--encoder-weights imagenet"] * random,
        "a larger --weight-decay",
    ]
    return Finding(
        "gap", (),
        f"train and val are apart: mean IoU {train:.2f} on training crops, {val:.2f} on val after the last epoch",
        f"{'; '.join(advice)}. If val shows other scenes than train, split anew",
    )  # fmt: skip
