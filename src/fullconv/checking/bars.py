"""A histogram of the classes' pixels, in SVG."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from fullconv.checking.report import CheckReport

MOST_BARS = 60
SPLIT_COLOURS = ("#2f6fb0", "#e0912f", "#5d9e57", "#9263a8")


def share_bars(report: CheckReport) -> str:
    """Horizontal bars in SVG: a row per class, a bar per split, powers of ten from the rarest class to 100 %."""
    splits = list(report.pixels)
    shares = {split: report.pixels[split] / max(int(report.pixels[split].sum()), 1) for split in splits}
    largest = np.max(list(shares.values()), axis=0) if shares else np.zeros(0)
    order = [int(i) for i in np.argsort(-largest, kind="stable") if largest[i] > 0][:MOST_BARS]
    if not order:
        return '<p class="soft">No labelled pixel.</p>'
    lowest = min(share[i] for share in shares.values() for i in order if share[i] > 0)
    decades = max(1, math.ceil(-math.log10(lowest) - 1e-9))
    left, right, bar = 170, 1000, 9
    step = bar * len(splits) + 8

    def x(share: float) -> float:
        return left + (right - left) * max(0.0, 1 + math.log10(share) / decades)

    height = step * len(order) + 24
    drawn = []
    for power in range(decades + 1):
        at = x(10.0**-power)
        percent = f"{100 * 10.0**-power:.10f}".rstrip("0").rstrip(".")
        drawn.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height - 20}" stroke="#e1e5eb"/>')
        drawn.append(f'<text x="{at:.1f}" y="{height - 5}" text-anchor="middle" fill="#667080">{percent} %</text>')
    for row, index in enumerate(order):
        top = row * step + 4
        name = escape(report.dataset.classes.names[index][:24])
        drawn.append(f'<text x="{left - 8}" y="{top + (step - 8) / 2 + 4:.1f}" text-anchor="end">{name}</text>')
        for number, split in enumerate(splits):
            share = shares[split][index]
            if share > 0:
                width, y = max(x(share) - left, 1.5), top + number * bar
                fill = SPLIT_COLOURS[number % len(SPLIT_COLOURS)]
                drawn.append(
                    f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{bar - 2}" fill="{fill}">'
                    f"<title>{name}, {escape(split)}: {share:.4%}</title></rect>"
                )
    keys = "".join(
        f'<span class="key"><span class="swatch" style="background: {SPLIT_COLOURS[i % len(SPLIT_COLOURS)]}"></span>'
        f"{escape(split)}</span>"
        for i, split in enumerate(splits)
    )
    return f'<div>{keys}</div><svg viewBox="0 0 1040 {height}" font-size="12" fill="#1d2430">{"".join(drawn)}</svg>'
