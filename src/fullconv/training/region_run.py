"""A run of a region model: one pass over the training images, SVMs, scores and pictures of val; no steps, no epochs."""

from __future__ import annotations

import os

from fullconv.data import DatasetSpec, EvalData
from fullconv.data.dataset import refuse_without_label_maps
from fullconv.data.loader import EvalBatches
from fullconv.device import choose_device, choose_precision
from fullconv.errors import Interrupted, UsageError, first_few
from fullconv.evaluation.measure import batch_size, measure
from fullconv.machine import default_workers
from fullconv.model_card import SCORES
from fullconv.model_file import read_header
from fullconv.regions.fit import fit_regions
from fullconv.regions.options import RegionOptions
from fullconv.regions.segmenter import RegionSegmenter
from fullconv.training.auto_weights import weights_at_hand
from fullconv.training.config import TrainConfig
from fullconv.training.ending import ending
from fullconv.training.first_weights import new_segmenter
from fullconv.training.pictures import contact_sheet
from fullconv.training.plan import as_read, checked, opened
from fullconv.training.report import Reporter
from fullconv.training.resume import kept_name, typed
from fullconv.training.run import Run
from fullconv.training.run_folder import RunFolder, new_run_path

USED = (
    "model", "encoder", "encoder_weights", "encoder_args", "model_args", "init_from", "resize", "input_range", "cache",
    "check", "labels", "precision", "workers", "seed", "device",
)  # fmt: skip
"""The options that a region model has."""


def train_regions(
    config: TrainConfig,
    data: str | os.PathLike[str] | DatasetSpec,
    out: str | os.PathLike[str] | None,
    reporter: Reporter,
) -> Run:
    """Train a region model (:func:`fullconv.regions.fit.fit_regions`) and score it on val.

    Returns:
        The run: ``config.yaml``, ``environment.json``, ``best.safetensors``, ``scores.json``, ``pictures/val.png``.

    Raises:
        UsageError, DataError: what is wrong with the options or the data, before anything is written.
        Interrupted: after Ctrl-C, with the model saved. Before that it is a KeyboardInterrupt, and nothing is kept.
    """
    _refuse(config)
    options = RegionOptions.of(config.model_args, f"model {config.model}: model_args")
    if options.refine == "pixels":
        _refuse_other_than_hypercolumns(config.init_from)
    spec = opened(data, reporter)
    refuse_without_label_maps(spec, "train", "val")
    checked(spec, config, reporter, typed(data))
    weights, line = weights_at_hand(config, spec)
    config = config.model_copy(update={"encoder_weights": weights})
    reporter.say(line)
    network, built = new_segmenter(config.model_copy(update={"model": options.network, "model_args": {}}), spec)
    for note in built.notes:
        reporter.say(note)
    segmenter = RegionSegmenter(config.model, built, spec.classes, network.preprocessing, options)
    segmenter.to(config.device, choose_precision(config.precision, choose_device(config.device)))
    spec = as_read(config, spec, segmenter, reporter)
    train, val = spec.split("train"), spec.split("val")
    segmenter.provenance |= {"data": spec.name, "layout": spec.layout, "train_images": len(train)}
    segmenter.provenance |= {"data_licence": spec.licence} if spec.licence else {}
    reporter.say(f"{config.model} on {config.encoder}: {segmenter.runner}; one pass over {len(train)} images")
    reporter.start(len(train), len(train), 0, str(segmenter.device))
    try:
        notes = fit_regions(
            segmenter, spec, train, config.seed, lambda done: reporter.step(done, "regions of train images", None)
        )
    finally:
        reporter.stop()
    for note in notes:
        reporter.say(note)
    batches = EvalBatches(EvalData(spec, val), batch_size(segmenter.device), default_workers(config.workers))
    with reporter.waiting("validating") as bar:
        measured = measure(segmenter, spec, batches, lambda done: bar(done, len(val)) if bar is not None else None)
    report = measured.report()
    segmenter.provenance |= {
        "options": config.changed(),
        "scores": {name: report[name] for name in SCORES},
        "intervals": report["intervals"],
    }
    run = RunFolder(new_run_path(out, f"{spec.name}-{config.model}"))
    environment = {"data": str(spec.root), "given": kept_name(typed(data)), "precision": segmenter.precision}
    try:
        run.begin(config, environment, "\n".join(built.listing))
        segmenter.save(run.best)
        run.write_scores(report)
    except KeyboardInterrupt:
        run.discard_unsaved()
        raise
    try:
        run.write_card()
        run.write_picture("pictures/val.png", contact_sheet(segmenter, spec, val, measured.image_scores()))
        run.point_latest()
        reporter.took()
        scores = measured.scores()
        reporter.say(f"mean IoU {scores.mean_iou:.4f} on {scores.images} val images: {run.best}")
        for line in ending(run, typed(data), val=val):
            reporter.say(line)
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted after training; the model is {run.best}") from error
    return Run(run.path)


def _refuse(config: TrainConfig) -> None:
    """Refuse options that say something about steps, which there are none of.

    Raises:
        UsageError: one was given, or labels other than masks.
    """
    defaults = TrainConfig()
    idle = [
        "--" + name.replace("_", "-")
        for name in sorted(config.model_fields_set - set(USED))
        if getattr(config, name) != getattr(defaults, name)
    ]
    if idle:
        raise UsageError(f"{config.model} trains SVMs, in one pass and no steps; leave {first_few(idle)} out")
    if config.labels not in ("auto", "masks"):
        raise UsageError(f"{config.model} learns from masks, found --labels {config.labels}; use masks")


def _refuse_other_than_hypercolumns(start: str) -> None:
    """Refuse to refine by pixels without a trained network that classifies them.

    Raises:
        UsageError: it is none, or another than a hypercolumn network of the default arguments.
    """
    how = "train one with --model hypercolumn, then give --init-from RUN"
    if not start:
        raise UsageError(f"refine pixels needs a trained hypercolumn network; {how}")
    model = read_header(start)["model"]
    if model.get("name") != "hypercolumn" or model.get("model_args"):
        raise UsageError(
            f"--init-from {start}: refine pixels needs a hypercolumn network without model_args, found "
            f"{model.get('name')} with {model.get('model_args') or 'none'}; {how}"
        )
