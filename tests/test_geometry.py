from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fullconv.geometry import CoordinateMap, Layer, receptive_field, round_up, same_map

VGG_TO_POOL3 = [
    Layer(3, padding=100), Layer(3, padding=1), Layer(2, 2),
    *[Layer(3, padding=1)] * 2, Layer(2, 2), *[Layer(3, padding=1)] * 3, Layer(2, 2),
]  # fmt: skip
VGG_BLOCK = [*[Layer(3, padding=1)] * 3, Layer(2, 2)]
UP2, UP8, UP16, UP32 = (Layer(2 * s, s, transposed=True) for s in (2, 8, 16, 32))


def test_the_crops_of_the_paper() -> None:
    """19, 5, 27, 9, 31: the constants of the published networks, from their layers alone."""
    pool3 = CoordinateMap().through(VGG_TO_POOL3)
    pool4 = pool3.through(VGG_BLOCK)
    fc7 = pool4.through([*VGG_BLOCK, Layer(7), Layer(1)])
    image = CoordinateMap()
    assert fc7.then(UP32).crop_to(image) == 19
    up4 = fc7.then(UP2)
    assert pool4.crop_to(up4) == 5
    assert up4.then(UP16).crop_to(image) == 27
    up3 = up4.then(UP2)
    assert pool3.crop_to(up3) == 9
    assert up3.then(UP8).crop_to(image) == 31


def test_receptive_field_of_vgg16() -> None:
    layers = [*VGG_TO_POOL3, *VGG_BLOCK, *VGG_BLOCK, Layer(7), Layer(1)]
    assert receptive_field(layers) == 404  # the figure of the FCN paper, table 1
    with pytest.raises(ValueError, match="transposed"):
        receptive_field([UP2])


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans())
def test_output_size_is_pytorch_s(
    size: int, kernel: int, stride: int, padding: int, dilation: int, transposed: bool
) -> None:
    layer = Layer(kernel, stride, padding, dilation, transposed)
    kind = nn.ConvTranspose1d if transposed else nn.Conv1d
    expected = layer.output_size(size)
    if expected < 1 or size + 2 * padding < dilation * (kernel - 1) + 1:
        return
    module = kind(1, 1, kernel, stride, padding, dilation=dilation)
    assert module(torch.zeros(1, 1, size)).shape[-1] == expected


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3))
def test_pooling_size_is_pytorch_s(size: int, kernel: int, stride: int) -> None:
    layer = Layer(kernel, stride, ceil_mode=True)
    if size < kernel:
        return
    assert nn.MaxPool1d(kernel, stride, ceil_mode=True)(torch.zeros(1, 1, size)).shape[-1] == layer.output_size(size)


@given(st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 2), st.integers(0, 2)), min_size=1, max_size=4))
def test_coordinate_map_finds_the_pixel_that_a_place_is_centred_on(stack: list[tuple[int, int, int]]) -> None:
    """Oracle: the centre of mass of the gradient of one output place with respect to the input."""
    layers = [Layer(*entry) for entry in stack]
    modules = nn.Sequential(*(nn.Conv1d(1, 1, k, s, p, bias=False) for k, s, p in stack)).double()
    for module in modules:
        nn.init.ones_(module.weight)
    signal = torch.zeros(1, 1, 400, dtype=torch.float64, requires_grad=True)
    output = modules(signal)
    place = output.shape[-1] // 2
    output[0, 0, place].backward()
    weight = signal.grad[0, 0].numpy()
    centre = (weight * np.arange(400)).sum() / weight.sum()
    mapped = CoordinateMap().through(layers)
    assert float(mapped.scale * place + mapped.offset) == pytest.approx(centre)


def test_crop_needs_a_whole_number() -> None:
    with pytest.raises(ValueError, match="whole number"):
        same_map(8).crop_to(same_map(16))
    with pytest.raises(ValueError, match="apart"):
        CoordinateMap().crop_to(CoordinateMap().then(Layer(2)))


@given(st.integers(1, 1000), st.integers(1, 64))
def test_round_up(size: int, multiple: int) -> None:
    result = round_up(size, multiple)
    assert result % multiple == 0
    assert size <= result < size + multiple
