"""The objective of label maps: one class for every pixel, learned from masks and scored by mean IoU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fullconv import draw
from fullconv.data import Batch, DatasetSpec, EvalData, Item
from fullconv.data.dataset import refuse_without_label_maps
from fullconv.data.loader import EvalBatches
from fullconv.errors import NotFiniteError, UsageError, first_few
from fullconv.evaluation.finding import told
from fullconv.evaluation.measure import Measured, batch_size, measure
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.geometry import Window
from fullconv.machine import default_workers
from fullconv.ops import add_counts, upsample_argmax
from fullconv.ops.partial import mask_unlabelled_classes
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.loss import training_loss
from fullconv.training.objective import NO_EPOCH, Row, Validation
from fullconv.training.pictures import contact_sheet
from fullconv.training.ranks import Ranks
from fullconv.training.report import Figures
from fullconv.training.run_folder import RunFolder
from fullconv.training.terms import Measuring, Relabel, Term

OF_VAL = "mean_iou_of_val"
"""The column that the best epoch goes by: the mean IoU over the classes that val shows."""
MOST_FINDINGS = 4
"""So many are said at the end of a run; evaluate says them all."""


class LabelMaps:
    """Cross-entropy, focal loss, OHEM or Dice over the labelled pixels; the best epoch has the highest val mean IoU.

    Columns of ``log.csv``: ``train_loss`` (the mean over steps), ``train_pixel_accuracy``, ``train_mean_accuracy`` and
    ``train_mean_iou`` are of the augmented crops as the network saw them, each before its step and with dropout on;
    ``val_loss`` (cross-entropy per pixel), ``pixel_accuracy``, ``mean_accuracy``, ``mean_iou``, ``fw_iou`` and
    ``iou/CLASS`` of each class are of the whole val images after the epoch. In a mixture of data sets the losses are
    over the classes that an image's data set labels, the scores over all (:mod:`fullconv.ops.partial`). Each term's own
    loss is ``train_NAME``, and part of ``train_loss``.

    Args:
        config: its loss, reduction, label smoothing and workers are asked for here.
        spec: the data.
        train_items, val_items: of it.
        segmenter: the network that is trained.
        class_weights: one factor per class, or None.
        terms: what is added to the loss of the labelled pixels.
        against: what val is scored against: ``masks``, or what it has instead. Tags label no pixel: then the last
            epoch is taken for the best.
        relabel: who makes labels anew between rounds; without one the train items stay.

    Raises:
        UsageError, DataError: as :meth:`refuse`.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: DatasetSpec,
        train_items: Sequence[Item],
        val_items: Sequence[Item],
        segmenter: Segmenter,
        class_weights: Sequence[float] | None = None,
        terms: Sequence[Term] = (),
        relabel: Relabel | None = None,
        against: str = "masks",
    ) -> None:
        self.refuse(config, spec)
        self.config, self.spec, self.segmenter = config, spec, segmenter
        self.train_items, self.val_items = train_items, val_items
        self.class_weights, self.terms, self.relabel = class_weights, terms, relabel
        self.measuring = [term for term in terms if isinstance(term, Measuring)]
        self.columns = [term.name for term in terms] + [name for term in self.measuring for name in term.figures]
        """What the terms show of an epoch."""
        self.against = "" if against == "masks" else f"against {against}, not masks"
        self.knows_epochs = bool(config.crf_loss) or relabel is not None
        self.score = "epoch" if against == "tags" else OF_VAL
        self.not_in_val: list[str] = []
        self.score_in_words = "epoch" if against == "tags" else f"val mean IoU {self.against}".strip()

    @staticmethod
    def refuse(config: TrainConfig, spec: DatasetSpec) -> None:
        """What can be refused before the data is read.

        Raises:
            UsageError: a loss that has no form for classes which not every image labels.
            DataError: data without masks.
        """
        refuse_without_label_maps(spec, "train", "val")
        if spec.labelled and (config.label_smoothing or "dice" in config.loss):
            raise UsageError("mixed data sets train with cross-entropy, focal or ohem, without label_smoothing")

    def opening(self) -> list[str]:
        lines = [line for term in self.terms for line in term.opening()]
        lines += self.relabel.opening() if self.relabel else []
        lines += [f"val is scored {self.against}"] * bool(self.against)
        if self.class_weights is None:
            return lines
        named = list(zip(self.spec.classes.names, self.class_weights, strict=True))
        lines.append("class weights: " + ", ".join(f"{name} {weight:.3g}" for name, weight in named))
        if none := [name for name, weight in named if weight == 0]:
            lines.append(f"  weight 0, so their pixels teach nothing: {first_few(none, 25)}")
        return lines

    def start(self, ranks: Ranks, run: RunFolder) -> None:
        self.ranks, self.run = ranks, run
        weights = self.class_weights
        self.weights = None if weights is None else torch.tensor(weights, device=ranks.device)
        mine = EvalData(self.spec, self.val_items[ranks.index :: ranks.count])
        self.mine = len(mine)
        self.val_batches = EvalBatches(
            mine, batch_size(ranks.device), default_workers(self.config.workers), keep=True,
            pin_memory=ranks.device.type == "cuda",
        )  # fmt: skip
        for term in self.terms:
            term.start(ranks)
        if self.relabel:
            self.relabel.start(ranks, run)

    # -- steps ---------------------------------------------------------------------------------------------------

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.matrix = ConfusionMatrix(self.spec.classes, self.ranks.device)
        if "counts" in state and self.ranks.first:  # they are those of all ranks
            self.matrix.counts += state["counts"].to(self.ranks.device)
        wide = torch.float32 if self.ranks.device.type == "mps" else torch.float64
        self.given = torch.zeros(len(self.columns), 2, dtype=wide, device=self.ranks.device)
        """Of the epoch so far, for each term: the sum of what it gave, and in how many steps; then what they saw."""
        self.of_step = torch.zeros_like(self.given)
        if "terms" in state and self.ranks.first:
            self.given += state["terms"].to(self.given)

    def state(self) -> dict[str, Tensor]:
        """``counts``: of the epoch's training batches so far, int64 ``[classes, classes]`` as in a confusion matrix;
        ``terms``: the sum of what each gave, and in how many steps, and so of what they measured, ``[columns, 2]``.
        """
        gathered = {"counts": self.ranks.sum(self.matrix.counts.clone()).cpu()}
        if self.terms:
            gathered["terms"] = self.ranks.sum(self.given.clone()).cpu()
        return gathered

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        return self.relabel.items(epoch, segmenter) if self.relabel else (self.train_items, NO_EPOCH)

    def forward(self, network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        logits = network(normalise(batch.pixels, self.segmenter.preprocessing))
        asked = mask_unlabelled_classes(logits, self.spec.labelled, batch.sources)
        ignore = self.spec.classes.ignore_index
        window = self.window(logits, batch)
        loss = training_loss(self.config, asked, batch.labels, window, ignore, self.weights, self.ranks)
        self.of_step = torch.zeros_like(self.given)
        for term, row in zip(self.terms, self.of_step, strict=False):
            if (value := term.loss(logits, batch, window, step)) is not None:
                loss = loss + value
                row[0] = value.detach()  # stays on its device
                row[1].fill_(1)  # `= 1` copies from the host and waits
        if self.measuring:
            self.of_step[len(self.terms) :] = torch.cat([term.measured for term in self.measuring])
        return logits, loss

    def count(self, output: Tensor, batch: Batch) -> None:
        self.given += self.of_step
        size = (batch.labels.shape[-2], batch.labels.shape[-1])
        labels = upsample_argmax(output, size, crop=self.window(output, batch))
        add_counts(self.matrix.counts, labels, batch.labels, self.spec.classes.ignore_index)

    def window(self, logits: Tensor, batch: Batch) -> Window:
        """Where the batch's images lie in their coarse logits, enlarged."""
        return self.segmenter.network.window(logits.shape[-2:], batch.pixels.shape[-2:])

    # -- epochs --------------------------------------------------------------------------------------------------

    def trained(self, loss: float) -> Row:
        train, gathered = ConfusionMatrix(self.spec.classes), self.state()
        train.counts = gathered["counts"]
        scores = train.scores()
        given = gathered["terms"].tolist() if self.terms else []
        self.matrix.counts.zero_()
        self.given.zero_()
        taught = bool(train.counts.any()) or any(steps for _, steps in given[: len(self.terms)])
        return {
            "train_loss": loss if taught else math.nan,
            **{
                f"train_{name}": total / number if number else math.nan
                for name, (total, number) in zip(self.columns, given, strict=True)
            },
            "train_pixel_accuracy": scores.pixel_accuracy,
            "train_mean_accuracy": scores.mean_accuracy,
            "train_mean_iou": scores.mean_iou,
        }

    def validate(self, segmenter: Segmenter, between: Callable[[int, int], None]) -> Validation:
        """Each rank measures its share; the counts add up exactly."""
        error = None
        try:
            result = measure(
                segmenter, self.spec, self.val_batches, lambda done: between(done, self.mine), partial_loss=True
            )
        except NotFiniteError as problem:
            error = problem
        if self.ranks.any(error is not None):  # they leave together
            raise error or NotFiniteError("another process found scores that are not finite; its line says where")
        if self.ranks.count > 1:
            self._add_over_ranks(result)
        scores = result.scores()
        columns = {
            "val_loss": scores.loss,
            "pixel_accuracy": scores.pixel_accuracy,
            "mean_accuracy": scores.mean_accuracy,
            "mean_iou": scores.mean_iou,
            OF_VAL: self._of_val(scores.iou, result.matrix.counts),
            "fw_iou": scores.fw_iou,
            **{draw.IOU + name: iou for name, iou in zip(scores.classes.names, scores.iou, strict=True)},
        }
        self.by_image = result.image_scores()
        report = result.report([f"scored {self.against}"] if self.against else [], segmenter.provenance)
        return Validation(columns, report, {"intervals": report["intervals"]})

    def _of_val(self, iou: Sequence[float], counts: Tensor) -> float:
        """The mean over the classes that val shows, the same ones in every epoch; nan without any.

        The mean IoU counts a class that val does not show as 0 in epochs that predict it somewhere, and leaves it out
        in others: epochs compared by it would be compared over different classes.
        """
        shown = (counts.sum(1) > 0).tolist()
        self.not_in_val = [name for name, here in zip(self.spec.classes.names, shown, strict=True) if not here]
        known = [value for value, here in zip(iou, shown, strict=True) if here]
        return sum(known) / len(known) if known else math.nan

    def _add_over_ranks(self, result: Measured) -> None:
        numbers = [result.loss_sum, result.loss_pixels, result.images, result.void]
        loss, pixels, images, void = self.ranks.sum(
            torch.tensor(numbers, dtype=torch.float64, device=self.ranks.device)
        )
        result.matrix.counts = self.ranks.sum(result.matrix.counts.clone())
        result.outside = self.ranks.sum(result.outside.clone())
        result.loss_sum, result.loss_pixels, result.images = float(loss), int(pixels), int(images)
        result.void = int(void)
        names = [(item.source, item.id) for item in self.val_items]
        none = torch.zeros(3, len(self.spec.classes), dtype=torch.int64)
        own = torch.stack([result.by_image.get(name, none) for name in names]).to(self.ranks.device)
        result.by_image = dict(zip(names, self.ranks.sum(own).cpu(), strict=True))

    def figures(self, row: Row) -> Figures:
        given = [(f"train {name.replace('_', ' ')}", row[f"train_{name}"]) for name in self.columns[len(self.terms) :]]
        labelled = not given or not math.isnan(row["train_mean_iou"])
        scored = self.against.removeprefix("against ").partition(",")[0]
        found = [
            ("train loss", row["train_loss"]),
            ("val loss", row["val_loss"]),
            (f"mean IoU ({scored})" if scored else "mean IoU", row["mean_iou"]),
            *given,
            *([("train IoU", row["train_mean_iou"])] if labelled else []),
            ("pixel acc", row["pixel_accuracy"]),
            ("fw IoU", row["fw_iou"]),
            ("mean acc", row["mean_accuracy"]),
        ]
        return [(name, f"{value:.4f}") for name, value in found]

    def draw(self, history: Sequence[Row], segmenter: Segmenter) -> None:
        """``pictures/epoch_NNN.png``, a few val images with their errors and the best and worst, and ``curves.png``."""
        sheet = contact_sheet(segmenter, self.spec, self.val_items, self.by_image, self.against)
        self.run.write_picture(f"pictures/epoch_{int(history[-1]['epoch']):03d}.png", sheet)
        self.run.write_picture("curves.png", draw.curves(history, self.config.loss_in_words, self.against))

    def summary(self, scores: Mapping[str, Any], model: Path) -> list[str]:
        """The best epoch's score, with what is left out of its mean."""
        epoch = scores["epoch"]
        if scores["mean_iou"] is None:
            return [f"no mean IoU (val has no labelled pixel); the model of epoch {epoch}: {model}"]
        against = f" {self.against}" if self.against else ""
        absent = scores["absent"]
        same = set(absent) == set(self.not_in_val)  # said once
        which = f": val has no {first_few(absent)}" * (same or not self.not_in_val)
        over = f" (of {len(scores['classes']) - len(absent)} classes{which})" if absent else ""
        by = [f"  val does not show {first_few(self.not_in_val)}: the best epoch goes by the others"]
        notes = by * (not same) + [f"  {note}" for note in scores.get("notes", ()) if note != f"scored {self.against}"]
        notes += told(scores.get("findings", ()), MOST_FINDINGS)
        return [f"best: epoch {epoch}, mean IoU{against} {scores['mean_iou']:.4f}{over}: {model}", *notes]
