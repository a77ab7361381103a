from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("triton")

from fullconv.geometry import Window
from fullconv.ops import upsample_cross_entropy, upsample_focal, upsample_ohem
from fullconv.ops.bilinear import Axis
from fullconv.ops.triton import pieces, run
from fullconv.ops.triton.pieces import LONGEST, Pieces, worthwhile

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")  # its interpreter is numpy

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pieces_of(coarse: int, size: int, start: float, full: float, align: bool = False) -> tuple[Axis, Pieces]:
    axis = Axis.of(coarse, size, start, full, align, torch.empty(0))
    return axis, Pieces.along(axis.low.numpy(), axis.high.numpy(), coarse)


@settings(max_examples=300, deadline=None)
@given(
    coarse=st.integers(1, 9),
    size=st.integers(1, 90),
    start=st.sampled_from([0, 0, 3, -20, 0.25, 500]),
    full=st.integers(1, 150),
    align=st.booleans(),
)
def test_every_pixel_is_in_one_piece_that_its_places_know(
    coarse: int, size: int, start: float, full: int, align: bool
) -> None:
    axis, pieces = pieces_of(coarse, size, start, full, align)
    first, end, low, high = pieces.table.numpy()
    assert pieces.number == len(first)
    assert (np.concatenate([np.arange(*piece) for piece in zip(first, end, strict=True)]) == np.arange(size)).all()
    assert pieces.length in (1, 2, 4, 8, 16)
    assert pieces.length <= LONGEST
    assert (end - first).max() <= pieces.length
    for piece, (a, b) in enumerate(zip(first, end, strict=True)):
        assert (axis.low[a:b] == low[piece]).all()
        assert (axis.high[a:b] == high[piece]).all()
    for place, (a, b) in enumerate(pieces.reads.T.tolist()):
        assert [p for p in range(len(first)) if place in (low[p], high[p])] == list(range(a, b))


def test_pieces_from_stride_4_on() -> None:
    for stride in (1, 2, 3, 4, 7, 8, 16, 32, 64):
        _, pieces = pieces_of(16, 16 * stride, 0, 16 * stride)
        assert worthwhile(pieces, pieces, (16 * stride) ** 2) == (stride >= 4), stride
    assert [pieces_of(16, 16 * s, 0, 16 * s)[1].length for s in (4, 5, 8, 16, 32)] == [4, 8, 8, 16, 16]
    assert pieces_of(63, 508, 0, 508)[1].length == 8  # 8.06 a place: some pieces of one pixel, none half empty


PLAIN = partial(upsample_cross_entropy, reduction="sum")
SMOOTH = partial(upsample_cross_entropy, label_smoothing=0.2)
CASES: list[Any] = [
    # coarse places, classes, size of the labels, loss, options
    ((1, 1), 2, (32, 32), PLAIN, {}),  # stride 32
    ((2, 3), 3, (64, 96), PLAIN, {}),
    ((2, 2), 9, (32, 32), upsample_focal, {"weight": True}),  # stride 16
    ((2, 3), 3, (17, 23), SMOOTH, {"weight": True}),  # stride 8, odd
    ((3, 2), 3, (12, 8), SMOOTH, {"align_corners": True}),  # stride 4
    ((3, 2), 3, (9, 10), upsample_ohem, {"weight": True}),  # strides 3 and 5
    ((4, 3), 1, (8, 6), PLAIN, {}),  # stride 2, one class
    ((5, 4), 3, (5, 4), PLAIN, {}),  # stride 1: no pixel reads two places
    ((4, 5), 5, (5, 6), partial(upsample_focal, gamma=0.5), {}),
    ((1, 2), 130, (3, 7), SMOOTH, {"weight": True}),
    ((2, 40), 3, (8, 160), PLAIN, {}),  # several blocks of pieces
    ((20, 15), 2, (20, 15), PLAIN, {"crop": Window(5, 5, 80, 60)}),  # several blocks of places
    ((3, 3), 3, (1, 19), PLAIN, {"crop": Window(7, 2, 24, 24)}),  # one row
    ((3, 3), 3, (19, 1), upsample_focal, {"crop": Window(7, 2.25, 24, 24)}),  # one column
    ((3, 2), 4, (13, 11), SMOOTH, {"crop": Window(-9.5, 3.25, 25.5, 17.75)}),  # partly outside
    ((3, 2), 4, (6, 5), PLAIN, {"crop": Window(90, -60, 24, 16)}),  # all of it outside
]


@pytest.mark.parametrize(("coarse", "classes", "size", "loss", "options"), CASES)
def test_the_gradient_is_that_of_the_reference(
    coarse: tuple[int, int], classes: int, size: tuple[int, int], loss: Any, options: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seed = CASES.index((coarse, classes, size, loss, options))
    torch.manual_seed(seed)
    logits = 3 * torch.randn(1 + seed % 2, classes, *coarse)
    labels = torch.randint(0, classes, (len(logits), *size))
    labels[torch.rand(labels.shape) < 0.2] = 255
    labels[-1, -1, -1] = classes - 1
    if "weight" in options:
        options = {**options, "weight": torch.rand(classes) + 0.1}
    dtype = (torch.float32, torch.bfloat16, torch.float16)[seed % 3]
    check(monkeypatch, loss, logits.to(dtype), labels.to((torch.uint8, torch.int64)[seed % 2]), options)


def check(monkeypatch: pytest.MonkeyPatch, loss: Any, logits: Tensor, labels: Tensor, options: Any) -> None:
    monkeypatch.setenv("FULLCONV_OPS", "reference")
    leaf = logits.double().requires_grad_()
    expected = loss(leaf, labels, **options)
    expected.backward()
    monkeypatch.setenv("FULLCONV_OPS", "triton")
    monkeypatch.setattr(run, "worthwhile", lambda *_: True)
    found = logits.to(DEVICE).requires_grad_()
    value = loss(found, labels.to(DEVICE), **{k: v.to(DEVICE) if k == "weight" else v for k, v in options.items()})
    value.backward()
    torch.testing.assert_close(value.double().cpu(), expected, rtol=1e-5, atol=1e-6)
    digits = {torch.bfloat16: 8e-3, torch.float16: 1e-3}.get(logits.dtype, 2e-5)
    largest = max(float(leaf.grad.abs().max()), 0.01)  # of one class it is 0; a GPU's exp(log(x)) is not quite x
    torch.testing.assert_close(found.grad.double().cpu(), leaf.grad, rtol=digits, atol=2e-5 * largest)


def test_ignored_pixels_and_the_same_bits_however_many_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_OPS", "triton")
    monkeypatch.setattr(run, "worthwhile", lambda *_: True)
    logits = torch.randn(2, 3, 2, 3, device=DEVICE)
    labels = torch.randint(0, 3, (2, 16, 24), device=DEVICE)
    labels[0] = 255
    gradients = []
    for most in (1, 1 << 20):  # image by image; all at once
        monkeypatch.setattr(pieces, "SUMS_BYTES", most)
        leaf = logits.clone().requires_grad_()
        upsample_focal(leaf, labels, reduction="sum").backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert torch.equal(gradients[0][0], torch.zeros_like(logits[0]))
    assert gradients[0][1].abs().min() > 0
