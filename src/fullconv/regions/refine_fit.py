"""Training the refinement of regions: logistic regressions, of good regions beside the objects that they show."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fullconv.regions.features import widened
from fullconv.regions.proposals import Proposals, regions_of
from fullconv.regions.refine import CONTEXT_OF, SIDE, Grid, Mean, Refiner, grid_inputs

GOOD = 0.7
"""IoU with an object from which a region teaches its mask."""
MOST_EXAMPLES = 2000
"""Regions of a class."""
RIDGE = 1e-2


@dataclass
class ClassExamples:
    """What the refinement of one class learns from: good regions, each with the object that it shows.

    Attributes:
        regions, features: one entry an object.
        truth: the object's mask on the grid of each region, bool ``[regions, SIDE^2]``.
        shares: for each region how much of each piece is the object's.
        means: of pixels' probabilities; a grid's are known when its cells are trained.
    """

    regions: list[Proposals] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)
    truth: list[np.ndarray] = field(default_factory=list)
    shares: list[np.ndarray] = field(default_factory=list)
    means: list[Mean] = field(default_factory=list)


class RefineTrainer:
    """Gathers good regions image by image, then trains."""

    def __init__(self, refiner: Refiner) -> None:
        self.refiner = refiner
        self.examples: dict[int, ClassExamples] = {}

    def add(
        self, proposals: Proposals, features: np.ndarray, objects: np.ndarray, labels: list[int], overlap: np.ndarray,
        seen: np.ndarray | None,
    ) -> None:  # fmt: skip
        """The regions of one image.

        Args:
            objects: int ``[height, width]``, the numbers 1 to n of its objects.
            labels: the class of each.
            overlap: float ``[regions, n]``, the IoU.
            seen: of :meth:`fullconv.regions.refine.Refiner.see`.
        """
        known = regions_of(objects, len(labels))
        for number, label in enumerate(labels):
            examples = self.examples.setdefault(label, ClassExamples())
            rows = np.flatnonzero(overlap[:, number] >= GOOD)
            if not len(rows) or len(examples.shares) >= MOST_EXAMPLES:
                continue
            some = proposals.only(rows)
            windows = widened(some.boxes, CONTEXT_OF)
            examples.regions.append(some)
            examples.features.append(features[rows])
            examples.truth.append(known.only([number] * len(rows)).grids(windows, SIDE).reshape(len(rows), -1))
            examples.shares += [_shares(some.only([index]), objects == number + 1) for index in range(len(rows))]
            if seen is not None:
                examples.means += self.refiner.means(some, features[rows], label, seen)

    def finish(self) -> None:
        for label, examples in self.examples.items():
            if not examples.shares:
                continue
            if isinstance(self.refiner, Grid):
                self._train_cells(self.refiner, label, examples)
            self._train_pieces(label, examples)

    def _train_cells(self, grid: Grid, label: int, examples: ClassExamples) -> None:
        pairs = list(zip(examples.regions, examples.features, strict=True))
        weight, bias = logistic(
            np.concatenate([grid_inputs(some, described) for some, described in pairs]), np.concatenate(examples.truth)
        )
        grid.cells_weight[label], grid.cells_bias[label] = torch.from_numpy(weight), torch.from_numpy(bias)
        examples.means = [mean for some, described in pairs for mean in grid.means(some, described, label, None)]

    def _train_pieces(self, label: int, examples: ClassExamples) -> None:
        inside = [some.cuts[cut].members[row] for some in examples.regions for cut, row in some.places]
        parts = list(zip(examples.means, inside, examples.shares, strict=True))
        known = np.concatenate([np.stack([average, member], 1)[near] for (average, near), member, _ in parts])
        truth = np.concatenate([share[near] > 0.5 for (_, near), _, share in parts])
        weight, bias = logistic(known, truth[:, None], ridge=1e-6)
        self.refiner.piece_weight[label] = torch.from_numpy(np.append(weight[0], bias))


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
