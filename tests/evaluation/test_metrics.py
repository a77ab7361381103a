from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)
from torchmetrics.classification import MulticlassF1Score, MulticlassJaccardIndex

from fullconv.errors import UsageError
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.spec import ClassSet

CLASSES = ClassSet(tuple("abcdef"))


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_scikit_learn_and_torchmetrics(seed: int) -> None:
    torch.manual_seed(seed)
    target = torch.randint(0, 6, (2, 20, 30))
    prediction = torch.where(torch.rand(target.shape) < 0.6, target, torch.randint(0, 6, target.shape))
    target[torch.rand(target.shape) < 0.2] = 255
    matrix = ConfusionMatrix(CLASSES)
    for guess, truth in zip(prediction, target, strict=True):
        matrix.update(guess, truth)
    scores = matrix.scores()
    valid = target != 255
    truth, guess = target[valid].numpy(), prediction[valid].numpy()
    assert scores.pixel_accuracy == pytest.approx(accuracy_score(truth, guess))
    assert scores.mean_accuracy == pytest.approx(balanced_accuracy_score(truth, guess))
    assert scores.mean_iou == pytest.approx(jaccard_score(truth, guess, average="macro"))
    assert scores.fw_iou == pytest.approx(jaccard_score(truth, guess, average="weighted"))
    assert scores.iou == pytest.approx(jaccard_score(truth, guess, average=None))
    jaccard = MulticlassJaccardIndex(6, ignore_index=255)
    assert scores.mean_iou == pytest.approx(float(jaccard(prediction, target)), rel=1e-5)
    assert scores.pixels == tuple(np.bincount(truth, minlength=6))
    assert np.array_equal(scores.confusion, confusion_matrix(truth, guess))
    for ours, theirs in ((scores.precision, precision_score), (scores.recall, recall_score), (scores.dice, f1_score)):
        assert ours == pytest.approx(theirs(truth, guess, average=None))
    f1 = MulticlassF1Score(6, average=None, ignore_index=255)
    assert scores.dice == pytest.approx(f1(prediction, target).tolist(), rel=1e-5)


def test_absent_classes_are_nan_and_left_out() -> None:
    matrix = ConfusionMatrix(ClassSet(("a", "b", "c", "d")))
    # c is predicted but never true: its IoU is 0, its accuracy undefined; d is nowhere
    matrix.update(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, 1]))
    scores = matrix.scores()
    assert scores.absent == ("d",)
    assert scores.iou[:3] == (1.0, 0.5, 0.0)
    assert math.isnan(scores.iou[3])
    assert scores.mean_iou == pytest.approx(0.5)
    assert scores.mean_accuracy == pytest.approx(0.75)
    assert scores.to_dict()["classes"][3]["iou"] is None
    truth, guess = [0, 0, 1, 1], [0, 0, 1, 2]
    for ours, theirs in ((scores.precision, precision_score), (scores.recall, recall_score), (scores.dice, f1_score)):
        expected = theirs(truth, guess, labels=[0, 1, 2, 3], average=None, zero_division=math.nan)
        assert ours == pytest.approx(expected, nan_ok=True)
    assert scores.to_dict()["classes"][3]["precision"] is None
    assert scores.to_dict()["classes"][2]["dice"] == 0


def test_a_class_that_the_data_never_label_has_no_score() -> None:
    matrix = ConfusionMatrix(ClassSet(("a", "b", "c")))
    matrix.update(torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 1, 0]))
    scores = matrix.scores(labelled=[True, True, False])
    for values in (scores.precision, scores.recall, scores.dice):
        assert math.isnan(values[2])
    assert scores.precision[:2] == (1.0, 0.5)


def test_merging_is_counting_together() -> None:
    a, b, both = (ConfusionMatrix(CLASSES) for _ in range(3))
    first, second = torch.randint(0, 6, (2, 50)), torch.randint(0, 6, (2, 50))
    a.update(*first)
    b.update(*second)
    both.update(torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]))
    a.merge(b)
    assert torch.equal(a.counts, both.counts)


def test_nothing_counted_is_nan_not_a_crash() -> None:
    scores = ConfusionMatrix(CLASSES).scores()
    assert math.isnan(scores.mean_iou)
    assert scores.absent == CLASSES.names


def test_the_published_output_of_the_fcn_authors_scores_what_it_did(shared: Path) -> None:
    """The demo of shelhamer/fcn.berkeleyvision.org: an image's truth, and the map that FCN-8s gave."""
    folder = shared / "data" / "fcn_berkeley_demo"
    truth = np.array(Image.open(folder / "label.png"))
    colours = np.asarray(Image.open(folder / "output.png").convert("RGB"))
    prediction = np.zeros(truth.shape, np.uint8)
    for index, colour in ((2, (0, 128, 0)), (15, (192, 128, 128))):
        prediction[(colours == colour).all(2)] = index
    matrix = ConfusionMatrix(ClassSet(tuple(f"class {i}" for i in range(21))))
    matrix.update(torch.from_numpy(prediction), torch.from_numpy(truth))
    scores = matrix.scores()
    assert scores.pixel_accuracy == pytest.approx(0.843, abs=5e-4)
    assert [scores.iou[i] for i in (0, 2, 15)] == pytest.approx([0.777, 0.662, 0.719], abs=5e-4)
    assert len(scores.absent) == 18


def test_figures_of_classes_have_names_and_are_tuples() -> None:
    matrix = ConfusionMatrix(ClassSet(("ground", "road", "pole")))
    matrix.counts = torch.tensor([[6, 2, 0], [0, 4, 0], [0, 2, 6]])
    scores = matrix.scores()
    for figures in (scores.iou, scores.accuracy, scores.recall, scores.precision, scores.dice):
        assert isinstance(figures, tuple)
        assert figures["road"] == figures[1] == figures[-2]
        assert figures == tuple(figures)
        assert figures[:2] == tuple(figures)[:2]
    assert (scores.iou["road"], scores.precision["road"], scores.recall["ground"]) == (0.5, 0.5, 0.75)
    with pytest.raises(UsageError, match="no class is called 'raod'; did you mean road"):
        scores.iou["raod"]
    for again in (pickle.loads(pickle.dumps(scores)), copy.deepcopy(scores), dataclasses.replace(scores, loss=1.0)):
        assert again.iou["pole"] == scores.iou["pole"] == 0.75
        assert np.array_equal(again.confusion, scores.confusion)
    assert scores.confusion.dtype == np.int64
    assert scores.confusion.sum() == 20
    with pytest.raises(ValueError, match="read-only"):
        scores.confusion[0, 0] = 1
    assert dataclasses.replace(scores, loss=1.0) == dataclasses.replace(scores, loss=1.0)
    assert hash(dataclasses.replace(scores, loss=1.0)) == hash(dataclasses.replace(scores, loss=1.0))
    assert dataclasses.asdict(scores)["iou"] == scores.iou
    assert repr(scores.iou) == "PerClass(ground 0.7500, road 0.5000, pole 0.7500)"
