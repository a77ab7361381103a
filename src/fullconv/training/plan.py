"""What is decided before the first step: data, crop, network, weights. Whatever can be refused is refused here."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric

from fullconv.checking.findings import CheckReport
from fullconv.checking.remembered import check_once
from fullconv.data import DatasetSpec, Item
from fullconv.data.cache import decoded
from fullconv.data.loader import steps_per_epoch
from fullconv.device import choose_precision
from fullconv.errors import DataError, UsageError, first_few
from fullconv.files import cache_folder
from fullconv.formats.open import open_dataset
from fullconv.geometry import round_up
from fullconv.model_file import read_header
from fullconv.models import build_model
from fullconv.models.arguments import described
from fullconv.models.build import FOREIGN
from fullconv.models.by_class import transplant_by_class
from fullconv.segmenter import Segmenter, from_header
from fullconv.spec import Preprocessing
from fullconv.training.config import TrainConfig
from fullconv.training.memory import refuse_if_too_large
from fullconv.training.report import Reporter
from fullconv.training.state import fingerprint

LARGEST_DEFAULT_CROP = 512


@dataclass
class Plan:
    """Everything decided before the first step."""

    config: TrainConfig
    spec: DatasetSpec
    train_items: Sequence[Item]
    val_items: Sequence[Item]
    crop: tuple[int, int]
    class_weights: list[float] | None
    segmenter: Segmenter
    listing: str = ""
    """Which parameters of the network were loaded, reshaped or missing in the weights it starts from."""

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.train_items), self.config.batch_size)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch


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
        segmenter.torch_runner.precision = choose_precision(config.precision, device)
    else:
        segmenter, listing = from_header(saved["header"], "the saved run"), ""
        segmenter.torch_runner.precision = saved["precision"]
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
    elif config.encoder_weights == "none" and spec.layout != "shapes":
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


def check_memory(fabric: Fabric, plan: Plan) -> None:
    """Refuse a crop or batch that cannot fit, before anything is written."""
    per_device = -(-plan.config.batch_size // fabric.world_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refuse_if_too_large(
            plan.segmenter.network.to(fabric.device), plan.crop, per_device,
            plan.segmenter.preprocessing.channels, fabric.device, plan.segmenter.precision,
        )  # fmt: skip


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
    return item.image.size()


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
