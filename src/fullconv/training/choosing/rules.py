"""The rules that turn facts into options; each gives a value and the reason that a user reads."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fullconv.training.choosing.facts import DataFacts


class Choice(NamedTuple):
    """A value for an option, and why."""

    value: Any
    reason: str


CPU_CROP, GPU_CROP = 352 * 480, 512 * 512
"""Pixels of a crop, at most."""
WANTED_WIDTH = 6
"""Pixels that the thinnest class should have across, for a network whose finest stream has a stride of 4."""
LARGEST = 1.5
"""Images are enlarged by no more than that."""
FACTORS = (1.5, 1.25, 1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.25)
"""Scales of the images that are tried, from the largest."""
SMALLEST = 128
"""Pixels of the shorter side below which images are not made smaller."""
FEW = 48
"""Train images below which batches are small, so that a pass has several steps."""
SIDES = re.compile(r"(?:^|[\W_])(left|right)(?:$|[\W_])")


def streams(facts: DataFacts) -> Choice:
    """Score layers down to stride 4."""
    name, width = facts.thinnest
    why = f"{name} is under {width} pixels across" if width <= 16 else "outlines gain by it"
    return Choice(
        {"streams": [32, 16, 8, 4], "head_channels": 64},
        f"down to stride 4, since {why}",
    )


def factor(facts: DataFacts) -> Choice:
    """By how much images are enlarged before anything else."""
    name, width = facts.thinnest
    if not facts.is_one_size:
        return Choice(1.0, f"images have {len(facts.sizes)} sizes, and one size would distort them")
    wanted = min(WANTED_WIDTH / width, LARGEST)
    found = next((step for step in reversed(FACTORS) if step >= max(wanted, 1.0)), LARGEST)
    if found == 1:
        return Choice(1.0, "no class is so thin that enlarging would help")
    return Choice(found, f"{name} is under {width} pixels across: images are enlarged {found:g} times")


def batch_size(facts: DataFacts) -> Choice:
    """Of 8, of small data fewer."""
    if facts.train >= FEW:
        return Choice(8, "the usual")
    size = max(2, min(8, facts.train // 6))
    return Choice(size, f"{facts.train} train images: several steps a pass")


def crop(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Of the shape of an image, its sides multiples of 32, of at most so many pixels."""
    height, width = size
    scale = min(1.0, (most / (height * width)) ** 0.5)
    sides = [max(32, round(side * scale / 32 + (scale == 1) / 2) * 32) for side in (height, width)]
    while sides[0] * sides[1] > most and max(sides) > 32:
        sides[sides.index(max(sides))] -= 32
    return sides[0], sides[1]


def flip(names: tuple[str, ...]) -> Choice:
    """Not where a class is a side."""
    sided = [name for name in names if SIDES.search(name.casefold())]
    if sided:
        return Choice(False, f"{sided[0]} is another class in a mirror")
    return Choice(True, "no class is a side")


def ema(steps: int) -> Choice:
    """An average over about a tenth of the steps."""
    decay = min(0.999, max(0.9, round(1 - 10 / max(steps, 1), 4)))
    return Choice(decay, "the average of about the last tenth of the steps is validated and kept")
