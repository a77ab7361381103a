"""Arrays -> pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fullconv.spec import ClassSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = np.ndarray
"""uint8 ``[height, width, 3]``"""

IGNORED = (255, 255, 255)
VAL_LOSS = "cross-entropy"
"""What validation measures, whatever the network is trained with."""


def colorize(labels: np.ndarray, classes: ClassSet) -> Picture:
    """Ids ``[h, w]`` in the classes' colours; ignored pixels are white."""
    table = np.full((max(len(classes), int(labels.max(initial=0))) + 1, 3), IGNORED, dtype=np.uint8)
    table[: len(classes)] = classes.palette
    coloured: Picture = table[labels]
    return coloured


def as_rgb(image: np.ndarray) -> Picture:
    """An image ``[h, w, c]`` of any number of channels as something to look at: its first three, or its grey."""
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def overlay(
    image: np.ndarray, labels: np.ndarray, classes: ClassSet, opacity: float = 0.5, only: Sequence[int] | None = None
) -> Picture:
    """The colours over the image; ignored pixels, and ids that are not among ``only``, show the image alone."""
    base, colours = as_rgb(image).astype(np.float32), colorize(labels, classes)
    mixed = base + opacity * (colours - base)
    painted = labels < len(classes) if only is None else np.isin(labels, only)
    return np.where(painted[..., None], mixed, base).round().astype(np.uint8)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    classes: ClassSet,
    width: int = 320,
    predictions: Sequence[str] = ("prediction",),
) -> Picture:
    """One row per sample, image | truth | each prediction, and the classes' colours below.

    Args:
        rows: image ``[h, w, c]``, labels ``[h, w]``, predicted labels ``[h, w]`` for each of ``predictions``.
        width: of each picture, in pixels.
        predictions: their titles.
    """
    gap, header = 6, 22
    font = ImageFont.load_default(13)
    strips = []
    for image, truth, *predicted in rows:
        height = max(1, round(width * image.shape[0] / image.shape[1]))
        labelled = [np.where(truth < len(classes), truth, len(classes)), *predicted]
        pictures = [as_rgb(image), *(overlay(image, labels, classes, 0.85) for labels in labelled)]
        strips.append([Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR) for p in pictures])
    titles = ("image", "truth", *predictions)
    legend = _legend(classes, len(titles) * (width + gap) - gap, font)
    total = header + sum(strip[0].height + gap for strip in strips) + legend.height + gap
    sheet = Image.new("RGB", (len(titles) * (width + gap) + gap, total), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((gap + column * (width + gap), 4), title, fill="black", font=font)
    top = header
    for strip in strips:
        for column, picture in enumerate(strip):
            sheet.paste(picture, (gap + column * (width + gap), top))
        top += strip[0].height + gap
    sheet.paste(legend, (gap, top))
    return np.asarray(sheet)


def heat_colours(values: np.ndarray) -> Picture:
    """A map ``[h, w]`` in viridis, its own minimum to maximum."""
    from matplotlib import colormaps

    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low if high > low else 1)
    coloured: Picture = (colormaps["viridis"](scaled)[..., :3] * 255).round().astype(np.uint8)
    return coloured


def heat_overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.6) -> Picture:
    """A map ``[h, w]`` of the image's size, in colours over it."""
    base = as_rgb(image).astype(np.float32)
    mixed: Picture = (base + opacity * (heat_colours(values) - base)).round().astype(np.uint8)
    return mixed


def heat_maps(image: np.ndarray, maps: Sequence[np.ndarray], titles: Sequence[str], height: int = 300) -> Picture:
    """The image and its maps side by side, places shown as squares."""
    gap, header = 6, 22
    font = ImageFont.load_default(13)
    width = max(1, round(height * image.shape[1] / image.shape[0]))
    panels = [Image.fromarray(as_rgb(image)).resize((width, height), Image.Resampling.BILINEAR)]
    panels += [Image.fromarray(heat_colours(m)).resize((width, height), Image.Resampling.NEAREST) for m in maps]
    sheet = Image.new("RGB", (gap + len(panels) * (width + gap), header + height + gap), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (title, panel) in enumerate(zip(("image", *titles), panels, strict=True)):
        left = gap + column * (width + gap)
        pen.text((left, 4), title, fill="black", font=font)
        sheet.paste(panel, (left, header))
    return np.asarray(sheet)


def _legend(classes: ClassSet, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    line, box, shown = 20, 12, min(len(classes), 40)
    places, x, y = [], 0, 2
    for name in classes.names[:shown]:
        length = box + 6 + round(font.getlength(name)) + 14
        if x and x + length > width:
            x, y = 0, y + line
        places.append((x, y))
        x += length
    legend = Image.new("RGB", (width, y + line), "white")
    pen = ImageDraw.Draw(legend)
    for (x, y), name, colour in zip(places, classes.names[:shown], classes.palette[:shown], strict=True):
        pen.rectangle((x, y + 2, x + box, y + 2 + box), fill=colour, outline="black")
        pen.text((x + box + 6, y), name, fill="black", font=font)
    return legend


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
