"""Small charts in SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

INK, LINE, SOFT, BAR, GAP = "#1d2430", "#e1e5eb", "#667080", "#2f6fb0", "#e0912f"


def reliability(points: Sequence[tuple[float, float, int]]) -> str:
    """Accuracy against confidence, the diagonal beside: below it a model is surer than it is right.

    Args:
        points: mean confidence, accuracy and number of pixels of each bin.
    """
    side, edge = 320, 52
    total = max(1, sum(count for *_, count in points))

    def x(value: float) -> float:
        return edge + value * side

    def y(value: float) -> float:
        return 12 + (1 - value) * side

    drawn = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        drawn.append(f'<line x1="{x(tick)}" x2="{x(tick)}" y1="{y(0)}" y2="{y(1)}" stroke="{LINE}"/>')
        drawn.append(f'<line x1="{x(0)}" x2="{x(1)}" y1="{y(tick)}" y2="{y(tick)}" stroke="{LINE}"/>')
        drawn.append(f'<text x="{x(tick)}" y="{y(0) + 16}" text-anchor="middle" fill="{SOFT}">{tick:g}</text>')
        drawn.append(f'<text x="{x(0) - 6}" y="{y(tick) + 4}" text-anchor="end" fill="{SOFT}">{tick:g}</text>')
    drawn.append(f'<line x1="{x(0)}" x2="{x(1)}" y1="{y(0)}" y2="{y(1)}" stroke="{SOFT}" stroke-dasharray="4 4"/>')
    for sure, right, count in points:
        radius = 3 + 9 * (count / total) ** 0.5
        drawn.append(
            f'<line x1="{x(sure):.1f}" x2="{x(sure):.1f}" y1="{y(sure):.1f}" y2="{y(right):.1f}" stroke="{GAP}"/>'
        )
        drawn.append(
            f'<circle cx="{x(sure):.1f}" cy="{y(right):.1f}" r="{radius:.1f}" fill="{BAR}" fill-opacity="0.75">'
            f"<title>confidence {sure:.3f}, accuracy {right:.3f}, {count:,} pixels</title></circle>"
        )
    middle = edge + side / 2
    drawn.append(f'<text x="{middle}" y="{y(0) + 34}" text-anchor="middle" fill="{INK}">confidence</text>')
    drawn.append(
        f'<text x="12" y="{12 + side / 2}" text-anchor="middle" fill="{INK}" '
        f'transform="rotate(-90 12 {12 + side / 2})">accuracy</text>'
    )
    width, height = edge + side + 24, side + 54
    return f'<svg viewBox="0 0 {width} {height}" style="max-width: 420px" font-size="12">{"".join(drawn)}</svg>'


def scatter(points: Sequence[tuple[float, float, str]], across: str, up: str) -> str:
    """A dot for each point, named where the pointer rests on it; both axes begin at 0.

    Args:
        points: where each is, 0 or more, and its name.
        across, up: what the axes are.
    """
    side, edge = 320, 64
    columns, rows = ticks([right for right, _, _ in points]), ticks([high for _, high, _ in points])

    def x(value: float) -> float:
        return edge + value / columns[-1] * side

    def y(value: float) -> float:
        return 12 + (1 - value / rows[-1]) * side

    drawn = []
    for value in columns:
        drawn.append(f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{y(0)}" y2="12" stroke="{LINE}"/>')
        drawn.append(f'<text x="{x(value):.1f}" y="{y(0) + 16}" text-anchor="middle" fill="{SOFT}">{value:g}</text>')
    for value in rows:
        drawn.append(f'<line x1="{edge}" x2="{edge + side}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{LINE}"/>')
        drawn.append(f'<text x="{edge - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="{SOFT}">{value:g}</text>')
    for right, high, name in points:
        drawn.append(
            f'<circle cx="{x(right):.1f}" cy="{y(high):.1f}" r="4" fill="{BAR}" fill-opacity="0.6">'
            f"<title>{escape(name)}: {across} {right:.3f}, {up} {high:.3f}</title></circle>"
        )
    middle, level = edge + side / 2, 12 + side / 2
    drawn.append(
        f'<text x="{middle}" y="{y(0) + 34}" text-anchor="middle" fill="{INK}">{across}</text>'
        f'<text x="12" y="{level}" text-anchor="middle" fill="{INK}" transform="rotate(-90 12 {level})">{up}</text>'
    )
    box = f'viewBox="0 0 {edge + side + 24} {side + 54}"'
    return f'<svg {box} style="max-width: 420px" font-size="12">{"".join(drawn)}</svg>'


def ticks(values: Sequence[float]) -> list[float]:
    """From 0 in steps of 1, 2 or 5 times a power of ten, up to the first that no value is beyond; three to seven."""
    most = max(values, default=0) or 1.0
    power = 10.0 ** math.floor(math.log10(most))
    step = next(factor * power for factor in (0.2, 0.5, 1, 2) if most <= 5.001 * factor * power)
    return [float(f"{count * step:.6g}") for count in range(max(2, math.ceil(most / step - 1e-9)) + 1)]


def bar(share: float, colour: str = BAR) -> str:
    """A bar of a share of the width of its cell."""
    return (
        f'<div class="bar" style="background: {LINE}; border-radius: 2px; height: 9px; min-width: 90px">'
        f'<div style="background: {colour}; width: {100 * share:.1f}%; height: 9px; border-radius: 2px"></div></div>'
    )
