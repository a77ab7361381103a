"""Several images of one size in one pass of the network."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from fullconv.errors import NotFiniteError
from fullconv.label_map import Prediction
from fullconv.parts import Part
from fullconv.prediction.raster import Done
from fullconv.prediction.settings import Settings
from fullconv.segmenter import Segmenter
from fullconv.streams import most_pixels

ON_A_GPU = 8
SMALL = 1 << 18
"""Pixels, 512 x 512: on a CPU the images of a batch have no more together, since larger batches gain nothing there, and
cost a tenth in fp32 (benchmarks/batches.py)."""


def batch_size(segmenter: Segmenter, asked: Settings, size: tuple[int, int]) -> int:
    """How many images of ``(height, width)`` go through the network at once."""
    if not plain(segmenter, asked, size):
        return 1
    return (
        ON_A_GPU
        if segmenter.device.type == "cuda"
        else min(8, max(1, SMALL // most_pixels(segmenter.preprocessing, size)))
    )


def plain(segmenter: Segmenter, asked: Settings, size: tuple[int, int]) -> bool:
    """Whether nothing but one pass of the network is needed for images of ``(height, width)``."""
    return not (asked.instances or asked.views or asked.refinement(segmenter)) and max(size) <= asked.tile


def predict_together(
    segmenter: Segmenter, images: Sequence[np.ndarray], names: Sequence[str], asked: Settings,
    done: Done | None = None,
) -> Iterator[Prediction | NotFiniteError]:  # fmt: skip
    """Of each image its prediction, or why there is none.

    Args:
        images: uint8 ``[height, width, channels]``, what the network sees; several are of one size that makes a batch.
        names: their paths.
        done: told of an image in tiles, how many of its pixels are labelled, and of how many.
    """
    together = predict_plainly(segmenter, images, names, asked) if len(images) > 1 else None
    if together is not None:
        yield from together
        return
    refinement = asked.refinement(segmenter)
    for image, name in zip(images, names, strict=True):
        tiled = max(image.shape[:2]) > asked.tile
        try:
            yield segmenter.predict_pixels(
                image, tile=asked.tile, overlap=asked.overlap, exact=asked.exact, refinement=refinement, name=name,
                progress=functools.partial(done, Path(name)) if done and tiled else None,
                **asked.wanted._asdict(),
            )  # fmt: skip
        except NotFiniteError as error:
            yield error


@torch.inference_mode()
def predict_plainly(
    segmenter: Segmenter, images: Sequence[np.ndarray], names: Sequence[str], asked: Settings
) -> list[Prediction] | None:
    """As :func:`predict_together`, of images that are :func:`plain`, by any thread.

    None where scores are not finite: then each image is to say for itself.
    """
    part = _scores(segmenter, images, asked)
    note = segmenter.resize_note(Counter([part.size]))
    if not bool(part.logits.isfinite().all()):
        return None
    results = []
    for logits, image, name in zip(part.logits, images, names, strict=True):
        maps = part._replace(logits=logits[None]).maps(asked.wanted)
        results.append(Prediction(*maps[:2], segmenter.classes, image, note, name, *maps[2:]))
    return results


def _scores(segmenter: Segmenter, images: Sequence[np.ndarray], asked: Settings) -> Part:
    height, width, channels = images[0].shape
    pinned = segmenter.device.type == "cuda"
    batch = torch.empty((len(images), height, width, channels), dtype=torch.uint8, pin_memory=pinned)
    np.stack(images, out=batch.numpy())
    (part,) = segmenter.parts(batch.permute(0, 3, 1, 2), asked.tile, asked.overlap, asked.exact)
    return part
