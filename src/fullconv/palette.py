"""Colours for classes: a palette that stays distinguishable, and PASCAL VOC's."""

from __future__ import annotations

Colour = tuple[int, int, int]

BACKGROUND = (236, 236, 236)
"""The colour of a first class that is background, where the data have no colours of their own."""
DISTINCT = (
    (213, 137, 4), (4, 4, 232), (156, 4, 4), (61, 156, 251), (213, 99, 137), (118, 42, 99),
    (156, 232, 156), (4, 118, 80), (80, 213, 251), (251, 213, 4), (118, 99, 156), (194, 80, 4),
    (61, 194, 175), (61, 99, 251), (213, 137, 118), (61, 156, 175), (213, 4, 80), (23, 61, 156),
    (194, 194, 99), (175, 61, 118), (232, 156, 175), (213, 194, 213), (137, 4, 42), (99, 80, 194),
    (232, 213, 194), (118, 137, 137), (156, 137, 80), (61, 80, 61), (175, 156, 213), (4, 137, 194),
    (99, 61, 80), (194, 118, 118), (232, 175, 4), (156, 80, 42), (156, 99, 99), (175, 194, 156),
    (42, 61, 251), (194, 156, 80), (194, 118, 42), (156, 99, 137),
)  # fmt: skip
"""In this order every beginning of the list is as far apart as could be found, in normal sight and as people with
deuteranopia and protanopia see it (Machado, Oliveira & Fernandes 2009, severity 1); also from :data:`BACKGROUND`.
Found by search over a grid of colours of lightness 28 to 87 for the largest smallest CIEDE2000, three quarters of it in
normal sight. The distances are in docs/pictures.md, and tested."""


def is_background(name: str) -> bool:
    """Whether a class of this name is what is left when everything of interest is taken away."""
    return name.strip("_ ").casefold() in ("background", "bg")


def distinct_palette(names: tuple[str, ...]) -> tuple[Colour, ...]:
    """A colour for each class: light for a first class that is background, then :data:`DISTINCT`.

    No more than 40 colours can be told apart; from there on they are those of :func:`voc_palette`, different from all
    others up to 256, but not always to the eye.
    """
    first = (BACKGROUND,) if names and is_background(names[0]) else ()
    rest = len(names) - len(first)
    return (*first, *DISTINCT[:rest], *voc_palette(rest)[len(DISTINCT) :])


def voc_palette(count: int) -> tuple[Colour, ...]:
    """The PASCAL VOC colour of ids ``0 .. count - 1``: bit ``3k + channel`` of the id is bit ``7 - k`` of the colour.

    Defined up to 256; ids beyond repeat with a shifted hue, so that neighbours still differ.
    """
    return tuple(_voc_colour(index % 256, index // 256) for index in range(count))


def _voc_colour(index: int, turn: int) -> Colour:
    channels = [0, 0, 0]
    for k in range(3):
        for channel in range(3):
            channels[channel] |= ((index >> (3 * k + channel)) & 1) << (7 - k)
    red, green, blue = ((value + 37 * turn) % 256 for value in channels)
    return red, green, blue
