"""The training loop. The whole state of a run is one integer, the step, beside weights and optimiser:
order, augmentation, dropout and learning rate are functions of it, so a resumed run repeats what an
uninterrupted one does. What is learned, validated and shown is the objective's (:mod:`fullconv.training.objective`).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning.fabric import Fabric
from torch import Tensor

from fullconv.data import Augmentation, Batch, Item, TrainData
from fullconv.data.loader import StepSampler, blocks_of, train_batches
from fullconv.errors import Interrupted, NotFiniteError, first_few
from fullconv.files import replacing
from fullconv.machine import default_workers
from fullconv.ops.checks import waits
from fullconv.training.drawing import Drawing
from fullconv.training.ending import what_is_left
from fullconv.training.frozen import features_kept
from fullconv.training.guard import CHECK_EVERY, EXACT_STEPS, TooLateError
from fullconv.training.interrupt import InterruptRequest
from fullconv.training.learner import BadStepError, Learner
from fullconv.training.leaving import Leaving
from fullconv.training.objective import Validation
from fullconv.training.plan import Plan
from fullconv.training.ranks import Ranks
from fullconv.training.report import Reporter
from fullconv.training.resume import go_on
from fullconv.training.run_folder import RunFolder
from fullconv.training.state import Checkpoint, Progress
from fullconv.training.trackers import Tracking

SAVE_SECONDS = 600
"""So often the state is saved within an epoch too: what a crash, or a fault seen late, can cost."""
ASK_EVERY = 10
"""Steps between two questions, over several GPUs, whether one of them was asked to stop: its answer is waited for."""


def fit(fabric: Fabric, plan: Plan, run: RunFolder, reporter: Reporter, saved: Checkpoint | None = None) -> None:
    """Train as planned, into the run folder; go on from ``saved`` if it is given.

    Raises:
        Interrupted: after Ctrl-C, with the state saved.
        NotFiniteError: a loss, a gradient, weights or val scores are; what is kept, and what to try.
    """
    ranks = Ranks(fabric)
    learner = Learner(fabric, ranks, plan)
    plan.objective.start(ranks, run)
    with (
        InterruptRequest() as interrupt,
        features_kept(plan.kept, [learner.network, learner.watched.network], reporter.say),
    ):
        loop = Loop(plan, run, reporter, ranks, learner, interrupt)
        loop.restore(saved)
        if saved is not None:
            loop.began -= saved.progress.spent
            reporter.say(f"resuming {run.path} at step {loop.progress.step} of {plan.total_steps}")
        reporter.start(
            plan.total_steps, plan.steps_per_epoch, loop.progress.step, str(ranks.device), plan.config.batch_size,
            None if plan.timetable.seconds is None else loop.began + plan.timetable.seconds, loop.longest(),
            len(plan.val_items), run.pace if saved is not None else 0.0,
        )  # fmt: skip
        interrupt.answer, interrupt.last_words = loop.leaving.answer, loop.leaving.last_words
        try:
            loop.go()
        except KeyboardInterrupt as error:  # the second
            raise Interrupted(loop.leaving.stopped()) from error
        finally:
            reporter.stop()
            loop.tracking.close()


@dataclass
class Loop:
    """The steps and epochs of one run."""

    plan: Plan
    run: RunFolder
    reporter: Reporter
    ranks: Ranks
    learner: Learner
    interrupt: InterruptRequest

    def __post_init__(self) -> None:
        config = self.plan.config
        self.tracking = Tracking(config.tracked, self.run.path, config.model_dump(mode="json"))
        self.leaving = Leaving(self.run, self.plan.given, self.reporter, self.ranks.first)
        self.drawing = Drawing(
            lambda: self.plan.objective.draw(self.progress.history, self.learner.watched), self.reporter.drew
        )
        self.began = self.plan.began
        """When the run began, as if it had never been interrupted."""

    def restore(self, saved: Checkpoint | None) -> None:
        """Take up a saved state; without one, stand before the first step."""
        self.progress = Progress()
        if saved is not None:
            self.progress = saved.progress
            self.learner.restore(saved)
            self.plan.timetable.restore(saved.progress.timetable)
        whole = self.progress.step % self.plan.steps_per_epoch == 0
        self.epoch_began = time.monotonic() if whole else None
        """When the present epoch began; None: in another process."""
        self.plan.objective.restore(saved.objective if saved is not None else {})
        wide = torch.float32 if self.ranks.device.type == "mps" else torch.float64
        self.loss_sum = torch.tensor(self.progress.loss_sum, dtype=wide, device=self.ranks.device)
        """Of the epoch so far; it stays on the device until it is saved or logged."""
        self.shown = ""
        """The last loss that was read."""
        self.learner.guard.exact_until = self.progress.step + EXACT_STEPS
        self.saved_at = time.monotonic()
        self.leaving.saved = None if saved is None else self.progress.step

    def go(self) -> None:
        """Every step that is left; back to the saved state, once, where what a GPU noted shows a fault too late."""
        try:
            self.steps()
        except TooLateError as late:
            if self.ranks.any(not self.run.state.is_file()):
                raise NotFiniteError(f"{late}; {self.what_is_left()}") from late
            self.restore(Checkpoint.read(self.run))
            self.reporter.say(f"not finite: {late}; back to step {self.progress.step}, to see where it begins")
            guard = self.learner.guard
            guard.exact, guard.pending = True, []
            self.steps()
        if self.ranks.first:
            self.drawing.at_end()

    def steps(self) -> None:
        """From the progress that is set to the end."""
        plan, progress = self.plan, self.progress
        if len(progress.history) < progress.step // plan.steps_per_epoch:  # interrupted while validating
            self.finish_epoch()
        started = time.monotonic()
        for batch in self.batches():
            if progress.step >= plan.total_steps or self.stops_early():
                break
            read = self.learner.guard.judges(progress.step) or (progress.step + 1) % CHECK_EVERY == 0
            loss = self.step(batch.to(self.ranks.device))
            self.loss_sum += loss
            progress.add()
            if read:
                self.shown = f", loss {float(loss):.3f}"
            now = time.monotonic()
            self.reporter.step(progress.step, f"{self.where()}{self.shown}", now - started)
            progress.seconds, started = progress.seconds + now - started, now
            if progress.step % CHECK_EVERY == 0:
                self.learner.guard.check()
                if self.ranks.any(time.monotonic() - self.saved_at > SAVE_SECONDS):
                    self.save()
            ends = progress.step % plan.steps_per_epoch == 0
            if ends:
                self.finish_epoch()
                self.replan()
                self.save()
                started = time.monotonic()
                self.reporter.validated(started - now)
                if self.ranks.first and self.reporter.share:
                    self.run.write_pace(self.reporter.share)
            if ends or self.ranks.count == 1 or not waits(self.ranks.device) or progress.step % ASK_EVERY == 0:
                self.leave_if_asked()

    def where(self) -> str:
        """The epoch of the last step."""
        return f"epoch {1 + (self.progress.step - 1) // self.plan.steps_per_epoch}/{self.plan.timetable.epochs}"

    def longest(self) -> str:
        """The longest that :meth:`where` will be."""
        return f"epoch {self.plan.timetable.epochs}/{self.plan.timetable.epochs}"

    def batches(self) -> Iterator[Batch]:
        """Of every step that is left, read ahead; read anew from each epoch on that has other items."""
        plan, step = self.plan, self.progress.step
        while step < plan.total_steps:
            items, until = plan.objective.items(step // plan.steps_per_epoch, self.learner.watched)
            stop = until * plan.steps_per_epoch
            if plan.timetable.seconds is None:
                stop = min(stop, plan.total_steps)
            yield from _batches(plan, self.ranks, items, step, stop)
            step = stop

    def step(self, batch: Batch) -> Tensor:
        """One step of the optimiser; the loss, the mean over the ranks.

        Raises:
            NotFiniteError: a number of it is not finite. The state from before it is kept.
        """
        try:
            return self.learner.step(self.progress.step, batch)
        except BadStepError as fault:
            if not self.learner.not_finite() and not self.ranks.any(not self.run.state.is_file()):
                self.save()
            where = f"step {self.progress.step + 1} (epoch {1 + self.progress.step // self.plan.steps_per_epoch})"
            raise NotFiniteError(f"not finite in {where}: {fault}; {self.what_is_left()}") from fault

    def stops_early(self) -> bool:
        """Whether so many epochs as ``early_stopping`` says have been no better than one before them."""
        patience, objective = self.plan.config.early_stopping, self.plan.objective
        if not patience or self.progress.epochs_since_best(objective.score) < patience:
            return False
        self.reporter.say(f"stopped: no better {objective.score_in_words} for {patience} epoch{'s' * (patience > 1)}")
        return True

    # -- epochs --------------------------------------------------------------------------------------------------

    def finish_epoch(self) -> None:
        """Validate, log, draw, and keep the model if it is the best so far."""
        plan, progress = self.plan, self.progress
        started = time.monotonic()
        self.learner.guard.check()
        if bad := self.learner.not_finite():
            raise NotFiniteError(f"{first_few(bad)} are not finite after step {progress.step}; {self.what_is_left()}")
        validation = self.validate()
        self.reporter.ending(progress.step, self.where())
        progress.loss_sum = self.loss_sum.item()
        steps = range(progress.step - plan.steps_per_epoch, progress.step)
        row = {
            "epoch": progress.step // plan.steps_per_epoch,
            **plan.objective.trained(progress.mean_loss),
            **validation.columns,
            "rate": plan.config.rate * sum(map(self.learner.rate_factor, steps)) / len(steps),
            "seconds": progress.seconds + time.monotonic() - started,
        }
        progress.end_epoch(row)
        self.loss_sum.zero_()
        if self.ranks.first:
            self.keep(validation)

    def validate(self) -> Validation:
        """Of the network, or its moving average."""
        watched = self.learner.watched
        watched.network.eval()
        watched.provenance |= {"steps": self.progress.step, "of_steps": self.plan.total_steps}
        self.ranks.copy_first(list(watched.network.buffers()))  # each has its own statistics; the first's are saved

        def between(done: int, of: int) -> None:
            self.reporter.validating(self.progress.step, self.where(), done, of)
            if self.ranks.count == 1:  # ranks have unequal numbers of batches: they leave together afterwards
                self.leave_if_asked()

        try:
            return self.plan.objective.validate(watched, between)
        except NotFiniteError as error:
            raise NotFiniteError(f"in validation: {error}; {self.what_is_left()}") from error

    def keep(self, validation: Validation) -> None:
        """Write the model, and whatever shows how the run is going."""
        run, history, objective = self.run, self.progress.history, self.plan.objective
        row, watched = history[-1], self.learner.watched
        scores = {k: None if math.isnan(v) else v for k, v in row.items() if k not in ("epoch", "rate", "seconds")}
        watched.provenance |= {"epoch": row["epoch"], "scores": scores, **validation.kept}
        watched.save(run.last)
        best = self.progress.is_best(objective.score)
        if best:
            with replacing(run.best) as temporary:
                shutil.copyfile(run.last, temporary)
            run.write_scores({**validation.report, "epoch": row["epoch"], "split": "val"})
        self.reporter.epoch(row, objective.figures(row), self.plan.timetable.epochs, best)
        for note in self.tracking.write(row):
            self.reporter.say(note)
        run.write_log(history)
        self.drawing.after_epoch()

    def replan(self) -> None:
        """As many epochs more as there is time for, where the run has a budget; by the first rank's clock."""
        plan, table, now = self.plan, self.plan.timetable, time.monotonic()
        began, self.epoch_began = self.epoch_began, now
        if table.seconds is None or began is None:  # a part of this epoch was in another process
            return
        spent, seconds = self.ranks.gather((now - self.began, now - began))[0]
        done = self.progress.step // plan.steps_per_epoch
        if table.replan(done, spent, seconds):
            self.reporter.replanned(plan.total_steps, table.news(done))
            if self.ranks.first:
                self.run.change_epochs(table.epochs)

    # -- leaving -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """The whole state, to go on from."""
        self.learner.guard.check()
        self.progress.loss_sum = self.loss_sum.item()
        self.progress.spent, self.progress.timetable = time.monotonic() - self.began, self.plan.timetable.state()
        gathered = self.plan.objective.state()
        self.saved_at = time.monotonic()
        if self.ranks.first:
            if bad := self.learner.not_finite():
                raise NotFiniteError(f"{self.run.state}: not written, {first_few(bad)} are not finite")
            self.learner.checkpoint(self.progress, gathered).write(self.run)
            self.run.point_latest()
        self.leaving.saved = self.progress.step
        self.ranks.wait()

    def leave_if_asked(self) -> None:
        """Save and stop, after Ctrl-C on any rank."""
        if self.ranks.any(self.interrupt.asked):
            self.save()
            command = go_on(self.run, self.plan.given)
            raise Interrupted(f"interrupted at step {self.progress.step}; go on with: {command}")

    def what_is_left(self) -> str:
        """What a run that went wrong has kept, and what to try."""
        return what_is_left(self.run, self.plan.config, self.plan.segmenter.precision, self.progress.history)


def _batches(plan: Plan, ranks: Ranks, items: Sequence[Item], start: int, stop: int) -> Iterator[Batch]:
    """Those of steps ``start`` to ``stop - 1``, this rank's part of each."""
    config, preprocessing = plan.config, plan.segmenter.preprocessing
    augmentation = Augmentation(
        plan.crop, config.scale, config.flip, config.colour, config.resize, preprocessing.fill
    )  # fmt: skip
    data = TrainData(plan.spec, items, augmentation, config.seed)
    sampler = StepSampler(
        len(items), config.batch_size, config.seed, start, stop, ranks.index, ranks.count, blocks_of(items)
    )
    return train_batches(data, sampler, default_workers(config.workers), ranks.device.type == "cuda")
