"""The coarse logits of a part of some images, and what is made of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor
from torch.nn.functional import interpolate

from fullconv.geometry import Window
from fullconv.ops import upsample, upsample_argmax, upsample_entropy
from fullconv.refinement import Refinement
from fullconv.runner import Runner, not_finite_error


class Wanted(NamedTuple):
    """What is asked for beside labels; each is a field of :class:`Maps`."""

    probabilities: bool = False
    confidence: bool = False
    entropy: bool = False


class Maps(NamedTuple):
    """What is made of an image's scores; None where not asked for.

    Attributes:
        labels: ids ``[height, width]``.
        probabilities: float16 ``[classes, height, width]``.
        confidence: the probability of each label, float32 ``[height, width]``.
        entropy: of the probabilities, over that of equally probable classes, float32 ``[height, width]``, 0 to 1.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None
    confidence: np.ndarray | None = None
    entropy: np.ndarray | None = None


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

    def maps(self, wanted: Wanted) -> Maps:
        """Of one image: its labels, and what else is wanted."""
        sure: Tensor | None = None
        if wanted.confidence:
            labels, sure = upsample_argmax(self.logits, self.size, crop=self.window, confidence=True)
        else:
            labels = upsample_argmax(self.logits, self.size, crop=self.window)
        spread = upsample_entropy(self.logits, self.size, crop=self.window) if wanted.entropy else None
        return Maps(
            labels[0].cpu().numpy(),
            self.probabilities()[0].half().numpy() if wanted.probabilities else None,
            *(None if one is None else one[0].cpu().numpy() for one in (sure, spread)),
        )


def sound(parts: Callable[[], Iterator[Part]], runner: Runner, names: Sequence[str]) -> Iterator[Part]:
    """Parts of images of these names, refused where logits are not finite: argmax would make labels of them.

    Raises:
        NotFiniteError: they are nan or infinite; it says in which images, from which layer on, and what to do.
    """
    for part in parts():
        finite = part.logits.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            bad = [name for name, good in zip(names, finite.tolist(), strict=True) if not good]
            raise not_finite_error(runner, bad, lambda: list(parts()))
        yield part


def counted(parts: Iterable[Part], pixels: int, progress: Callable[[int, int], None]) -> Iterator[Part]:
    """The parts of an image, telling after each how many of its ``pixels`` they cover so far, and of how many."""
    covered = 0
    for part in parts:
        yield part
        covered += part.size[0] * part.size[1]
        progress(covered, pixels)


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


def image_maps(
    parts: Iterable[Part], pixels: Tensor, classes: int, wanted: Wanted, refinement: Refinement | None
) -> Maps:
    """The parts of one image ``1 c H W`` -> its labels, and what else is wanted."""
    if not refinement:
        return joined_maps(parts, (pixels.shape[2], pixels.shape[3]), classes, wanted)
    (likely,) = refined(parts, pixels, classes, refinement)
    spread = entr(likely).sum(0) / np.log(max(classes, 2)) if wanted.entropy else None
    return Maps(
        likely.argmax(0).astype(ids_of(classes)), likely.astype(np.float16) if wanted.probabilities else None,
        likely.max(0) if wanted.confidence else None, None if spread is None else spread.clip(0, 1),
    )  # fmt: skip


def joined_maps(parts: Iterable[Part], size: tuple[int, int], classes: int, wanted: Wanted) -> Maps:
    """The parts of one image of ``size`` -> its labels, and what else is wanted."""
    maps = Maps(
        np.empty(size, ids_of(classes)), np.empty((classes, *size), np.float16) if wanted.probabilities else None,
        *(np.empty(size, np.float32) if asked else None for asked in wanted[1:]),
    )  # fmt: skip
    for part in parts:
        pieces = part.maps(wanted)
        if part.size == size:
            return pieces  # no copies
        for whole, piece in zip(maps, pieces, strict=True):
            if whole is not None:
                whole[..., part.rows, part.columns] = piece
    return maps


def ids_of(classes: int) -> type[np.uint8] | type[np.int32]:
    """The type of a label map of so many classes."""
    return np.uint8 if classes <= 256 else np.int32
