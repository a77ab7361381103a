"""Which objective, terms and relabelling a run has: by its options, and by what its images teach with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from fullconv.data import DatasetSpec, Item
from fullconv.data.loader import steps_per_epoch
from fullconv.errors import DataError, UsageError
from fullconv.segmenter import Segmenter
from fullconv.training.boxsup import BoxSup
from fullconv.training.config import TrainConfig
from fullconv.training.crf_term import CrfTerm
from fullconv.training.instances import MODEL, ObjectMasks
from fullconv.training.label_maps import LabelMaps
from fullconv.training.objective import Objective
from fullconv.training.query_masks import MODEL as QUERIES
from fullconv.training.query_masks import QueryMasks
from fullconv.training.simple_does_it import SimpleDoesIt
from fullconv.training.tag_term import tag_term
from fullconv.training.terms import Relabel, Term
from fullconv.weak import Supervision
from fullconv.weak.grabcut import refuse_without_libraries
from fullconv.weak.spread import refuse_without_library

NEED: dict[str, tuple[str, ...]] = {
    "boxes": ("box_labels", "rounds"), "points": ("point_labels",), "tags": ("tag_pooling", "tag_pooling_sharpness"),
}  # fmt: skip
"""Options that say something of images which teach with this kind."""
OF_PIXELS = ("loss", "reduction", "label_smoothing", "class_weights")
OF_CRF_LOSS = ("crf_loss_start", "crf_loss_deviations")


def idle(config: TrainConfig, supervision: Supervision) -> list[str]:
    """A line for options other than their defaults which change nothing in this run, and why."""
    lines = []
    for kind, names in NEED.items():
        if not any(one == kind for one in supervision.kinds.values()):
            lines.append((names, f"no train image teaches with {kind}"))
    if supervision.kinds and set(supervision.kinds.values()) == {"tags"}:
        lines.append((OF_PIXELS, "tags label no pixel"))
    if not config.crf_loss:
        lines.append((OF_CRF_LOSS, "there is no CRF loss; --crf-loss WEIGHT adds it"))
    if config.tag_pooling == "max" and supervision.count("tags"):
        lines.append((("tag_pooling_sharpness",), "--tag-pooling max has no sharpness"))
    if supervision.against == "tags":
        lines.append((("early_stopping",), "val has tags alone, so no scores"))
    defaults = TrainConfig()
    given = [
        ([name for name in names if getattr(config, name) != getattr(defaults, name)], why) for names, why in lines
    ]
    return [
        f"{', '.join('--' + name.replace('_', '-') for name in names)} without effect: {why}"
        for names, why in given
        if names
    ]


def refuse(config: TrainConfig, supervision: Supervision) -> None:
    """What can be refused before the data is read.

    Raises:
        UsageError, DataError: as the objective says.
    """
    if config.model == MODEL:
        _refuse_less(config, supervision)
        ObjectMasks.refuse(config, supervision.spec)
        return
    if config.model == QUERIES:
        _refuse_less(config, supervision)
        QueryMasks.refuse(config, supervision.spec)
        return
    LabelMaps.refuse(config, supervision.spec)
    if supervision.count("boxes") and config.box_labels in ("grabcut", "boxsup"):
        refuse_without_libraries(config.box_labels)
    if supervision.count("points") and config.point_labels == "superpixels":
        refuse_without_library()


def _refuse_less(config: TrainConfig, supervision: Supervision) -> None:
    """Refuse what is less than masks for a network that learns masks.

    Raises:
        UsageError: it is asked for.
        DataError: images have nothing else.
    """
    what = "the masks of objects" if config.model == MODEL else "masks"
    if config.labels not in ("masks", "auto"):
        raise UsageError(f"--model {config.model} learns from {what}, found --labels {config.labels}")
    counts = Counter(kind for kind in supervision.kinds.values() if kind != "masks")
    if counts:
        found = ", ".join(f"{kind} of {count} images" for kind, count in counts.items())
        raise DataError(
            f"{supervision.spec.root}: found {found}; --model {config.model} learns from {what}: annotate "
            "outlines, or choose another network"
        )


def make_objective(
    config: TrainConfig,
    supervision: Supervision,
    spec: DatasetSpec,
    train_items: Sequence[Item],
    val_items: Sequence[Item],
    segmenter: Segmenter,
    class_weights: Sequence[float] | None,
    say: Callable[[str], None],
) -> Objective:
    """What a run learns.

    Args:
        supervision: what each image teaches with.
        spec: the same data, as they are read in training (decoded, with fills).
        train_items, val_items: of ``spec``, those that are read.
        segmenter: the network that is trained.
        class_weights: one factor per class, or None.
        say: tells the user a line, while it goes.

    Raises:
        UsageError, DataError: what cannot be.
    """
    if config.model == MODEL:
        return ObjectMasks(config, spec, train_items, val_items, segmenter)
    steps = epoch_steps(config, len(train_items))
    if config.model == QUERIES:
        return QueryMasks(config, spec, train_items, val_items, segmenter, steps)
    terms = _terms(config, supervision, segmenter, steps)
    relabel = _relabel(config, supervision, spec, train_items, say)
    against = supervision.against
    return LabelMaps(config, spec, train_items, val_items, segmenter, class_weights, terms, relabel, against)


def epoch_steps(config: TrainConfig, images: int) -> int:
    """Steps of an epoch: as the options say, by default one pass over so many images."""
    return config.epoch_steps or steps_per_epoch(images, config.batch_size)


def _terms(config: TrainConfig, supervision: Supervision, segmenter: Segmenter, steps: int) -> list[Term]:
    """The losses beside that of the labelled pixels; an epoch has so many steps."""
    terms: list[Term] = []
    if supervision.count("tags"):
        terms.append(tag_term(config, supervision, segmenter))
    if config.crf_loss:
        terms.append(CrfTerm(config, steps))
    return terms


def _relabel(
    config: TrainConfig,
    supervision: Supervision,
    spec: DatasetSpec,
    train_items: Sequence[Item],
    say: Callable[[str], None],
) -> Relabel | None:
    """Who makes labels anew between rounds."""
    if not supervision.count("boxes"):
        return None
    return (BoxSup if config.box_labels == "boxsup" else SimpleDoesIt)(config, spec, train_items, say)
