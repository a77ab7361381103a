"""Contact sheets: images beside what is known and what is predicted of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from fullconv.draw.legend import SMALLEST_TEXT, Entry, Font, font, legend, shortened, stripes
from fullconv.draw.overlays import Picture, as_rgb, mixed, overlay, present
from fullconv.palette import Colour
from fullconv.spec import ClassSet

WRONG = (214, 39, 40)
WRONG_COLOURS = (WRONG, (214, 0, 214), (255, 230, 0), (0, 190, 200))
"""The first that no class is like; red, where there is none."""
ALIKE = 150.0
"""Colours nearer to each other are taken for one another (the weighted distance of :func:`_distance`, 0 to 765)."""
GAP, CAPTION = 8, 20
OPACITY = 0.75
DARKEST = 90
"""Of the image in grey."""
MIDDLE = DARKEST + 0.6 * 128
HIGHEST = 3
"""A picture is drawn at most so many times as high as wide."""


@dataclass(frozen=True)
class Row:
    """One image of a contact sheet.

    Attributes:
        name: of the image.
        image: uint8 ``[h, w, c]``.
        truth: labels ``[h, w]``; ids that are no class are void.
        predictions: labels ``[h, w]`` of each model.
        scores: the mean IoU in this image of each of them; nan where none of it is labelled.
        note: why it is shown, such as ``worst``.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    predictions: tuple[np.ndarray, ...]
    scores: tuple[float, ...]
    note: str = ""


@dataclass
class _Panel:
    picture: Picture
    caption: str = ""


def contact_sheet(
    rows: Sequence[Row],
    classes: ClassSet,
    width: int = 320,
    titles: Sequence[str] = ("prediction",),
    truth: str = "truth",
) -> Picture:
    """A row for each image: image | truth | prediction | errors, and the classes that are there below.

    Labels are over the image in grey. Errors, where prediction and truth differ, are red (:func:`wrong_colour`); what
    has no label is striped. With several models, whose ``titles`` are given, every prediction has its errors beside it.
    ``truth`` is the heading of what is known.
    """
    heads = ["image", truth]
    for title in titles:
        heads += [title, "errors" if len(titles) == 1 else f"errors of {title}"]
    panels = [_panels(row, classes, width) for row in rows]
    words = [*heads, *(panel.caption for row in panels for panel in row)]
    letters = font(SMALLEST_TEXT, "".join(words))
    bands = [_text(heads, width, letters)]
    for row in panels:
        bands.append(_pasted([panel.picture for panel in row], width))
        bands.append(_text([panel.caption for panel in row], width, letters, GAP))
    total = GAP + len(heads) * (width + GAP)
    bands.append(legend(_entries(rows, classes), total, 0))
    sheet = Image.new("RGB", (total, sum(band.height for band in bands)), "white")
    top = 0
    for band in bands:
        sheet.paste(band, (0, top))
        top += band.height
    return np.asarray(sheet)


def _panels(row: Row, classes: ClassSet, width: int) -> list[_Panel]:
    height = row.truth.shape[0]
    scale = min(width / row.truth.shape[1], HIGHEST * width / height)
    size = max(1, round(scale * row.truth.shape[1])), max(1, round(scale * height))
    image = np.asarray(Image.fromarray(np.ascontiguousarray(as_rgb(row.image))).resize(size, Image.Resampling.BILINEAR))
    void = row.truth >= len(classes)
    hidden = _share(void, size) > 0.5
    grey = _greyed(image)
    truth = overlay(grey, _nearest(row.truth, size), classes, OPACITY)
    truth[hidden] = stripes(*hidden.shape)[hidden]
    result = [_Panel(image, f"{row.note}: {row.name}" if row.note else row.name), _Panel(truth)]
    for predicted, score in zip(row.predictions, row.scores, strict=True):
        wrong = (predicted != row.truth) & ~void
        shown = overlay(grey, _nearest(predicted, size), classes, OPACITY)
        result.append(_Panel(shown, "nothing is labelled" if math.isnan(score) else f"mean IoU {score:.3f}"))
        labelled = max(1, void.size - int(void.sum()))
        shown = _errors(grey, _share(wrong, size), hidden, wrong_colour(classes))
        result.append(_Panel(shown, f"{wrong.sum() / labelled:.1%} wrong"))
    return result


def _greyed(image: Picture) -> Picture:
    """The image in light grey, so that all colours are those of labels."""
    grey = np.asarray(Image.fromarray(image).convert("L"))[..., None] * 0.6 + DARKEST
    return grey.round().astype(np.uint8).repeat(3, 2)


def wrong_colour(classes: ClassSet) -> Colour:
    """Of errors: red, or another colour where a class is red; the same for every picture."""
    known = [colour for index, colour in enumerate(classes.palette) if index != classes.background]
    free = (one for one in WRONG_COLOURS if all(_distance(one, other) >= ALIKE for other in known))
    return next(free, WRONG)


def _distance(one: Colour, other: Colour) -> float:
    """The "redmean" approximation of how different two colours look (T. Riemersma, compuphase.com/cmetric.htm)."""
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    mean = (one[0] + other[0]) / 2
    return math.sqrt((2 + mean / 256) * red**2 + 4 * green**2 + (2 + (255 - mean) / 256) * blue**2)


def _errors(grey: Picture, wrong: np.ndarray, void: np.ndarray, colour: Colour) -> Picture:
    """The greyed image, coloured by the share of each pixel that is wrong, striped where nothing is labelled."""
    picture = (grey + wrong[..., None] * (np.array(colour, np.float64) - grey)).round().astype(np.uint8)
    picture[void] = stripes(*void.shape)[void]
    return picture


def _nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    columns, rows = ((np.arange(n) + 0.5) * have / n for n, have in zip(size, labels.shape[::-1], strict=True))
    return labels[rows.astype(int)[:, None], columns.astype(int)]


def _share(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How much of each pixel of a smaller picture ``size`` (width, height) is in the mask, 0 to 1."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) / 255


def _entries(rows: Sequence[Row], classes: ClassSet) -> list[Entry]:
    there = {i for row in rows for labels in (row.truth, *row.predictions) for i in present(labels, len(classes))}
    colours = {i: None if i == classes.background else classes.palette[i] for i in sorted(there)}
    entries = [
        Entry.of(classes.names[i], colour, i, colour and mixed(colour, MIDDLE, OPACITY))
        for i, colour in colours.items()
    ]
    entries.append(Entry("wrong (in errors)", wrong_colour(classes)))
    if any((row.truth >= len(classes)).any() for row in rows):
        entries.append(Entry("not labelled", None, striped=True))
    return entries


def _text(words: Sequence[str], width: int, letters: Font, below: int = 0) -> Image.Image:
    """A line of text for every picture of a row."""
    band = Image.new("RGB", (GAP + len(words) * (width + GAP), CAPTION + below), "white")
    pen = ImageDraw.Draw(band)
    for column, word in enumerate(words):
        pen.text((GAP + column * (width + GAP), 2), shortened(word, letters, width), fill="black", font=letters)
    return band


def _pasted(pictures: Sequence[Picture], width: int) -> Image.Image:
    band = Image.new("RGB", (GAP + len(pictures) * (width + GAP), pictures[0].shape[0]), "white")
    for column, picture in enumerate(pictures):
        band.paste(Image.fromarray(picture), (GAP + column * (width + GAP), 0))
    return band
