from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fullconv.evaluation.intervals import FEWEST, MEANS, bootstrap, means, paired, range_in_words
from fullconv.evaluation.metrics import ConfusionMatrix
from fullconv.spec import ClassSet

CLASSES = ClassSet(("a", "b", "c", "never"))


def images(number: int, errors: float, seed: int = 0) -> tuple[np.ndarray, ConfusionMatrix]:
    """Counts of images whose labels are wrong at a rate, and all of them in one matrix."""
    random = np.random.default_rng(seed)
    whole, counts = ConfusionMatrix(CLASSES), []
    for _ in range(number):
        truth = random.integers(0, 3, 400)
        prediction = np.where(random.random(400) < errors, random.integers(0, 3, 400), truth)
        one = ConfusionMatrix(CLASSES)
        one.update(torch.from_numpy(prediction), torch.from_numpy(truth))
        whole.merge(one)
        table = one.counts.numpy()
        counts.append([table.diagonal(), table.sum(1), table.sum(0)])
    return np.array(counts), whole


def test_means_are_those_of_scores() -> None:
    counts, whole = images(5, 0.3)
    found, scores = means(counts.sum(0)), whole.scores()
    for name in ("pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou"):
        assert found[name] == pytest.approx(getattr(scores, name))
    table = whole.counts.numpy()
    dice = [2 * table[c, c] / (table[c].sum() + table[:, c].sum()) for c in range(3)]
    assert found["mean_dice"] == pytest.approx(np.mean(dice))


def test_the_interval_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    counts, _ = images(40, 0.3)
    low, high = bootstrap(counts, 2000)["mean_iou"]
    theirs = stats.bootstrap(
        (np.arange(40),), lambda chosen: means(counts[chosen].sum(0))["mean_iou"], n_resamples=2000,
        method="percentile", vectorized=False, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert low == pytest.approx(theirs.low, abs=(high - low) / 8)
    assert high == pytest.approx(theirs.high, abs=(high - low) / 8)


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    held, trials = 0, 150
    truth = float(means(images(3000, 0.3, seed=10**6)[0].sum(0))["mean_iou"])
    for seed in range(trials):
        low, high = bootstrap(images(30, 0.3, seed)[0], 300)["mean_iou"]
        held += low <= truth <= high
    assert 0.87 <= held / trials <= 0.99


def test_pairs_tell_what_intervals_alone_do_not() -> None:
    """A change that helps every image a little is real though the images differ by far more."""
    random = np.random.default_rng(0)
    truth = random.integers(200, 800, (50, 1, 2))
    wrong = (truth * random.uniform(0.05, 0.6, (50, 1, 1))).astype(int)
    first, second = (np.concatenate((truth - w, truth, truth - w + w[..., ::-1]), 1) for w in (wrong, wrong * 9 // 10))
    ranges = [bootstrap(counts)["mean_iou"] for counts in (first, second)]
    assert ranges[0][1] > ranges[1][0]  # the intervals overlap
    difference = paired(first, second)["mean_iou"]
    assert difference.real
    assert difference.p < 0.01
    assert difference.low <= difference.value <= difference.high


def test_no_difference_is_not_real() -> None:
    counts, _ = images(20, 0.3)
    same = paired(counts, counts)
    assert all((same[name].value, same[name].p, same[name].real) == (0, 1, False) for name in MEANS)
    other, _ = images(20, 0.3, seed=1)
    assert not paired(counts, other)["mean_iou"].real


def test_other_images_are_refused_and_none_are_nan() -> None:
    with pytest.raises(ValueError, match=r"same images, found shapes \(3, 3, 4\) and \(2, 3, 4\)"):
        paired(images(3, 0)[0], images(2, 0)[0])
    assert all(map(math.isnan, bootstrap(np.zeros((0, 3, 4), np.int64))["mean_iou"]))


def test_few_images_have_no_range_and_that_is_said() -> None:
    counts = images(FEWEST, 0.3, 0)[0]
    assert not math.isnan(bootstrap(counts)["mean_iou"][0])
    assert all(math.isnan(bound) for bounds in bootstrap(counts[1:]).values() for bound in bounds)
    other = images(FEWEST, 0.1, 1)[0]
    assert not math.isnan(paired(counts, other)["mean_iou"].p)
    few = paired(counts[1:], other[1:])["mean_iou"]
    assert all(map(math.isnan, (few.p, few.low, few.high)))
    assert math.isfinite(few.value)
    assert not few.real
    assert few.p_in_words() == "too few images to tell (10 are enough)"
    assert range_in_words(FEWEST - 1).startswith(f"There is no range: {FEWEST - 1} images are too few")
    assert range_in_words(FEWEST).startswith("The range: these 10 images")
