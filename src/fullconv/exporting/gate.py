"""The gate of every export: its labels against PyTorch's, pixel for pixel, before the file gets its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from fullconv.errors import GateError
from fullconv.exported.geometry import LABELS
from fullconv.exported.runners import ExportedRunner
from fullconv.ops import upsample, upsample_argmax
from fullconv.segmenter import Segmenter

MARGIN = 1e-3
"""Where the two best scores are closer than this, rounding may choose."""
ROUNDING = 1e-5
"""Of the largest score: what float32 may lose on its way through a network. It is the margin where scores pass 100."""
LARGEST_LOSS = 0.003
"""Of the mean IoU, by quantisation: 0.3 points."""
SIZES = ((1, 1), (2, 40), (33, 65), (64, 96), (200, 131))
"""Of the generated images: odd ones, and one that divides by 32."""


class Compared(NamedTuple):
    """One image: how many of its pixels have a margin above ``MARGIN``, and how many of those differ."""

    image: str
    pixels: int
    sure: int
    differ: int

    @property
    def share(self) -> float:
        return self.differ / max(self.sure, 1)


def generated_images(channels: int, sizes: Iterable[tuple[int, int]] = SIZES) -> Iterator[tuple[str, np.ndarray]]:
    """Patches of colour with some noise, uint8 ``[height, width, channels]``; the same ones each time."""
    random = np.random.default_rng(0)
    for height, width in sizes:
        patches = random.integers(0, 256, (height // 11 + 1, width // 11 + 1, channels))
        large = np.repeat(np.repeat(patches, 11, 0), 11, 1)[:height, :width]
        noisy = large + random.normal(0, 12, large.shape)
        yield f"a generated image of {height}x{width}", noisy.clip(0, 255).astype(np.uint8)


@torch.inference_mode()
def compare(segmenter: Segmenter, runner: ExportedRunner, image: str, pixels: np.ndarray) -> Compared:
    """The labels of an artefact against PyTorch's in fp32, of one image uint8 ``[height, width, channels]``."""
    size = (pixels.shape[0], pixels.shape[1])
    batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    (part,) = segmenter.parts(batch, max(*size, segmenter.runner.coarsest_stride))
    expected = upsample_argmax(part.logits, size, crop=part.window)[0].cpu().numpy()
    best = upsample(part.logits.float(), size, part.window)[0].topk(min(2, part.logits.shape[1]), 0).values
    margin = max(MARGIN, ROUNDING * float(part.logits.abs().max()))
    sure = ((best[0] - best[-1]) > margin).cpu().numpy() if len(best) > 1 else np.ones(size, bool)
    try:
        (found,) = runner.run(np.ascontiguousarray(pixels[None]), (LABELS,))
    except Exception as error:  # each library has kinds of its own
        reason = " ".join(str(error).split())[-200:]
        raise GateError(f"{runner}: cannot compute {image} ({reason}); nothing was written") from error
    if found.shape[1:] != size:
        raise GateError(f"{image}: labels of {found.shape[1]}x{found.shape[2]} for an image of {size[0]}x{size[1]}")
    return Compared(image, expected.size, int(sure.sum()), int(((found[0] != expected) & sure).sum()))


def check_batches(segmenter: Segmenter, runner: ExportedRunner, size: tuple[int, int]) -> None:
    """Several images of ``size`` at once have the labels of each alone.

    Raises:
        GateError: they have not.
    """
    images = np.stack([pixels for _, pixels in generated_images(segmenter.preprocessing.channels, (size, size))])
    (together,) = runner.run(images, (LABELS,))
    for index, pixels in enumerate(images):
        (alone,) = runner.run(pixels[None], (LABELS,))
        if (together[index] != alone[0]).mean() > 0.001:  # rounding may differ with the batch
            raise GateError(f"{runner}: image {index} of a batch has other labels than alone; nothing was written")


def lose_little(rows: list[Compared], before: float, after: float) -> None:
    """The gate of a quantised network, whose labels may differ: its mean IoU on real images.

    Args:
        rows: the images, compared.
        before, after: PyTorch's mean IoU and the artefact's.

    Raises:
        GateError: it loses more than ``LARGEST_LOSS``; the worst image is named.
    """
    if not before - after <= LARGEST_LOSS:
        worst = max(rows, key=lambda row: row.share)
        raise GateError(
            f"int8 takes the mean IoU from {before:.4f} to {after:.4f}, more than {100 * LARGEST_LOSS:g} points; worst "
            f"image {worst.image} ({worst.differ:,} of {worst.sure:,} labels differ); nothing was written: use fp32"
        )


def pass_gate(
    segmenter: Segmenter, runner: ExportedRunner, images: Iterable[tuple[str, np.ndarray]],
    batch_of: tuple[int, int] = (33, 65),
) -> list[Compared]:  # fmt: skip
    """Compare all images.

    Args:
        segmenter: the network in PyTorch, in fp32.
        runner: who computes the artefact.
        images: names and pixels.
        batch_of: the size of the images of a batch that is tried.

    Raises:
        GateError: some pixel differs although its margin is above ``MARGIN``; the worst image is named.
    """
    rows = [compare(segmenter, runner, name, pixels) for name, pixels in images]
    worst = max(rows, key=lambda row: row.share)
    if worst.differ:
        bad = sum(row.differ > 0 for row in rows)
        raise GateError(
            f"{runner}: the exported labels differ from PyTorch's in {bad} of {len(rows)} images, worst in "
            f"{worst.image} ({worst.differ:,} of {worst.sure:,} pixels of a margin above {MARGIN:g}); nothing was "
            "written"
        )
    check_batches(segmenter, runner, batch_of)
    return rows
