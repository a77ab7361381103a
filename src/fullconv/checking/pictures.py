"""Pictures for the page of a check: small JPEGs as data URIs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fullconv.checking.smoothing import decode_strays
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import read_sample
from fullconv.data.sources import FileMask
from fullconv.draw import as_rgb, colorize, overlay
from fullconv.errors import DataError
from fullconv.html.inline import data_uri
from fullconv.images.mask_reading import read_mask

WIDTH = 260
STRAY = np.array([255, 0, 255], np.uint8)
"""The colour of pixels that stand for no class, in pictures of faulty masks."""
NO_CLASS, DOT = (255, 255, 255), 3
"""Of annotations without a class; the radius of a point in pixels."""


def sample_pictures(spec: DatasetSpec, item: Item) -> list[str]:
    """Image, and its labels in the classes' colours over it; without a label map its boxes, lines and points.

    Raises:
        DataError: it cannot be read.
    """
    if not item.annotation.has_label_map:
        return [image_picture(spec, item), _marked_picture(spec, item)]
    sample = read_sample(spec, item)
    image, labels = _small(as_rgb(sample.image)), _small(sample.labels)
    return [data_uri(image), data_uri(overlay(image, labels, spec.classes))]


def image_picture(spec: DatasetSpec, item: Item) -> str:
    """The image alone; empty where it cannot be read."""
    try:
        image = item.image.read(spec.channels, 1, spec.values).image
    except DataError:
        return ""
    return data_uri(_small(as_rgb(image)))


def _marked_picture(spec: DatasetSpec, item: Item) -> str:
    """The image with outlines of what was annotated, in the colours of the classes."""
    whole = as_rgb(item.image.read(spec.channels, 1, spec.values).image)
    small = _small(whole)
    scale = np.array([small.shape[1] / whole.shape[1], small.shape[0] / whole.shape[0]])
    picture = Image.fromarray(np.ascontiguousarray(small))
    pen = ImageDraw.Draw(picture)
    for one in item.annotation.annotations():
        colour = spec.classes.palette[one.label] if one.label >= 0 else NO_CLASS
        for points in (part * scale for part in one.geometry):
            places = [(float(x), float(y)) for x, y in points]
            if one.kind == "point":
                for x, y in places:
                    pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour)
            else:
                pen.line(places if one.kind == "line" else [*places, places[0]], fill=colour, width=2)
    return data_uri(np.asarray(picture))


def fault_pictures(spec: DatasetSpec, item: Item) -> list[str]:
    """What can be shown of a faulty pair: the image, and the mask with unknown pixels in magenta; empty where not."""
    return [image_picture(spec, item), _mask_picture(spec, item)]


def _mask_picture(spec: DatasetSpec, item: Item) -> str:
    ignore, source = spec.classes.ignore_index, item.annotation
    if not isinstance(source, FileMask):
        try:
            return data_uri(colorize(_small(source.label_map(len(spec.classes), ignore)), spec.classes))
        except DataError:
            return ""
    try:
        mask = read_mask(source.path)
    except DataError:
        return ""
    decoded = decode_strays(mask, source.encoding, spec.classes)
    if decoded is None:
        return data_uri(_small(as_rgb(mask.stored))) if mask.kind == "colour" else ""
    labels = _small(np.where(decoded.stray, ignore, decoded.labels))
    picture = colorize(labels, spec.classes)
    picture[_small(decoded.stray.astype(np.uint8), spread=True) > 0] = STRAY
    return data_uri(picture)


def _small(array: np.ndarray, spread: bool = False) -> np.ndarray:
    """At most :data:`WIDTH` wide: pixels averaged, labels ``[h, w]`` by nearest neighbour, or (``spread``) maximum."""
    height, width = array.shape[:2]
    if width <= WIDTH:
        return array
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    if array.ndim == 3:
        return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.BOX))
    if spread:
        shares = np.asarray(Image.fromarray(array.astype(np.float32)).resize(size, Image.Resampling.BOX))
        return (shares > 0).astype(np.uint8)
    rows = (np.arange(size[1]) + 0.5) * height / size[1]
    columns = (np.arange(size[0]) + 0.5) * width / size[0]
    return array[rows.astype(int)[:, None], columns.astype(int)]
