"""Refinement of regions: a coarse mask is predicted for the best ones, and brought to the image's pieces."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from fullconv.device import autocast
from fullconv.models.network import SegmentationNetwork
from fullconv.ops import upsample
from fullconv.regions.features import widened
from fullconv.regions.proposals import Pieces, Proposals
from fullconv.runner import normalise
from fullconv.spec import Preprocessing

SIDE = 10
"""Cells of the grid in each direction."""
CONTEXT_OF = 227
"""The mask is predicted within the context of a region warped to so many pixels, whatever the model warps to."""
UNTRAINED = (0.0, 2.0, -1.0)
"""Of a piece's mean in the coarse mask, of whether it was in the region, and the bias: a region stays as it is."""

Mean = tuple[np.ndarray, np.ndarray]
"""Of one region, per piece of its segmentation: the mean of its coarse mask, and whether its window shows any of it."""


class Refiner(nn.Module):
    """Predicts masks anew: whether a piece is the object's, by its mean in a coarse mask and by whether it was in the
    region, says a logistic classifier for each class.

    Source: Hariharan et al., Simultaneous Detection and Segmentation, ECCV 2014, section 3.4.
    """

    piece_weight: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("piece_weight", torch.tensor(UNTRAINED).repeat(num_classes, 1))

    @abstractmethod
    def see(self, image: Tensor, precision: str) -> np.ndarray | None:
        """What is to be known of a raw image ``c H W``, once for all of its regions."""

    @abstractmethod
    def means(self, proposals: Proposals, features: np.ndarray, label: int, seen: np.ndarray | None) -> list[Mean]:
        """The coarse masks of regions as one class, brought to pieces."""

    def refined(
        self, proposals: Proposals, features: np.ndarray, scores: np.ndarray, kept: np.ndarray, seen: np.ndarray | None
    ) -> Iterator[tuple[Proposals, np.ndarray]]:
        """For each class its kept regions with new masks, and scores ``[n, classes]``, ``-inf`` of other classes."""
        for label in np.flatnonzero(kept.any(0)):
            rows = np.flatnonzero(kept[:, label])
            some = proposals.only(rows)
            weight = self.piece_weight[label].cpu().numpy()
            cuts = []
            for (average, _), (cut, row) in zip(
                self.means(some, features[rows], int(label), seen), some.places, strict=True
            ):
                before = proposals.cuts[cut]
                inside = weight[0] * average + weight[1] * before.members[row] + weight[2] > 0
                cuts.append(Pieces(before.labels, inside[None]))
            shown = np.full((len(rows), scores.shape[1]), -np.inf, np.float32)
            shown[:, label] = scores[rows, label]
            places = np.stack([np.arange(len(rows)), np.zeros(len(rows), np.int64)], 1)
            yield Proposals(proposals.size, some.boxes, tuple(cuts), places), shown


class Grid(Refiner):
    """For each class ``SIDE x SIDE`` logistic classifiers of a region's features and its own mask, one a cell (SDS)."""

    cells_weight: Tensor
    cells_bias: Tensor

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("cells_weight", torch.zeros(num_classes, SIDE**2, width + SIDE**2))
        self.register_buffer("cells_bias", torch.zeros(num_classes, SIDE**2))

    def see(self, image: Tensor, precision: str) -> None:
        """Nothing."""

    def means(self, proposals: Proposals, features: np.ndarray, label: int, seen: np.ndarray | None) -> list[Mean]:
        weight, bias = self.cells_weight[label].cpu().numpy(), self.cells_bias[label].cpu().numpy()
        logits = grid_inputs(proposals, features) @ weight.T + bias
        coarse = (1 / (1 + np.exp(-logits))).reshape(-1, SIDE, SIDE)
        return [piece_means(proposals.only([index]), coarse[index]) for index in range(len(proposals))]


class Pixels(Refiner):
    """A segmentation network's probability of the class at each pixel of a region's window: hypercolumns as the pixel
    classifier of SDS.

    Its encoder is that which describes the regions.

    Source: Hariharan et al., Hypercolumns, CVPR 2015, section 5.
    """

    def __init__(self, network: SegmentationNetwork, preprocessing: Preprocessing, num_classes: int) -> None:
        super().__init__(num_classes)
        self.network, self.preprocessing = network, preprocessing

    @torch.inference_mode()
    def see(self, image: Tensor, precision: str) -> np.ndarray:
        """The probabilities float32 ``[classes, height, width]``."""
        device, size = self.piece_weight.device, (image.shape[1], image.shape[2])
        with autocast(device, precision):
            logits = self.network(normalise(image[None].to(device), self.preprocessing))
        window = self.network.window(logits.shape[-2:], size)
        return np.asarray(upsample(logits.float(), size, window).softmax(1)[0].cpu().numpy())

    def means(self, proposals: Proposals, features: np.ndarray, label: int, seen: np.ndarray | None) -> list[Mean]:
        assert seen is not None
        height, width = proposals.size
        result = []
        for index in range(len(proposals)):
            left, top, right, bottom = widened(proposals.boxes[[index]], CONTEXT_OF)[0].round().astype(int)
            shown = np.s_[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
            cut = proposals.cuts[proposals.places[index, 0]]
            result.append(_over_pieces(cut, cut.labels[shown].ravel(), seen[label][shown].ravel()))
        return result


def grid_inputs(proposals: Proposals, features: np.ndarray) -> np.ndarray:
    """Float32 ``[regions, width + SIDE^2]``: features, then the mask on the grid."""
    grids = proposals.grids(widened(proposals.boxes, CONTEXT_OF), SIDE)
    return np.concatenate([features, grids.reshape(len(proposals), -1)], 1).astype(np.float32)


def piece_means(region: Proposals, coarse: np.ndarray) -> Mean:
    """The coarse mask ``[SIDE, SIDE]`` of a single region over the pieces of its segmentation; it is 0 outside."""
    cut = region.cuts[region.places[0, 0]]
    left, top, right, bottom = widened(region.boxes, CONTEXT_OF)[0]
    height, width = region.size
    rows = np.floor((np.arange(height) + 0.5 - top) / (bottom - top) * SIDE).astype(np.int64)
    columns = np.floor((np.arange(width) + 0.5 - left) / (right - left) * SIDE).astype(np.int64)
    here = [(places >= 0) & (places < SIDE) for places in (rows, columns)]
    pixels = coarse[np.ix_(rows[here[0]], columns[here[1]])]
    return _over_pieces(cut, cut.labels[np.ix_(*here)].ravel(), pixels.ravel())


def _over_pieces(cut: Pieces, pieces: np.ndarray, values: np.ndarray) -> Mean:
    count = cut.members.shape[1]
    areas = np.bincount(cut.labels.ravel(), minlength=count)
    return np.bincount(pieces, values, count) / np.maximum(areas, 1), np.bincount(pieces, minlength=count) > 0
