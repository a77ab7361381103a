from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.device import computing_threads
from fullconv.geometry import Window
from fullconv.ops import strips, upsample, upsample_dice
from fullconv.ops.partial import UNLABELLED


def formula(logits: torch.Tensor, labels: torch.Tensor, jaccard: bool, smooth: float) -> torch.Tensor:
    shares = upsample(logits, tuple(labels.shape[1:])).softmax(1)
    losses = []
    for index in range(logits.shape[1]):
        truth = (labels == index).double()
        p = shares[:, index] * (labels != 255)
        if truth.sum() == 0:
            continue
        both = (p * truth).sum()
        below = p.sum() + truth.sum()
        losses.append(
            1 - ((both + smooth) / (below - both + smooth) if jaccard else (2 * both + smooth) / (below + smooth))
        )
    return torch.stack(losses).mean()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 5), st.integers(1, 9), st.booleans(), st.sampled_from([0.0, 1.0]), st.booleans()
)
def test_is_the_formula(classes: int, h: int, w: int, jaccard: bool, smooth: float, thin: bool) -> None:
    logits = (torch.randn(2, classes, h, w, dtype=torch.float64) * 3).requires_grad_()
    labels = torch.randint(0, classes, (2, 4 * h + 1, 3 * w))
    labels[torch.rand(labels.shape) < 0.3] = 255
    labels[0, 0, 0] = 0
    size, strips.STRIP_BYTES = strips.STRIP_BYTES, 1 if thin else strips.STRIP_BYTES
    try:
        got = upsample_dice(logits, labels, jaccard=jaccard, smooth=smooth)
        gradient = torch.autograd.grad(got, logits)[0]
    finally:
        strips.STRIP_BYTES = size
    expected = formula(logits, labels, jaccard, smooth)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0])


def test_gradcheck() -> None:
    logits = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (1, 7, 8))
    for jaccard in (False, True):
        assert torch.autograd.gradcheck(lambda x, kind=jaccard: upsample_dice(x, labels, jaccard=kind), (logits,))


def test_everything_ignored_and_bf16() -> None:
    logits = torch.randn(1, 3, 2, 2).bfloat16().requires_grad_()
    loss = upsample_dice(logits, torch.full((1, 8, 8), 255))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
    assert upsample_dice(logits, torch.zeros(1, 8, 8).long()).dtype == torch.float32


def test_refuses() -> None:
    with pytest.raises(ValueError, match="id 7"):
        upsample_dice(torch.zeros(1, 3, 2, 2), torch.full((1, 4, 4), 7))
    with pytest.raises(ValueError, match="smooth"):
        upsample_dice(torch.zeros(1, 3, 2, 2), torch.zeros(1, 4, 4).long(), smooth=-1)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 20), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans(),
    st.sampled_from([1.0, 30.0]), st.booleans(), st.integers(0, 9999),
)  # fmt: skip
def test_the_processor_s_kernel_is_the_strips_in_float64(
    classes: int, h: int, w: int, stride: int, jaccard: bool, align: bool, scale: float, cropped: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, classes, h, w, generator=generator) * scale
    height, width = max(1, stride * h - cropped), max(1, stride * w - 2 * cropped)
    labels = torch.randint(0, classes, (3, height, width), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.4] = 255
    labels[1] = 255
    crop = Window(0, 0.5, stride * h, stride * w) if cropped else None
    found = []
    for precise in (False, True):
        given_logits = (logits.double() if precise else logits.clone()).requires_grad_()
        loss = upsample_dice(given_logits, labels, jaccard=jaccard, align_corners=align, crop=crop)
        found.append((loss.double(), torch.autograd.grad(loss, given_logits)[0].double()))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    largest = float(found[1][1].abs().max())
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=2e-5 * largest + 1e-9)


def test_classes_that_are_masked_out_and_scores_that_are_not_finite() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 12, 12))
    for lowest in (UNLABELLED, -torch.inf, torch.nan):
        logits = torch.randn(2, 4, 3, 3)
        logits[:, 3] = lowest
        ours, strips_ = (value.requires_grad_() for value in (logits.clone(), logits.double()))
        loss, expected = upsample_dice(ours, labels), upsample_dice(strips_, labels)
        torch.testing.assert_close(loss.double(), expected, equal_nan=True, rtol=1e-5, atol=1e-6)
        gradients = [torch.autograd.grad(one, of)[0].double() for one, of in ((loss, ours), (expected, strips_))]
        torch.testing.assert_close(*gradients, equal_nan=True, rtol=1e-4, atol=1e-7)


def test_the_number_of_threads_changes_nothing() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 20, 20), torch.randint(0, 5, (2, 80, 80), dtype=torch.uint8)
    found = []
    for threads in (1, 2, 3):
        with computing_threads(threads):
            given_logits = logits.clone().requires_grad_()
            loss = upsample_dice(given_logits, labels)
            found.append((loss.detach(), torch.autograd.grad(loss, given_logits)[0]))
    assert all(torch.equal(one[0], found[0][0]) and torch.equal(one[1], found[0][1]) for one in found)
