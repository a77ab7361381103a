"""Losses and scores by epoch as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fullconv.draw.overlays import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VAL_LOSS = "cross-entropy"
"""What validation measures, whatever the network is trained with."""


SCORES = {"mean_iou": "mean IoU", "pixel_accuracy": "pixel accuracy", "mean_accuracy": "mean accuracy"}
IOU = "iou/"
"""What the log's columns of single classes' IoU begin with; the class's name follows."""
RATE = 2.5
"""Inches of height of the learning rate, where the classes beside it take much more."""
MOST_NAMES = 60
"""So many classes are named beside their IoU at most; of more, every second, third, ..."""


def curves(history: Sequence[Mapping[str, float]], train_loss: str = VAL_LOSS, against: str = "") -> Picture:
    """Losses, scores, the IoU of each class and the learning rate by epoch.

    Args:
        history: rows of the training log.
        train_loss: what the train loss is. Another than the val loss's cross-entropy gets an axis of its own.
        against: what the val scores are against, where that is not masks.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(curves_figure(history, train_loss, against))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def curves_figure(history: Sequence[Mapping[str, float]], train_loss: str, against: str = "") -> Figure:
    """:func:`curves` before it is drawn."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    classes = [name.removeprefix(IOU) for name in history[-1] if name.startswith(IOU)]
    below = max(2.5, 0.9 + 0.2 * min(len(classes), MOST_NAMES))
    figure = Figure(figsize=(12, 4 + below), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.04))
    grid = figure.add_gridspec(3, 2, height_ratios=(2, 2, below))
    same = train_loss == VAL_LOSS
    first = figure.add_subplot(grid[:2, 0] if same else grid[0, 0])
    second = first if same else figure.add_subplot(grid[1, 0], sharex=first)
    scores, place = figure.add_subplot(grid[:2, 1]), grid[2, 1]
    if below > 1.5 * RATE:
        place = place.subgridspec(2, 1, height_ratios=(RATE, below - RATE))[0]
    rate = figure.add_subplot(place)
    _plot(first, history, "train_loss", f"train: {train_loss}", "C0")
    _plot(second, history, "val_loss", f"val: {VAL_LOSS} per pixel", "C1")
    if all(row.get(name, 0.0) >= 0 for row in history for name in ("train_loss", "val_loss")):
        for axes in (first, second):
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    first.set_title("loss" if same else "loss: two quantities, each on its own axis")
    for index, (name, words) in enumerate(SCORES.items()):
        for split, prefix, style in (("val", "", "-"), ("train", "train_", ":")):
            _plot(scores, history, prefix + name, f"{split} {words}", f"C{index}", style)
    of = f"val {against}; train on crops" if against else "scores: val, and train on augmented crops"
    scores.set_title(of)
    scores.set_ylim(0, 1)
    _plot(rate, history, "rate", "", "C7")
    rate.set_title("mean learning rate of each epoch")
    rate.set_ylim(bottom=0)
    panels = list(dict.fromkeys((first, second, scores, rate)))
    for axes in panels:
        axes.grid(alpha=0.3)
    for axes in dict.fromkeys((first, second)):
        axes.legend(fontsize="small")
    scores.legend(
        loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5, ncols=3, fontsize=7.5, frameon=False,
        columnspacing=1.0, handlelength=1.5, handletextpad=0.5, borderpad=0,
    )  # fmt: skip
    if classes:
        panels.append(figure.add_subplot(grid[2, 0]))
        _by_class(panels[-1], history, classes)
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _plot(
    axes: Axes, history: Sequence[Mapping[str, float]], name: str, label: str, colour: str, style: str = "-"
) -> None:
    epochs, values = [row["epoch"] for row in history], [row.get(name, math.nan) for row in history]
    marker = "o" if len(epochs) < 30 else None
    axes.plot(epochs, values, style, label=label, color=colour, marker=marker, markersize=3)


def _by_class(axes: Axes, history: Sequence[Mapping[str, float]], classes: Sequence[str]) -> None:
    """A row of colours for each class, and its last IoU; white where there is none; what the colours stand for."""
    table = np.array([[row.get(IOU + name, math.nan) for row in history] for name in classes])
    extent = (history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5, len(classes) - 0.5, -0.5)
    image = axes.imshow(table, vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="nearest")
    shown = range(0, len(classes), -(-len(classes) // MOST_NAMES))
    axes.set_yticks(list(shown), [_cut(classes[index]) for index in shown], fontsize="small")
    last = axes.secondary_yaxis("right")
    values = ["-" if math.isnan(table[index, -1]) else f"{table[index, -1]:.2f}" for index in shown]
    last.set_yticks(list(shown), values, fontsize="small")
    last.set_ylabel("last", fontsize="small", rotation=0, labelpad=0, y=1.0, va="bottom")
    axes.figure.colorbar(image, cax=axes.inset_axes((1.14, 0, 0.025, 1)), ticks=[0, 0.5, 1])
    axes.set_title("IoU of each class on val")


def _cut(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"
