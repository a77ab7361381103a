"""``train``: from a data folder and options to a plan (:mod:`fullconv.training.plan`), and from it to a run."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from fullconv.bars import one_clock
from fullconv.data import DatasetSpec
from fullconv.device import computing_threads
from fullconv.errors import Interrupted, UsageError
from fullconv.evaluation.finding import told
from fullconv.evaluation.log_findings import log_findings, read_log
from fullconv.freed import freed_memory_kept
from fullconv.names import REGION_MODELS, refuse_unknown_names
from fullconv.processes import refuse_unguarded
from fullconv.there import NO_DATA
from fullconv.training.auto_weights import weights_at_hand
from fullconv.training.choosing import choose, with_budget, within_time
from fullconv.training.config import TrainConfig
from fullconv.training.devices import launch
from fullconv.training.ended import ended, has_ended
from fullconv.training.ending import ending
from fullconv.training.first_weights import as_started
from fullconv.training.fit import fit
from fullconv.training.memory import check_memory
from fullconv.training.plan import Plan, make_plan, open_data
from fullconv.training.ranks import Ranks
from fullconv.training.region_run import train_regions
from fullconv.training.repeat import differences, run_of
from fullconv.training.report import Reporter
from fullconv.training.resume import data_of, kept_name, resume_run
from fullconv.training.run import Run
from fullconv.training.run_folder import RunFolder, new_run_path
from fullconv.training.trackers import as_here, refuse_missing


@one_clock()
@freed_memory_kept()
def train(
    data: str | os.PathLike[str] | DatasetSpec | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    recipe: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    resume: bool | str | os.PathLike[str] = False,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Train a network on a data set.

    Args:
        data: whatever :func:`fullconv.open_dataset` takes; a run that is resumed knows its own.
        out: the run folder; by default ``runs/<data>-<model>-<n>``.
        recipe: a YAML file of options, or the name of one that comes with fullconv (:func:`fullconv.recipes`).
        config: ``config.yaml`` of a run, or its folder: the run is repeated, with its data and options, on the same
            machine's CPU to the last bit. Options that are given override its own.
        resume: continue this run where it stopped; True: the run ``out``, by default ``runs/latest``.
        quiet: print nothing.
        **options: fields of :class:`TrainConfig`; they override the recipe.

    Returns:
        The run, with its best model, scores and pictures.

    Raises:
        UsageError, DataError: what is wrong with the options or the data, before anything is written.
        NotFiniteError: a loss, a gradient, weights or val scores became nan or infinite.
        Interrupted: after Ctrl-C, with a checkpoint saved. Before the first step it is a KeyboardInterrupt, and nothing
            is left behind.
    """
    refuse_unguarded()
    began = time.monotonic()
    resumed, saved, again, taken, asked = None, None, None, "", False
    if resume:
        if config is not None:
            raise UsageError("config begins a run anew and resume goes on with one; give one of them")
        resumed, chosen, saved = resume_run(_run_to_resume(resume, out), recipe, options)
        data = data_of(resumed) if data is None else data
    elif config is not None:
        if recipe is not None:
            raise UsageError("config and recipe are both files of all options; give one of them")
        again = run_of(config)
        data = data_of(again, f"fullconv train DATA --config {shlex.quote(str(config))}") if data is None else data
        chosen, _ = with_budget(TrainConfig.load(again.config, options), again.config, options)
        refuse_unknown_names(chosen.model_dump(exclude_unset=True))
        chosen, taken = as_started(chosen)
    elif data is None:
        raise UsageError(NO_DATA)
    else:
        chosen, asked = with_budget(TrainConfig.load(recipe, options), recipe, options)
        refuse_unknown_names(chosen.model_dump(exclude_unset=True))
        chosen, taken = as_started(chosen)
    if resumed is None:
        new_run_path(out, "")  # refuses a folder that exists before anything is read
    untracked = ""
    if (resumed is not None or again is not None) and "track" not in options:
        chosen, untracked = as_here(chosen)
    refuse_missing(chosen.tracked)
    if resumed is not None and data is not None and saved is not None and has_ended(resumed, chosen, saved, data):
        for line in ended(resumed, saved):
            Reporter(None if quiet else Console(emoji=False)).say(line)
        return resumed
    if chosen.model in REGION_MODELS:
        if resumed is not None:
            raise UsageError(f"{resumed.path}: {chosen.model} is trained in one pass; there is nothing to resume")
        reporter = Reporter(None if quiet else Console(emoji=False))
        for line in (taken, untracked):
            reporter.say(line)
        return train_regions(chosen, data, out, reporter)
    fabric = launch(chosen)
    ranks = Ranks(fabric)
    reporter = Reporter(Console(emoji=False) if ranks.first and not quiet else None)
    torch.manual_seed(chosen.seed)
    for line in (taken, untracked, *(differences(again, ranks.device) if again is not None else [])):
        reporter.say(line)
    ground = ranks.prepare(lambda: open_data(chosen, data, reporter))
    reasons: dict[str, str] = {}
    if resumed is None:
        chosen = within_time(chosen, ground.supervision, asked)
        started, spec = chosen, ground.supervision.spec
        found = ranks.prepare(lambda: weights_at_hand(started, spec) if ranks.first else ("", ""))
        weights, line = fabric.broadcast(found)
        chosen = chosen.model_copy(update={"encoder_weights": weights})
        reporter.say(line)
    if resumed is None and chosen.minutes is not None:
        known = chosen

        def choosing() -> tuple[TrainConfig, dict[str, str]]:
            if not ranks.first:
                return known, {}
            taught, say = ground.supervision, reporter.say
            with reporter.waiting("choosing"):
                return choose(
                    known, taught.spec, ground.report, ranks.device, say, began, asked, ranks.count, not taught.less
                )

        chosen, reasons = fabric.broadcast(ranks.prepare(choosing))

    def prepare() -> Plan:
        plan = make_plan(chosen, ground, ranks.device, reporter, saved, reasons, began, resumed)
        check_memory(plan.segmenter, plan.crop, -(-chosen.batch_size // ranks.count), ranks.device)
        return plan

    plan = ranks.prepare(prepare)
    reporter.say(_batch_line(plan, ranks.count))
    run = ranks.prepare(lambda: (resumed or _new_run(out, plan)) if ranks.first else RunFolder("."))
    run = RunFolder(fabric.broadcast(run.path))
    with ExitStack() as held:
        held.enter_context(computing_threads(plan.config.threads))

        def take() -> bool:
            if ranks.first:
                held.enter_context(run.taken())
            return True

        ranks.prepare(take)
        try:
            fit(fabric, plan, run, reporter, saved)
        except BaseException as error:
            if ranks.first and not resume:
                run.discard_unsaved()
            _explain_batch_norm(error)
            raise
    try:
        if ranks.first:
            run.write_card()
            reporter.took()
        _say_ending(plan, run, reporter)
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted after training; the model is {run.best}") from error
    return Run(run.path)


def _say_ending(plan: Plan, run: RunFolder, reporter: Reporter) -> None:
    """How good the model is, what went wrong, and what comes next."""
    masks = "scored_against" not in plan.segmenter.provenance
    less = "labels" in plan.segmenter.provenance
    in_log = log_findings(read_log(run.path / "log.csv"), less, plan.config.changed())
    wrong = told([one.to_dict() for one in in_log], most=2)
    last = ending(run, plan.given, masks, plan.spec.splits.get("val", ()))
    for line in (*plan.objective.summary(run.scores, run.best), *wrong, *last):
        reporter.say(line)


def _run_to_resume(
    resume: bool | str | os.PathLike[str], out: str | os.PathLike[str] | None
) -> str | os.PathLike[str] | None:
    """Which run goes on.

    Raises:
        UsageError: two are named.
    """
    if isinstance(resume, bool):
        return out
    if out is not None and Path(out).resolve() != Path(resume).resolve():
        raise UsageError(f"a run goes on in its own folder, {resume}; leave --out {out} out")
    return resume


def _new_run(out: str | os.PathLike[str] | None, plan: Plan) -> RunFolder:
    """The folder of a new run, with its options and surroundings in it."""
    run = RunFolder(new_run_path(out, f"{plan.spec.name}-{plan.config.model}"))
    environment = {"data": str(plan.spec.root), "given": kept_name(plan.given), "precision": plan.segmenter.precision}
    try:
        run.begin(plan.config, environment, plan.listing, plan.reasons)
    except KeyboardInterrupt:
        run.discard_unsaved()
        raise
    return run


def _explain_batch_norm(error: BaseException) -> None:
    """Say in our words what PyTorch says of a norm over a single value.

    Raises:
        UsageError: that is what went wrong.
    """
    if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
        raise UsageError("batch norm needs more than one place a channel; enlarge --batch-size or --crop") from error


def _batch_line(plan: Plan, ranks: int) -> str:
    """How a batch is shared, and what the last one of an epoch is filled up with."""
    size, images, steps = plan.config.batch_size, len(plan.train_items), plan.steps_per_epoch
    each = f"{size // ranks}" if size % ranks == 0 else f"{size // ranks} or {size // ranks + 1}"
    shared = f"batch {size} = {each} per device x {ranks}" if ranks > 1 else f"batch {size}"
    pass_steps = -(-images // size)
    again = pass_steps * size - images
    line = f"{shared}, {steps} step{'s' * (steps != 1)} an epoch"
    if steps != pass_steps:
        line += f", {pass_steps} a pass over the images"
    filled = f"the last batch of a pass is filled up with {again} image{'s' * (again > 1)} of its first"
    return f"{line}; {filled}" if again else line
