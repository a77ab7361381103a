"""Probabilities that are the same all over a superpixel: edges follow the image's own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fullconv.draw.overlays import as_rgb
from fullconv.errors import UsageError
from fullconv.libraries import library


@dataclass(frozen=True)
class Superpixels:
    """Felzenszwalb & Huttenlocher's graph segmentation, as scikit-image computes it.

    Attributes:
        scale: larger for larger pieces (of an image whose values are 0 to 1 per channel, times 255).
        sigma: of the Gaussian that smooths the image first, pixels.
        smallest: pixels of the smallest piece.
    """

    scale: float = 100.0
    sigma: float = 0.8
    smallest: int = 20

    def __post_init__(self) -> None:
        if not (0 < self.scale < math.inf and 0 <= self.sigma < math.inf and self.smallest >= 1):
            raise UsageError(
                f"superpixels have a scale above 0, a sigma from 0 and a smallest size from 1, found {self}"
            )

    def of(self, image: np.ndarray) -> np.ndarray:
        """The superpixel of each pixel, int64 ``[height, width]`` from 0, of uint8 ``[height, width, channels]``: of
        fewer than three channels the first, of more the first three.

        Raises:
            UsageError: scikit-image is not installed.
        """
        segmentation = library("skimage.segmentation", "--superpixels")
        segments: np.ndarray = segmentation.felzenszwalb(as_rgb(image), self.scale, self.sigma, self.smallest)
        return segments.astype(np.int64)


def smooth_over(probabilities: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The mean of each class over each superpixel, at all of its pixels.

    Args:
        probabilities: float ``[classes, height, width]``.
        segments: of each pixel, whole numbers from 0 ``[height, width]``.

    Returns:
        float32 ``[classes, height, width]``.

    Source: Pinheiro & Collobert, arXiv:1411.6228, section 3.3 (SP-sppxl): all pixels of a superpixel get one label.
    """
    place = segments.ravel()
    pixels = np.bincount(place)
    means = [np.bincount(place, values.ravel()) / np.maximum(pixels, 1) for values in probabilities]
    return np.stack(means).astype(np.float32)[:, place].reshape(probabilities.shape)
