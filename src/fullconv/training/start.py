"""``train``: from a data folder and options to a plan (:mod:`fullconv.training.plan`), and from it to a run."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import torch
from lightning.fabric import Fabric
from rich.console import Console

from fullconv.data import DatasetSpec
from fullconv.device import choose_precision
from fullconv.errors import UsageError, first_few
from fullconv.processes import refuse_unguarded
from fullconv.training.config import TrainConfig
from fullconv.training.fit import fit
from fullconv.training.memory import freed_memory_kept
from fullconv.training.plan import Plan, check_memory, make_plan
from fullconv.training.ranks import on_all_ranks
from fullconv.training.report import Reporter
from fullconv.training.run import Run, existing_run, new_run_path
from fullconv.training.state import read_state

FREE_ON_RESUME = ("workers", "cache", "accelerator", "devices", "nodes", "strategy")
FABRIC_S = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


@freed_memory_kept()
def train(
    data: str | os.PathLike[str] | DatasetSpec,
    out: str | os.PathLike[str] | None = None,
    *,
    recipe: str | os.PathLike[str] | None = None,
    resume: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Train a network on a data set.

    Args:
        data: whatever :func:`fullconv.open_dataset` takes.
        out: the run folder; by default ``runs/<data>-<model>-<n>``.
        recipe: a YAML file of options.
        resume: continue the run ``out`` (by default ``runs/latest``) where it stopped.
        quiet: print nothing.
        **options: fields of :class:`TrainConfig`; they override the recipe.

    Returns:
        The run, with its best model, scores and pictures.

    Raises:
        UsageError, DataError: what is wrong with the options or the data, before anything is written.
        Interrupted: after Ctrl-C, with a checkpoint saved.
    """
    refuse_unguarded()
    saved = None
    if resume:
        resumed = existing_run(out)
        config, saved = _resumed_config(resumed, recipe, options), read_state(resumed)
        if saved is not None:  # whatever this machine would choose
            config = config.model_copy(update={"precision": saved["precision"]})
    else:
        config = TrainConfig.load(recipe, options)
        new_run_path(out, "")  # refuses a folder that exists before anything is read
    for name in ("lightning.fabric", "lightning.pytorch"):  # both announce the precision, which our own line says
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.WARNING)
    fabric = _fabric(config)
    processes = config.nodes * len(getattr(fabric.strategy, "parallel_devices", None) or [0])
    if config.batch_size < processes:  # before they start
        raise UsageError(f"a batch of {config.batch_size} cannot be shared by {processes} processes; enlarge it")
    fabric.launch()
    reporter = Reporter(Console(emoji=False) if fabric.is_global_zero and not quiet else None)
    torch.manual_seed(config.seed)

    def prepare() -> Plan:
        plan = make_plan(config, data, fabric.device, reporter, saved)
        check_memory(fabric, plan)
        return plan

    def make_run() -> Run:
        run = resumed if resume else Run(new_run_path(out, f"{plan.spec.name}-{config.model}"))
        if not resume and fabric.is_global_zero:
            environment = {"data": str(plan.spec.root), "precision": plan.segmenter.precision}
            run.begin(plan.config, environment, plan.listing)
        return run

    plan = on_all_ranks(fabric, prepare)
    reporter.say(_batch_line(plan, fabric.world_size))
    run = on_all_ranks(fabric, lambda: make_run() if fabric.is_global_zero else Run("."))
    run = Run(fabric.broadcast(run.path))
    try:
        fit(fabric, plan, run, reporter, saved)
    except BaseException as error:
        if fabric.is_global_zero and not resume:
            run.discard_unsaved()
        if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
            raise UsageError(
                "batch norm needs more than one place a channel; enlarge --batch-size or --crop"
            ) from error
        raise
    reporter.say(_summary(run))
    for note in run.scores.get("notes", ()):
        reporter.say(f"  {note}")
    return run


def _summary(run: Run) -> str:
    """The best epoch in one line, with what is left out of its mean."""
    scores = run.scores
    if scores["mean_iou"] is None:
        return f"no mean IoU (val has no labelled pixel); the model of epoch {scores['epoch']}: {run.best}"
    absent = scores["absent"]
    over = f" over {len(scores['classes']) - len(absent)} classes, without {first_few(absent)}" if absent else ""
    return f"best mean IoU {scores['mean_iou']:.4f}{over} at epoch {scores['epoch']}: {run.best}"


def _batch_line(plan: Plan, ranks: int) -> str:
    """How a batch is shared, and what the last one of an epoch is filled up with."""
    size, images, steps = plan.config.batch_size, len(plan.train_items), plan.steps_per_epoch
    each = f"{size // ranks}" if size % ranks == 0 else f"{size // ranks} or {size // ranks + 1}"
    shared = f"batch {size} = {each} per device x {ranks}" if ranks > 1 else f"batch {size}"
    again = steps * size - images
    line = f"{shared}, {steps} steps an epoch"
    return f"{line}; its last batch is filled up with {again} image{'s' * (again > 1)} of its first" if again else line


def _fabric(config: TrainConfig) -> Fabric:
    devices: Any = config.devices
    if config.devices == "auto" and config.accelerator in ("auto", "cpu") and not torch.cuda.is_available():
        devices = 1  # lightning's auto would start one process per core
    elif config.devices.isdigit():
        devices = int(config.devices)
    device = torch.device("cuda" if torch.cuda.is_available() and config.accelerator != "cpu" else "cpu")
    precision: Any = FABRIC_S[choose_precision(config.precision, device)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Fabric(
                accelerator=config.accelerator, devices=devices, num_nodes=config.nodes, strategy=config.strategy,
                precision=precision,
            )  # fmt: skip
    except Exception as error:  # lightning has exceptions of its own, of no common kind
        raise UsageError(
            f"{config.devices} devices of {config.accelerator}: not available here ({str(error).splitlines()[0]}); "
            "use --devices auto and --accelerator auto, or cpu"
        ) from error


def _resumed_config(run: Run, recipe: Any, options: dict[str, Any]) -> TrainConfig:
    """The options of the run; only those of the machine may change."""
    saved = TrainConfig.load(run.config, {})
    asked = TrainConfig.load(recipe, options)
    for name in asked.model_fields_set:
        if name not in FREE_ON_RESUME and getattr(asked, name) != getattr(saved, name):
            raise UsageError(
                f"--resume: {name} was {getattr(saved, name)!r} in {run.path}, found {getattr(asked, name)!r}; "
                "leave it out, or start a new run with --init-from"
            )
    changed = {name: getattr(asked, name) for name in asked.model_fields_set if name in FREE_ON_RESUME}
    return saved.model_copy(update=changed)
