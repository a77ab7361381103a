from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from fullconv.geometry import Window
from fullconv.ops import upsample, upsample_argmax, upsample_entropy

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")  # its interpreter is numpy


def check_labels(logits: torch.Tensor, size: tuple[int, int], **options: Any) -> None:
    """The labels of interpolate and argmax, except where the two scores agree to rounding; its softmax too."""
    full = upsample(logits.double(), size, options.get("crop"), align_corners=options.get("align_corners", False))
    labels, sure = upsample_argmax(logits, size, **options, confidence=True)
    plain = upsample_argmax(logits, size, **options)
    assert plain.dtype == labels.dtype == (torch.uint8 if logits.shape[1] <= 256 else torch.int32)
    assert plain.shape == sure.shape == (logits.shape[0], *size)
    for found in (labels, plain):
        chosen = full.gather(1, found.long()[:, None])
        assert (full.amax(1, keepdim=True) - chosen).max() <= 1e-6 * full.abs().max()
        if logits.dtype == torch.float32:  # scores of fewer digits tie
            assert (found != full.argmax(1)).sum() <= 2
    torch.testing.assert_close(sure.double(), full.softmax(1).amax(1), rtol=1e-4, atol=1e-6)
    if logits.shape[1] > 1 and not options.get("align_corners"):
        wanted = torch.special.entr(full.softmax(1)).sum(1) / math.log(logits.shape[1])
        found = upsample_entropy(logits, size, crop=options.get("crop"))
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=2e-6)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["strips", "cpu"])
def test_labels_are_those_of_interpolate_then_argmax(
    name: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCONV_OPS", name)
    torch.manual_seed(data.draw(st.integers(0, 2**30)))
    n, c = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([1, 2, 9, 33, 257]))
    h, w = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 40))
    size = (data.draw(st.integers(1, 60)), data.draw(st.integers(1, 90)))
    logits = torch.randn(n, c, h, w)
    if data.draw(st.booleans()):
        logits = logits.contiguous(memory_format=torch.channels_last)
    logits = logits.to(data.draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16])))
    if data.draw(st.booleans()):
        check_labels(logits, size, align_corners=data.draw(st.booleans()))
    else:
        offset = data.draw(st.floats(-1, 5)), data.draw(st.floats(-1, 5))
        check_labels(logits, size, crop=Window(*offset, h * 7.5, w * 3))


def test_labels_in_every_backend(backend: str, device: torch.device) -> None:
    logits = torch.randn(2, 6, 3, 4, device=device)
    check_labels(logits, (11, 14))
    check_labels(logits[:1, :, ::2], (9, 9), crop=Window(2.5, 1, 16, 32))
    check_labels(torch.randn(1, 300, 2, 2, device=device), (3, 4), align_corners=True)


def test_ties_go_to_the_lower_id_and_nan_wins(backend: str, device: torch.device) -> None:
    logits = torch.zeros(1, 5, 2, 2, device=device)
    assert upsample_argmax(logits, (8, 8)).max() == 0
    logits[:, 3:] = 0.1
    assert (upsample_argmax(logits, (8, 8)) == 3).all()
    logits[0, 1:3, 0, 0] = float("nan")
    full = F.interpolate(logits, (8, 8), mode="bilinear")
    nan = full.isnan().any(1)
    if backend != "strips":  # strips leave it to torch.argmax, which on a processor may take any of several nan
        assert torch.equal(upsample_argmax(logits, (8, 8))[nan], full.argmax(1)[nan].to(torch.uint8))
    assert (upsample_argmax(logits, (8, 8))[~nan] == 3).all()


def test_beside_segmentation_models_pytorch() -> None:
    """The example of docs/ops.md: a decoder without its last enlargement gives the labels of the whole."""
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation_models_pytorch is not installed")
    whole = smp.FPN("resnet18", encoder_weights=None, classes=5).eval()
    coarse = smp.FPN("resnet18", encoder_weights=None, classes=5, upsampling=1).eval()
    coarse.load_state_dict(whole.state_dict())
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        labels = upsample_argmax(coarse(images), (64, 96), align_corners=True)
        assert (labels != whole(images).argmax(1)).sum() <= 2


def test_refuses() -> None:
    with pytest.raises(ValueError, match="n c h w"):
        upsample_argmax(torch.zeros(2, 3, 4), (8, 8))
    with pytest.raises(ValueError, match="at least 1x1"):
        upsample_argmax(torch.zeros(1, 2, 3, 4), (0, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_entropy_is_that_of_the_enlarged_softmax(dtype: torch.dtype, device: torch.device) -> None:
    logits = (5 * torch.randn(2, 7, 5, 6, device=device)).to(dtype)
    window = Window(2.5, 1, 30, 40)
    chances = upsample(logits.double(), (24, 33), window).softmax(1).cpu().numpy()
    found = upsample_entropy(logits, (24, 33), crop=window)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.cpu().numpy(), entropy(chances, axis=1, base=7), rtol=1e-4, atol=1e-5)


def test_entropy_of_no_choice_and_of_none() -> None:
    assert upsample_entropy(torch.randn(1, 1, 2, 2), (5, 5)).eq(0).all()
    assert upsample_entropy(torch.zeros(1, 4, 2, 2), (5, 5)).eq(1).all()
    sure = torch.full((1, 3, 2, 2), -1e9)
    sure[:, 1] = 0
    assert upsample_entropy(sure, (5, 5)).lt(1e-6).all()
    with pytest.raises(ValueError, match="expected floating-point logits"):
        upsample_entropy(torch.zeros(4, 2, 2), (5, 5))
