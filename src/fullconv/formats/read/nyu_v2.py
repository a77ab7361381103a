"""NYU Depth V2, the labelled part: one MATLAB 7.3 file.

Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. 1,449 images of 640x480 with
894 named classes; ``splits.mat`` (795 train, 654 test) is a file of its own. No licence comes with the files. The 40
classes of Gupta et al., "Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images", CVPR 2013, need a
third one, ``classMapping40.mat``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fullconv.data.dataset import Item
from fullconv.data.sources import LabelFile
from fullconv.errors import DataError
from fullconv.formats.containers.matlab import labels_from, read_mat
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found
from fullconv.images.formats import MAX_PIXELS
from fullconv.images.pixels import to_channels
from fullconv.images.values import Pixels
from fullconv.spec import ClassSet, Values

FILE_NAME, SPLITS_NAME, MAPPING_NAME = "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"


@dataclass(frozen=True)
class NyuImage:
    """Image ``index`` of the file, which each process opens for itself."""

    path: Path
    index: int

    @property
    def where(self) -> str:
        return f"{self.path} image {self.index + 1}"

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def file(self) -> None:
        """Its pixels are not encoded."""

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """uint8 ``[height, width, channels]``."""
        pixels = _entry(self.path, "images", self.index)  # MATLAB's order, reversed: [3, width, height]
        return Pixels(to_channels(Image.fromarray(np.ascontiguousarray(pixels.transpose(2, 1, 0))), channels))

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        width, height = _variable(self.path, "images").shape[2:]
        return height, width


@dataclass(frozen=True)
class NyuLabels(LabelFile):
    """Labels of image ``index``; 0 in the file is unlabelled, class ``k`` there is id ``k - 1``.

    ``merged`` holds the id that each class of the file becomes; empty: each is its own.
    """

    index: int
    merged: tuple[int, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.path} image {self.index + 1}"

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """int32 ``[height, width]`` (uint8 where there are no more than 255 classes)."""
        numbers = _entry(self.path, "labels", self.index).T
        if not self.merged:
            return labels_from(numbers, self.where, num_classes, ignore_index, first=1)
        own = labels_from(numbers, self.where, len(self.merged), len(self.merged), first=1)
        return np.array([*self.merged, ignore_index], np.uint8 if ignore_index <= 255 else np.int32)[own]


def recognise_nyu_v2(root: Path, description: Description, problems: Problems) -> Found | None:
    """``nyu_depth_v2_labeled.mat``, and ``splits.mat`` and ``classMapping40.mat`` if they are there."""
    path = root / FILE_NAME
    if not path.is_file():
        return None
    images, labels = (_variable(path, name) for name in ("images", "labels"))
    count = len(images)
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8 or labels.ndim != 3:
        raise DataError(
            f"{path}: images are {images.dtype} {list(images.shape)}, labels {list(labels.shape)}; expected uint8 "
            "[N, 3, width, height] and [N, width, height]; download the file again"
        )
    if images.shape[2] * images.shape[3] > MAX_PIXELS:
        raise DataError(f"{path}: images of {images.shape[2]}x{images.shape[3]} pixels, more than {MAX_PIXELS}")
    if labels.shape != (count, *images.shape[2:]):
        raise DataError(
            f"{path}: labels are {list(labels.shape)} for images of {list(images.shape)}; download the file again"
        )
    names = _names(path)
    reasons = [
        f"{FILE_NAME}: NYU Depth V2, {count} images, {len(names)} classes as the file names them, 0 is unlabelled",
        "depth is not read",
    ]
    merged: tuple[int, ...] = ()
    if (root / MAPPING_NAME).is_file():
        classes, merged = _mapping(root / MAPPING_NAME, names)
        reasons.append(f"{MAPPING_NAME}: they become the {len(classes)} classes of Gupta et al., CVPR 2013")
        names = classes
    else:
        reasons.append(f"{MAPPING_NAME} is not there: the file's own classes, not the 40 that papers use")
    items = [Item(f"{i + 1:04d}", NyuImage(path, i), NyuLabels(path, i, merged)) for i in range(count)]
    splits_file = root / SPLITS_NAME
    if not splits_file.is_file():
        return Found("nyu_v2", [*reasons, f"{SPLITS_NAME} is not there"], {"": items}, ClassSet(names), public=True)
    chosen = {split: _chosen(splits_file, name, items) for split, name in (("train", "trainNdxs"), ("val", "testNdxs"))}
    reasons.append(f"{SPLITS_NAME}: its test images are val")
    return Found("nyu_v2", reasons, chosen, ClassSet(names), public=True)


def _chosen(path: Path, name: str, items: list[Item]) -> list[Item]:
    numbers = [int(number) for number in np.ravel(read_mat(path, name))]
    outside = [number for number in numbers if not 1 <= number <= len(items)]
    if outside:
        raise DataError(
            f"{path}: {name} names image {outside[0]}, but {FILE_NAME} holds 1 to {len(items)}; "
            "the two files are not of one data set, download both again"
        )
    return [items[number - 1] for number in numbers]


def _mapping(path: Path, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the merged classes, and the id among them of each class of the file."""
    known, classes = (
        tuple(str(np.ravel(cell)[0]) for cell in np.ravel(read_mat(path, name)))
        for name in ("allClassName", "className")
    )
    numbers = [int(number) for number in np.ravel(read_mat(path, "mapClass"))]
    if known != names or len(numbers) != len(names) or not all(1 <= number <= len(classes) for number in numbers):
        raise DataError(
            f"{path}: maps {len(numbers)} classes, {len(set(known) - set(names))} of them of other names, to "
            f"{len(classes)}; expected the {len(names)} of {FILE_NAME} in its order, each with a number from 1 to "
            f"{len(classes)}; remove the file, or download both again"
        )
    return classes, tuple(number - 1 for number in numbers)


def _names(path: Path) -> tuple[str, ...]:
    """The cell array ``names``: references to arrays of character codes."""
    file, cells = _file(path, os.getpid()), _variable(path, "names")
    try:
        return tuple("".join(chr(code) for code in np.ravel(file[cell])) for cell in np.ravel(cells[()]))
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise DataError(f"{path}: its class names cannot be read ({error}); download the file again") from error


def _entry(path: Path, name: str, index: int) -> np.ndarray:
    try:
        return np.asarray(_variable(path, name)[index])
    except OSError as error:
        raise DataError(f"{path}: {name} of image {index + 1} cannot be read ({error}); download it again") from error


def _variable(path: Path, name: str) -> Any:
    file = _file(path, os.getpid())
    if name not in file:
        raise DataError(f"{path}: holds no {name}; expected images, labels and names; download the file again")
    return file[name]


@lru_cache(maxsize=4)
def _file(path: Path, process: int) -> Any:
    """The file, open in this process: a handle must not be shared with another one."""
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            f"{path}: not a file of MATLAB 7.3, or cut short ({error}); download it again (2.8 GB)"
        ) from error
