"""Region refinement of SDS: a coarse mask is predicted for the best regions, and brought to the image's pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fullconv.regions.features import widened
from fullconv.regions.proposals import Pieces, Proposals, regions_of

SIDE = 10
"""Cells of the grid in each direction."""
CONTEXT_OF = 227
"""The grid covers the box with the context of a region warped to so many pixels, whatever the model warps to."""
GOOD = 0.7
"""IoU with an object from which a region teaches its mask."""
MOST_EXAMPLES = 2000
"""Of a class."""
RIDGE = 1e-2


class Grid(nn.Module):
    """For each class ``SIDE x SIDE`` logistic classifiers of a region's features and its own mask, one a cell; then
    one of a piece's mean in that coarse mask and whether it was in the region.

    Source: Hariharan et al., Simultaneous Detection and Segmentation, ECCV 2014, section 3.4.
    """

    cells_weight: Tensor
    cells_bias: Tensor
    piece_weight: Tensor

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("cells_weight", torch.zeros(num_classes, SIDE**2, width + SIDE**2))
        self.register_buffer("cells_bias", torch.zeros(num_classes, SIDE**2))
        # untrained: a region stays as it is
        self.register_buffer("piece_weight", torch.tensor([0.0, 2.0, -1.0]).repeat(num_classes, 1))

    def refined(
        self, proposals: Proposals, features: np.ndarray, scores: np.ndarray, kept: np.ndarray
    ) -> Iterator[tuple[Proposals, np.ndarray]]:
        """For each class its kept regions with new masks, and scores ``[n, classes]``, ``-inf`` of other classes."""
        for label in np.flatnonzero(kept.any(0)):
            rows = np.flatnonzero(kept[:, label])
            some = proposals.only(rows)
            coarse = self.coarse(some, features[rows], int(label))
            pieces = [self._pieces(some.only([index]), coarse[index], int(label)) for index in range(len(rows))]
            shown = np.full((len(rows), scores.shape[1]), -np.inf, np.float32)
            shown[:, label] = scores[rows, label]
            places = np.stack([np.arange(len(rows)), np.zeros(len(rows), np.int64)], 1)
            yield Proposals(proposals.size, some.boxes, tuple(pieces), places), shown

    def coarse(self, proposals: Proposals, features: np.ndarray, label: int) -> np.ndarray:
        """The probability that a cell is the object's, float ``[regions, SIDE, SIDE]``."""
        weight, bias = self.cells_weight[label].cpu().numpy(), self.cells_bias[label].cpu().numpy()
        logits = inputs(proposals, features) @ weight.T + bias
        return (1 / (1 + np.exp(-logits))).reshape(-1, SIDE, SIDE)

    def _pieces(self, region: Proposals, coarse: np.ndarray, label: int) -> Pieces:
        cut, row = region.places[0]
        average, _ = piece_means(region, coarse)
        weight = self.piece_weight[label].cpu().numpy()
        inside = weight[0] * average + weight[1] * region.cuts[cut].members[row] + weight[2] > 0
        return Pieces(region.cuts[cut].labels, inside[None])


class Examples(NamedTuple):
    """What the grid of one class learns from, of one object.

    Attributes:
        inputs: of good regions (:func:`inputs`).
        truth: the object's mask, bool ``[regions, SIDE^2]``.
        regions: where they are.
        shares: for each region how much of each piece is the object's.
    """

    inputs: np.ndarray
    truth: np.ndarray
    regions: Proposals
    shares: list[np.ndarray]


def inputs(proposals: Proposals, features: np.ndarray) -> np.ndarray:
    """Float32 ``[regions, width + SIDE^2]``: features, then the mask on the grid."""
    grids = proposals.grids(widened(proposals.boxes, CONTEXT_OF), SIDE)
    return np.concatenate([features, grids.reshape(len(proposals), -1)], 1).astype(np.float32)


def piece_means(region: Proposals, coarse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a single region: the mean of its coarse mask over each piece of its segmentation, 0 outside the grid; and
    which pieces the grid touches.
    """
    cut = region.cuts[region.places[0, 0]]
    left, top, right, bottom = widened(region.boxes, CONTEXT_OF)[0]
    height, width = region.size
    rows = np.floor((np.arange(height) + 0.5 - top) / (bottom - top) * SIDE).astype(np.int64)
    columns = np.floor((np.arange(width) + 0.5 - left) / (right - left) * SIDE).astype(np.int64)
    shown = np.ix_((rows >= 0) & (rows < SIDE), (columns >= 0) & (columns < SIDE))
    rows, columns = rows[(rows >= 0) & (rows < SIDE)], columns[(columns >= 0) & (columns < SIDE)]
    count = cut.members.shape[1]
    pieces = cut.labels[shown].ravel()
    sums = np.bincount(pieces, coarse[np.ix_(rows, columns)].ravel(), count)
    return sums / np.maximum(np.bincount(cut.labels.ravel(), minlength=count), 1), np.bincount(
        pieces, minlength=count
    ) > 0


class GridTrainer:
    """Gathers good regions image by image, then trains."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.examples: dict[int, list[Examples]] = {}

    def add(
        self, proposals: Proposals, features: np.ndarray, objects: np.ndarray, labels: list[int], overlap: np.ndarray
    ) -> None:
        """The regions of one image.

        Args:
            objects: int ``[height, width]``, the numbers 1 to n of its objects.
            labels: the class of each.
            overlap: float ``[regions, n]``, the IoU.
        """
        known = regions_of(objects, len(labels))
        for number, label in enumerate(labels):
            before = self.examples.setdefault(label, [])
            rows = np.flatnonzero(overlap[:, number] >= GOOD)
            if not len(rows) or sum(len(one.truth) for one in before) >= MOST_EXAMPLES:
                continue
            some = proposals.only(rows)
            windows = widened(some.boxes, CONTEXT_OF)
            truth = known.only([number] * len(rows)).grids(windows, SIDE).reshape(len(rows), -1)
            shares = [_shares(some.only([index]), objects == number + 1) for index in range(len(rows))]
            before.append(Examples(inputs(some, features[rows]), truth, some, shares))

    def finish(self) -> None:
        for label, examples in self.examples.items():
            if not examples:
                continue
            weight, bias = logistic(
                np.concatenate([one.inputs for one in examples]), np.concatenate([one.truth for one in examples])
            )
            self.grid.cells_weight[label] = torch.from_numpy(weight)
            self.grid.cells_bias[label] = torch.from_numpy(bias)
            self._train_pieces(label, examples)

    def _train_pieces(self, label: int, examples: list[Examples]) -> None:
        seen, truth = [], []
        for one in examples:
            width = one.inputs.shape[1] - SIDE**2
            coarse = self.grid.coarse(one.regions, one.inputs[:, :width], label)
            for index, share in enumerate(one.shares):
                region = one.regions.only([index])
                average, near = piece_means(region, coarse[index])
                cut, row = region.places[0]
                seen.append(np.stack([average, region.cuts[cut].members[row]], 1)[near])
                truth.append(share[near] > 0.5)
        weight, bias = logistic(np.concatenate(seen), np.concatenate(truth)[:, None], ridge=1e-6)
        self.grid.piece_weight[label] = torch.from_numpy(np.append(weight[0], bias))


def _shares(region: Proposals, mask: np.ndarray) -> np.ndarray:
    """How much of each piece of a single region's segmentation lies in a mask."""
    cut = region.cuts[region.places[0, 0]]
    count = cut.members.shape[1]
    areas = np.bincount(cut.labels.ravel(), minlength=count)
    return np.bincount(cut.labels[mask], minlength=count) / np.maximum(areas, 1)


def logistic(inputs: np.ndarray, truth: np.ndarray, ridge: float = RIDGE) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regressions that share their inputs, all at once.

    Minimises the mean cross-entropy plus ``ridge / 2`` times the squared weights of standardised inputs, by L-BFGS.

    Args:
        inputs: ``[n, width]``.
        truth: bool ``[n, outputs]``.

    Returns:
        float32 weights ``[outputs, width]`` and biases ``[outputs]`` for inputs as they are.
    """
    mean, deviation = inputs.mean(0, dtype=np.float64), inputs.std(0, dtype=np.float64)
    deviation[deviation < 1e-6] = 1
    x = torch.from_numpy((inputs - mean) / deviation)
    y = torch.from_numpy(truth).double()
    weight = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=100, tolerance_grad=1e-5, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = binary_cross_entropy_with_logits(x @ weight + bias, y, reduction="none").mean(0).sum()
        value = value + ridge / 2 * (weight**2).sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
    found = weight.detach().numpy() / deviation[:, None]
    return found.T.astype(np.float32), (bias.detach().numpy() - mean @ found).astype(np.float32)
