"""The training loop. The whole state of a run is one integer, the step, beside weights and optimiser:
order, augmentation, dropout and learning rate are functions of it, so a resumed run repeats what an
uninterrupted one does.
"""

from __future__ import annotations

import copy
import functools
import math
import shutil
import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from fullconv.data import Augmentation, EvalData, TrainData
from fullconv.data.loader import Batch, EvalBatches, StepSampler, blocks_of, train_batches
from fullconv.device import tuned_convolutions
from fullconv.errors import Interrupted, NotFiniteError, first_few
from fullconv.evaluation.evaluate import batch_size, default_workers
from fullconv.evaluation.metrics import ConfusionMatrix, Scores
from fullconv.files import replacing
from fullconv.models.network import place
from fullconv.ops import add_counts, upsample_argmax
from fullconv.ops.checks import waits
from fullconv.ops.partial import mask_unlabelled_classes
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.guard import CHECK_EVERY, EXACT_STEPS, Guard, TooLateError
from fullconv.training.interrupt import InterruptRequest
from fullconv.training.loss import training_loss
from fullconv.training.optimisation import MovingAverage, make_optimizer, rate_factor, set_rate
from fullconv.training.plan import Plan
from fullconv.training.ranks import any_rank, mean_over_ranks, sum_over_ranks, validate
from fullconv.training.report import Reporter, contact_sheet
from fullconv.training.run import Run
from fullconv.training.shared_norm import share_statistics
from fullconv.training.state import Progress, State, fingerprint, read_state

SAVE_SECONDS = 600
"""So often the state is saved within an epoch too: what a crash, or a fault seen late, can cost."""
ASK_EVERY = 10
"""Steps between two questions, over several GPUs, whether one of them was asked to stop: its answer is waited for."""


def fit(fabric: Fabric, plan: Plan, run: Run, reporter: Reporter, saved: dict[str, Any] | None = None) -> None:
    """Train as planned, into the run folder; go on from ``saved`` if it is given.

    Raises:
        Interrupted: after Ctrl-C, with the state saved.
    """
    network = plan.segmenter.network
    average = _average(plan, fabric.device)
    watched = plan.segmenter.with_network(average.average if average else network)
    place(network, fabric.device)
    if plan.config.sync_batch_norm and fabric.world_size > 1:
        share_statistics(network, fabric.device)
    wrapped, optimizer = fabric.setup(network, make_optimizer(network, plan.config))
    data = fingerprint(plan.spec, plan.train_items, plan.val_items)
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    state = State(network, optimizer, average, plan.segmenter.header(), data, plan.segmenter.precision, scaler)
    progress = Progress()
    if saved is not None:
        progress = state.restore(saved)
        reporter.say(f"resuming {run.path} at step {progress.step} of {plan.total_steps}")
    reporter.start(plan.total_steps, progress.step)
    with InterruptRequest() as interrupt, tuned_convolutions(fabric.device.type == "cuda"):
        loop = Loop(fabric, plan, run, reporter, wrapped, optimizer, average, watched, state, progress, interrupt)
        try:
            loop.go()
        finally:
            reporter.stop()


@dataclass
class Loop:
    """What the steps of one run share."""

    fabric: Fabric
    plan: Plan
    run: Run
    reporter: Reporter
    wrapped: Any
    """The network as Fabric runs it."""
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    watched: Segmenter
    """What is validated and saved: the network, or its moving average."""
    state: State
    progress: Progress
    interrupt: InterruptRequest

    def __post_init__(self) -> None:
        weights, device = self.plan.class_weights, self.fabric.device
        self.weights = None if weights is None else torch.tensor(weights, device=device)
        self.guard = Guard(self.plan.segmenter.network, device, self.state.scaler)
        mine = EvalData(self.plan.spec, self.plan.val_items[self.fabric.global_rank :: self.fabric.world_size])
        workers = default_workers(self.plan.config.workers)
        pin = device.type == "cuda"
        self.val_batches = EvalBatches(mine, batch_size(device), workers, keep=True, pin_memory=pin)
        self.begin()

    def begin(self) -> None:
        """Take up the progress that is set."""
        kept, classes = self.progress.counts, len(self.plan.spec.classes)
        self.counts = torch.zeros(classes, classes, dtype=torch.int64, device=self.fabric.device)
        if kept is not None and self.fabric.is_global_zero:  # they are those of all ranks
            self.counts += kept.to(self.counts.device)
        wide = torch.float32 if self.counts.device.type == "mps" else torch.float64
        self.loss_sum = torch.tensor(self.progress.loss_sum, dtype=wide, device=self.counts.device)
        """Of the epoch so far; it stays on the device until it is saved or logged."""
        self.shown = ""
        """The last loss that was read."""
        self.guard.exact_until = self.progress.step + EXACT_STEPS
        self.saved_at = time.monotonic()

    def go(self) -> None:
        """Every step that is left; back to the saved state, once, where what a GPU noted shows a fault too late."""
        try:
            self.steps()
        except TooLateError as late:
            if any_rank(self.fabric, not self.run.state.is_file()):
                raise NotFiniteError(f"{late}; {self.what_is_left()}") from late
            self.progress = self.state.restore(read_state(self.run) or {})
            self.reporter.say(f"not finite: {late}; back to step {self.progress.step}, to see where it begins")
            self.guard.exact, self.guard.pending = True, []
            self.begin()
            self.steps()

    def steps(self) -> None:
        """From the progress that is set to the end."""
        plan, progress = self.plan, self.progress
        if len(progress.history) < progress.step // plan.steps_per_epoch:  # interrupted while validating
            self.finish_epoch()
        started = time.monotonic()
        for batch in _batches(self.fabric, plan, progress.step):
            if _stops_early(plan.config, progress):
                patience = plan.config.early_stopping
                self.reporter.say(f"stopped: no better val mean IoU for {patience} epoch{'s' * (patience > 1)}")
                break
            read = self.guard.judges(progress.step) or (progress.step + 1) % CHECK_EVERY == 0
            loss = self.step(batch.to(self.fabric.device))
            self.loss_sum += loss
            progress.add()
            if read:
                self.shown = f"  loss {float(loss):.3f}"
            now = time.monotonic()
            progress.seconds, started = progress.seconds + now - started, now
            epoch = 1 + (progress.step - 1) // plan.steps_per_epoch
            self.reporter.step(progress.step, f"epoch {epoch}/{plan.config.epochs}{self.shown}")
            if progress.step % CHECK_EVERY == 0:
                self.guard.check()
                if any_rank(self.fabric, time.monotonic() - self.saved_at > SAVE_SECONDS):
                    self.save()
            ends = progress.step % plan.steps_per_epoch == 0
            if ends:
                self.finish_epoch()
                self.save()
                started = time.monotonic()
            if ends or self.fabric.world_size == 1 or not waits(self.fabric.device) or progress.step % ASK_EVERY == 0:
                self.leave_if_asked()

    def step(self, batch: Batch) -> Tensor:
        """One step of the optimiser; the loss, the mean over the ranks."""
        config, network, step = self.plan.config, self.plan.segmenter.network, self.progress.step
        network.train()
        if config.encoder_rate == 0:  # frozen: its norms keep their statistics too
            network.encoder.eval()
        set_rate(self.optimizer, rate_factor(config, step, self.plan.total_steps, self.plan.steps_per_epoch))
        judged = self.guard.judges(step)
        if judged:
            self.guard.keep_buffers()
        logits, loss = self.forward(batch)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if config.clip_norm:
            norm = self.fabric.clip_gradients(
                self.wrapped, self.optimizer, max_norm=config.clip_norm, error_if_nonfinite=False
            )
        else:
            norm = self.guard.norm()
        value = mean_over_ranks(self.fabric, loss.detach())  # nan on one rank stops all of them
        if not judged:
            self.guard.note(step, value, norm)  # type: ignore[arg-type]
        elif self.guard.is_fault(float(value), float(norm)):  # type: ignore[arg-type]
            self.fail(batch)
        self.optimizer.step()
        if self.average:
            self.average.update(step)
        self.count(logits, batch)
        return value

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Coarse logits, and this rank's loss; dropout is a function of the step."""
        config, network = self.plan.config, self.plan.segmenter.network
        _seed_step(config.seed, self.progress.step, self.fabric.global_rank)
        logits = self.wrapped(normalise(batch.pixels, self.plan.segmenter.preprocessing))
        window = network.window(logits.shape[-2:], batch.pixels.shape[-2:])
        asked = mask_unlabelled_classes(logits, self.plan.spec.labelled, batch.sources)
        loss = training_loss(
            config, asked, batch.labels, window, self.plan.spec.classes.ignore_index, self.weights,
            functools.partial(mean_over_ranks, self.fabric), self.fabric.world_size,
        )  # fmt: skip
        return logits, loss

    def count(self, logits: Tensor, batch: Batch) -> None:
        """Add what the network, as it was before the step, says of the batch's pixels to the epoch's counts."""
        size = (batch.labels.shape[-2], batch.labels.shape[-1])
        window = self.plan.segmenter.network.window(logits.shape[-2:], size)
        labels = upsample_argmax(logits, size, crop=window)
        add_counts(self.counts, labels, batch.labels, self.plan.spec.classes.ignore_index)

    def fail(self, batch: Batch) -> None:
        """Keep the state from before this step, and say where in it the first value that is not finite arises.

        Raises:
            NotFiniteError: always.
        """
        self.guard.restore_buffers()
        self.optimizer.zero_grad()
        found = self.guard.explain(lambda: self.forward(batch), self.fabric.backward, batch.ids)
        self.guard.restore_buffers()
        if not self.state.not_finite() and not any_rank(self.fabric, not self.run.state.is_file()):
            self.save()
        epoch = 1 + self.progress.step // self.plan.steps_per_epoch
        raise NotFiniteError(
            f"not finite in step {self.progress.step + 1} (epoch {epoch}): {found}; {self.what_is_left()}"
        )

    def what_is_left(self) -> str:
        """What a run that went wrong has kept, and what to try."""
        config = self.plan.config
        advice = [f"a smaller --rate (it was {config.rate:g})"]
        advice += ["--clip-norm 1"] * (not config.clip_norm)
        advice += ["--precision fp32"] * (self.plan.segmenter.precision != "fp32")
        tried = ", ".join(advice[:-1]) + " or " * (len(advice) > 1) + advice[-1]
        if not self.progress.history:
            return f"no epoch was finished, nothing is kept; try {tried}"
        kept = f"{self.run.path} keeps its models up to epoch {self.progress.history[-1]['epoch']}"
        return f"{kept}; go on from them with --init-from {self.run.path} and {tried}"

    def finish_epoch(self) -> None:
        """Validate, log, draw, and keep the model if it is the best so far."""
        plan, progress = self.plan, self.progress
        started = time.monotonic()
        self.guard.check()
        bad = self.state.not_finite()
        if bad:
            raise NotFiniteError(f"{first_few(bad)} are not finite after step {progress.step}; {self.what_is_left()}")
        self.watched.network.eval()
        with tuned_convolutions(False):  # images of many sizes: each would be timed anew
            try:
                scores = validate(self.fabric, plan.spec, self.watched, self.val_batches, self.leave_if_asked)
            except NotFiniteError as error:
                raise NotFiniteError(f"in validation: {error}; {self.what_is_left()}") from error
        progress.loss_sum = self.loss_sum.item()
        epoch = progress.step // plan.steps_per_epoch
        factor = rate_factor(plan.config, progress.step - 1, plan.total_steps, plan.steps_per_epoch)
        best = progress.is_best(scores.mean_iou)
        train = ConfusionMatrix(plan.spec.classes)
        train.counts = self.summed_counts()
        trained = train.scores()
        row = {
            "epoch": epoch,
            "train_loss": progress.loss_sum / max(progress.loss_steps, 1) if train.counts.any() else math.nan,
            "train_pixel_accuracy": trained.pixel_accuracy,
            "train_mean_accuracy": trained.mean_accuracy,
            "train_mean_iou": trained.mean_iou,
            "val_loss": scores.loss,
            "pixel_accuracy": scores.pixel_accuracy,
            "mean_accuracy": scores.mean_accuracy,
            "mean_iou": scores.mean_iou,
            "fw_iou": scores.fw_iou,
            "rate": plan.config.rate * factor,
            "seconds": progress.seconds + time.monotonic() - started,
        }
        progress.end_epoch(row)
        self.counts.zero_()
        self.loss_sum.zero_()
        if self.fabric.is_global_zero:
            self.keep(scores, row, best)

    def keep(self, scores: Scores, row: dict[str, Any], best: bool) -> None:
        """Write the model, and whatever shows how the run is going."""
        epoch, run = row["epoch"], self.run
        self.watched.provenance |= {
            "epoch": epoch,
            "scores": {k: None if math.isnan(v) else v for k, v in row.items() if k not in ("epoch", "rate")},
        }  # fmt: skip
        self.watched.save(run.last)
        if best:
            with replacing(run.best) as temporary:
                shutil.copyfile(run.last, temporary)
            run.write_scores({**scores.to_dict(), "epoch": epoch, "split": "val"})
        contact_sheet(run, epoch, self.watched, self.plan.spec, self.plan.val_items)
        self.reporter.epoch(run, self.progress.history, self.plan.config, best)

    def save(self) -> None:
        """The whole state, to go on from."""
        self.guard.check()
        self.progress.counts, self.progress.loss_sum = self.summed_counts(), self.loss_sum.item()
        self.saved_at = time.monotonic()
        if self.fabric.is_global_zero:
            self.state.save(self.run, self.progress)
            self.run.point_latest()
        self.fabric.barrier()

    def summed_counts(self) -> Tensor:
        """The epoch's counts so far, over all ranks, on the CPU."""
        if self.fabric.world_size == 1:
            return self.counts.cpu()
        return sum_over_ranks(self.counts.clone()).cpu()

    def leave_if_asked(self) -> None:
        """Save and stop, after Ctrl-C on any rank."""
        if any_rank(self.fabric, self.interrupt.asked):
            self.save()
            raise Interrupted(f"interrupted at step {self.progress.step}; continue with --out {self.run.path} --resume")


def _batches(fabric: Fabric, plan: Plan, start: int) -> Any:
    config, preprocessing = plan.config, plan.segmenter.preprocessing
    augmentation = Augmentation(
        plan.crop, config.scale, config.flip, config.colour, config.resize, preprocessing.fill
    )  # fmt: skip
    data = TrainData(plan.spec, plan.train_items, augmentation, config.seed)
    sampler = StepSampler(
        len(plan.train_items), config.batch_size, config.seed, start, plan.total_steps,
        fabric.global_rank, fabric.world_size, blocks_of(plan.train_items),
    )  # fmt: skip
    return train_batches(data, sampler, default_workers(config.workers), fabric.device.type == "cuda")


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout and stochastic depth are functions of the step too."""
    torch.manual_seed((seed * 1_000_003 + step) * 4096 + rank)


def _average(plan: Plan, device: torch.device) -> MovingAverage | None:
    if not plan.config.ema:
        return None
    average = copy.deepcopy(plan.segmenter.network).requires_grad_(False)
    place(average, device)
    return MovingAverage(plan.segmenter.network, average, plan.config.ema)


def _stops_early(config: TrainConfig, progress: Progress) -> bool:
    return bool(config.early_stopping) and progress.epochs_since_best() >= config.early_stopping
