from __future__ import annotations

import copy

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from fullconv.models.depthwise import StridedDepthwise, replace_strided_depthwise


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("size", [(12, 20), (13, 20), (13, 21)])
def test_values_and_gradients_are_those_of_the_plain_layer(kernel: int, same: bool, size: tuple[int, int]) -> None:
    kind = Conv2dSame if same else nn.Conv2d
    padding = 0 if same else kernel // 2
    plain = nn.Sequential(kind(6, 6, kernel, 2, padding, groups=6)).bfloat16()
    fast = copy.deepcopy(plain)
    replace_strided_depthwise(fast)
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
    )
    replace_strided_depthwise(layers)
    assert not any(isinstance(layer, StridedDepthwise) for layer in layers)
