from __future__ import annotations

import copy

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from fullconv.models import build_model
from fullconv.models.cpu_bf16 import DilatedConvolution, StridedDepthwise, mend_convolutions


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("size", [(12, 20), (13, 20), (13, 21)])
def test_values_and_gradients_are_those_of_the_plain_layer(kernel: int, same: bool, size: tuple[int, int]) -> None:
    kind = Conv2dSame if same else nn.Conv2d
    padding = 0 if same else kernel // 2
    plain = nn.Sequential(kind(6, 6, kernel, 2, padding, groups=6)).bfloat16()
    fast = copy.deepcopy(plain)
    mend_convolutions(fast)
    assert isinstance(fast[0], StridedDepthwise)
    assert list(fast.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 6, *size).bfloat16().contiguous(memory_format=torch.channels_last)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, got = plain(a), fast(b)
    outer = torch.randn_like(expected)
    expected.backward(outer)
    got.backward(outer)
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(b.grad, a.grad, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(fast[0].weight.grad, plain[0].weight.grad, rtol=5e-2, atol=0.2)


def test_other_layers_are_left_alone() -> None:
    layers = nn.Sequential(
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.Conv2d(4, 4, 3, 1, 1, groups=4),
        nn.Conv2d(4, 4, 3, 2, 0, groups=4),
        nn.Conv2d(4, 8, 3, 2, 1, groups=4),
        nn.Conv2d(4, 8, 3, 2, 2, dilation=2),
        nn.Conv2d(4, 8, 3, 1, 1, dilation=2),
        nn.Conv2d(4, 8, 3, 1, 2, dilation=2, padding_mode="reflect"),
    )
    mend_convolutions(layers)
    assert not any(isinstance(layer, StridedDepthwise | DilatedConvolution) for layer in layers)


def gradients(layer: nn.Module, x: torch.Tensor, outer: torch.Tensor) -> list[torch.Tensor]:
    """Output, gradient of the input, of the weights and of the bias, as float32."""
    x = x.clone().requires_grad_()
    found = layer(x)
    layer.zero_grad()
    found.backward(outer)
    return [value.float() for value in (found.detach(), x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize(
    ("channels", "groups", "dilation", "kernel", "size"),
    [
        (64, 64, 2, 3, (45, 60)),
        (21, 1, 16, 3, (45, 60)),
        (24, 1, 2, 5, (31, 47)),
        (48, 48, 4, 3, (5, 3)),
        (8, 8, 3, 3, (1, 1)),
    ],
)
def test_gradients_of_dilated_convolutions_in_bf16_are_those_of_fp32(
    kind: type[nn.Conv2d], channels: int, groups: int, dilation: int, kernel: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    padding = 0 if kind is Conv2dSame else dilation * (kernel // 2)
    plain = nn.Sequential(kind(channels, channels, kernel, 1, padding, dilation, groups))
    x = torch.randn(4, channels, *size).bfloat16().float().contiguous(memory_format=torch.channels_last)
    outer = torch.randn(4, channels, *size).bfloat16().float().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.copy_(parameter.bfloat16())
    expected = gradients(plain, x, outer)
    mended = copy.deepcopy(plain)
    mend_convolutions(mended)
    assert isinstance(mended[0], DilatedConvolution)
    assert list(mended.state_dict()) == list(plain.state_dict())
    for found, exact in zip(gradients(mended, x, outer), expected, strict=True):
        torch.testing.assert_close(found, exact)  # in fp32 nothing changes
    mended.bfloat16()
    for found, exact in zip(gradients(mended, x.bfloat16(), outer.bfloat16()), expected, strict=True):
        assert (found - exact).abs().max() <= 0.02 * exact.abs().max()


def test_every_dilated_layer_of_our_networks_is_mended() -> None:
    cases = [("deeplab", "mobilenetv2_050"), ("dilated", "resnet10t"), ("deeplab", "vgg16")]
    for name, encoder in cases:
        network = build_model(name, 3, encoder).network
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and layer.dilation != (1, 1):
                assert isinstance(layer, DilatedConvolution)
        network.train().to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.randn(2, 3, 64, 96)).float().square().mean().backward()
        assert all(p.grad is None or p.grad.abs().max() < 1e4 for p in network.parameters())
