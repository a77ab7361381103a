from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fullconv.evaluation.calibration import BINS, Reliability


def test_it_is_torchmetrics_expected_calibration_error() -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    random = np.random.default_rng(0)
    scores = torch.from_numpy(random.normal(0, 2, (5000, 4))).softmax(1)
    truth = torch.from_numpy(random.integers(0, 4, 5000))
    sure, labels = scores.max(1)
    ours = Reliability()
    for part in (slice(0, 1234), slice(1234, None)):
        ours.update(sure[part].numpy(), (labels == truth)[part].numpy())
    theirs = multiclass_calibration_error(scores, truth, 4, n_bins=BINS, norm="l1")
    assert ours.expected_error == pytest.approx(float(theirs), abs=1e-6)


def test_sure_and_wrong_half_of_the_time() -> None:
    ours = Reliability()
    ours.update(np.ones(10), np.arange(10) < 5)
    assert ours.expected_error == 0.5
    assert ours.curve() == [(1, 0.5, 10)]
    assert math.isnan(Reliability().expected_error)
