"""Integer counts -> scores, each with its definition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fullconv import draw
from fullconv.errors import first_few, plural
from fullconv.evaluation.detail import Detail
from fullconv.evaluation.finding import Finding, by_advice, more_findings
from fullconv.evaluation.numbers import number
from fullconv.evaluation.per_class import PerClass
from fullconv.evaluation.road import RoadScores
from fullconv.html.notebook import card, class_table, lines
from fullconv.ops import confusion_counts
from fullconv.spec import ClassSet

LOWEST = 3
"""So many classes and findings are named in a line of text."""


@dataclass(frozen=True)
class ObjectScores:
    """Average precision of masks, as COCO counts it (pycocotools); nan where there is no object to find.

    Attributes:
        ap: mean over classes and over IoUs of 0.5, 0.55, ..., 0.95.
        ap50, ap75: at one IoU.
        small, medium, large: of objects of less than 32x32 pixels, up to 96x96, more.
        recall: mean over classes and IoUs of the share of objects found, with 100 for each image.
        by_class: ``ap`` of each class that is one of objects.
        objects, images: how many there are; crowds are not counted.
    """

    ap: float
    ap50: float
    ap75: float
    small: float
    medium: float
    large: float
    recall: float
    by_class: Mapping[str, float]
    objects: int
    images: int

    def __str__(self) -> str:
        shown = (("mask AP", self.ap), ("AP50", self.ap50), ("AP75", self.ap75), ("recall", self.recall))
        figures = "  ".join(f"{name} {'-' if math.isnan(value) else f'{value:.4f}'}" for name, value in shown)
        return f"{figures}  ({plural(self.objects, 'object')} in {plural(self.images, 'image')})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: nan becomes null."""
        means = {name: number(value) for name, value in vars(self).items() if isinstance(value, float)}
        by_class = {name: number(value) for name, value in self.by_class.items()}
        return {**means, "by_class": by_class, "objects": self.objects, "images": self.images}


@dataclass(frozen=True, repr=False)
class ImageScore:
    """One image of an evaluation.

    Attributes:
        id: its name in the data set.
        file: where it lies, in words where it is no file.
        mean_iou: of this image alone, over the classes that are in its truth or prediction.
    """

    id: str
    file: str
    mean_iou: float

    def __repr__(self) -> str:
        return f"ImageScore({self.id}: mean IoU {self.mean_iou:.4f})"


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix ``n_ij`` (pixels of class ``i`` predicted as ``j``; ``t_i = sum_j n_ij``).

    Attributes:
        pixel_accuracy: ``sum_i n_ii / sum_i t_i``.
        mean_accuracy: mean over classes with ``t_i > 0`` of ``n_ii / t_i``.
        mean_iou: mean over classes present in truth or prediction of ``n_ii / (t_i + sum_j n_ji - n_ii)``.
        fw_iou: the IoUs weighted by ``t_i / sum_k t_k`` (frequency-weighted).
        iou, accuracy: per class, in id order, and by name: ``scores.iou["road"]``; nan where the class is absent.
            ``accuracy`` is also the class's :attr:`recall`; :attr:`precision` and :attr:`dice` are its other two
            scores.
        pixels: ``t_i`` per class.
        absent: names of the classes in neither truth nor prediction, left out of ``mean_iou``.
        loss: mean cross-entropy over all labelled pixels (nan where it was not computed).
        unlabelled: names of the classes that the data never label; they have no IoU and are in no mean.
        outside: per class the pixels predicted as it in images whose data do not label it; each is an error.
        confusion: ``n_ij``, int64 ``[classes, classes]``, read-only; ``==`` of scores leaves it out.
        notes: lines on how the scores came about, for whoever compares them.
        masks: of the objects, where the model finds such and the data know theirs.
        worst: the images of the lowest mean IoU, the lowest first, at most five; none of training's own validation.
        road: MaxF and average precision, of KITTI Road.
        detail: boundaries, calibration, intervals and every image, where a report was asked for.
        findings: what goes wrong, with what to try (:mod:`fullconv.evaluation.findings`); as ``worst``.

    Source: Long, Shelhamer, Darrell, arXiv:1411.4038, section 5 (the four metrics).
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    fw_iou: float
    iou: PerClass
    accuracy: PerClass
    pixels: tuple[int, ...]
    classes: ClassSet
    loss: float = math.nan
    images: int = 0
    unlabelled: tuple[str, ...] = ()
    outside: tuple[int, ...] = ()
    confusion: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64), compare=False)
    notes: tuple[str, ...] = ()
    masks: ObjectScores | None = None
    worst: tuple[ImageScore, ...] = ()
    findings: tuple[Finding, ...] = ()
    detail: Detail | None = None
    road: RoadScores | None = None

    def __post_init__(self) -> None:
        for name in ("iou", "accuracy"):
            object.__setattr__(self, name, PerClass(getattr(self, name), self.classes))
        confusion = np.array(self.confusion, np.int64)
        confusion.setflags(write=False)
        object.__setattr__(self, "confusion", confusion)

    def __repr__(self) -> str:
        means = f"mean IoU {self.mean_iou:.4f}, pixel accuracy {self.pixel_accuracy:.4f}"
        known = [(iou, name) for iou, name in zip(self.iou, self.classes.names, strict=True) if not math.isnan(iou)]
        lowest = [f"{name} {iou:.4f}" for iou, name in sorted(known)[:LOWEST]]
        texts = [f"Scores({means}, {plural(len(self.classes), 'class')}, {plural(self.images, 'image')})"]
        texts += [f"lowest IoU: {', '.join(lowest)}"] if len(known) > 1 else []
        texts += [f"absent: {first_few(list(self.absent))}"] if self.absent else []
        texts += [f"worst image: {image.id} {image.mean_iou:.4f}" for image in self.worst[:1]]
        first = dict(reversed([(finding.classes[:1], finding.text) for finding in self.findings]))
        shown = [finding.text for finding in self.findings if finding.text in first.values()][:LOWEST]
        texts += shown
        texts += [f"and {more_findings(more)}"] if (more := len(self.findings) - len(shown)) > 0 else []
        return "\n  ".join(texts)

    def _repr_html_(self) -> str:
        """For notebooks: the means, a table of the classes, notes and findings."""
        means = {
            "mean IoU": self.mean_iou, "pixel accuracy": self.pixel_accuracy, "mean accuracy": self.mean_accuracy,
            "fw IoU": self.fw_iou, "loss": self.loss,
        }  # fmt: skip
        columns = {"IoU": self.iou, "precision": self.precision, "recall": self.recall, "Dice": self.dice}
        shown = {name: [_shown(value) for value in values] for name, values in columns.items()}
        shown["pixels"] = [f"{count:,}" for count in self.pixels]
        advice = [f"{'. '.join(texts)}. Try: {advice}." for texts, advice in by_advice(self.findings)]
        table = class_table(self.classes.names, self.classes.palette, shown)
        facts = {name: _shown(value) for name, value in means.items()}
        return card(f"Scores of {plural(self.images, 'image')}", facts, table, lines([*self.notes, *advice]))

    def confusion_picture(self) -> np.ndarray:
        """The confusion matrix in percent of each true class, uint8 ``[height, width, 3]``."""
        return draw.confusion_picture(self.confusion, self.classes.names)

    @property
    def recall(self) -> PerClass:
        """``n_ii / t_i`` of each class; nan where no pixel is of it."""
        return self.accuracy

    @property
    def precision(self) -> PerClass:
        """``n_ii / sum_j n_ji`` of each class; nan where it is never predicted, or the data never label it."""
        counts = self.confusion.tolist()
        predicted = [sum(column) for column in zip(*counts, strict=True)]
        named = zip(self.classes.names, predicted, strict=True)
        shares = (
            counts[i][i] / n if n and name not in self.unlabelled else math.nan for i, (name, n) in enumerate(named)
        )
        return PerClass(shares, self.classes)

    @property
    def dice(self) -> PerClass:
        """``2 n_ii / (t_i + sum_j n_ji)`` of each class, also called F1; nan where the class has no IoU."""
        return PerClass((2 * iou / (1 + iou) for iou in self.iou), self.classes)

    @property
    def absent(self) -> tuple[str, ...]:
        named = zip(self.classes.names, self.iou, strict=True)
        return tuple(name for name, iou in named if math.isnan(iou) and name not in self.unlabelled)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: nan becomes null."""
        return {
            "mean_iou": number(self.mean_iou),
            "pixel_accuracy": number(self.pixel_accuracy),
            "mean_accuracy": number(self.mean_accuracy),
            "fw_iou": number(self.fw_iou),
            "loss": number(self.loss),
            "images": self.images,
            "absent": list(self.absent),
            "unlabelled": list(self.unlabelled),
            "predicted_where_unlabelled": {
                name: pixels for name, pixels in zip(self.classes.names, self.outside, strict=False) if pixels
            },
            "notes": list(self.notes),
            **({"detail": self.detail.to_dict()} if self.detail else {}),
            **({"masks": self.masks.to_dict()} if self.masks else {}),
            **({"kitti_road": self.road.to_dict()} if self.road else {}),
            "classes": [
                {
                    "name": name, "iou": number(iou), "accuracy": number(accuracy), "precision": number(precision),
                    "dice": number(dice), "pixels": pixels,
                }
                for name, iou, accuracy, precision, dice, pixels in zip(
                    self.classes.names, self.iou, self.accuracy, self.precision, self.dice, self.pixels, strict=True
                )
            ],
            **({"worst": [vars(image) for image in self.worst]} if self.worst else {}),
            **({"findings": [finding.to_dict() for finding in self.findings]} if self.findings else {}),
        }  # fmt: skip


class ConfusionMatrix:
    """Counts of (true, predicted) pairs that add up exactly over batches, ranks and machines.

    Attributes:
        counts: int64 ``[classes, classes]``; rows are the truth.
    """

    def __init__(self, classes: ClassSet, device: torch.device | str = "cpu") -> None:
        self.classes = classes
        self.counts = torch.zeros(len(classes), len(classes), dtype=torch.int64, device=device)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add label maps of one shape; target pixels with the ignored id are not counted."""
        self.counts += confusion_counts(prediction, target, len(self.classes), self.classes.ignore_index)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add another matrix over the same classes."""
        self.counts += other.counts.to(self.counts.device)

    def mean_iou(self) -> float:
        """As in :meth:`scores`, without all else."""
        counts = self.counts.double()
        right = counts.diagonal()
        return float((right / (counts.sum(1) + counts.sum(0) - right)).nanmean())

    def scores(
        self, loss: float = math.nan, images: int = 0, labelled: Sequence[bool] | None = None, **rest: Any
    ) -> Scores:
        """The scores of what was counted; nan where nothing was.

        Args:
            labelled: whether the data label each class; None for all. A class that they do not label has no IoU.
            **rest: further fields of :class:`Scores`.
        """
        known = torch.tensor(labelled if labelled is not None else [True] * len(self.classes))
        exact = self.counts.cpu()
        counts = exact.double()
        right, truth, guess = counts.diagonal(), counts.sum(1), counts.sum(0)
        iou = (right / (truth + guess - right)).where(known, math.nan)  # 0 / 0 is nan: absent
        accuracy = right / truth
        total = truth.sum()
        return Scores(
            pixel_accuracy=float(right.sum() / total),
            mean_accuracy=float(accuracy.nanmean()),
            mean_iou=float(iou.nanmean()),
            fw_iou=float((truth * iou.nan_to_num(0)).sum() / total),
            iou=PerClass(iou.tolist(), self.classes),
            accuracy=PerClass(accuracy.tolist(), self.classes),
            pixels=tuple(int(count) for count in truth),
            classes=self.classes,
            loss=loss,
            images=images,
            unlabelled=tuple(name for name, is_known in zip(self.classes.names, known, strict=True) if not is_known),
            confusion=exact.numpy(),
            **rest,
        )


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
