"""The loop carries another objective as it is: other losses, scores, columns, items, a state of their own."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import fullconv
from fullconv.data import Batch, DatasetSpec, EvalData, Item
from fullconv.data.loader import EvalBatches
from fullconv.errors import Interrupted, UsageError
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.label_maps import LabelMaps
from fullconv.training.objective import Objective, Row, Validation
from fullconv.training.ranks import Ranks
from fullconv.training.run import Run
from tests.builders.runs import FEW_STEPS, FOUR_SCENES, Asked

OPTIONS = {**FEW_STEPS, "epochs": 3, "schedule": "constant", "rate": 3e-3}


class ImageTags:
    """Which classes an image shows, from no more than that: the highest score of a class anywhere (MIL-max).

    Nothing of it is shared with label maps: no pixel is counted, and no mean IoU is known.
    """

    score = "tag_accuracy"
    score_in_words = "share of right tags"
    knows_epochs = False

    def __init__(
        self,
        config: TrainConfig,
        spec: DatasetSpec,
        train_items: Sequence[Item],
        val_items: Sequence[Item],
        segmenter: Segmenter,
        *_: object,
    ) -> None:
        self.spec, self.segmenter = spec, segmenter
        self.train_items, self.val_items = train_items, val_items

    @staticmethod
    def refuse(config: TrainConfig, spec: DatasetSpec) -> None:
        if config.loss != "cross-entropy":
            raise UsageError(f"tags have one loss, found {config.loss}")

    def opening(self) -> list[str]:
        return [f"learns {len(self.spec.classes)} tags"]

    def start(self, ranks: Ranks, run: Run) -> None:
        self.run = run
        self.val_batches = EvalBatches(EvalData(self.spec, self.val_items), 1, 0)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.right = state["right"].clone() if "right" in state else torch.zeros(2, dtype=torch.int64)

    def state(self) -> dict[str, Tensor]:
        return {"right": self.right.clone()}

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        return self.train_items, 10**6

    def forward(self, network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        tags = network(normalise(batch.pixels, self.segmenter.preprocessing)).float().amax((2, 3))
        return tags, binary_cross_entropy_with_logits(tags, self.truth(batch))

    def truth(self, batch: Batch) -> Tensor:
        """0 or 1 for each image and class."""
        ids = torch.arange(len(self.spec.classes))
        return (batch.labels.flatten(1)[:, None] == ids[:, None]).any(2).float()

    def count(self, output: Tensor, batch: Batch) -> None:
        right = (output > 0) == self.truth(batch).bool()
        self.right += torch.tensor([right.sum(), right.numel()])

    def trained(self, loss: float) -> Row:
        share = float(self.right[0] / self.right[1])
        self.right.zero_()
        return {"train_loss": loss, "train_tag_accuracy": share}

    def validate(self, segmenter: Segmenter, between: Callable[[int, int], None]) -> Validation:
        right = total = 0
        with torch.inference_mode():
            for done, batch in enumerate(self.val_batches, 1):
                tags = torch.cat([part.logits.float() for part in segmenter.parts(batch.pixels)]).amax((0, 2, 3))
                right += int(((tags > 0) == self.truth(batch)[0].bool()).sum())
                total += len(tags)
                between(done, len(self.val_items))
        return Validation({"tag_accuracy": right / total}, {"tag_accuracy": right / total})

    def figures(self, row: Row) -> list[tuple[str, str]]:
        return [("tags", f"{row['tag_accuracy']:.2f}")]

    def draw(self, history: Sequence[Row], segmenter: Segmenter) -> None:
        (self.run.path / "tags.txt").write_text("tags " + self.figures(history[-1])[0][1])

    def summary(self, scores: Mapping[str, Any], model: Path) -> list[str]:
        return [f"best tags {scores['tag_accuracy']:.2f} at epoch {scores['epoch']}: {model}"]


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> type[Objective]:
    """Training learns tags."""
    monkeypatch.setattr("fullconv.training.objectives.LabelMaps", ImageTags)
    return ImageTags


def rows(run: fullconv.Run) -> list[dict[str, str]]:
    with (run.path / "log.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("tags")
def test_tags_train_through_the_same_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fullconv.train(FOUR_SCENES, tmp_path / "run", **{**OPTIONS, "epochs": 6, "quiet": False})
    log = rows(run)
    assert list(log[0]) == ["epoch", "train_loss", "train_tag_accuracy", "tag_accuracy", "rate", "seconds"]
    assert float(log[-1]["train_loss"]) < 0.9 * float(log[0]["train_loss"])
    assert run.scores["tag_accuracy"] == max(float(row["tag_accuracy"]) for row in log)
    first = next(row for row in log if float(row["tag_accuracy"]) == run.scores["tag_accuracy"])
    assert run.scores["epoch"] == int(first["epoch"])
    assert (run.path / "tags.txt").read_text() == f"tags {float(log[-1]['tag_accuracy']):.2f}"
    assert not (run.path / "curves.png").exists()
    said = capsys.readouterr().out
    assert "learns 5 tags\n" in said
    assert f"best tags {run.scores['tag_accuracy']:.2f} at epoch {run.scores['epoch']}: {run.best}" in said
    assert "IoU" not in said
    assert run.segmenter("cpu").provenance["scores"]["tag_accuracy"] == run.scores["tag_accuracy"]


@pytest.mark.usefixtures("tags")
def test_the_score_in_its_words_stops_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fullconv.train(
        FOUR_SCENES, tmp_path / "run", **{**OPTIONS, "epochs": 9, "rate": 1e-9, "early_stopping": 2, "quiet": False}
    )
    assert len(rows(run)) == 3
    assert "stopped: no better share of right tags for 2 epochs" in capsys.readouterr().out
    with pytest.raises(UsageError, match="tags have one loss, found ohem"):
        fullconv.train(FOUR_SCENES, tmp_path / "other", **{**OPTIONS, "loss": "ohem"})
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("tags")
def test_what_an_objective_gathered_goes_on_within_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fullconv.train(FOUR_SCENES, tmp_path / "whole", **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(0))
        with pytest.raises(Interrupted, match="at step 1;"):  # of two
            fullconv.train(FOUR_SCENES, tmp_path / "cut", **OPTIONS)
    run = fullconv.train(FOUR_SCENES, tmp_path / "cut", resume=True, quiet=True)
    assert [{**row, "seconds": ""} for row in rows(run)] == [{**row, "seconds": ""} for row in rows(whole)]
    for name, value in load_file(whole.last).items():
        assert torch.equal(value, load_file(run.last)[name]), name


class Rounds(LabelMaps):
    """From the second epoch on, the one scene that the first epoch's network is surest of: chosen once, then kept."""

    seen: ClassVar[list[tuple[int, str]]] = []

    def items(self, epoch: int, segmenter: Segmenter) -> tuple[Sequence[Item], int]:
        if epoch == 0:
            return self.train_items, 1
        file = self.run.path / "surest.txt"
        if not file.exists():
            batches = EvalBatches(EvalData(self.spec, self.train_items), 1, 0)
            with torch.inference_mode():
                sure = [
                    float(segmenter.runner.coarse_logits(batch.pixels)[0].softmax(1).amax(1).mean())
                    for batch in batches
                ]
            file.write_text(str(sure.index(max(sure))))
        return [self.train_items[int(file.read_text())]] * len(self.train_items), self.config.epochs

    def forward(self, network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        self.seen.extend((step, name) for name in batch.ids)
        return super().forward(network, batch, step)


@pytest.mark.parametrize("workers", [0, 1])
def test_later_rounds_have_other_items(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read ahead knows nothing of them; a run cut within the second round goes on with its items."""
    monkeypatch.setattr("fullconv.training.objectives.LabelMaps", Rounds)
    options = {**OPTIONS, "workers": workers}
    monkeypatch.setattr(Rounds, "seen", [])
    whole = fullconv.train(FOUR_SCENES, tmp_path / "whole", **options)
    surest = FOUR_SCENES.split("train")[int((whole.path / "surest.txt").read_text())].id
    assert sorted(name for step, name in Rounds.seen if step < 2) == sorted(i.id for i in FOUR_SCENES.split("train"))
    assert [(step, name) for step, name in Rounds.seen if step >= 2] == [(2 + i // 2, surest) for i in range(8)]
    with monkeypatch.context() as patch:
        patch.setattr("fullconv.training.fit.InterruptRequest", lambda: Asked(3))  # once more while it validates
        with pytest.raises(Interrupted, match="at step 3;"):
            fullconv.train(FOUR_SCENES, tmp_path / "cut", **options)
    run = fullconv.train(FOUR_SCENES, tmp_path / "cut", resume=True, quiet=True)
    for name, value in load_file(whole.last).items():
        assert torch.equal(value, load_file(run.last)[name]), name
