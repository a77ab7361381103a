"""The processes of a run (ranks): what they add up, decide together, and prepare together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from torch import Tensor

from fullconv.errors import FullconvError

T = TypeVar("T")


class Ranks:
    """All processes of a run, as one of them sees them.

    Attributes:
        device: of this process.
        count: how many there are.
        index: of this one, from 0; the first one writes the run folder.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.device: torch.device = fabric.device
        self.count: int = fabric.world_size
        self.index: int = fabric.global_rank

    @property
    def first(self) -> bool:
        return self.index == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum of each rank's tensor, in place. Not Fabric's, whose barrier makes the host wait for the device."""
        if self.count > 1:
            torch.distributed.all_reduce(value)
        return value

    def mean(self, value: Tensor) -> Tensor:
        """The mean of each rank's number, on its device: nobody waits for it to be read."""
        return value if self.count == 1 else self.sum(value.clone()) / self.count

    def any(self, asked: bool) -> bool:
        """Whether it is so on at least one rank."""
        if self.count == 1:
            return asked
        return bool(self._fabric.all_reduce(torch.tensor(int(asked), device=self.device), reduce_op="sum"))

    def copy_first(self, tensors: list[Tensor]) -> None:
        """Give every rank the first one's values, in place."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def gather(self, value: T) -> list[T]:
        """What each rank gives, in their order; every rank calls it. Plain, picklable values."""
        if self.count == 1:
            return [value]
        gathered: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """Until every rank is here."""
        self._fabric.barrier()

    def prepare(self, prepare: Callable[[], T]) -> T:
        """Prepare on every rank; if one fails, all leave instead of waiting for it.

        Raises:
            FullconvError: this rank's own, or one that says that another rank's is printed above.
        """
        if self.count == 1:
            return prepare()
        result, error = None, None
        try:
            result = prepare()
        except FullconvError as problem:
            error = problem
        failed: Any = self._fabric.all_reduce(torch.tensor(int(error is not None), device=self.device), reduce_op="sum")
        if error is not None:
            raise error
        if result is None or int(failed):
            raise FullconvError("another process could not prepare; its error is above")
        return result
