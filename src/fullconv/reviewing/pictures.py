"""Pictures of the places and images of a review: small JPEGs as data URIs."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fullconv.data import DatasetSpec
from fullconv.data.sample import Sample
from fullconv.draw import as_rgb, overlay
from fullconv.draw.heat import heat_colours
from fullconv.html.inline import data_uri
from fullconv.label_map import Prediction
from fullconv.reviewing.doubt import Doubt
from fullconv.reviewing.regions import numbered
from fullconv.spec import ClassSet

SIDE = 300
"""Pixels of a picture's longer side."""
AROUND, FEWEST = 0.6, 24
"""How much is shown around a place: a share of its box's longer side, and at least so many pixels."""
LINE = (255, 0, 255)


def place_pictures(spec: DatasetSpec, sample: Sample, predicted: np.ndarray, doubt: Doubt) -> list[str]:
    """The image with the place in a box; and close by: image, mask and prediction, the region outlined in each."""
    numbers, boxes = numbered(sample.labels, spec.classes.ignore_index)
    at = (doubt.label, doubt.left, doubt.top, doubt.right, doubt.bottom)
    same = [number for number, row in enumerate(boxes.tolist(), 1) if tuple(row) == at]
    counts = [int((numbers == number).sum()) for number in same]
    region = numbers == same[counts.index(doubt.pixels)]  # the box alone does not tell a region from one around it
    rows, columns = _close_by(doubt, sample.labels.shape)
    image = as_rgb(sample.image)
    masks = [overlay(image, labels, spec.classes)[rows, columns] for labels in (sample.labels, predicted)]
    close = [_outlined(picture, region[rows, columns]) for picture in (image[rows, columns], *masks)]
    return [data_uri(picture) for picture in (_boxed(image, doubt), *close)]


def next_pictures(prediction: Prediction, classes: ClassSet) -> list[str]:
    """The image, its prediction in the colours of ``classes``, and where the model is undecided."""
    assert prediction.entropy is not None
    image = _small(as_rgb(prediction.image))
    size = (image.shape[1], image.shape[0])
    labelled = _small(overlay(as_rgb(prediction.image), prediction.labels, classes))
    doubt = np.asarray(Image.fromarray(prediction.entropy).resize(size, Image.Resampling.BOX))
    return [data_uri(picture) for picture in (image, labelled, heat_colours(doubt))]


def _close_by(doubt: Doubt, size: tuple[int, ...]) -> tuple[slice, slice]:
    """A square around a place, moved and cut to lie in the image."""
    high, wide = doubt.bottom - doubt.top, doubt.right - doubt.left
    longer = max(high, wide)
    side = longer + 2 * round(max(FEWEST, AROUND * longer))

    def along(first: int, last: int, length: int) -> slice:
        start = max(0, min((first + last - side) // 2, length - side))
        return slice(start, min(length, start + side))

    return along(doubt.top, doubt.bottom, size[0]), along(doubt.left, doubt.right, size[1])


def _outlined(picture: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Enlarged or shrunk to :data:`SIDE`, with a line around the region."""
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    large = np.array(Image.fromarray(np.ascontiguousarray(picture)).resize(size, how))
    inside = np.asarray(Image.fromarray(region).resize(size, Image.Resampling.NEAREST))
    around = np.pad(inside, 2)
    near = np.zeros_like(inside)
    for down in range(5):
        for right in range(5):
            near |= around[down : down + size[1], right : right + size[0]]
    large[near & ~inside] = LINE
    return large


def _boxed(image: np.ndarray, doubt: Doubt) -> np.ndarray:
    small = _small(image)
    scale = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
    picture = Image.fromarray(np.ascontiguousarray(small))
    box = (
        doubt.left * scale[0] - 2, doubt.top * scale[1] - 2, doubt.right * scale[0] + 1, doubt.bottom * scale[1] + 1,
    )  # fmt: skip
    ImageDraw.Draw(picture).rectangle(box, outline=LINE, width=2)
    return np.asarray(picture)


def _small(picture: np.ndarray) -> np.ndarray:
    scale = SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BOX))
