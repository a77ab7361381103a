"""What may be added to the loss of label maps: terms from the same coarse logits, and labels made anew in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from fullconv.data import Batch, Item
from fullconv.geometry import Window
from fullconv.segmenter import Segmenter
from fullconv.training.ranks import Ranks
from fullconv.training.run_folder import RunFolder


class Term(Protocol):
    """An added loss.

    Attributes:
        name: ``train_<name>`` is its column in ``log.csv``: the mean of what it gave in the steps of an epoch, with its
            weight in it, as it is added.
    """

    name: str

    def opening(self) -> list[str]:
        """What a user should know of it before the first step, in lines."""
        ...

    def start(self, ranks: Ranks) -> None:
        """Take its place on this rank's device."""
        ...

    def loss(self, logits: Tensor, batch: Batch, window: Window, step: int) -> Tensor | None:
        """This rank's loss, a scalar whose mean over the ranks is that of the batch; None where it has nothing to say.

        It must not wait for the device, and where it asks other ranks it does so on every one of them.

        Args:
            logits: coarse scores ``n classes h w``, of all classes.
            batch: on the device; which image is which says ``(batch.sources[i], batch.ids[i])``.
            window: where the batch's images lie in the enlarged logits.
            step: from 0.
        """
        ...


@runtime_checkable
class Measuring(Protocol):
    """A term that measures something of each step, to be shown and not learned from.

    Attributes:
        figures: their names; ``train_<figure>`` is the column of each.
        measured: of the last step, a row for each: a sum, and over how many; ``[figures, 2]`` on the device. The column
            is the quotient of the sums of an epoch.
    """

    figures: tuple[str, ...]
    measured: Tensor


class Relabel(Protocol):
    """Labels that are made anew between rounds, by the network that the last round trained."""

    def opening(self) -> list[str]:
        """What a user should know of it before the first step, in lines."""
        ...

    def start(self, ranks: Ranks, run: RunFolder) -> None:
        """Take its place; the run folder exists, and holds what earlier parts of the run left."""
        ...

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        """As :meth:`fullconv.training.objective.Objective.items`."""
        ...
