"""What is decided before the first step: data, crop, network, weights. Whatever can be refused is refused here."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from fullconv.checking.others import open_or_count
from fullconv.checking.remembered import ago, check_once
from fullconv.checking.report import CheckReport, check_command
from fullconv.data import DatasetSpec, Item
from fullconv.data.cache import decoded
from fullconv.device import choose_precision
from fullconv.errors import UsageError, first_few
from fullconv.files import cache_folder
from fullconv.models.kept_features import KeptFeatures
from fullconv.models.rebuild import rebuild
from fullconv.resizing import IMAGE_SIZE, middle_size
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.crops import choose_crop, large_enough, padded_line, sizes_of
from fullconv.training.first_weights import new_segmenter
from fullconv.training.frozen import kept_features
from fullconv.training.objective import Objective
from fullconv.training.objectives import epoch_steps, idle, make_objective, refuse
from fullconv.training.report import Reporter
from fullconv.training.resume import other_data, typed
from fullconv.training.run import Run
from fullconv.training.state import Checkpoint, fingerprint
from fullconv.training.timetable import Timetable
from fullconv.weak import Supervision, labelled_pixels, supervise


@dataclass
class Plan:
    """Everything decided before the first step.

    Attributes:
        spec: the data, as they are read in training.
        crop: ``(height, width)`` of what a step sees of an image.
        segmenter: the network, with its classes and preprocessing.
        objective: what it learns.
        listing: which parameters were loaded, reshaped or missing in the weights it starts from.
        given: how the data was named; empty where it was made in Python.
        reasons: of the options that were chosen (:mod:`fullconv.training.choosing`).
        began: when the run was started, by the monotonic clock.
        timetable: how many epochs there are.
        kept: what a frozen encoder gave.
    """

    config: TrainConfig
    spec: DatasetSpec
    train_items: Sequence[Item]
    val_items: Sequence[Item]
    crop: tuple[int, int]
    segmenter: Segmenter
    objective: Objective
    listing: str = ""
    given: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    kept: KeptFeatures | None = None

    def __post_init__(self) -> None:
        config, fixed = self.config, self.objective.knows_epochs
        seconds = None if config.minutes is None or fixed else 60 * config.minutes
        self.timetable = Timetable(epoch_steps(config, len(self.train_items)), config.epochs, seconds)

    @property
    def steps_per_epoch(self) -> int:
        return self.timetable.per_epoch

    @property
    def total_steps(self) -> int:
        """As is known now (:class:`fullconv.training.timetable.Timetable`)."""
        return self.timetable.steps


@dataclass(frozen=True)
class Ground:
    """The data of a run, before anything is decided on them.

    Attributes:
        supervision: the data, and what each image teaches with.
        report: what the check found, where there was one.
        given: how the data was named; empty where it was made in Python.
    """

    supervision: Supervision
    report: CheckReport | None
    given: str


def open_data(config: TrainConfig, data: str | os.PathLike[str] | DatasetSpec, reporter: Reporter) -> Ground:
    """Open and check the data, and say what was found.

    Raises:
        UsageError, DataError: what is wrong with them, or with options that they do not go with.
    """
    found = opened(data, reporter)
    _refuse_weights(config, found.classes.names)
    supervision = supervise(found, config.labels, config.point_labels == "superpixels")
    for line in (*supervision.lines, *(fault.line for fault in supervision.faults), *idle(config, supervision)):
        reporter.say(line)
    refuse(config, supervision)
    given = typed(data)
    return Ground(supervision, checked(found, config, reporter, given), given)


def make_plan(
    config: TrainConfig,
    ground: Ground,
    device: torch.device,
    reporter: Reporter,
    saved: Checkpoint | None = None,
    reasons: Mapping[str, str] | None = None,
    began: float | None = None,
    resumed: Run | None = None,
) -> Plan:
    """Build the network: with :func:`open_data` everything that can be refused before a run folder exists.

    Args:
        saved: of the run that is resumed: its network and arithmetic are taken, and its data asked for.
        reasons: of the options that were chosen.
        began: when the run was started, by the monotonic clock.
        resumed: the run that ``saved`` is of.

    Raises:
        UsageError, DataError: what is wrong with the options or the data.
    """
    supervision, report = ground.supervision, ground.report
    spec = supervision.spec
    segmenter, listing = _segmenter(config, spec, device, reporter, saved)
    spec = as_read(config, spec, segmenter, reporter)
    crop = choose_crop(config, spec, report)
    train_items, val_items = _items(config, spec, crop, report, reporter)
    if saved is not None and saved.data != fingerprint(spec, train_items, val_items):
        raise other_data(resumed or Run("."), saved.header["classes"]["names"], spec)
    if config.encoder_rate == 0:  # known before the memory check: what is frozen keeps nothing
        segmenter.network.backbone.requires_grad_(False)
    kept, line = kept_features(config, segmenter.network, crop, sizes_of(spec, report))
    reporter.say(line)
    segmenter.provenance |= {"data": spec.name, "layout": spec.layout, "train_images": len(train_items)}
    segmenter.provenance |= {IMAGE_SIZE: middle_size(sizes_of(spec, report))} if config.resize else {}
    segmenter.provenance |= {"options": config.changed()}
    segmenter.provenance |= {"val_images": len(val_items)} if config.filter_small else {}
    segmenter.provenance |= {"data_licence": spec.licence} if spec.licence else {}
    segmenter.provenance |= {"labels": supervision.counts()} if supervision.less else {}
    segmenter.provenance |= {"scored_against": supervision.against} if supervision.against != "masks" else {}
    unlearned = report.absent("train") if report is not None and not supervision.less else []
    segmenter.provenance |= {"not_in_train": unlearned} if unlearned else {}
    weights = _class_weights(config, report, supervision)
    objective = make_objective(config, supervision, spec, train_items, val_items, segmenter, weights, reporter.say)
    parameters = sum(p.numel() for p in segmenter.network.parameters())
    reporter.say(
        f"{config.model} on {config.encoder}: {parameters / 1e6:.1f} M parameters, crops {crop[0]}x{crop[1]}, "
        f"{segmenter.precision} on {device.type}"
    )
    for line in objective.opening():
        reporter.say(line)
    began = time.monotonic() if began is None else began
    return Plan(
        config, spec, train_items, val_items, crop, segmenter, objective, listing, ground.given, reasons or {}, began,
        kept,
    )  # fmt: skip


def opened(data: str | os.PathLike[str] | DatasetSpec, reporter: Reporter) -> DatasetSpec:
    """The data set with train and val images; it says what was found, and by which rules."""
    spec = open_or_count(data, reporter.waiting)
    counts = ", ".join(f"{len(items)} {name}" for name, items in spec.splits.items())
    reporter.say(f"{spec.title}, {counts} images")
    for reason in spec.reasons:
        reporter.say(f"  {reason}")
    if len(spec.classes) == 1:
        reporter.say(
            f"{spec.classes.names[0]} is the only class: every pixel is predicted as it, whatever is learned; give the "
            "background a class"
        )
    for split in ("train", "val"):
        spec.split(split)  # refuses one that is missing or empty
    return spec


def _segmenter(
    config: TrainConfig, spec: DatasetSpec, device: torch.device, reporter: Reporter, saved: Checkpoint | None
) -> tuple[Segmenter, str]:
    """The network, still on the CPU, and the listing of its weights; of a saved run: as its header says."""
    if saved is not None:
        segmenter = Segmenter(*rebuild(saved.header, "the saved run"), saved.header["provenance"])
        segmenter.torch_runner.precision = saved.precision
        return segmenter, ""
    segmenter, built = new_segmenter(config, spec)
    for note in built.notes:
        reporter.say(note)
    segmenter.torch_runner.precision = choose_precision(config.precision, device)
    return segmenter, "\n".join(built.listing)


def as_read(config: TrainConfig, spec: DatasetSpec, segmenter: Segmenter, reporter: Reporter) -> DatasetSpec:
    """The data with the network's mean where an image holds nothing, decoded once where the options say so."""
    if spec.values is not None:
        spec = dataclasses.replace(spec, values=dataclasses.replace(spec.values, fill=segmenter.preprocessing.fill))
    if config.cache:
        reporter.say(f"decoded images are kept in {cache_folder() / 'decoded'}, built now unless they are there")
        spec = decoded(spec)
    return spec


def _items(
    config: TrainConfig, spec: DatasetSpec, crop: tuple[int, int], report: CheckReport | None, reporter: Reporter
) -> tuple[Sequence[Item], Sequence[Item]]:
    """Of train and of val; it says which are left out, or padded."""
    before = spec.split("train"), spec.split("val")
    if not config.filter_small:
        if report:
            reporter.say(padded_line(report, config, crop))
        return before
    train, val = (large_enough(config, spec, split, crop) for split in ("train", "val"))
    reporter.say(
        f"read {len(train)} of {len(before[0])} train images and {len(val)} of {len(before[1])} val images: "
        f"filter_small leaves out those smaller than {crop[0]}x{crop[1]}; the val scores are of these alone"
    )
    return train, val


def checked(spec: DatasetSpec, config: TrainConfig, reporter: Reporter, given: str) -> CheckReport | None:
    """What a check of the data found; an earlier one's findings where no file has changed since.

    Args:
        given: what names the data on a command line.

    Raises:
        DataError: training would go wrong.
    """
    if not config.check and config.class_weights != "median-frequency":
        return None
    splits = ("train", "val") if config.check else ("train",)
    report, when = check_once(spec, splits)
    report.raise_problems(given)
    if when:
        reporter.say(f"the data was checked {ago(when)} and no file has changed since, so it is not read again")
    if report.notes:
        kinds = Counter(finding.kind for finding in report.findings if not finding.problem)
        told = ", ".join(f"{kind} ({n})" if n > 1 else kind for kind, n in kinds.items())
        count = len(report.notes)
        reporter.say(f"{count} note{'s' * (count > 1)} on the data: {told}; {check_command(given)} says more")
    return report


def _refuse_weights(config: TrainConfig, names: Sequence[str]) -> None:
    """Raises UsageError where there is another number of class weights than of classes."""
    given = config.class_weights
    if not isinstance(given, str) and len(given) != len(names):
        raise UsageError(
            f"class_weights: expected {len(names)} numbers, of {first_few(list(names))}; found {len(given)}"
        )


def _class_weights(config: TrainConfig, report: CheckReport | None, supervision: Supervision) -> list[float] | None:
    """One factor per class, or None. Frequencies are those of the labels that are learned from.

    Raises:
        UsageError: no pixel is labelled.
    """
    if config.class_weights == "none":
        return None
    if config.class_weights == "median-frequency":
        assert report is not None
        if not supervision.less:
            return report.median_frequency_weights()
        pixels, exposure = labelled_pixels(supervision.spec)
        if not pixels.any():
            raise UsageError("class_weights median-frequency counts labelled pixels, and tags label none; use none")
        return CheckReport(
            supervision.spec, pixels={"train": pixels}, exposure={"train": exposure}
        ).median_frequency_weights()
    return [float(weight) for weight in config.class_weights]
