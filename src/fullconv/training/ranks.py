"""The processes of a run (ranks): what they add up, decide together, and prepare together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from torch import Tensor

from fullconv.data import DatasetSpec
from fullconv.data.loader import EvalBatches
from fullconv.errors import FullconvError, NotFiniteError
from fullconv.evaluation.evaluate import Measured, measure
from fullconv.evaluation.metrics import Scores
from fullconv.segmenter import Segmenter

T = TypeVar("T")


def on_all_ranks(fabric: Fabric, prepare: Callable[[], T]) -> T:
    """Prepare on every rank; if one fails, all leave instead of waiting for it."""
    if fabric.world_size == 1:
        return prepare()
    result, error = None, None
    try:
        result = prepare()
    except FullconvError as problem:
        error = problem
    failed: Any = fabric.all_reduce(torch.tensor(int(error is not None), device=fabric.device), reduce_op="sum")
    if error is not None:
        raise error
    if result is None or int(failed):
        raise FullconvError("another process could not prepare; its error is above")
    return result


def validate(
    fabric: Fabric, spec: DatasetSpec, segmenter: Segmenter, batches: EvalBatches, leave_if_asked: Callable[[], None]
) -> Scores:
    """Each rank measures its share; the counts add up exactly."""

    def between_batches(done: int) -> None:
        if fabric.world_size == 1:  # ranks have unequal numbers of batches: they leave together afterwards
            leave_if_asked()

    if fabric.world_size > 1:  # each rank's batch norm has its own running statistics; rank 0's are saved
        for buffer in segmenter.network.buffers():
            torch.distributed.broadcast(buffer, 0)
    error = None
    try:
        result = measure(segmenter, spec, batches, between_batches, partial_loss=True)
    except NotFiniteError as problem:
        error = problem
    if any_rank(fabric, error is not None):  # they leave together
        raise error or NotFiniteError("another process found scores that are not finite; its line says where")
    if fabric.world_size > 1:
        _add_over_ranks(fabric, result)
    return result.scores()


def _add_over_ranks(fabric: Fabric, result: Measured) -> None:
    numbers = torch.tensor(
        [result.loss_sum, result.loss_pixels, result.images], dtype=torch.float64, device=fabric.device
    )
    numbers = fabric.all_reduce(numbers, reduce_op="sum")  # type: ignore[assignment]
    result.matrix.counts = fabric.all_reduce(result.matrix.counts, reduce_op="sum")  # type: ignore[assignment]
    result.outside = fabric.all_reduce(result.outside, reduce_op="sum")  # type: ignore[assignment]
    result.loss_sum, result.loss_pixels, result.images = float(numbers[0]), int(numbers[1]), int(numbers[2])


def mean_over_ranks(fabric: Fabric, value: Tensor) -> Tensor:
    """The mean of each rank's number, on its device: nobody waits for it to be read."""
    return value if fabric.world_size == 1 else sum_over_ranks(value.clone()) / fabric.world_size


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of each rank's tensor, in place. ``Fabric.all_reduce`` has a barrier, at which the host would wait."""
    torch.distributed.all_reduce(value)
    return value


def any_rank(fabric: Fabric, asked: bool) -> bool:
    """Whether it is so on at least one rank."""
    if fabric.world_size == 1:
        return asked
    return bool(fabric.all_reduce(torch.tensor(int(asked), device=fabric.device), reduce_op="sum"))
