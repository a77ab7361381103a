"""Histograms of the images' values, band by band, in SVG."""

from __future__ import annotations

from html import escape

import numpy as np

from fullconv.checking.report import CheckReport
from fullconv.checking.values import ValueCounts
from fullconv.spec import Values

BARS, WIDTH, HEIGHT = 64, 320, 110
MOST_SHOWN = 32
"""Bands with a figure of their own."""
INSIDE, CUT = "#2f6fb0", "#b3261e"


def value_histograms(report: CheckReport) -> str:
    """A figure per band: how many values become each four of the 256 levels; in red what the range cuts off."""
    counts, values = report.values, report.dataset.values
    if counts is None:
        return ""
    bounds = values.range if values and values.range else ((0.0, 255.0),)
    bands = range(min(len(counts.levels), MOST_SHOWN))
    called = values or Values()
    figures = [_figure(counts, band, called.band(band), bounds[band if len(bounds) > 1 else 0]) for band in bands]
    if len(counts.levels) > MOST_SHOWN:
        figures.append(f'<p class="soft">and {len(counts.levels) - MOST_SHOWN} more bands</p>')
    kind = f"by the range {values}" if values and values.range else "8 bits, as they are"
    return (
        f'<section><h2>Values of the images</h2><p class="soft">What the network sees of them: {escape(kind)}. '
        "Bars: shares of the values; red: cut off by the range.</p>"
        f'<div class="sheet">{"".join(figures)}</div></section>'
    )


def _figure(counts: ValueCounts, band: int, name: str, bounds: tuple[float, float]) -> str:
    """One band; the bars begin at ``low`` and end at ``high``, red ones stand beside them."""
    parts = counts.levels[band].reshape(BARS, -1).sum(1)
    total = max(int(parts.sum()), 1)
    inside = parts.copy()
    inside[0] -= min(counts.below[band], inside[0])
    inside[-1] -= min(counts.above[band], inside[-1])
    heights = np.concatenate([[counts.below[band]], inside, [counts.above[band]]]) / total
    step, top = WIDTH / (BARS + 2), float(heights.max(initial=0)) or 1.0
    drawn = []
    for place, share in enumerate(heights.tolist()):
        if share > 0:
            height = max(1.0, (HEIGHT - 18) * share / top)
            end = place in (0, BARS + 1)
            low, high = (bounds[0] + (bounds[1] - bounds[0]) * (place - 1 + step_) / BARS for step_ in (0, 1))
            said = f"{'below' if place == 0 else 'above'} the range" if end else f"{low:.6g} to {high:.6g}"
            drawn.append(
                f'<rect x="{place * step:.1f}" y="{HEIGHT - 18 - height:.1f}" width="{step - 0.6:.1f}" '
                f'height="{height:.1f}" fill="{CUT if end else INSIDE}"><title>{said}: {share:.2%}</title></rect>'
            )
    for x, anchor, value in ((step, "start", bounds[0]), (WIDTH - step, "end", bounds[1])):
        drawn.append(f'<text x="{x:.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}" fill="#667080">{value:.6g}</text>')
    held = counts.levels[band].any()
    caption = f"{name}: {counts.reached(band)} of 256 levels reach the network"
    if held:
        caption += f"; values from {counts.lowest[band]:.6g} to {counts.highest[band]:.6g}"
    if counts.below[band] or counts.above[band]:
        caption += f"; {counts.clipped(band):.2%} cut off"
    if counts.nothing[band]:
        caption += f"; {counts.nothing[band]:,} of {counts.pixels:,} hold nothing"
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11">{"".join(drawn)}</svg>'
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
