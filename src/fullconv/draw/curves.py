"""Losses and scores by epoch as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fullconv.draw.overlays import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VAL_LOSS = "cross-entropy"
"""What validation measures, whatever the network is trained with."""


def curves(history: Sequence[Mapping[str, float]], train_loss: str = VAL_LOSS) -> Picture:
    """Losses and scores by epoch, side by side.

    Args:
        history: rows of the training log.
        train_loss: what the train loss is. Another than the val loss's cross-entropy gets an axis of its own.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(curves_figure(history, train_loss))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def curves_figure(history: Sequence[Mapping[str, float]], train_loss: str) -> Figure:
    """:func:`curves` before it is drawn."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 4), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    same = train_loss == VAL_LOSS
    right = figure.add_subplot(grid[:, 1])
    first = figure.add_subplot(grid[:, 0] if same else grid[0, 0])
    second = first if same else figure.add_subplot(grid[1, 0], sharex=first)
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 30 else None

    def plot(axes: Any, name: str, label: str, colour: str, style: str = "-") -> None:
        values = [row.get(name, math.nan) for row in history]
        axes.plot(epochs, values, style, label=label, color=colour, marker=marker, markersize=3)

    plot(first, "train_loss", f"train: {train_loss}", "C0")
    plot(second, "val_loss", f"val: {VAL_LOSS} per pixel", "C1")
    first.set_title("loss" if same else "loss: two quantities, each on its own axis")
    first.legend()
    second.legend()
    for split, prefix, style in (("val", "", "-"), ("train", "train_", ":")):
        for index, name in enumerate(("mean_iou", "pixel_accuracy", "mean_accuracy")):
            words = name.replace("_", " ").replace("iou", "IoU")
            plot(right, prefix + name, f"{split} {words}", f"C{index}", style)
    right.set_title("scores: val, and train on augmented crops")
    right.set_ylim(0, 1)
    right.legend(ncols=2, fontsize="small")
    for axes in dict.fromkeys((first, second, right)):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    return figure
