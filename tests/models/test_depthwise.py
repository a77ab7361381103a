from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fullconv.models import cpu_bf16, depthwise
from fullconv.models.cpu_bf16 import careful_convolutions


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which convolutions took the way of ours, by their kernels."""
    taken: list[str] = []
    plain = depthwise.depthwise

    def noted(input: Tensor, weight: Tensor, *others: object) -> Tensor:
        taken.append("x".join(map(str, weight.shape[2:])))
        return plain(input, weight, *others)

    monkeypatch.setattr(cpu_bf16, "depthwise", noted)
    return taken


def results(layer: nn.Module, x: Tensor, outer: Tensor | None = None) -> list[Tensor]:
    """What the layer gives, and the gradients of the input and the parameters, as float64."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(torch.ones_like(y) if outer is None else outer.to(y.dtype))
    assert x.grad is not None
    return [value.double() for value in (y.detach(), x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 1), (5, 2), (7, 1)])
@pytest.mark.parametrize("size", [(12, 20), (13, 21)])
def test_values_and_gradients_are_those_of_float64(
    kernel: int, stride: int, bias: bool, size: tuple[int, int], ours: list[str]
) -> None:
    layer = nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=bias)
    x = torch.randn(2, 6, *size).bfloat16().float().contiguous(memory_format=torch.channels_last)
    outer = torch.randn_like(layer(x)).bfloat16().float()
    with torch.no_grad():
        layer.weight.copy_(layer.weight.bfloat16())
    with torch.autocast("cpu", torch.bfloat16), careful_convolutions():
        found = results(layer, x, outer)
    assert ours == [f"{kernel}x{kernel}"]
    true = results(layer.double(), x.double(), outer.double())
    for got, expected in zip(found, true, strict=True):
        torch.testing.assert_close(got, expected, rtol=2e-2, atol=2e-2, check_stride=False)


def test_wide_kernels_in_float32_too(ours: list[str]) -> None:
    layer = nn.Conv2d(20, 20, 5, 1, 2, groups=20)
    x = torch.randn(2, 20, 9, 11)
    plain = results(layer, x)
    assert not ours
    with careful_convolutions():
        found = results(layer, x)
    assert ours == ["5x5"]
    for got, expected in zip(found, plain, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5, check_stride=False)


def test_other_layers_are_left_alone(ours: list[str]) -> None:
    x = torch.randn(1, 4, 12, 12)
    with torch.autocast("cpu", torch.bfloat16), careful_convolutions():
        for layer in (
            nn.Conv2d(4, 4, 3, 2, 1),
            nn.Conv2d(4, 4, 3, 1, 1, groups=4),
            nn.Conv2d(4, 8, 3, 2, 1, groups=4),
            nn.Conv2d(4, 4, 3, 1, 2, dilation=2, groups=4),
        ):
            results(layer, x)
        with torch.no_grad():
            nn.Conv2d(4, 4, 5, 2, 2, groups=4)(x)
    with careful_convolutions():
        results(nn.Conv2d(4, 4, 3, 2, 1, groups=4), x)
        results(nn.Conv2d(4, 4, 5, 1, 2, groups=4).double(), x.double())
    assert not ours


def test_there_are_second_derivatives(ours: list[str]) -> None:
    layer = nn.Conv2d(3, 3, 5, 2, 2, groups=3)
    x = torch.randn(1, 3, 8, 8, requires_grad=True)

    def penalty() -> Tensor:
        (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), layer.weight)[0]

    expected = penalty()
    with careful_convolutions():
        found = penalty()
    assert ours
    torch.testing.assert_close(found, expected)
