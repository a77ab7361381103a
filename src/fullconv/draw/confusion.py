"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fullconv.draw.overlays import Picture

MOST_NUMBERS = 40
"""So many classes have numbers in their cells at most."""
MOST_NAMES = 100
"""So many classes are named at most; of more, every second, third, ..."""
LONGEST = 20
"""Letters of a class's name."""


def confusion_picture(counts: np.ndarray | Sequence[Sequence[int]], names: Sequence[str]) -> Picture:
    """Of the pixels of each true class (a row), the share that is predicted as each class (a column), in percent.

    Rows of classes without a pixel are grey; an empty cell is exactly 0.

    Args:
        counts: ``[classes, classes]``, rows are the truth.
        names: of the classes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    exact = np.asarray(counts, np.float64)
    total = exact.sum(1, keepdims=True)
    shares = np.divide(exact, total, out=np.full_like(exact, np.nan), where=total > 0)
    many = len(names)
    side = float(np.clip(0.42 * many, 3, 18))
    figure = Figure(figsize=(side + 2.2, side + 2.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    shown = range(0, many, -(-many // MOST_NAMES))
    words = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in (names[i] for i in shown)]
    size = "small" if many <= MOST_NUMBERS else "xx-small"
    axes.set_xticks(list(shown), words, rotation=90, fontsize=size)
    axes.set_yticks(list(shown), words, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title("of each true class, percent predicted as ...", fontsize="medium")
    if many <= MOST_NUMBERS:
        for row, column in zip(*np.nonzero(exact), strict=True):
            share = shares[row, column]
            colour, weight = ("white" if share > 0.5 else "black"), ("bold" if row == column else "normal")
            axes.text(
                column, row, percent(share), ha="center", va="center", color=colour, fontsize=8, fontweight=weight
            )
    else:
        figure.colorbar(image, ax=axes, shrink=0.6)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def percent(share: float) -> str:
    """Whole percent; what is not all of it never reads 100, what is not nothing reads at least 0."""
    return "100" if share == 1 else str(min(99, round(100 * share)))
