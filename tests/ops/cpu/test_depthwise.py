from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from fullconv.ops.cpu.depthwise import input_gradient, weight_gradient


@given(
    seed=st.integers(0, 99),
    images=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 16, 130, 144]),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_gradients_are_those_of_pytorch_in_float64(
    seed: int,
    images: int,
    channels: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
    dtype: torch.dtype,
) -> None:
    if any(n + 2 * p < k for n, p, k in zip(size, padding, kernel, strict=True)):
        return
    torch.manual_seed(seed)
    x = torch.randn(images, channels, *size).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, *kernel).to(dtype)
    wide, taps = x.double().requires_grad_(), weight.double().requires_grad_()
    y = F.conv2d(wide, taps, None, stride, padding, 1, channels)
    slope = torch.randn_like(y).to(dtype).contiguous(memory_format=torch.channels_last)
    for_input, for_weight = torch.autograd.grad(y, (wide, taps), slope.double())
    got = input_gradient(slope, weight, stride, padding, size)
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=torch.channels_last)
    exact = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2.0**-8, "atol": 1e-3}
    torch.testing.assert_close(got.double(), for_input, **exact, check_stride=False)
    found = weight_gradient(x, slope, kernel, stride, padding)
    torch.testing.assert_close(found.double(), for_weight, rtol=1e-5, atol=1e-4, check_stride=False)


@pytest.mark.parametrize("channels", [16, 144])
def test_results_do_not_depend_on_the_number_of_threads(channels: int) -> None:
    x = torch.randn(3, channels, 20, 30).bfloat16()  # not stored channels last: copied
    slope = torch.randn(3, channels, 10, 15).bfloat16()
    weight = torch.randn(channels, 1, 3, 3)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append(weight_gradient(x, slope, (3, 3), 2, (1, 1)))
            found.append(input_gradient(slope, weight, 2, (1, 1), (20, 30)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])
