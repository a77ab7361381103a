"""Features, pasting, SVMs and refinement, each against a plain computation or scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from fullconv.data.shapes import Scene, Shapes
from fullconv.regions import propose_regions
from fullconv.regions.features import CONTEXT, masked_means, warp, widened
from fullconv.regions.fit import box_overlaps, examples, objects_of, overlaps
from fullconv.regions.paste import OVERLAP, competing, paste
from fullconv.regions.proposals import regions_of
from fullconv.regions.refine import SIDE, Grid, piece_means
from fullconv.regions.refine_fit import RefineTrainer, logistic
from fullconv.regions.svm import COST, NEVER, POSITIVE_WEIGHT, SvmTrainer, fit

SHAPES = Shapes(height=64, width=80, train=4, val=1)
SCENE, CLASSES = Scene(SHAPES, 2), SHAPES.classes
IMAGE, LABELS = SHAPES.draw(2)
PROPOSALS = propose_regions(IMAGE, limit=60)
RANDOM = np.random.default_rng(0)


def test_grids_look_at_the_middles_of_their_cells() -> None:
    windows = widened(PROPOSALS.boxes, 32)
    grids = PROPOSALS.grids(windows, 7)
    for index, mask in enumerate(PROPOSALS.masks()):
        left, top, right, bottom = windows[index]
        for row in range(7):
            for column in range(7):
                y = int(np.floor(top + (bottom - top) * (row + 0.5) / 7))
                x = int(np.floor(left + (right - left) * (column + 0.5) / 7))
                inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
                assert grids[index, row, column] == (inside and mask[y, x])


def test_a_window_of_the_warped_size_is_the_image_and_zeros_outside() -> None:
    image = torch.rand(1, 3, 40, 50)
    crop = warp(image, torch.tensor([[5.0, 8.0, 37.0, 40.0]]), 32)
    assert torch.allclose(crop[0], image[0, :, 8:40, 5:37], atol=1e-5)
    assert not warp(image, torch.tensor([[60.0, 60.0, 92.0, 92.0]]), 32).any()


def test_large_windows_do_not_alias() -> None:
    """Stripes of one pixel become their mean, as they do by averaging."""
    image = torch.zeros(1, 1, 256, 256)
    image[..., ::2] = 1
    crop = warp(image, torch.tensor([[0.0, 0.0, 256.0, 256.0]]), 32)
    assert torch.allclose(crop[..., 1:-1, 1:-1], torch.full((1, 1, 30, 30), 0.5), atol=1e-3)


def test_context_is_that_of_r_cnn() -> None:
    left, top, right, bottom = widened(np.array([[10, 20, 205, 215]]), 227)[0]
    assert np.isclose((10 - left) / (right - left), CONTEXT)
    assert np.isclose(bottom - top, 195 * 227 / (227 - 32))


def test_masked_means_are_those_of_a_loop() -> None:
    features = torch.rand(3, 8, 10)
    means = masked_means(features, 8, PROPOSALS)
    large = features.repeat_interleave(8, 1).repeat_interleave(8, 2)
    for index, mask in enumerate(PROPOSALS.masks()):
        assert torch.allclose(means[index], large[:, torch.from_numpy(mask)].mean(1), atol=1e-5)


def test_the_class_on_top_is_that_of_pasting_one_by_one() -> None:
    """The weakest first, so that the best lies on top."""
    scores = RANDOM.normal(size=(len(PROPOSALS), 4)).astype(np.float32)
    pixels = paste(PROPOSALS, scores)
    canvas = np.full(LABELS.shape, -1)
    for place in np.argsort(scores.ravel(), kind="stable"):
        canvas[PROPOSALS.mask(place // 4)] = place % 4
    covered = canvas >= 0
    assert covered.any()
    assert (pixels.argmax(0)[covered] == canvas[covered]).all()
    assert np.isneginf(pixels[:, ~covered]).all()


def test_kept_regions_are_those_of_greedy_suppression() -> None:
    scores = RANDOM.normal(size=(len(PROPOSALS), 2)).astype(np.float32)
    kept = competing(PROPOSALS, scores)
    masks = list(PROPOSALS.masks())
    for label in range(2):
        chosen: list[int] = []
        for index in np.argsort(-scores[:, label])[:50]:
            shares = [(masks[index] & masks[k]).sum() / (masks[index] | masks[k]).sum() for k in chosen]
            if scores[index, label] > 0 and max(shares, default=0) <= OVERLAP:
                chosen.append(index)
        assert set(np.flatnonzero(kept[:, label])) == set(chosen)


def test_an_svm_scores_as_scikit_learns_does() -> None:
    positives, negatives = RANDOM.normal(1, 3, (40, 12)), RANDOM.normal(0, 2, (200, 12))
    weight, bias = fit(positives, negatives)
    every = np.concatenate([positives, negatives])
    scaled = (every - every.mean(0)) / every.std(0)
    theirs = LinearSVC(C=COST, class_weight={1: POSITIVE_WEIGHT}, random_state=0, max_iter=5000)
    theirs.fit(scaled, np.arange(240) < 40)
    assert np.allclose(every @ weight + bias, theirs.decision_function(scaled), atol=1e-3)


def test_a_class_without_negatives_has_no_svm_and_is_named() -> None:
    trainer, one = SvmTrainer(3, 8, [1, 2]), np.zeros((4, 3), bool)
    one[0, 1] = one[1, 2] = True
    negative = np.zeros((4, 3), bool)
    negative[:, 2] = ~one[:, 2]
    trainer.add(RANDOM.normal(0, 1, (4, 8)).astype(np.float32), one, negative)
    trainer.finish()
    assert (trainer.unseen, trainer.only_seen) == ([], [1])
    assert trainer.bias[1] == NEVER
    assert trainer.bias[2] != NEVER


def test_hard_negatives_teach_what_all_would() -> None:
    """Images with thousands of negatives: few are kept, and what is learned separates all of them."""
    trainer = SvmTrainer(3, 8, [1, 2])
    every = []
    for _ in range(12):
        features = RANDOM.normal(0, 1, (1000, 8)).astype(np.float32)
        features[:5, 0] += 7
        features[100:, 0] -= 8  # most are easy
        positive = np.zeros((1000, 3), bool)
        positive[:5, 1] = True
        trainer.add(features, positive, ~positive)
        every.append(features)
    trainer.finish()
    negatives = np.concatenate([features[5:] for features in every])
    assert sum(map(len, trainer.examples[1].negatives)) < len(negatives) / 2
    weight, bias = fit(np.concatenate([features[:5] for features in every]), negatives)
    ours, all_of_them = (negatives @ w + b for w, b in ((trainer.weight[1], trainer.bias[1]), (weight, bias)))
    assert np.corrcoef(ours, all_of_them)[0, 1] > 0.95
    assert (ours > 0).mean() < 0.01
    assert trainer.unseen == [2]
    assert trainer.bias[2] == NEVER


def test_which_regions_teach_what() -> None:
    objects, classes = objects_of(SCENE, LABELS, CLASSES)
    masks = [objects == number + 1 for number in range(len(classes))]
    assert all((LABELS[mask] == label).all() for mask, label in zip(masks, classes, strict=True))
    known = LABELS != 255
    overlap = overlaps(PROPOSALS, objects, len(classes), known)
    for index, mask in enumerate(PROPOSALS.masks()):
        assert np.allclose(overlap[index], [(mask & one).sum() / (mask | one).sum() for one in masks])
    positive, negative = examples(overlap, np.array(classes), 5)
    assert not (positive & negative).any()
    for number, label in enumerate(classes):
        assert positive[overlap[:, number].argmax(), label] == (overlap[:, number].max() >= 0.5)
        assert not negative[overlap[:, number] >= 0.3, label].any()
    assert negative[:, 0].all()


def test_overlaps_of_boxes() -> None:
    assert box_overlaps(np.array([[0, 0, 4, 4]]), np.array([[2, 0, 6, 4]], np.int32))[0, 0] == pytest.approx(8 / 24)


def test_logistic_regressions_are_scikit_learns() -> None:
    inputs = RANDOM.normal(2, 3, (300, 6))
    truth = inputs @ RANDOM.normal(size=(6, 2)) + RANDOM.normal(size=(300, 2)) > 0
    weight, bias = logistic(inputs, truth, ridge=0.02)
    scaled = (inputs - inputs.mean(0)) / inputs.std(0)
    for output in range(2):
        theirs = LogisticRegression(C=1 / (0.02 * 300), tol=1e-8, max_iter=1000).fit(scaled, truth[:, output])
        ours = inputs @ weight[output] + bias[output]
        assert np.allclose(ours, theirs.decision_function(scaled), atol=1e-2)


def test_means_of_a_coarse_mask_over_pieces() -> None:
    region = PROPOSALS.only([4])
    coarse = RANDOM.random((SIDE, SIDE))
    average, near = piece_means(region, coarse)
    left, top, right, bottom = widened(region.boxes, 227)[0]
    labels = region.cuts[region.places[0, 0]].labels
    sums = np.zeros(len(average))
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            row, column = (
                int(np.floor((v + 0.5 - a) / (b - a) * SIDE)) for v, a, b in ((y, top, bottom), (x, left, right))
            )
            if 0 <= row < SIDE and 0 <= column < SIDE:
                sums[labels[y, x]] += coarse[row, column]
    assert np.allclose(average, sums / np.bincount(labels.ravel()))
    assert near[labels[IMAGE.shape[0] // 2, IMAGE.shape[1] // 2]] or (sums[~near] == 0).all()


def test_refinement_learns_masks_and_untrained_it_changes_nothing() -> None:
    objects, classes = objects_of(SCENE, LABELS, CLASSES)
    overlap = overlaps(PROPOSALS, objects, len(classes), LABELS != 255)
    features = np.zeros((len(PROPOSALS), 3), np.float32)
    grid = Grid(3, 5)
    kept = np.zeros((len(PROPOSALS), 5), bool)
    number = int(overlap.max(0).argmax())
    best = int(overlap[:, number].argmax())
    kept[best, classes[number]] = True
    scores = np.ones((len(PROPOSALS), 5), np.float32)
    [(before, shown)] = grid.refined(PROPOSALS, features, scores, kept, None)
    assert (before.mask(0) == PROPOSALS.mask(best)).all()
    assert shown.tolist() == [[1 if label == classes[number] else -np.inf for label in range(5)]]
    trainer = RefineTrainer(grid)
    trainer.add(PROPOSALS, features, objects, classes, overlap, None)
    trainer.finish()
    [(after, _)] = grid.refined(PROPOSALS, features, scores, kept, None)
    truth = objects == number + 1
    assert (after.mask(0) & truth).sum() / (after.mask(0) | truth).sum() > 0.7


def test_known_objects_are_regions() -> None:
    objects, classes = objects_of(SCENE, LABELS, CLASSES)
    known = regions_of(objects, len(classes))
    assert [int(area) for area in known.areas] == [int((objects == n + 1).sum()) for n in range(len(classes))]
    assert (known.mask(0) == (objects == 1)).all()
