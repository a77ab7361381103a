from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.ops import strips, upsample, upsample_dice


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
