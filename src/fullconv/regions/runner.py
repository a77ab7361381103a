"""Who labels by regions: proposals, their features, an SVM for each class, and their masks pasted by score."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fullconv.device import choose_device, choose_precision
from fullconv.geometry import Window
from fullconv.models.context import Context
from fullconv.models.network import place
from fullconv.regions.features import RegionFeatures
from fullconv.regions.options import RegionOptions
from fullconv.regions.paste import LEFT_OUT, competing, paste
from fullconv.regions.proposals import Proposals, propose_regions
from fullconv.regions.refine import Refiner

FAR = -100.0
"""The score of a class where no region lies."""


class Scored(NamedTuple):
    """The regions of one image.

    Attributes:
        proposals: where they are.
        features: float32 ``[regions, width]``.
        seen: of :meth:`fullconv.regions.refine.Refiner.see`, or None.
        scores: of the SVMs, float32 ``[regions, classes]``.
        kept: which stand for their class (:func:`fullconv.regions.paste.competing`).
    """

    proposals: Proposals
    features: np.ndarray
    seen: np.ndarray | None
    scores: np.ndarray
    kept: np.ndarray


class RegionParts(nn.Module):
    """All that a region model has learned, under the names that its file uses.

    Attributes:
        features: the encoder.
        svm: weights ``[classes, width]`` and biases of the SVMs, of features as the encoder gives them.
        refiner: predicts masks, or None.
        fallback: the class where no region lies, int64 scalar.
    """

    svm_weight: Tensor
    svm_bias: Tensor
    fallback: Tensor

    def __init__(self, features: RegionFeatures, num_classes: int, refiner: Refiner | None) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("svm_weight", torch.zeros(num_classes, features.width))
        self.register_buffer("svm_bias", torch.zeros(num_classes))
        self.register_buffer("fallback", torch.zeros((), dtype=torch.int64))
        self.refiner = refiner


class RegionRunner:
    """A region model as a :class:`fullconv.runner.Runner`: its logits have stride 1.

    Args:
        parts: what it has learned.
        options: how regions are found and described.
        background: the class of a pixel in no region with a positive score; None: that of the best region, whatever its
            score.
    """

    coarsest_stride = 1
    context = Context(None, False)
    side_by_side = False

    def __init__(self, parts: RegionParts, options: RegionOptions, background: int | None) -> None:
        self.parts, self.options, self.background = parts.eval(), options, background
        self.precision = "fp32"

    def __str__(self) -> str:
        return f"{self.precision} on {self.device}, {self.options.proposals} regions"

    def to(self, device: str, precision: str) -> None:
        """Move the encoder and choose its arithmetic.

        Raises:
            UsageError: no such device or precision.
        """
        chosen = choose_device(device)
        self.precision = choose_precision(precision, chosen)
        place(self.parts, chosen)

    @property
    def device(self) -> torch.device:
        return self.parts.svm_weight.device

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        """As :meth:`fullconv.runner.Runner.coarse_logits`: the best scores pasted, 0 for background."""
        height, width = pixels.shape[-2:]
        scores = np.stack([self.pixel_scores(self.scored(image)) for image in pixels.round().byte().cpu()])
        return torch.from_numpy(scores).to(self.device), Window(0, 0, height, width)

    def proposals(self, image: Tensor) -> Proposals:
        """Regions of a raw image ``c H W``."""
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        return propose_regions(pixels, self.options.proposals, limit=self.options.limit)

    def describe(self, image: Tensor, proposals: Proposals) -> np.ndarray:
        """Features of regions of a raw image ``c H W``, float32 ``[regions, width]``."""
        return np.asarray(self.parts.features(image, proposals, self.precision).cpu().numpy())

    def see(self, image: Tensor) -> np.ndarray | None:
        """What the refinement is to know of a raw image ``c H W``."""
        return None if self.parts.refiner is None else self.parts.refiner.see(image, self.precision)

    def scored(self, image: Tensor) -> Scored:
        """The regions of a raw image ``c H W`` with what the SVMs say of them."""
        proposals = self.proposals(image)
        features = self.describe(image, proposals)
        weight, bias = (value.cpu().numpy() for value in (self.parts.svm_weight, self.parts.svm_bias))
        scores = features @ weight.T + bias
        return Scored(proposals, features, self.see(image), scores, competing(proposals, scores))

    def pixel_scores(self, scored: Scored) -> np.ndarray:
        """Float32 ``[classes, height, width]``: what stands for its class pasted by score, with refined masks where
        there are such; below it the other regions.
        """
        proposals, kept = scored.proposals, scored.kept
        refiner = self.parts.refiner
        shown = kept if refiner is None else np.zeros_like(kept)
        result = paste(proposals, np.where(shown, scored.scores, np.minimum(scored.scores, LEFT_OUT)))
        if refiner is not None:
            for refined, scores in refiner.refined(proposals, scored.features, scored.scores, kept, scored.seen):
                np.maximum(result, paste(refined, scores), out=result)
        result = np.maximum(result, np.float32(FAR))
        if self.background is not None:
            result[self.background] = 0
        else:
            fallback = int(self.parts.fallback)
            result[fallback] = np.maximum(result[fallback], FAR + 1)
        return result

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        """Weights and pixels are finite, so it is the encoder's arithmetic."""
        return "the scores of the regions", "use --precision fp32" if self.precision != "fp32" else "train it again"
