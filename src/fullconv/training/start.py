"""``train``: from a data folder and options to a plan, and from the plan to a run."""

from __future__ import annotations

import dataclasses
import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from rich.console import Console

from fullconv.data import CheckReport, DatasetSpec, Item, open_dataset
from fullconv.data.archive import cache_folder
from fullconv.data.cache import decoded
from fullconv.data.checking.remembered import check_once
from fullconv.device import choose_precision
from fullconv.errors import DataError, FullconvError, UsageError, first_few
from fullconv.geometry import round_up
from fullconv.images.files import image_size
from fullconv.model_file import read_header
from fullconv.models import build_model
from fullconv.models.arguments import described
from fullconv.models.build import FOREIGN
from fullconv.models.by_class import transplant_by_class
from fullconv.processes import refuse_unguarded
from fullconv.segmenter import Segmenter, from_header
from fullconv.spec import Preprocessing
from fullconv.training.config import TrainConfig
from fullconv.training.fit import Plan, check_memory, fit
from fullconv.training.memory import freed_memory_kept
from fullconv.training.report import Reporter
from fullconv.training.run import Run, existing_run, new_run_path
from fullconv.training.state import fingerprint, read_state

LARGEST_DEFAULT_CROP = 512
T = TypeVar("T")
FREE_ON_RESUME = ("workers", "cache", "accelerator", "devices", "nodes", "strategy")


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
        data: whatever :func:`fullconv.data.open_dataset` takes.
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
    fabric.launch()
    reporter = Reporter(Console(emoji=False) if fabric.is_global_zero and not quiet else None)
    torch.manual_seed(config.seed)
    if config.batch_size < fabric.world_size:
        raise UsageError(
            f"a batch of {config.batch_size} cannot be shared by {fabric.world_size} processes; enlarge it"
        )

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

    plan = _on_all_ranks(fabric, prepare)
    reporter.say(_batch_line(plan, fabric.world_size))
    run = _on_all_ranks(fabric, lambda: make_run() if fabric.is_global_zero else Run("."))
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


def make_plan(
    config: TrainConfig,
    data: str | os.PathLike[str] | DatasetSpec,
    device: torch.device,
    reporter: Reporter,
    saved: dict[str, Any] | None = None,
) -> Plan:
    """Open and check the data, build the network: everything that can be refused before a run folder exists."""
    spec = open_dataset(data)
    reporter.say(f"{spec.root}: {spec.layout}, {len(spec.classes)} classes, " + _counts(spec))
    for reason in spec.reasons:
        reporter.say(f"  {reason}")
    if spec.labelled and (config.label_smoothing or "dice" in config.loss):
        raise UsageError("mixed data sets train with cross-entropy, focal or ohem, without label_smoothing")
    train_items, val_items = spec.split("train"), spec.split("val")
    report = _checked(spec, config, reporter)
    if saved is None:
        segmenter, listing = _new_segmenter(config, spec, reporter)
        segmenter.precision = choose_precision(config.precision, device)
    else:
        segmenter, listing = from_header(saved["header"], "the saved run"), ""
        segmenter.precision = saved["precision"]
    if spec.values is not None:
        spec = dataclasses.replace(spec, values=dataclasses.replace(spec.values, fill=segmenter.preprocessing.fill))
    if config.cache:
        reporter.say(f"decoded images are kept in {cache_folder() / 'decoded'}, built now unless they are there")
        spec = decoded(spec)
        train_items, val_items = spec.split("train"), spec.split("val")
    crop = config.crop or _default_crop(config, spec, train_items, report)
    if config.filter_small:
        before = len(train_items), len(val_items)
        train_items, val_items = (_large_enough(config, spec, split, crop) for split in ("train", "val"))
        reporter.say(
            f"read {len(train_items)} of {before[0]} train images and {len(val_items)} of {before[1]} val images: "
            f"filter_small leaves out those smaller than {crop[0]}x{crop[1]}; the val scores are of these alone"
        )
    elif report:
        reporter.say(_padded(report, config, crop))
    if saved is not None and saved["data"] != fingerprint(spec, train_items, val_items):
        raise UsageError(
            f"{spec.root}: not the data of this run (other classes, names, order or range of values); give the same"
        )
    if config.encoder_rate == 0:  # known before the memory check: what is frozen keeps nothing
        segmenter.network.encoder.requires_grad_(False)
    segmenter.provenance |= {"data": spec.name, "layout": spec.layout, "train_images": len(train_items)}
    if config.filter_small:
        segmenter.provenance["val_images"] = len(val_items)
    if spec.licence:
        segmenter.provenance["data_licence"] = spec.licence
    weights = _class_weights(config, report, len(spec.classes))
    parameters = sum(p.numel() for p in segmenter.network.parameters())
    reporter.say(
        f"{config.model} on {config.encoder}: {parameters / 1e6:.1f} M parameters, crops {crop[0]}x{crop[1]}, "
        f"{segmenter.precision} on {device.type}"
    )
    if weights:
        named = list(zip(spec.classes.names, weights, strict=True))
        reporter.say("class weights: " + ", ".join(f"{name} {weight:.3g}" for name, weight in named))
        if none := [name for name, weight in named if weight == 0]:
            reporter.say(f"  weight 0, so their pixels teach nothing: {first_few(none, 25)}")
    return Plan(config, spec, train_items, val_items, crop, weights, segmenter, listing)


def _new_segmenter(config: TrainConfig, spec: DatasetSpec, reporter: Reporter) -> tuple[Segmenter, str]:
    """The network with its first weights: random, an encoder's or (``init_from``) another model's; their listing."""
    encoder_args, model_args, start = config.encoder_args, config.model_args, None
    if config.init_from:
        start = read_header(config.init_from)
        start["model"] = described(start["model"], config.init_from)
        if start["model"]["encoder"] != config.encoder:
            raise UsageError(
                f"--init-from {config.init_from}: its encoder is {start['model']['encoder']}, not {config.encoder}; "
                f"use --encoder {start['model']['encoder']}"
            )
        encoder_args = {**start["model"]["encoder_args"], **encoder_args}
        if config.model in FOREIGN and start["model"]["name"] == config.model:
            model_args = {**start["model"]["model_args"], **model_args}
    built = build_model(
        config.model, len(spec.classes), config.encoder, config.encoder_weights, spec.channels,
        encoder_args, model_args,
    )  # fmt: skip
    if start is not None:
        source = Segmenter.load(config.init_from, "cpu", "fp32")
        report = transplant_by_class(source.network, source.classes.names, built.network, spec.classes.names)
        built.note(f"start from {config.init_from}", report)
        built.mean, built.std = (tuple(start["preprocessing"][name]) for name in ("mean", "std"))
        built.licence = start.get("weights_licence", "")
        before = Preprocessing.from_dict(start["preprocessing"]).values
        if before != spec.values and (before and before.range) != (spec.values and spec.values.range):
            built.notes.append(
                f"values: its range was {before or 'that of 8 bits'}, here it is {spec.values or 'that of 8 bits'}; "
                "'range' in dataset.yaml sets another"
            )
    elif config.encoder_weights == "none" and spec.shapes is None:
        built.notes.append("the encoder starts from random weights; --encoder-weights imagenet learns much faster")
    for note in built.notes:
        reporter.say(note)
    if config.input_range == "unit":
        built.mean, built.std = (0.0,), (1.0,)
    preprocessing = Preprocessing.for_channels(spec.channels, built.mean, built.std, config.resize)
    if spec.values is not None:
        values = dataclasses.replace(spec.values, fill=preprocessing.fill)
        preprocessing = dataclasses.replace(preprocessing, values=values)
    return Segmenter(built, spec.classes, preprocessing), "\n".join(built.listing)


def _fabric(config: TrainConfig) -> Fabric:
    devices: Any = config.devices
    if config.devices == "auto" and config.accelerator in ("auto", "cpu") and not torch.cuda.is_available():
        devices = 1  # lightning's auto would start one process per core
    elif config.devices.isdigit():
        devices = int(config.devices)
    device = torch.device("cuda" if torch.cuda.is_available() and config.accelerator != "cpu" else "cpu")
    precision: Any = "bf16-mixed" if choose_precision(config.precision, device) == "bf16" else "32-true"
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


def _on_all_ranks(fabric: Fabric, prepare: Callable[[], T]) -> T:
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


def _counts(spec: DatasetSpec) -> str:
    return ", ".join(f"{len(items)} {name}" for name, items in spec.splits.items())


def _checked(spec: DatasetSpec, config: TrainConfig, reporter: Reporter) -> CheckReport | None:
    """What a check of the data found; an earlier one's findings where no file has changed since."""
    if not config.check and config.class_weights != "median-frequency":
        return None
    splits = ("train", "val") if config.check else ("train",)
    report, when = check_once(spec, splits)
    report.raise_problems()
    if when:
        reporter.say(f"the data was checked at {when} and no file has changed since, so it is not read again")
    if report.notes:
        kinds = Counter(finding.kind for finding in report.findings if not finding.problem)
        told = ", ".join(f"{kind} ({n})" if n > 1 else kind for kind, n in kinds.items())
        count = len(report.notes)
        reporter.say(f"{count} note{'s' * (count > 1)} on the data: {told}; fullconv check says more")
    return report


def _default_crop(
    config: TrainConfig, spec: DatasetSpec, items: Sequence[Item], report: CheckReport | None
) -> tuple[int, int]:
    """The resize size, else the most common image size with sides rounded to multiples of 32, at most 512."""
    if config.resize:
        return config.resize
    if report:
        height, width = report.sizes.most_common(1)[0][0]
    else:
        height, width = Counter(_size(spec, item) for item in items[:200]).most_common(1)[0][0]
    return min(round_up(height, 32), LARGEST_DEFAULT_CROP), min(round_up(width, 32), LARGEST_DEFAULT_CROP)


def _size(spec: DatasetSpec, item: Item) -> tuple[int, int]:
    if spec.shapes:
        return spec.shapes.height, spec.shapes.width
    return item.pixels.size() if item.pixels else image_size(item.image)


def _padded(report: CheckReport, config: TrainConfig, crop: tuple[int, int]) -> str:
    """How the crop was found, and how many images it is larger than."""
    how = "given" if config.crop else "the resize" if config.resize else "by the most common size, at most 512 a side"
    sizes = {config.resize or size: 0 for size in report.sizes}
    for size, count in report.sizes.items():
        sizes[config.resize or size] += count
    small = sum(count for (h, w), count in sizes.items() if h < crop[0] or w < crop[1])
    line = f"crops of {crop[0]}x{crop[1]} ({how})"
    return f"{line}; {small} of {sum(sizes.values())} images are smaller and are padded" if small else line


def _large_enough(config: TrainConfig, spec: DatasetSpec, split: str, crop: tuple[int, int]) -> list[Item]:
    items = spec.split(split)
    sizes = [config.resize or _size(spec, item) for item in items]
    kept = [item for item, (h, w) in zip(items, sizes, strict=True) if h >= crop[0] and w >= crop[1]]
    if not kept:
        raise DataError(
            f"{spec.root}: filter_small leaves no {split} image of at least {crop[0]}x{crop[1]}, the largest is "
            f"{max(h for h, _ in sizes)} high or {max(w for _, w in sizes)} wide; use a smaller --crop"
        )
    return kept


def _class_weights(config: TrainConfig, report: CheckReport | None, num_classes: int) -> list[float] | None:
    if config.class_weights == "none":
        return None
    if config.class_weights == "median-frequency":
        assert report is not None
        return report.median_frequency_weights()
    if len(config.class_weights) != num_classes:
        raise UsageError(f"class_weights: expected {num_classes} numbers, found {len(config.class_weights)}")
    return [float(weight) for weight in config.class_weights]
