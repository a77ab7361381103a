"""What a region is described by: an encoder's features of its box, and of its mask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad
from torchvision.ops import roi_align

from fullconv.device import autocast
from fullconv.models.encoder import Encoder
from fullconv.regions.proposals import Proposals
from fullconv.runner import normalise
from fullconv.spec import Preprocessing

BATCH = 128
"""Warped regions at a time."""
CONTEXT = 16 / 227
"""Of a warped region's side, what is seen around its box on each side; R-CNN's 16 of 227 pixels."""


class RegionFeatures(nn.Module):
    """An encoder that describes regions.

    Args:
        encoder: its tap of the largest stride describes a warped region, all of them a pooled one.
        preprocessing: of raw pixels.
        masks: whether features of what lies in the mask are put behind those of the box (SDS), or left out (R-CNN).
        warp: side of warped regions in pixels; None: pooled from one pass over the image.
    """

    def __init__(self, encoder: Encoder, preprocessing: Preprocessing, masks: bool, warp: int | None) -> None:
        super().__init__()
        self.encoder, self.preprocessing, self.masks, self.warp = encoder, preprocessing, masks, warp
        used = [max(encoder.channels)] if warp is not None else sorted(encoder.channels)
        self.used = used
        self.width = sum(encoder.channels[stride] for stride in used) * (2 if masks else 1)

    @torch.inference_mode()
    def forward(self, pixels: Tensor, proposals: Proposals, precision: str = "fp32") -> Tensor:
        """Features of every region.

        Args:
            pixels: raw image ``c H W``.
            precision: the encoder's arithmetic.

        Returns:
            float32 ``[regions, width]`` on the encoder's device.
        """
        device = next(self.encoder.parameters()).device
        image = normalise(pixels[None].to(device), self.preprocessing)
        with autocast(device, precision):
            if self.warp is None:
                return self._pooled(image, proposals)
            return self._warped(image, proposals, self.warp)

    # -- one pass for each region --------------------------------------------------------------------------------

    def _warped(self, image: Tensor, proposals: Proposals, side: int) -> Tensor:
        """R-CNN, section 2.1 and 5: the box with some context around it, warped; SDS, section 3: also masked."""
        windows = widened(proposals.boxes, side)
        unique, where = np.unique(windows, axis=0, return_inverse=True)
        boxes = warp(image, torch.from_numpy(unique).float(), side)
        parts = [self._encoded(boxes)[torch.from_numpy(where.ravel())]]
        if self.masks:
            inside = torch.from_numpy(proposals.grids(windows, side)).to(image.device)
            chunks = zip(torch.from_numpy(where.ravel()).split(BATCH), inside.split(BATCH), strict=True)
            parts.append(torch.cat([self._encoded(boxes[some] * mask[:, None]) for some, mask in chunks]))
        return torch.cat(parts, 1)

    def _encoded(self, crops: Tensor) -> Tensor:
        """Normalised crops ``n c side side`` -> the means of the coarsest tap, float32."""
        stride = self.used[0]
        batches = (some.contiguous(memory_format=torch.channels_last) for some in crops.split(BATCH))
        return torch.cat([self.encoder(self.encoder.pad(some))[stride].float().mean((2, 3)) for some in batches])

    # -- one pass for all ----------------------------------------------------------------------------------------

    def _pooled(self, image: Tensor, proposals: Proposals) -> Tensor:
        """SPP-net and Fast R-CNN pool each box, convolutional feature masking each mask; here both by the mean."""
        taps = self.encoder(self.encoder.pad(image))
        boxes = torch.from_numpy(proposals.boxes).to(image.device).float()
        parts = [roi_align(taps[s].float(), [boxes], 1, 1 / s, 4, aligned=True).flatten(1) for s in self.used]
        if self.masks:
            parts += [masked_means(taps[stride][0].float(), stride, proposals) for stride in self.used]
        return torch.cat(parts, 1)


def widened(boxes: np.ndarray, side: int) -> np.ndarray:
    """Boxes ``[n, 4]`` with the context that a warped region of ``side`` pixels shows around them, float64."""
    seen = boxes.astype(np.float64)
    middle, half = (seen[:, :2] + seen[:, 2:]) / 2, (seen[:, 2:] - seen[:, :2]) / (2 * (1 - 2 * CONTEXT))
    return np.concatenate([middle - half, middle + half], 1)


def warp(image: Tensor, windows: Tensor, side: int) -> Tensor:
    """Windows ``[n, 4]`` of an image ``1 c H W``, brought to ``n c side side``; zeros outside the image.

    Bilinear, from the image made 2, 4, ... times smaller where a window is as many times larger, so that fine
    texture does not alias.
    """
    factors = (windows[:, 2:] - windows[:, :2]).amax(1) / side
    levels = factors.log2().floor().clamp(0, 8).long()
    result = image.new_zeros(len(windows), image.shape[1], side, side)
    small = image.float()
    for level in range(int(levels.max()) + 1 if len(levels) else 0):
        if level:
            height, width = small.shape[-2:]
            small = avg_pool2d(pad(small, (0, width % 2, 0, height % 2), mode="replicate"), 2)
        for samples, mine in ((1, factors <= 1), (2, factors > 1)):  # of a pixel's side; one suffices to enlarge
            some = (levels == level) & mine
            if some.any():
                boxes = [windows[some].to(image.device)]
                result[some.to(image.device)] = roi_align(small, boxes, side, 1 / 2**level, samples, aligned=True)
    return result.contiguous(memory_format=torch.channels_last)


def masked_means(features: Tensor, stride: int, proposals: Proposals) -> Tensor:
    """The mean of a tap ``c h w`` over each region's pixels, each pixel the place that it lies in; ``[n, c]``."""
    channels, rows, columns = features.shape
    height, width = proposals.size
    place_rows = np.minimum(np.arange(height) // stride, rows - 1)
    place_columns = np.minimum(np.arange(width) // stride, columns - 1)
    places = place_rows[:, None] * columns + place_columns
    flat = features.reshape(channels, -1).T.cpu().double()
    result = torch.zeros(len(proposals), channels, dtype=torch.float64)
    for number, cut in enumerate(proposals.cuts):
        count = cut.members.shape[1]
        known = (cut.labels >= 0) & (cut.labels < count)
        joint = cut.labels[known].astype(np.int64) * (rows * columns) + places[known]
        table = np.bincount(joint, minlength=count * rows * columns).reshape(count, -1)
        mine = proposals.places[:, 0] == number
        members = torch.from_numpy(cut.members[proposals.places[mine, 1]]).double()
        result[torch.from_numpy(mine)] = members @ (torch.from_numpy(table).double() @ flat)
    return (result / torch.from_numpy(np.maximum(proposals.areas, 1))[:, None]).float().to(features.device)
