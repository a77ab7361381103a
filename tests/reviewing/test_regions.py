"""Regions and their scores beside plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from fullconv.geometry import Window
from fullconv.ops import pixel_cross_entropy, upsample
from fullconv.parts import Part
from fullconv.reviewing.choose import RAREST, Sums, chosen
from fullconv.reviewing.doubt import BINS, LEAST, PRIOR, Doubts, Seen
from fullconv.reviewing.regions import MOST, SIZE, Regions, judged, rim_of

CLASSES, VOID = 4, 255


def example(seed: int, size: tuple[int, int] = (60, 70)) -> tuple[np.ndarray, ...]:
    """Blobs of four classes with some void, losses, predictions and probabilities."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(CLASSES, *size)), (0, 3, 3))
    labels = smooth.argmax(0).astype(np.uint8)
    labels[random.random(size) < 0.01] = VOID
    losses = random.exponential(2, size).astype(np.float32)
    return labels, losses, random.integers(0, CLASSES, size).astype(np.uint8), random.random(size).astype(np.float32)


def described(size: tuple[int, int], parts: list[Part]) -> torch.Tensor:
    sums = Sums(size)
    for part in parts:
        sums.add(part)
    return sums.described()


@pytest.mark.parametrize(("seed", "size"), [(0, (60, 70)), (1, (1, 40)), (2, (90, 40))])
def test_regions_are_those_of_a_loop(seed: int, size: tuple[int, int]) -> None:
    labels, losses, predicted, sure = example(seed, size)
    found = judged(labels, losses, predicted, sure, CLASSES, VOID)
    expected, thin = [], 0
    for label in range(CLASSES):
        numbers, _ = ndimage.label(labels == label, np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(numbers), 1):
            region = numbers == number
            inside = ndimage.binary_erosion(region)  # of four neighbours
            inner = int(inside.sum())
            if not inner:
                thin += 1
                continue
            counts = np.bincount(predicted[inside], minlength=CLASSES)
            counts[label] = -1
            other = int(counts.argmax())
            trust = sure[inside & (predicted == other)]
            expected.append(
                (label, box[1].start, box[0].start, box[1].stop, box[0].stop, int(region.sum()),
                 float(np.minimum(losses[inside], MOST).mean(dtype=np.float64)), inner / (inner + SIZE), other,
                 len(trust) / inner, float(trust.mean()) if len(trust) else 0.0)
            )  # fmt: skip
    columns = (getattr(found, name).tolist() for name in Regions._fields[1:-1])
    rows = [(*box, *rest) for box, *rest in zip(found.boxes.tolist(), *columns, strict=True)]
    assert found.thin == thin > 0
    assert len(rows) == len(expected)
    if rows:
        np.testing.assert_allclose(sorted(rows), sorted(expected), rtol=1e-5, atol=1e-6)


def test_the_rim_grows_with_the_image() -> None:
    labels = np.zeros((800, 900), np.uint8)
    labels[100:120, 300:320] = 1
    assert rim_of(labels.shape) == 2
    one = np.ones(labels.shape, np.float32)
    found = judged(labels, one, labels, one, CLASSES, VOID)
    assert found.boxes.tolist() == [[0, 0, 0, 900, 800], [1, 300, 100, 320, 120]]
    assert found.weight[1] == 16**2 / (16**2 + SIZE * 2**2)
    assert found.pixels.tolist() == [800 * 900 - 400, 400]


def of(label: int, surprise: list[float], weight: float = 1.0) -> Regions:
    """Regions of one class, in a row."""
    count = len(surprise)
    boxes = np.array([[label, place, 0, place + 1, 5] for place in range(count)])
    same = np.ones(count)
    whole = np.full(count, 7)
    return Regions(boxes, whole, np.array(surprise), weight * same, np.full(count, 3), same, same, 0)


def test_a_label_is_doubtful_beside_what_is_usual_for_its_class() -> None:
    doubts = Doubts(CLASSES)
    easy, hard = [0.1] * 40 + [4.0], [3.0] * 40 + [4.0]
    assert doubts.add(of(0, easy), Seen(0.5, 100)) > 0
    doubts.add(of(1, hard), Seen(0.5, 100))
    doubts.add(of(0, [8.0, 6.0], weight=0.5), Seen(0.5, 100))
    every = np.median(easy + hard + [8.0, 6.0])
    usual = [(43 * 0.1 + PRIOR * every) / (43 + PRIOR), (41 * 3.0 + PRIOR * every) / (41 + PRIOR)]
    np.testing.assert_allclose(doubts.usual()[:2], usual, atol=2 * MOST / BINS)
    found = doubts.found()
    first, last = 4.0 - usual[0], 0.5 * (8.0 - usual[0])
    assert [(one.image, one.label, one.left) for one in found] == [(2, 0, 0), (0, 0, 40), (2, 0, 1)]
    np.testing.assert_allclose([one.score for one in found], [last, first, 0.5 * (6 - usual[0])], atol=2 * MOST / BINS)
    assert all(
        one.score >= LEAST and (one.right, one.bottom, one.pixels, one.other) == (one.left + 1, 5, 7, 3)
        for one in found
    )
    assert doubts.judged.tolist() == [43, 41, 0, 0]
    assert Doubts(2).found() == []


def test_what_images_show_is_the_mean_of_the_enlarged_probabilities() -> None:
    torch.manual_seed(0)
    logits, window, size = torch.randn(2, 3, 5, 6), Window(3, 2, 40, 48), (31, 43)
    likely = upsample(logits.softmax(1), size, window)
    parts = [likely, likely[..., :15, :21], likely[..., :15, 21:], likely[..., 15:, :21], likely[..., 15:, 21:]]
    expected = torch.cat([part.mean((2, 3)) for part in parts], 1)
    whole = [Part(logits, window, slice(0, 31), slice(0, 43))]
    np.testing.assert_allclose(described(size, whole), expected, atol=1e-5)
    cut = [
        Part(logits, Window(3 + top, 2 + left, 40, 48), slice(top, end), slice(left, stop))
        for top, end in ((0, 20), (20, 31)) for left, stop in ((0, 9), (9, 43))
    ]  # fmt: skip
    np.testing.assert_allclose(described(size, cut), expected, atol=1e-5)


@pytest.mark.parametrize("labelled", [0, 5])
def test_images_are_chosen_as_by_a_loop(labelled: int) -> None:
    random = np.random.default_rng(3)
    entropy, features, known = random.random(20), random.random((20, 4)), random.random((labelled, 4))
    found = chosen(entropy, features, known, 8)
    usual = np.concatenate([features, known]).mean(0) + RAREST
    features, known = features / usual, known / usual
    centres, left = list(known), list(range(20))
    for one in found:
        away = {i: min((math.dist(features[i], centre) for centre in centres), default=1.0) for i in left}
        best = max(left, key=lambda i: entropy[i] * away[i])
        assert one.image == best
        assert one.score == pytest.approx(entropy[best] * away[best])
        centres.append(features[best])
        left.remove(best)
    assert len(found) == 8
    assert len(chosen(entropy, features, known, 50)) == 20  # there are no more


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixel_losses_are_those_of_pytorch(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 5, 4, 6, dtype=dtype), torch.randint(0, 5, (2, 30, 40))
    labels[:, :3] = VOID
    enlarged = torch.nn.functional.interpolate(logits, (30, 40), mode="bilinear")
    expected = torch.nn.functional.cross_entropy(enlarged, labels, reduction="none", ignore_index=VOID)
    torch.testing.assert_close(pixel_cross_entropy(logits, labels), expected, atol=1e-5, rtol=1e-5)
