"""A network with all that moves it, one step at a time: optimiser, moving average, loss scaler, guard."""

from __future__ import annotations

import copy
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from fullconv.data import Batch
from fullconv.errors import FullconvError
from fullconv.models.finite import not_finite
from fullconv.models.network import place
from fullconv.training.guard import Guard
from fullconv.training.optimisation import MovingAverage, make_optimizer, rate_factor, set_rate
from fullconv.training.plan import Plan
from fullconv.training.ranks import Ranks
from fullconv.training.shared_norm import share_statistics
from fullconv.training.state import Checkpoint, Progress, fingerprint


class BadStepError(FullconvError):
    """A number of this step is not finite; the optimiser has not moved, the network is as it was before."""


class Learner:
    """The network of a plan on its device.

    Attributes:
        watched: what is validated and saved: the network, or its moving average.
        guard: what watches over its numbers.
    """

    def __init__(self, fabric: Fabric, ranks: Ranks, plan: Plan) -> None:
        self.fabric, self.ranks, self.plan = fabric, ranks, plan
        self.network = plan.segmenter.network
        self.average = _average(plan, ranks.device)
        self.watched = plan.segmenter.with_network(self.average.average if self.average else self.network)
        place(self.network, ranks.device)
        if plan.config.sync_batch_norm and ranks.count > 1:
            share_statistics(self.network, ranks.device)
        self.optimizer: torch.optim.Optimizer
        self.wrapped, self.optimizer = fabric.setup(self.network, make_optimizer(self.network, plan.config))
        self.scaler: torch.amp.GradScaler | None = getattr(fabric.strategy.precision, "scaler", None)
        self.guard = Guard(self.network, ranks.device, self.scaler)
        self._data = fingerprint(plan.spec, plan.train_items, plan.val_items)

    # -- steps ---------------------------------------------------------------------------------------------------

    def rate_factor(self, step: int) -> float:
        """The share of the full rate at a step."""
        timetable = self.plan.timetable
        return rate_factor(self.plan.config, timetable.place(step), timetable.planned, timetable.per_epoch)

    def step(self, step: int, batch: Batch) -> Tensor:
        """One step of the optimiser, the ``step``-th from 0; the loss, the mean over the ranks, on the device.

        Raises:
            BadStepError: where steps are judged one by one, and this one's loss or gradient is not finite.
        """
        config = self.plan.config
        self.network.train()
        if config.encoder_rate == 0:  # frozen: its norms keep their statistics too
            self.network.backbone.eval()
        set_rate(self.optimizer, self.rate_factor(step))
        judged = self.guard.judges(step)
        if judged:
            self.guard.keep_buffers()
        output, loss = self.forward(step, batch)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        norm = self._norm()
        value = self.ranks.mean(loss.detach())  # nan on one rank stops all of them
        if not judged:
            self.guard.note(step, value, norm)
        elif self.guard.is_fault(float(value), float(norm)):
            raise BadStepError(self._explain(step, batch))
        self.optimizer.step()
        if self.average:
            self.average.update(step)
        self.plan.objective.count(output, batch)
        return value

    def forward(self, step: int, batch: Batch) -> tuple[Tensor, Tensor]:
        """The objective's output and this rank's loss; dropout is a function of the step."""
        _seed_step(self.plan.config.seed, step, self.ranks.index)
        return self.plan.objective.forward(self.wrapped, batch, step)

    def _norm(self) -> Tensor:
        """Of the gradient, which is clipped where the options say so."""
        clip = self.plan.config.clip_norm
        if not clip:
            return self.guard.norm()
        norm = self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=clip, error_if_nonfinite=False)
        assert norm is not None
        return norm

    def _explain(self, step: int, batch: Batch) -> str:
        """Where in a step the first value that is not finite arises; buffers and gradients are left as before it."""
        self.guard.restore_buffers()
        self.optimizer.zero_grad()
        found = self.guard.explain(lambda: self.forward(step, batch), self.fabric.backward, batch.ids)
        self.guard.restore_buffers()
        return found

    # -- what is saved -------------------------------------------------------------------------------------------

    def checkpoint(self, progress: Progress, objective: dict[str, Tensor]) -> Checkpoint:
        """What the run goes on from."""
        plan = self.plan
        return Checkpoint(
            network=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            average=self.average.average.state_dict() if self.average else None,
            scaler=self.scaler.state_dict() if self.scaler else None,
            objective=objective,
            progress=progress,
            header=plan.segmenter.header(),
            data=self._data,
            precision=plan.segmenter.precision,
        )

    def restore(self, saved: Checkpoint) -> None:
        """Go on from what :meth:`checkpoint` gave."""
        self.network.load_state_dict(saved.network)
        self.optimizer.load_state_dict(saved.optimizer)
        if self.average and saved.average is not None:
            self.average.average.load_state_dict(saved.average)
        if self.scaler and saved.scaler is not None:
            self.scaler.load_state_dict(saved.scaler)

    def not_finite(self) -> list[str]:
        """Which weights, averaged weights and tensors of the optimiser hold nan or inf."""
        bad = not_finite(self.network.state_dict())
        if self.average:
            bad += [f"the moving average of {name}" for name in not_finite(self.average.average.state_dict())]
        kept: dict[int, dict[str, Any]] = self.optimizer.state_dict()["state"]
        moments = {f"{key} {i}": v for i, row in kept.items() for key, v in row.items() if isinstance(v, Tensor)}
        return bad + [f"the optimiser's {name}" for name in not_finite(moments)]


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout and stochastic depth are functions of the step too."""
    torch.manual_seed((seed * 1_000_003 + step) * 4096 + rank)


def _average(plan: Plan, device: torch.device) -> MovingAverage | None:
    if not plan.config.ema:
        return None
    average = copy.deepcopy(plan.segmenter.network).requires_grad_(False)
    place(average, device)
    return MovingAverage(plan.segmenter.network, average, plan.config.ema)
