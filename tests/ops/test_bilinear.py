from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from fullconv.geometry import Window
from fullconv.ops import bilinear_kernel, upsample
from fullconv.ops.bilinear import Axis


def test_bilinear_kernel_values() -> None:
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    kernel = bilinear_kernel(2, 3, 4)
    assert kernel.shape == (2, 3, 4, 4)
    assert torch.equal(kernel[0, 0], torch.outer(line, line))
    assert torch.equal(kernel[1, 1], kernel[0, 0])
    assert kernel[0, 1].abs().sum() == 0
    assert kernel[:, 2].abs().sum() == 0


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_transposed_convolution_with_it_is_interpolation_inside(stride: int) -> None:
    x = torch.randn(1, 3, 7, 9)
    kernel = bilinear_kernel(3, 3, 2 * stride)
    up = F.conv_transpose2d(x, kernel, stride=stride, padding=stride // 2)
    expected = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    inside = slice(stride, -stride)
    torch.testing.assert_close(up[..., inside, inside], expected[..., inside, inside])


def test_seed_picture_size() -> None:
    """281x500 becomes 562x1000 with a 4x4 kernel, as in the seed."""
    up = F.conv_transpose2d(torch.zeros(1, 3, 281, 500), bilinear_kernel(3, 3, 4), stride=2, padding=1)
    assert up.shape[-2:] == (562, 1000)


@given(st.integers(1, 9), st.integers(1, 60), st.booleans())
def test_axis_is_interpolate(coarse: int, size: int, align: bool) -> None:
    x = torch.randn(1, 1, coarse, 1, dtype=torch.float64)
    expected = F.interpolate(x, (size, 1), mode="bilinear", align_corners=align)[0, 0]
    axis = Axis.of(coarse, size, 0, size, align, x)
    torch.testing.assert_close(axis.matrix(x) @ x[0, 0], expected)
    torch.testing.assert_close(axis.apply(x, 2)[0, 0], expected)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 9), st.data())
def test_upsample_with_a_window(h: int, w: int, stride: int, data: st.DataObject) -> None:
    x = torch.randn(2, 3, h, w, dtype=torch.float64)
    size = (data.draw(st.integers(1, h * stride)), data.draw(st.integers(1, w * stride)))
    top = data.draw(st.integers(0, h * stride - size[0]))
    left = data.draw(st.integers(0, w * stride - size[1]))
    full = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    got = upsample(x, size, Window(top, left, h * stride, w * stride))
    torch.testing.assert_close(got, full[..., top : top + size[0], left : left + size[1]])
    # the same through the matrices, which serve fractional windows
    almost = upsample(x, size, Window(top + 1e-12, left, h * stride, w * stride))
    torch.testing.assert_close(almost, got)
