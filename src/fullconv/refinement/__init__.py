"""Probabilities of a whole image -> better ones: the image-level prior, superpixels, the dense CRF, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullconv.crf import CRF, dense_crf
from fullconv.refinement.image_level import ImageLevel, Pooling
from fullconv.refinement.superpixels import Superpixels, smooth_over

__all__ = ["ImageLevel", "Pooling", "Refinement", "Superpixels"]


@dataclass(frozen=True)
class Refinement:
    """What happens to the probabilities of an image before labels are made of them; nothing by default.

    Attributes:
        prior: multiply by how probable each class is in the image as a whole.
        superpixels: average over each of them.
        crf: refine with a fully connected CRF.
    """

    prior: ImageLevel | None = None
    superpixels: Superpixels | None = None
    crf: CRF | None = None

    @classmethod
    def of(
        cls, provenance: Mapping[str, Any], image_prior: bool = False, superpixels: Superpixels | None = None,
        crf: CRF | None = None,
    ) -> Refinement:  # fmt: skip
        """What is asked for, as a model of this provenance does it.

        Raises:
            UsageError: an image-level prior of a model without image-level probabilities.
        """
        return cls(ImageLevel.of(provenance) if image_prior else None, superpixels, crf)

    def __bool__(self) -> bool:
        return any(step is not None for step in (self.prior, self.superpixels, self.crf))

    def __str__(self) -> str:
        steps = ["the image-level prior"] if self.prior else []
        return ", ".join([*steps, *(str(step) for step in (self.superpixels, self.crf) if step is not None)])

    def __call__(self, probabilities: np.ndarray, image: np.ndarray, shown: np.ndarray | None) -> np.ndarray:
        """Better probabilities of one image, float32 ``[classes, height, width]``.

        Args:
            probabilities: of each class at each pixel, float ``[classes, height, width]``.
            image: uint8 ``[height, width, channels]``.
            shown: how probable each class is in the image as a whole, ``[classes]``; for :attr:`prior`.

        Raises:
            UsageError: a package is missing, or an image is too large for the CRF.
        """
        if self.prior is not None:
            assert shown is not None
            probabilities = with_prior(probabilities, shown)
        if self.superpixels is not None:
            probabilities = smooth_over(probabilities, self.superpixels.of(image))
        return probabilities if self.crf is None else dense_crf(probabilities, image, self.crf)


def with_prior(probabilities: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """``p(k at the pixel) p(k in the image)``, scaled to add up to 1 at each pixel.

    Source: Pinheiro & Collobert, arXiv:1411.6228, section 3.3 (the image-level prior).
    """
    product = probabilities * shown[:, None, None].astype(np.float32)
    return np.asarray(product / np.maximum(product.sum(0), 1e-30), np.float32)
