"""The loss of image tags."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import fullconv
from fullconv.data import Batch
from fullconv.geometry import Window
from fullconv.refinement import ImageLevel
from fullconv.refinement.image_level import Pooling
from fullconv.spec import ClassSet
from fullconv.training.ranks import Ranks
from fullconv.training.tag_term import TagTerm
from tests.builders.runs import FEW_STEPS, FOUR_SCENES

CLASSES = ClassSet(("background", "cat", "dog", "cow"))
TAGS = {(0, "a"): frozenset({1}), (0, "b"): frozenset({1, 3}), (0, "c"): frozenset[int]()}
WINDOW = Window(4, 0, 16, 24)


class OneRank(Ranks):
    """A run of one process."""

    def __init__(self, index: int = 0, count: int = 1) -> None:
        self.device, self.index, self.count = torch.device("cpu"), index, count


def term(
    pooling: Pooling = "lse", classes: ClassSet = CLASSES, batch_size: int = 4,
    labelled: Sequence[Sequence[bool]] | None = None, ranks: Ranks | None = None,
) -> TagTerm:  # fmt: skip
    made = TagTerm(TAGS, classes, ImageLevel(pooling, 5.0), batch_size, labelled)
    made.start(ranks or OneRank())
    return made


def batch(ids: str, inside: Sequence[Sequence[int]] | None = None) -> Batch:
    labels = torch.full((len(ids), 12, 24), 255, dtype=torch.uint8)
    places = torch.tensor(inside or [[0, 12, 0, 24]] * len(ids))
    return Batch(torch.zeros(len(ids), 3, 12, 24, dtype=torch.uint8), labels, list(ids), [0] * len(ids), places)


def logits(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 4, 6, generator=torch.Generator().manual_seed(seed))


def by_hand(scores: torch.Tensor, ids: str, pooling: str) -> torch.Tensor:
    """Stride 4, the first row of places above the image: its lower neighbour is read by the first two pixel rows."""
    place = (np.arange(12) + 4 + 0.5) / 4 - 0.5
    rows = sum((1 - (p - np.floor(p))) * np.eye(5)[int(p)] + (p - np.floor(p)) * np.eye(5)[int(p) + 1] for p in place)
    rows[3] += rows[4]  # behind the last place it is that place
    total = torch.zeros(())
    for image, name in zip(scores, ids, strict=True):
        if (0, name) not in TAGS:
            continue
        likely = image.softmax(0)
        if pooling == "max":
            pooled = likely[:, rows[:4] > 0].flatten(1).amax(1)
            around = pooled[0]
        else:
            weight = torch.tensor(rows[:4])[:, None] * torch.full((6,), 4.0)
            pooled = (weight * likely**5).sum((1, 2)).div(weight.sum()) ** 0.2
            around = (weight * likely[0]).sum() / weight.sum()
        total = total - around.log() / 2
        shown = sorted(TAGS[0, name])
        others = [label for label in range(1, 4) if label not in shown]
        for label in shown:
            total = total - pooled[label].log() / len(shown)
        for label in others:
            total = total - (1 - pooled[label]).log() / len(others)
    return total


@pytest.mark.parametrize("pooling", ["lse", "max"])
def test_it_is_the_cross_entropy_of_pooled_probabilities(pooling: Pooling) -> None:
    """Of tags, of the others, and of the background; m, which has no tags, adds nothing."""
    scores, ids = logits(4), "abmc"
    loss = term(pooling).loss(scores, batch(ids), WINDOW, 0)
    assert loss is not None
    torch.testing.assert_close(loss.double(), by_hand(scores.double(), ids, pooling) / 4, rtol=1e-4, atol=1e-5)


def test_the_order_of_the_images_does_not_matter() -> None:
    scores, order = logits(4), [2, 0, 3, 1]
    first = term().loss(scores, batch("abmc"), WINDOW, 0)
    second = term().loss(scores[order], batch("macb"), WINDOW, 0)
    torch.testing.assert_close(first, second)


def test_padding_and_what_lies_beside_the_image_teach_nothing() -> None:
    scores = torch.randn(1, 4, 6, 6).requires_grad_()
    loss = term().loss(scores, batch("a", [[0, 12, 0, 10]]), Window(12, 0, 24, 24), 0)
    assert loss is not None
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[..., :2, :].eq(0).all()  # the first pixel reads places from 12.5 / 4 - 0.5 > 2 on
    assert gradient[..., 3:].eq(0).all()  # the last one up to 9.5 / 4 - 0.5 < 2
    assert gradient[..., 2:, :3].ne(0).all()


def test_a_batch_without_tags_has_nothing_to_say() -> None:
    assert term().loss(logits(2), batch("mn"), WINDOW, 0) is None
    second = term(ranks=OneRank(1, 2)).loss(logits(2), batch("mn"), WINDOW, 0)
    assert second is not None  # of several ranks: the loss is a mean over them
    assert second == 0


def test_ranks_add_up_to_one() -> None:
    scores = logits(4)
    parts = [term(ranks=OneRank(rank, 2)).loss(scores[rank::2], batch("abmc"[rank::2]), WINDOW, 0) for rank in range(2)]
    mean = sum(part for part in parts if part is not None) / 2
    torch.testing.assert_close(mean, term().loss(scores, batch("abmc"), WINDOW, 0))


def test_classes_that_a_data_set_does_not_label_are_not_asked_about() -> None:
    scores = logits(1)
    loss = term(labelled=[[True, True, False, True]]).loss(scores, batch("a"), WINDOW, 0)
    less = TagTerm({(0, "a"): frozenset({1})}, ClassSet(("background", "cat", "cow")), ImageLevel(), 4)
    less.start(OneRank())
    torch.testing.assert_close(loss, less.loss(scores[:, [0, 1, 3]], batch("a"), WINDOW, 0))


def test_without_a_background_only_tags_are_asked_for() -> None:
    """An image that shows none of them teaches nothing."""
    scores = torch.zeros(2, 4, 4, 6)
    scores[:, 1] = 1
    loss = term(classes=ClassSet(("sky", "cat", "dog", "cow"))).loss(scores, batch("ac"), WINDOW, 0)
    cat, other = (share / (math.e + 3) for share in (math.e, 1))
    expected = -(math.log(cat) + math.log(1 - other)) / 4
    assert loss == pytest.approx(expected)


def test_tag_precision_counts_tags_among_the_highest() -> None:
    made = term()
    scores = torch.zeros(3, 4, 4, 6)
    scores[:, 0] = 9  # the background does not count
    scores[0, 1], scores[1, 2], scores[1, 3], scores[2, 1] = 1, 2, 1, 1
    made.loss(scores, batch("abc"), WINDOW, 0)
    assert made.measured.tolist() == [[1.5, 2]]  # a: 1 of 1, b: 1 of 2 (dog before cow), c has no tag


@pytest.mark.parametrize("pooling", ["lse", "max"])
def test_a_network_learns_tags(pooling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**FEW_STEPS, "epochs": 4, "rate": 3e-3, "schedule": "constant", "quiet": False}
    run = fullconv.train(FOUR_SCENES, tmp_path / "run", labels="tags", tag_pooling=pooling, **options)
    with (run.path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[1:4] == ["train_loss", "train_tags", "train_tag_precision"]
    assert float(rows[-1]["train_tags"]) < float(rows[0]["train_tags"])
    assert float(rows[0]["train_loss"]) == pytest.approx(float(rows[0]["train_tags"]))
    assert all(0 <= float(row["train_tag_precision"]) <= 1 for row in rows)
    assert math.isnan(float(rows[0]["train_mean_iou"]))
    said = capsys.readouterr().out
    assert "4 images teach with tags, pooled by " in said
    assert "background counts as shown in every one of them" in said
    assert run.segmenter("cpu").provenance["image_level"] == {"pooling": pooling, "sharpness": 5.0}
