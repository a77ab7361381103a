"""Pooling of scores: against torch.logsumexp, its limits, and a loop over the enlarged pixels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fullconv.geometry import Window
from fullconv.ops import place_weights, pool_log_sum_exp, upsample


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sharpness", [0.5, 5.0, 50.0])
def test_equal_weights_are_the_paper_s_formula(sharpness: float) -> None:
    scores = random(2, 3, 4, 5)
    expected = ((sharpness * scores).flatten(2).logsumexp(2) - math.log(20)) / sharpness
    torch.testing.assert_close(pool_log_sum_exp(scores, torch.ones(1, 4, 5), sharpness), expected)


def test_weights_are_as_places_that_many_times() -> None:
    scores, weight = random(1, 2, 1, 3), torch.tensor([[[2.0, 0.0, 3.0]]])
    repeated = scores[..., [0, 0, 2, 2, 2]]
    expected = pool_log_sum_exp(repeated, torch.ones(1, 1, 5))
    torch.testing.assert_close(pool_log_sum_exp(scores, weight), expected)


def test_its_limits_are_maximum_and_mean() -> None:
    scores, weight = random(2, 3, 4, 5), random(2, 4, 5, seed=1).abs()
    most = scores.flatten(2).amax(2)
    mean = (scores * weight[:, None]).sum((2, 3)) / weight.sum((1, 2))[:, None]
    assert torch.equal(pool_log_sum_exp(scores, weight, math.inf), most)
    torch.testing.assert_close(pool_log_sum_exp(scores, weight, 1e5), most, rtol=0, atol=1e-3)
    torch.testing.assert_close(pool_log_sum_exp(scores, weight, 1e-6), mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sharpness", [5.0, math.inf])
def test_a_place_of_weight_0_counts_for_nothing(sharpness: float) -> None:
    """Whatever its score, nan included; an image without any place gives 0, and learns nothing."""
    scores, weight = random(2, 3, 2, 2), torch.ones(2, 2, 2)
    weight[0, 1, 1], weight[1] = 0, 0
    scores[0, :, 1, 1], scores[1] = math.nan, math.nan
    scores.requires_grad_()
    pooled = pool_log_sum_exp(scores, weight, sharpness)
    kept = scores.detach()[:1].flatten(2)[..., :3].unsqueeze(2)
    torch.testing.assert_close(pooled[:1], pool_log_sum_exp(kept, torch.ones(1, 1, 3), sharpness))
    assert pooled[1].eq(0).all()
    (gradient,) = torch.autograd.grad(pooled.sum(), scores)
    assert gradient[0, :, 1, 1].eq(0).all()
    assert gradient[1].eq(0).all()
    torch.testing.assert_close(gradient.sum((2, 3))[0], torch.ones(3, dtype=torch.float64))


def test_the_gradient_is_that_of_finite_differences() -> None:
    scores, weight = random(2, 2, 3, 2).requires_grad_(), random(2, 3, 2, seed=1).abs()
    assert torch.autograd.gradcheck(lambda values: pool_log_sum_exp(values, weight, 5.0), scores)


def test_far_scores_do_not_overflow() -> None:
    scores = torch.tensor([[[[1e4, -1e4, 0.0]]]])
    assert pool_log_sum_exp(scores, torch.ones(1, 1, 3)) == pytest.approx(1e4 - math.log(3) / 5)


@pytest.mark.parametrize(("weight", "sharpness", "words"), [
    (torch.ones(1, 2, 3), 5.0, "expected scores n c h w"), (torch.ones(3, 2, 2), 5.0, "expected scores n c h w"),
    (torch.ones(1, 2, 2), 0.0, "sharpness must be above 0"), (torch.ones(1, 2, 2), math.nan, "above 0"),
])  # fmt: skip
def test_what_cannot_be_is_refused(weight: torch.Tensor, sharpness: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pool_log_sum_exp(torch.zeros(2, 3, 2, 2), weight, sharpness)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 8), st.data())
def test_a_place_weighs_what_pixels_take_from_it(h: int, w: int, stride: int, data: st.DataObject) -> None:
    """So the weighted mean of the coarse scores is the mean of the enlarged ones, in a window and within padding."""
    scores = random(2, 2, h, w)
    size = (data.draw(st.integers(1, h * stride)), data.draw(st.integers(1, w * stride)))
    window = Window(
        data.draw(st.floats(0, h * stride - size[0])), data.draw(st.floats(0, w * stride - size[1])),
        h * stride, w * stride,
    )  # fmt: skip
    places = []
    for _ in range(2):
        top, left = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
        places.append([top, data.draw(st.integers(top + 1, size[0])), left, data.draw(st.integers(left + 1, size[1]))])
    weight = place_weights((h, w), size, window, torch.tensor(places), scores)
    assert weight.shape == (2, h, w)
    large = upsample(scores, size, window)
    for image, (top, bottom, left, right) in enumerate(places):
        assert weight[image].sum() == pytest.approx((bottom - top) * (right - left))
        mean = (scores[image] * weight[image]).sum((1, 2)) / weight[image].sum()
        torch.testing.assert_close(mean, large[image, :, top:bottom, left:right].mean((1, 2)))
    whole = torch.tensor([[0, size[0], 0, size[1]]])
    torch.testing.assert_close(
        place_weights((h, w), size, window, None, scores), place_weights((h, w), size, window, whole, scores)
    )
