"""What the losses refuse."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.utils.checkpoint

from fullconv.ops import (
    label_weight,
    upsample_cross_entropy,
    upsample_dice,
    upsample_focal,
    upsample_ohem,
)
from tests.builders.losses import (
    Loss,
)


def test_narrow_labels_are_not_wrapped() -> None:
    """PyTorch compares uint8 with 300 as with 44, and with -100 as with 156."""
    logits = torch.randn(1, 300, 2, 2)
    labels = torch.full((1, 4, 4), 50, dtype=torch.uint8)
    for loss in (upsample_cross_entropy, upsample_focal, upsample_ohem, upsample_dice):
        expected = loss(logits.double(), labels.long(), ignore_index=-100)
        torch.testing.assert_close(loss(logits, labels, ignore_index=-100).double(), expected, rtol=1e-5, atol=1e-6)
    many = torch.full((1, 4, 4), 156, dtype=torch.uint8)
    assert label_weight(many, -100) == 16


@pytest.mark.parametrize("loss", [upsample_cross_entropy, upsample_focal, upsample_ohem])
def test_a_class_weight_that_wants_a_gradient_is_refused(loss: Loss) -> None:
    logits, labels = torch.randn(1, 3, 2, 2), torch.zeros(1, 4, 4).long()
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match=r"pass weight\.detach"):
        loss(logits, labels, weight=weight)
    with torch.no_grad():
        loss(logits, labels, weight=weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize(("labels", "weight", "words"), [
    ("2", "None", "labels must be 0 to 1 or 255 (ignored)"),
    ("0", "torch.tensor([1.0, -1.0], device='cuda')", "class weights must be 0 or more"),
])  # fmt: skip
def test_a_gpu_refuses_values_by_its_own_assertion(labels: str, weight: str, words: str) -> None:
    code = f"""
import torch
from fullconv.ops import upsample_cross_entropy
labels = torch.full((1, 6, 6), {labels}, device="cuda")
upsample_cross_entropy(torch.zeros(1, 2, 3, 3, device="cuda"), labels, weight={weight})
torch.cuda.synchronize()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode
    assert words in done.stderr


def test_refuses_what_is_not_a_number_or_not_an_id() -> None:
    with pytest.raises(ValueError, match="integer labels"):
        upsample_cross_entropy(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3))
    with pytest.raises(ValueError, match="keep"):
        upsample_ohem(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3).long(), keep=0)
    with pytest.raises(ValueError, match="gamma"):
        upsample_focal(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3).long(), gamma=-1)
