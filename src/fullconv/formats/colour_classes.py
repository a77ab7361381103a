"""Classes of RGB masks whose colours nobody named: a proposal, and the question that asks for the names."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fullconv.formats.contents import Contents
from fullconv.formats.problems import Problems
from fullconv.images.encoding import MaskEncoding
from fullconv.images.mask_file import unpacked
from fullconv.spec import ClassSet, Colour

MOST_PROPOSED = 40
"""Classes that are made of colours."""
LEAST_SHARE = 0.001
"""Of all pixels: rarer colours are not proposed as classes."""
EDGE_SHARE = 0.25
"""A colour between two others is that of their smoothed edge if it has at most this share of the rarer one's pixels."""
ON_THE_WAY = 4
"""So far (Euclid, of 255) a colour may lie beside the line between two others, and is a mixture of them."""
FEW_LEFT = 3
"""Frequent colours that are taken for smoothed edges, and named all the same: smoothing makes dozens."""


def coloured(inspected: Sequence[Contents]) -> list[Contents]:
    """Those that hold colours only, no numbers."""
    return [found for found in inspected if found.mask.kind == "colour" and not found.values]


def classes_by_colour(
    root: Path, inspected: Sequence[Contents], encoding: MaskEncoding, problems: Problems, unused: str = ""
) -> tuple[ClassSet, MaskEncoding]:
    """A class for each frequent colour, as far as it is none of a smoothed edge; and the problem.

    Args:
        root: the data set, whose ``dataset.yaml`` is to name them.
        inspected: what its masks hold.
        encoding: what is known of their colours.
        unused: what a file says that is of no use here.
    """
    files, pixels = coloured(inspected), Counter[int]()
    for found in files:
        pixels.update(dict(zip(found.colours or (), found.pixels, strict=True)))
    total, known = pixels.total(), set(encoding.void_colours)
    frequent = {unpacked(c): n for c, n in pixels.most_common() if n >= LEAST_SHARE * total}
    frequent = {colour: n for colour, n in frequent.items() if colour not in known}
    own = _without_edges(frequent)
    palette = dict(enumerate(own[:MOST_PROPOSED])) or {0: (0, 0, 0)}
    names = tuple(f"class_{index}" for index in palette)
    line = ", ".join(f"{name}: {list(colour)}" for name, colour in zip(names, palette.values(), strict=True))
    shares = ", ".join(f"{name} {_share(frequent.get(palette[place], 0), total)}" for place, name in enumerate(names))
    fix = (
        f"write 'classes: {{{line}}}' into {root / 'dataset.yaml'}, with your own names (of the pixels about: "
        f"{shares}), or save index masks"
    )
    left = [f"{list(colour)} {_share(n, total)}" for colour, n in frequent.items() if colour not in own]
    if 0 < len(left) <= FEW_LEFT:
        fix += f"; name {', '.join(left)} too if these are classes, no smoothed edges"
    edges = ""
    if sum(frequent.values()) < total / 2:
        fix = "hardly a colour is frequent, as in photographs: put images into images/ and masks into masks/"
    elif _smoothed({unpacked(c): n for c, n in pixels.items()}, own, known):
        edges = f", and all but {len(own)} lie between those {len(own)}, as where edges were smoothed"
        fix += "; once the colours are named, fullconv check DATA --fix COPY mends the edges"
    problems.report(
        "undecided",
        f"{files[0].path}: an RGB mask, but no colour is named; {unused}the masks hold {len(pixels)} "
        f"colours, {len(frequent)} of them on at least {LEAST_SHARE:.1%} of the pixels{edges}",
        fix,
    )
    classes = ClassSet(names, tuple(palette.values()))
    return classes, dataclasses.replace(encoding, colours={colour: index for index, colour in palette.items()})


def _share(pixels: int, total: int) -> str:
    share = pixels / max(total, 1)
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"


def _without_edges(frequent: dict[Colour, int]) -> list[Colour]:
    """The colours, most frequent first, without those between two that have far more pixels."""
    kept: list[Colour] = []
    for colour, pixels in frequent.items():
        base = [other for other in kept if pixels <= EDGE_SHARE * frequent[other]]
        if not _between(np.array([colour]), base).any():
            kept.append(colour)
    return kept


def _smoothed(pixels: dict[Colour, int], own: Sequence[Colour], known: set[Colour]) -> bool:
    """Whether most pixels of other colours lie between two of ``own``."""
    others = {colour: n for colour, n in pixels.items() if colour not in own and colour not in known}
    if not others:
        return False
    between = _between(np.array(list(others)), own) @ np.array(list(others.values()))
    return bool(between > 0.5 * sum(others.values()))


def _between(colours: np.ndarray, own: Sequence[Colour]) -> np.ndarray:
    """Which of ``[n, 3]`` lie on a line between two of ``own``, bool ``[n]``."""
    found, wide = np.zeros(len(colours), bool), np.array(own, float).reshape(-1, 3)
    for place, first in enumerate(wide):
        for second in wide[place + 1 :]:
            step = second - first
            along = ((colours - first) @ step / (step @ step)).clip(0, 1)
            apart = colours - (first + along[:, None] * step)
            found |= np.square(apart).sum(1) <= ON_THE_WAY**2
    return found
