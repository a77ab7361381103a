"""The seam between the loop and what is learned: a loss, what is validated, which score picks the best, what is shown.

The loop (:mod:`fullconv.training.fit`) knows none of these. Another kind of supervision or network is another
objective (or a subclass of :class:`fullconv.training.label_maps.LabelMaps` that replaces one method), not another loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from fullconv.data import Batch, Item
from fullconv.segmenter import Segmenter
from fullconv.training.ranks import Ranks
from fullconv.training.report import Figures
from fullconv.training.run_folder import RunFolder

NO_EPOCH = 10**6
"""An epoch that no run has."""
Row = Mapping[str, float]
"""An epoch's figures by name, a row of ``log.csv``; whole numbers are ints, unknown ones nan."""


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        columns: its part of the epoch's :data:`Row`, in the order of ``log.csv``, :attr:`Objective.score` among them.
        report: what ``scores.json`` says of it, JSON-ready.
        kept: what the model file says of it beside the columns, JSON-ready.
    """

    columns: Row
    report: Mapping[str, object]
    kept: Mapping[str, object] = field(default_factory=dict)


class Objective(Protocol):
    """What a network learns, and how one sees how far it has come.

    It is made with the plan, before a run folder exists, and refuses there what cannot be. Then on every rank ``start``
    once, ``restore`` (again when a run goes back to its saved state), for each step ``forward`` and ``count``, after
    each epoch ``validate`` and ``trained``; on the first rank ``line`` and ``draw``. Whatever is random in it is a
    function of the step, and what it gathers within an epoch is in ``state``: a run killed anywhere ends the same.

    Attributes:
        score: the column whose highest value makes the best epoch; nan is below every number. Of epochs with the same
            value the one with the lowest ``val_loss`` is the best, where they have that column.
        score_in_words: as messages call it, such as "val mean IoU".
        knows_epochs: whether it has phases that were laid out over the epochs of the options, so that a run whose time
            is limited keeps their number.
    """

    score: str
    score_in_words: str
    knows_epochs: bool

    def opening(self) -> list[str]:
        """What a user should know of it before the first step, in lines."""
        ...

    def start(self, ranks: Ranks, run: RunFolder) -> None:
        """Take its place on this rank's device; the run folder exists, and holds what earlier parts of the run left."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on within an epoch from what ``state`` gave; of an empty one: at the start of an epoch."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What was gathered of the present epoch over all ranks, on the CPU. Every rank calls it."""
        ...

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        """What is trained on from an epoch on, and until which one: reading begins anew there.

        Args:
            epoch: from 0.
            segmenter: the network as it is before that epoch (its moving average, where there is one), from which
                labels may be made. A resumed run asks again for the epoch it is within, when the network is further:
                what was made has to be kept in the run folder.

        Returns:
            As many items as in the plan, in a fixed order, and the first epoch that needs others
            (:data:`NO_EPOCH`: none does).
        """
        ...

    def forward(self, network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """One step's output and this rank's loss, a scalar whose mean over the ranks is that of the batch.

        Args:
            network: to be called once, by which ranks share gradients; in training mode, under the run's precision.
            batch: on the device; pixels uint8 ``n c H W``, labels ``n H W``.
            step: from 0; losses in phases are functions of it. Random numbers are seeded by it.

        Returns:
            What ``count`` needs (coarse logits ``n classes h w``, where there are such), and the loss. It may be called
            twice for a step, to find where a number that is not finite arose: it gathers nothing.
        """
        ...

    def count(self, output: Tensor, batch: Batch) -> None:
        """Gather what the epoch's train figures need of a step, after the optimiser has moved. It must not wait."""
        ...

    def trained(self, loss: float) -> Row:
        """The train columns of the epoch that ends; the next one begins. Every rank calls it.

        Args:
            loss: the mean of the steps' losses.
        """
        ...

    def validate(self, segmenter: Segmenter, between: Callable[[int, int], None]) -> Validation:
        """Measure the network, or its moving average, on val. Every rank calls it.

        Args:
            segmenter: in evaluation mode.
            between: to be called with the number of this rank's images done so far, and of all of them; it may raise,
                to leave early.

        Raises:
            NotFiniteError: scores are nan or infinite, on every rank alike.
        """
        ...

    def figures(self, row: Row) -> Figures:
        """An epoch's figures for the terminal, without its number, rate and time."""
        ...

    def draw(self, history: Sequence[Row], segmenter: Segmenter) -> None:
        """Pictures into the run folder after an epoch: curves, and the same few samples as the network sees them."""
        ...

    def summary(self, scores: Mapping[str, Any], model: Path) -> list[str]:
        """The end of a run in lines, from the best epoch's report (with its ``epoch``) and where its model lies."""
        ...
