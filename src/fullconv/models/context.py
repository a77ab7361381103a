"""How far a network sees: on which pixels around it a label depends. Found by trying, not by a walk over layers.

Pixels that are nan spread to whatever depends on them, through zero weights and clipped activations too. So strips
whose one end is nan show the theoretical receptive field of any network, whatever it is made of.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fullconv.models.network import SegmentationNetwork
from fullconv.ops import upsample

STRIPS = (1024, 2304)
"""Lengths of the strips, tried one after the other: the second shows up to about 2,200 pixels."""
TOLERANCE = 1e-3
"""Of the scores' standard deviation: what rounding may differ between a tile and the whole image."""


class Context(NamedTuple):
    """What a label depends on.

    Attributes:
        pixels: so many pixels in each direction at most; None where that has no bound, or one beyond all sense.
        exact: whether a tile that begins on the network's grid gives the whole image's scores where it shows that much.
    """

    pixels: int | None
    exact: bool

    def __str__(self) -> str:
        if self.pixels is None:
            return (
                "all of an image (by global pooling, squeeze-and-excitation or attention): labels of tiles differ from "
                "those of the whole image"
            )
        around = f"{self.pixels} pixels around each"
        if not self.exact:
            return (
                f"{around}; its scores depend on the image's size, or on where attention's windows begin, too: tiles "
                "are not quite equal to the whole image"
            )
        return f"{around}; tiles that overlap by {2 * self.pixels} give the labels of the whole image"


@torch.inference_mode()
def context(network: SegmentationNetwork, channels: int) -> Context:
    """Find the context of a network in its evaluation mode, by strips of a few hundred kilopixels.

    Args:
        network: on any device, in float32.
        channels: of its images.
    """
    if getattr(getattr(network, "encoder", None), "sees_everything", False):
        return Context(None, False)
    for length in STRIPS:
        reaches = [_reach(network, channels, length, turned) for turned in (False, True)]
        found = [reach for reach in reaches if reach is not None]
        if len(found) == len(reaches):
            pixels = max(found)
            # an unpooling lets a value choose its place among the pixels of a coarse one: up to a step farther
            enough = next(
                (p for p in (pixels, pixels + network.coarsest_stride) if _agrees(network, channels, p)), None
            )
            return Context(pixels, False) if enough is None else Context(enough, True)
    return Context(None, False)


def _reach(network: SegmentationNetwork, channels: int, length: int, turned: bool) -> int | None:
    """How far nan at either end of a strip spreads into it; None: to the other end."""
    edge = step = network.coarsest_stride
    strips = torch.zeros(2, channels, step, length)
    strips[0, ..., :edge] = torch.nan
    strips[1, ..., -edge:] = torch.nan
    reached = _scores(network, strips, turned, nans=True).amax((1, 2)) > 0
    reached[1] = reached[1].flip(0)
    if reached[:, -1].any() or not reached.any():
        return None
    return int(max(row.nonzero().max() for row in reached)) + 1 - edge


def _agrees(network: SegmentationNetwork, channels: int, pixels: int) -> bool:
    """Whether parts of a strip of an odd length have the scores of the whole, ``pixels`` from their ends on."""
    step = network.coarsest_stride
    start, length = 3 * step, 3 * step + 2 * pixels + 8 * step - 3
    generator = torch.Generator().manual_seed(0)
    strip = torch.randn(1, channels, 2 * step, length, generator=generator)
    whole, end = _scores(network, strip), length - start + 3
    last, first = _scores(network, strip[..., start:]), _scores(network, strip[..., :end])
    pairs = (
        (last[..., pixels:], whole[..., start + pixels :]),
        (first[..., : end - pixels], whole[..., : end - pixels]),
    )
    allowed = TOLERANCE * float(whole.std())
    return all(float((part - same).abs().max()) <= allowed for part, same in pairs)


def _scores(network: SegmentationNetwork, strips: Tensor, turned: bool = False, nans: bool = False) -> Tensor:
    """Scores ``n classes h w`` of strips at the pixels, along the strips; with ``nans`` where they are not finite."""
    device = next(network.parameters()).device
    images = (strips.mT if turned else strips).to(device).contiguous(memory_format=torch.channels_last)
    logits = network(images).float()
    if nans:
        logits = logits.isnan().any(1, keepdim=True).float()
    size = (images.shape[2], images.shape[3])
    scores = upsample(logits, size, network.window((logits.shape[2], logits.shape[3]), size)).cpu()
    return scores.mT if turned else scores
