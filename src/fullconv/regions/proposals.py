"""Region proposals: parts of an image that may be objects, each with its mask and its box."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from fullconv.errors import UsageError
from fullconv.libraries import library
from fullconv.regions.grouping import group, pieces_of

Method = Literal["selective-search", "felzenszwalb"]
LIMIT = 2000
LARGEST = 500 * 500
"""Pixels; larger images are made smaller to find their regions. Those of VOC are never."""
SIGMA = 0.8
SMALLEST = (16, 100)
"""Pixels of the smallest piece of small images, and of those of 400x300 and more."""
SCALES = (150, 300, 450)
"""Of the graph segmentation: how different neighbours may be; OpenCV's fast mode."""
FELZENSZWALB_SCALES = (50, 100, 200, 400, 800, 1600)
SIMILARITIES = (("Color", "Fill", "Texture", "Size"), ("Fill", "Texture", "Size"))


GRID_AXES = ((0, 2), (1, 3))
"""Which corners of a box are the first and last columns, and rows."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """An image cut into pieces, and regions made of them.

    Attributes:
        labels: int32 ``[height, width]``, which piece a pixel belongs to.
        members: bool ``[regions, pieces]``, which pieces a region consists of.
    """

    labels: np.ndarray
    members: np.ndarray


@dataclass(frozen=True, eq=False)
class Proposals:
    """Regions of one image, the likelier objects first; masks are made when they are asked for.

    Attributes:
        size: ``(height, width)`` of the image.
        boxes: int32 ``[n, 4]``: left, top, right, bottom in pixels, the last two exclusive.
        cuts: the segmentations that the regions are made of.
        places: int ``[n, 2]``: of each region its segmentation and its row in ``members``.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    cuts: tuple[Pieces, ...]
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def mask(self, index: int) -> np.ndarray:
        """One region, bool ``[height, width]``."""
        cut, row = self.places[index]
        return self.cuts[cut].members[row][self.cuts[cut].labels]

    def masks(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Regions one after the other, by default all, each bool ``[height, width]``."""
        return (self.mask(index) for index in (range(len(self)) if indices is None else indices))

    def only(self, indices: Sequence[int] | np.ndarray) -> Proposals:
        """Some of them, in the order given."""
        rows = np.asarray(indices, np.int64)
        return Proposals(self.size, self.boxes[rows], self.cuts, self.places[rows])

    def grids(self, windows: np.ndarray, side: int) -> np.ndarray:
        """Each region where a grid over its window lies, bool ``[n, side, side]``; outside the image False.

        Args:
            windows: float ``[n, 4]``, xyxy in pixels; the grid looks at the middles of its cells.
        """
        middles = (np.arange(side) + 0.5) / side
        columns, rows = (windows[:, a, None] + (windows[:, b] - windows[:, a])[:, None] * middles for a, b in GRID_AXES)
        result = np.zeros((len(self), side, side), bool)
        height, width = self.size
        rows, columns = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
        outside = ((rows < 0) | (rows >= height))[:, :, None] | ((columns < 0) | (columns >= width))[:, None, :]
        rows, columns = rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None, :]
        for number, cut in enumerate(self.cuts):
            mine = self.places[:, 0] == number
            pieces = cut.labels[rows[mine], columns[mine]]
            result[mine] = cut.members[self.places[mine, 1][:, None, None], pieces]
        return result & ~outside

    def counts(self, labels: np.ndarray, num_ids: int) -> np.ndarray:
        """How many pixels of each id of a map lie in each region, int64 ``[n, num_ids]``; other ids are left out.

        Args:
            labels: whole numbers ``[height, width]``: classes, or objects.
        """
        result = np.zeros((len(self), num_ids), np.int64)
        known = (labels >= 0) & (labels < num_ids)
        for number, cut in enumerate(self.cuts):
            pieces = cut.members.shape[1]
            joint = cut.labels[known].astype(np.int64) * num_ids + labels[known]
            table = np.bincount(joint, minlength=pieces * num_ids).reshape(pieces, num_ids)
            mine = self.places[:, 0] == number
            result[mine] = cut.members[self.places[mine, 1]].astype(np.float64) @ table
        return result

    def overlaps(self, indices: Sequence[int]) -> np.ndarray:
        """The IoU of each two of some regions, float32 ``[len(indices), len(indices)]``."""
        masks = np.stack([mask.ravel() for mask in self.masks(indices)]).astype(np.float32)
        shared = masks @ masks.T
        areas = np.diagonal(shared)
        return shared / (areas[:, None] + areas - shared)

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each region, int64 ``[n]``."""
        return self.counts(np.zeros(self.size, np.int32), 1)[:, 0]


def regions_of(objects: np.ndarray, count: int) -> Proposals:
    """Known objects as regions: a map int ``[height, width]`` of the numbers 1 to ``count``, 0 elsewhere."""
    members = np.eye(count + 1, dtype=bool)[1:]
    places = np.stack([np.zeros(count, np.int64), np.arange(count)], 1)
    return Proposals((objects.shape[0], objects.shape[1]), pieces_of(objects - 1), (Pieces(objects, members),), places)


def propose_regions(image: np.ndarray, method: Method = "selective-search", *, limit: int = LIMIT) -> Proposals:
    """Regions that may be objects.

    ``selective-search``: pieces by OpenCV's graph segmentation of the image in HSV and in Lab, at three scales; pieces
    of each are joined two by two, the most similar neighbours first, until one is left, once by OpenCV's measures of
    colour, texture, size and fill, and once without colour. Each piece and each union is a region. This is the fast
    mode of OpenCV's selective search, but OpenCV gives only boxes: the joining is done here, so that the masks are
    known. ``felzenszwalb``: the pieces of scikit-image's graph segmentation at six scales, not joined.

    In an image of more than :data:`LARGEST` pixels they are found on a smaller copy, and their outlines are as coarse.
    Regions of equal masks are given once. The order is the paper's: each one's place in its hierarchy, from the whole
    image down, times a random number (always the same ones).

    Args:
        image: uint8 ``[height, width]``, or with one or three (RGB) channels.
        method: ``selective-search`` or ``felzenszwalb``.
        limit: at most so many regions.

    Raises:
        UsageError: an image or method that cannot be, or a package that is not installed.

    Source: Uijlings et al., Selective Search for Object Recognition, IJCV 2013; Felzenszwalb & Huttenlocher, IJCV 2004.
    """
    pixels = _rgb(image)
    if method not in get_args(Method):
        raise UsageError(f"method must be {' or '.join(get_args(Method))}, found {method!r}")
    if limit < 1:
        raise UsageError(f"limit must be at least 1 region, found {limit}")
    find = _selective_search if method == "selective-search" else _felzenszwalb
    cuts, boxes, ranks = zip(*find(_shrunk(pixels), (pixels.shape[0], pixels.shape[1])), strict=True)
    places = np.array([(number, row) for number, cut in enumerate(cuts) for row in range(len(cut.members))])
    order = np.argsort(np.concatenate(ranks) * np.random.default_rng(0).random(len(places)), kind="stable")
    _, first = np.unique(_keys(cuts)[order], return_index=True)
    kept = order[np.sort(first)][:limit]
    return Proposals((pixels.shape[0], pixels.shape[1]), np.concatenate(boxes)[kept], cuts, places[kept])


Found = tuple[Pieces, np.ndarray, np.ndarray]
"""A segmentation with its regions, their boxes, and their places in the hierarchy, 1 for the whole image."""


def _selective_search(pixels: np.ndarray, size: tuple[int, int]) -> Iterator[Found]:
    cv2 = library("cv2", "selective search", "regions")
    make = cv2.ximgproc.segmentation
    smallest = _smallest_piece(pixels)
    images = [cv2.cvtColor(pixels, space) for space in (cv2.COLOR_RGB2HSV, cv2.COLOR_RGB2Lab)]
    for number, (image, scale) in enumerate(itertools.product(images, SCALES)):
        small = make.createGraphSegmentation(SIGMA, scale, smallest).processImage(image)
        labels = _enlarged(small, size)
        pieces = pieces_of(labels)
        hierarchies = [group(image, small, pieces, _similarity(make, names), number) for names in SIMILARITIES]
        members, boxes, ranks = (np.concatenate(parts) for parts in zip(*hierarchies, strict=True))
        yield Pieces(labels, members), boxes, ranks


def _felzenszwalb(pixels: np.ndarray, size: tuple[int, int]) -> Iterator[Found]:
    segmentation = library("skimage.segmentation", "the method felzenszwalb", "regions")
    for scale in FELZENSZWALB_SCALES:
        labels = segmentation.felzenszwalb(pixels, scale, SIGMA, _smallest_piece(pixels)).astype(np.int32)
        labels = _enlarged(labels, size)
        boxes = pieces_of(labels)
        yield Pieces(labels, np.eye(len(boxes), dtype=bool)), boxes, np.full(len(boxes), len(boxes))


def _similarity(make: Any, names: Sequence[str]) -> Any:
    prefix = "createSelectiveSearchSegmentationStrategy"
    return getattr(make, f"{prefix}Multiple")(*(getattr(make, prefix + name)() for name in names))


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = (LARGEST / (height * width)) ** 0.5
    if factor >= 1:
        return pixels
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(small, Image.Resampling.BOX))


def _enlarged(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.arange(large) * small // large for large, small in zip(size, labels.shape, strict=True))
    return labels if labels.shape == size else labels[rows[:, None], columns]


def _smallest_piece(pixels: np.ndarray) -> int:
    low, high = SMALLEST
    return min(high, max(low, high * pixels.shape[0] * pixels.shape[1] // (300 * 400)))


def _keys(cuts: Sequence[Pieces]) -> np.ndarray:
    """A number per region that is equal where masks are: the sum, modulo 2^64, of one random number per pixel."""
    numbers = np.random.default_rng(1).integers(0, 2**64, cuts[0].labels.size, np.uint64)
    keys = []
    for cut in cuts:
        order = np.argsort(cut.labels, None, kind="stable")
        starts = np.searchsorted(cut.labels.ravel()[order], np.arange(cut.members.shape[1]))
        keys.append(cut.members.astype(np.uint64) @ np.add.reduceat(numbers[order], starts))
    return np.concatenate(keys)


def _rgb(image: np.ndarray) -> np.ndarray:
    """The image as ``[height, width, 3]``.

    Raises:
        UsageError: it is none of 8 bits with one or three channels.
    """
    array = np.asarray(image)
    shown = array[..., None] if array.ndim == 2 else array
    if shown.ndim != 3 or shown.shape[2] not in (1, 3) or shown.dtype != np.uint8 or not shown.size:
        raise UsageError(
            f"region proposals need uint8 [height, width] with one or three channels, found {array.dtype} "
            f"{array.shape}; give the bands that show colours"
        )
    return np.ascontiguousarray(np.broadcast_to(shown, (*shown.shape[:2], 3)))
