"""Losses of scores that are not finite, of masked classes, and of pixels that are all ignored: as torch has it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.utils.checkpoint
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import (
    upsample_argmax,
    upsample_cross_entropy,
    upsample_focal,
    upsample_ohem,
)
from tests.builders.backends import BACKENDS, choose, device_of
from tests.builders.losses import (
    assert_same,
    plain_cross_entropy,
    value_and_gradient,
)

pytestmark = [  # Triton's interpreter is numpy
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning"),  # a sum of inf and -inf
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every backend but the reference, in every way that it takes the gradient."""
    return choose(request.param, monkeypatch)


def test_everything_ignored_is_zero_with_zero_gradient(backend: str, device: torch.device) -> None:
    logits, labels = torch.randn(1, 3, 2, 2, device=device), torch.full((1, 8, 8), 255, device=device)
    for loss in (upsample_cross_entropy, upsample_focal, upsample_ohem):
        value, gradient = value_and_gradient(loss, logits, labels)
        assert value == 0
        assert torch.equal(gradient, torch.zeros_like(logits))


def test_nan_and_infinity_go_where_torch_lets_them_go(backend: str, device: torch.device) -> None:
    logits = torch.randn(1, 4, 4, 4, device=device)
    labels = torch.randint(0, 4, (1, 16, 16), device=device)
    for strange in (float("nan"), float("inf")):
        bad = logits.clone()
        bad[0, 1, 0, 0] = strange
        value, gradient = value_and_gradient(upsample_cross_entropy, bad, labels)
        expected = value_and_gradient(plain_cross_entropy, bad, labels)
        assert value.isnan()
        assert torch.equal(gradient.isnan(), expected[1].isnan())
        ignored = labels.clone()
        ignored[:, :6, :6] = 255  # every pixel that reads the strange value
        value, gradient = value_and_gradient(upsample_cross_entropy, bad, ignored)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_a_class_that_is_masked_out_by_minus_infinity(backend: str, device: torch.device) -> None:
    logits = torch.randn(1, 4, 3, 3, device=device)
    logits[:, 2] = -torch.inf
    labels = torch.randint(0, 2, (1, 4, 4), device=device)
    crop = Window(2.25, 2.25, 9, 9)  # no pixel lies on a coarse place, where 0 * inf is nan in PyTorch too
    value, gradient = value_and_gradient(upsample_cross_entropy, logits, labels, crop=crop)
    kept = [0, 1, 3]
    expected = value_and_gradient(plain_cross_entropy, logits[:, kept], labels, crop=crop)
    torch.testing.assert_close(value.double(), expected[0].double())
    torch.testing.assert_close(gradient[:, kept], expected[1].to(gradient), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("size", [(3, 3), (9, 9), (8, 8)])
def test_a_class_that_is_masked_out_by_the_lowest_number(
    backend: str, device: torch.device, size: tuple[int, int]
) -> None:
    logits = torch.randn(1, 4, 3, 3, device=device)
    logits[:, 2] = torch.finfo(torch.float32).min
    labels = torch.randint(0, 2, (1, *size), device=device)
    got = value_and_gradient(upsample_cross_entropy, logits, labels)
    assert_same(got, value_and_gradient(plain_cross_entropy, logits, labels))
    labels, _ = upsample_argmax(logits, size, confidence=True)
    assert (labels != 2).all()


STRANGE = st.sampled_from([float("nan"), float("inf"), float("-inf")])


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**30),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])),
    strange=st.lists(st.tuples(STRANGE, st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=1),
    options=st.sampled_from([{}, {"label_smoothing": 0.2}, {"weight": (1.0, 0.0, 2.0)}, {"gamma": 2}, {"gamma": 0.5}]),
)  # fmt: skip
@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_has_nan_and_infinity_where_the_reference_has_them(
    name: str, seed: int, size: tuple[int, int], strides: tuple[int, int], strange: Any, options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    logits = torch.randn(1, 3, *size)
    for value, c, y, x in strange:
        logits[0, c, y % size[0], x % size[1]] = value
    # fractions of halves: whether a pixel lies on a place is no matter of rounding
    labels = torch.randint(0, 3, (1, size[0] * strides[0], size[1] * strides[1]))
    labels[torch.rand(labels.shape) < 0.3] = 255
    chosen = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    loss = upsample_focal if "gamma" in options else upsample_cross_entropy
    results = []
    for backend in ("reference", name):
        device = device_of(choose(backend, monkeypatch))
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in chosen.items()}
        found = value_and_gradient(loss, logits.to(device), labels.to(device), **moved)
        results.append([value.cpu() for value in found])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_scores_far_apart_need_the_true_maximum(backend: str, device: torch.device) -> None:
    """Half-way between two places whose best classes differ, every score lies far below the bound."""
    logits = torch.zeros(1, 2, 1, 2, device=device)
    logits[0, :, 0, 0] = torch.tensor([500.0, -500.0])
    logits[0, :, 0, 1] = torch.tensor([-500.0, 500.0])
    labels = torch.zeros(1, 5, 9, dtype=torch.int64, device=device)
    got = value_and_gradient(upsample_cross_entropy, logits, labels, align_corners=True)
    assert_same(got, value_and_gradient(plain_cross_entropy, logits, labels, align_corners=True))
