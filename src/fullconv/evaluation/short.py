"""A model that has learned for a short time from random weights: what fails then fails for that reason first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from fullconv.evaluation.finding import Finding

FEW_STEPS = 2000
"""From random weights a network needs more to tell classes apart: a rule of thumb."""
EARLY = ("one-class", "never-predicted", "thin", "rare", "confused", "too-often")
"""Kinds of findings whose own advice comes too early then."""
LONGER = (
    "train longer first (more --epochs or --minutes), or from trained weights (--encoder-weights imagenet, --init-from "
    "MODEL); evaluate again before changing anything else"
)


def longer_first(
    found: Sequence[Finding], provenance: Mapping[str, Any], epochs: int | None = None
) -> tuple[Finding, ...]:
    """The findings, of a model that has hardly learned with this before them, and instead of their advice.

    Args:
        provenance: of the model; one that does not know its steps is taken to have learned enough.
        epochs: of its run in all, where they are known; by default as many as were planned.
    """
    options, own = provenance.get("options", {}), provenance.get("epoch", 0)
    steps = provenance.get("of_steps", FEW_STEPS)
    if epochs and own:
        steps = provenance.get("steps", FEW_STEPS) * epochs // own
    random = options.get("encoder_weights") == "none" and not options.get("init_from")
    if steps >= FEW_STEPS or not random or not any(one.kind in EARLY for one in found):
        return tuple(found)
    learned = "one step" if steps == 1 else f"{steps:,} steps"
    text = f"the network began with random weights and learned for {learned} only: too few to judge it by"
    later = [dataclasses.replace(one, advice=LONGER) if one.kind in EARLY else one for one in found]
    return Finding("short", (), text, LONGER), *later


def all_seen(provenance: Mapping[str, Any]) -> bool:
    """Whether training looked for classes that its masks do not show: any that it does not name were there."""
    unchecked = provenance.get("options", {}).get("check") is False
    return "epoch" in provenance and "labels" not in provenance and not unchecked
