from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.geometry import Window
from fullconv.ops import loss as loss_module
from fullconv.ops import upsample, upsample_cross_entropy


def reference(logits, labels, weight=None, crop=None, align_corners=False):
    full = upsample(logits, labels.shape[-2:], crop, align_corners=align_corners)
    return F.cross_entropy(full, labels.long(), weight, ignore_index=255)


@settings(max_examples=150)
@given(st.data())
def test_value_and_gradient_are_those_of_interpolate_then_cross_entropy(data: st.DataObject) -> None:
    n, c = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 7))
    h, w = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    size = (data.draw(st.integers(h, 8 * h + 3)), data.draw(st.integers(w, 8 * w + 3)))
    logits = torch.randn(n, c, h, w, dtype=torch.float64) * data.draw(st.sampled_from([1, 30]))
    if data.draw(st.booleans()):
        logits = logits.contiguous(memory_format=torch.channels_last)
    logits.requires_grad_()
    labels = torch.randint(0, c, (n, *size))
    labels[torch.rand(labels.shape) < data.draw(st.sampled_from([0, 0.3]))] = 255
    labels[0, 0, 0] = 0
    if data.draw(st.booleans()):
        labels = labels.to(torch.uint8)
    weight = torch.rand(c, dtype=torch.float64) + 0.1 if data.draw(st.booleans()) else None
    align = data.draw(st.booleans())
    expected = reference(logits, labels, weight, align_corners=align)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    got = upsample_cross_entropy(logits, labels, weight=weight, align_corners=align)
    (gradient,) = torch.autograd.grad(got, logits)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_strips_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(2, 5, 6, 7, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, (2, 45, 50))
    whole = upsample_cross_entropy(logits, labels)
    (gradient,) = torch.autograd.grad(whole, logits)
    monkeypatch.setattr(loss_module, "STRIP_BYTES", 1)  # one row a strip
    thin = upsample_cross_entropy(logits, labels)
    (thin_gradient,) = torch.autograd.grad(thin, logits)
    torch.testing.assert_close(thin, whole)
    torch.testing.assert_close(thin_gradient, gradient)


def test_window_of_a_padded_network() -> None:
    logits = torch.randn(1, 4, 5, 6, requires_grad=True)
    labels = torch.randint(0, 4, (1, 30, 35))
    crop = Window(3, 5, 40, 48)
    got = upsample_cross_entropy(logits, labels, crop=crop)
    torch.testing.assert_close(got, reference(logits, labels, crop=crop))


def test_gradcheck() -> None:
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (2, 13, 17))
    labels[:, :4] = 255
    assert torch.autograd.gradcheck(lambda x: upsample_cross_entropy(x, labels), (logits,))


def test_everything_ignored_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = upsample_cross_entropy(logits, torch.full((1, 8, 8), 255))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_bf16_logits_are_summed_in_fp32() -> None:
    logits = torch.randn(1, 6, 5, 5).bfloat16().requires_grad_()
    labels = torch.randint(0, 6, (1, 40, 40))
    exact = logits.detach().float().requires_grad_()
    got, expected = upsample_cross_entropy(logits, labels), reference(exact, labels)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)
    got.backward()
    expected.backward()
    torch.testing.assert_close(logits.grad, exact.grad.bfloat16())


@pytest.mark.parametrize(
    ("logits", "labels", "options", "words"),
    [
        (torch.zeros(1, 2, 3), torch.zeros(1, 3, 3), {}, "n c h w"),
        (torch.zeros(2, 2, 3, 3), torch.zeros(1, 3, 3), {}, "n c h w"),
        (torch.zeros(1, 2, 3, 3), torch.full((1, 3, 3), 2), {}, "id 2; expected 0 to 1"),
        (torch.zeros(1, 2, 3, 3), torch.full((1, 3, 3), -1), {}, "id -1"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"weight": torch.ones(3)}, "2 class weights"),
    ],
)
def test_refuses(logits: torch.Tensor, labels: torch.Tensor, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        upsample_cross_entropy(logits, labels.long(), **options)
