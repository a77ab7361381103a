"""The coarse logits of a part of some images, and what is made of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fullconv.geometry import Window
from fullconv.ops import upsample, upsample_argmax
from fullconv.refinement import Refinement
from fullconv.runner import Runner


class Part(NamedTuple):
    """Coarse logits ``1 c h w`` or ``n c h w`` of a part of the image(s): pixels ``rows`` x ``columns``."""

    logits: Tensor
    window: Window
    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def probabilities(self) -> Tensor:
        """Float32 ``n classes height width``, on the CPU."""
        return upsample(self.logits.float(), self.size, self.window).softmax(1).cpu()


def resized_part(runner: Runner, pixels: Tensor, size: tuple[int, int]) -> Part:
    """Raw images ``n c H W`` brought to one size: their logits as one part of the images as they were."""
    height, width = pixels.shape[-2:]
    # antialiased when shrinking; on the processor, which alone does it on uint8
    logits, window = runner.coarse_logits(interpolate(pixels.cpu(), size, mode="bilinear", antialias=True))
    return Part(logits, window.scaled(height / size[0], width / size[1]), slice(0, height), slice(0, width))


def joined_probabilities(parts: Iterable[Part], shape: tuple[int, int, int, int]) -> Tensor:
    """The parts of images of one size -> the probability of every class at every pixel, ``shape``, on the CPU."""
    result = torch.empty(shape)
    for part in parts:
        result[:, :, part.rows, part.columns] = part.probabilities()
    return result


def refined(parts: Iterable[Part], pixels: Tensor, classes: int, refinement: Refinement) -> Iterator[np.ndarray]:
    """The parts of images uint8 ``n c H W`` -> each one's refined probabilities, float32 ``[classes, H, W]``."""
    kept = list(parts)
    likely = joined_probabilities(kept, (len(pixels), classes, pixels.shape[2], pixels.shape[3])).numpy()
    images = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    shown: list[np.ndarray | None] = [None] * len(pixels)
    if refinement.prior is not None:
        shown = [*refinement.prior.probabilities((part.logits, part.window, part.size) for part in kept).numpy()]
    for values, image, classes_shown in zip(likely, images, shown, strict=True):
        yield refinement(values, image, classes_shown)


def image_labels(
    parts: Iterable[Part], pixels: Tensor, classes: int, probabilities: bool, refinement: Refinement | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The parts of one image ``1 c H W`` -> its label map, and float16 probabilities ``[classes, H, W]`` if wanted."""
    if not refinement:
        return joined_labels(parts, (pixels.shape[2], pixels.shape[3]), classes, probabilities)
    (likely,) = refined(parts, pixels, classes, refinement)
    return likely.argmax(0).astype(ids_of(classes)), likely.astype(np.float16) if probabilities else None


def joined_labels(
    parts: Iterable[Part], size: tuple[int, int], classes: int, probabilities: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """The parts of one image of ``size`` -> its label map, and float16 probabilities ``[classes, *size]`` if wanted."""
    labels = np.empty(size, ids_of(classes))
    chances = np.empty((classes, *size), np.float16) if probabilities else None
    for part in parts:
        labels[part.rows, part.columns] = upsample_argmax(part.logits, part.size, crop=part.window)[0].cpu().numpy()
        if chances is not None:
            chances[:, part.rows, part.columns] = part.probabilities()[0].half().numpy()
    return labels, chances


def ids_of(classes: int) -> type[np.uint8] | type[np.int32]:
    """The type of a label map of so many classes."""
    return np.uint8 if classes <= 256 else np.int32
