"""The rules that turn facts into options; each gives a value and the reason that a user reads."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from fullconv.errors import plural
from fullconv.training.choosing.facts import DataFacts


class Choice(NamedTuple):
    """A value for an option, and why."""

    value: Any
    reason: str


CPU_CROP, GPU_CROP = 352 * 480, 512 * 512
"""Pixels of a crop, at most."""
SMALLER = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Shares of them that are tried, where the time is not enough; from the half on images are not enlarged."""
WANTED_WIDTH = 6
"""Pixels that the thinnest class should have across, for a network whose finest stream has a stride of 4."""
ENLARGED = (1.25, 1.5)
"""By how much images are enlarged, where they are."""
HEAD_STEPS = 1000
"""From which on score layers over a trained encoder get a convolution before them. On 48 photographs of 11 classes such
a network had 0.37 mean IoU after 72 steps and 0.54 after 288, one without 0.54 and 0.58 (one seed). It was not measured
where they meet; CamVid's recipes, of thousands of steps, have it. Over random weights it is better after 400 steps
(0.93 and 0.91 on ``shapes``)."""
FEW = 48
"""Train images below which batches are small, so that a pass has several steps."""
SIDES = re.compile(r"(?:^|[\W_])(left|right)(?:$|[\W_])")
OWN_LANE = re.compile(r"(?:^|[\W_])(?:ego|own)[\W_]*lane(?:$|[\W_])")


@dataclass(frozen=True)
class Size:
    """Of images and crops.

    Attributes:
        resize: ``(height, width)`` that images are brought to; None: they stay.
        crop: ``(height, width)``.
    """

    resize: tuple[int, int] | None
    crop: tuple[int, int]
    why_resize: str
    why_crop: str

    def choices(self) -> dict[str, Choice]:
        """Of options."""
        made = {"crop": Choice(self.crop, self.why_crop)}
        if self.resize is not None:
            made["resize"] = Choice(self.resize, self.why_resize)
            made["scale"] = Choice((0.5, 1.6), "zoom down to half, since images are enlarged")
        return made


def streams(facts: DataFacts, steps: float = math.inf, trained: bool = False) -> Choice:
    """Score layers down to stride 4, each behind a convolution of its own where there is time to learn that.

    Args:
        steps: that there is time for.
        trained: whether the encoder starts from trained weights.
    """
    name, width = facts.thinnest
    why = f"down to stride 4, since {name if width <= 16 else 'outlines'} "
    why += f"is under {width} pixels across" if width <= 16 else "gain by it"
    finest: dict[str, Any] = {"streams": [32, 16, 8, 4]}
    if trained and steps < HEAD_STEPS:
        return Choice(finest, f"{why}; no more layers, since {steps:,.0f} steps are few")
    return Choice(finest | {"head_channels": 64}, why)


def frozen() -> dict[str, Choice]:
    """Under a frozen encoder."""
    why = "images stay as they are, so that the frozen encoder sees each once"
    return {"scale": Choice((1.0, 1.0), why), "colour": Choice(0.0, why)}


def sizes(facts: DataFacts, on_cpu: bool, given: frozenset[str]) -> list[Size]:
    """What is wanted first, then what costs ever less."""
    name, width = facts.thinnest
    factor = next((step for step in ENLARGED if step >= WANTED_WIDTH / width), ENLARGED[-1])
    enlarges = facts.is_one_size and width < WANTED_WIDTH and not {"resize", "crop"} & given
    most = CPU_CROP if on_cpu else GPU_CROP
    found: list[Size] = []
    for share in SMALLER:
        height, side = facts.size
        resize = None
        if enlarges and share > 0.5:
            height, side = resize = round(height * factor), round(side * factor)
        cut = crop((height, side), round(most * share))
        why = f"of the images' shape, at most {round(most * share):,} pixels" + ", for time" * (share < 1)
        size = Size(resize, cut, f"{name} is under {width} pixels across: {factor:g} times as large", why)
        if not found or cut[0] * cut[1] < found[-1].crop[0] * found[-1].crop[1]:
            found.append(size)
    return found[:1] if {"resize", "crop"} & given else found


def batch_size(facts: DataFacts, devices: int = 1) -> Choice:
    """Of 8, of small data fewer; at least one a device."""
    size = 8 if facts.train >= FEW else max(2, min(8, facts.train // 6))
    steps = plural(-(-facts.train // size), "step")
    why = "the usual" if facts.train >= FEW else f"{facts.train} train image{'s' * (facts.train != 1)}: {steps} a pass"
    return Choice(max(size, devices), why if size >= devices else "one a device")


def loss() -> Choice:
    """Of masks."""
    return Choice("cross-entropy+dice", "counts small classes as much as large ones, as mean IoU does")


def crop(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Of the shape of an image, its sides multiples of 32, of at most so many pixels."""
    height, width = size
    scale = min(1.0, (most / (height * width)) ** 0.5)
    sides = [max(32, round(side * scale / 32 + (scale == 1) / 2) * 32) for side in (height, width)]
    while sides[0] * sides[1] > most and max(sides) > 32:
        sides[sides.index(max(sides))] -= 32
    return sides[0], sides[1]


def flip(names: tuple[str, ...], layout: str = "") -> Choice:
    """Not where a class is a side, or lies on one: KITTI Road's lane is the one that the car drives in."""
    sided = [name for name in names if SIDES.search(name.casefold())]
    if sided:
        return Choice(False, f"{sided[0]} is another class in a mirror")
    own = [name for name in names if OWN_LANE.search(name.casefold())]
    own += [name for name in names if (layout, name) == ("kitti_road", "lane")]
    if own:
        return Choice(False, f"{own[0]} is the car's own lane: in a mirror it lies on the side that others drive on")
    return Choice(True, "no class is a side")


def ema(steps: int) -> Choice:
    """An average over about a tenth of the steps."""
    decay = min(0.999, max(0.9, round(1 - 10 / max(steps, 1), 4)))
    return Choice(decay, "the average of about the last tenth of the steps is validated and kept")
