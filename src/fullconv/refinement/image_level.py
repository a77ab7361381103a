"""What classes an image shows as a whole, from the coarse logits of a network that image tags have taught."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fullconv.errors import ModelFileError, UsageError
from fullconv.geometry import Window
from fullconv.ops import place_weights, pool_log_sum_exp

Pooling = Literal["lse", "max"]
KEY = "image_level"
"""Of a model's provenance."""


@dataclass(frozen=True)
class ImageLevel:
    """How scores of places are pooled to those of an image; a model keeps how it was trained.

    Attributes:
        pooling: ``lse`` (log-sum-exp) or ``max``.
        sharpness: of the log-sum-exp.
    """

    pooling: Pooling = "lse"
    sharpness: float = 5.0

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> ImageLevel:
        """As a model was trained.

        Raises:
            UsageError: without image tags.
            ModelFileError: its header is damaged.
        """
        kept = provenance.get(KEY)
        if kept is None:
            raise UsageError(
                "this model was not trained with image tags, so it has no image-level probabilities; leave the image "
                "prior out, or train with --labels tags"
            )
        try:
            found = cls(kept["pooling"], float(kept["sharpness"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ModelFileError(f"its header is damaged ({KEY}: {error!r}); save it again") from error
        if found.pooling not in ("lse", "max") or not 0 < found.sharpness < math.inf:
            raise ModelFileError(f"its header is damaged ({KEY}: {kept}); save it again")
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the provenance."""
        return asdict(self)

    def pool(self, scores: Tensor, weight: Tensor) -> Tensor:
        """Scores ``n c h w`` of places that weigh ``n h w`` or ``1 h w`` -> scores ``n c`` of images."""
        return pool_log_sum_exp(scores, weight, math.inf if self.pooling == "max" else self.sharpness)

    def probabilities(self, parts: Iterable[tuple[Tensor, Window, tuple[int, int]]]) -> Tensor:
        """How probable each class is in some images as wholes: the softmax of their pooled scores.

        Pooling in parts is exact: what has been pooled is pooled again, by how many pixels it stands for.

        Args:
            parts: all of the images: coarse logits ``n c h w``, where a part lies in them enlarged, its size.

        Returns:
            float32 ``n c`` on the CPU.
        """
        pooled, pixels = [], []
        for logits, window, size in parts:
            exact = logits.float()
            weight = place_weights((exact.shape[2], exact.shape[3]), size, window, None, exact)
            pooled.append(self.pool(exact, weight).cpu())
            pixels.append(weight.sum().cpu())
        scores = torch.stack(pooled, 2)[:, :, None]
        return self.pool(scores, torch.stack(pixels)[None, None]).softmax(1)
