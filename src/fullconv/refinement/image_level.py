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
    """How probabilities of places are pooled to those of an image; a model keeps how it was trained.

    What is pooled is the log-probability of each class at each place, by log-sum-exp or maximum. So an image shows a
    class with the probability ``(mean_i p_i^r)^(1 / r)``, the power mean of those of its places, ``r`` the sharpness;
    or with the highest of them.

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

    def pool(self, logits: Tensor, weight: Tensor) -> Tensor:
        """Logits ``n c h w`` of places that weigh ``n h w`` or ``1 h w`` -> log-probabilities ``n c`` of images."""
        return self._pool(logits.log_softmax(1), weight)

    def _pool(self, log_likely: Tensor, weight: Tensor) -> Tensor:
        return pool_log_sum_exp(log_likely, weight, math.inf if self.pooling == "max" else self.sharpness)

    def probabilities(self, parts: Iterable[tuple[Tensor, Window, tuple[int, int]]]) -> Tensor:
        """How probable it is of each class that some images show it.

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
        return self._pool(torch.stack(pooled, 2)[:, :, None], torch.stack(pixels)[None, None]).exp()
