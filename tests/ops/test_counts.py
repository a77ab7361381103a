from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from fullconv.ops import add_counts, confusion_counts, evaluate_counts
from fullconv.ops.counts import _scatter_counts

DTYPES = [torch.uint8, torch.int16, torch.int32, torch.int64]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    classes=st.integers(1, 70),
    pixels=st.integers(0, 3000),
    target_dtype=st.sampled_from(DTYPES),
    prediction_dtype=st.sampled_from(DTYPES),
    ignore=st.sampled_from([255, 0, 200]),
)
@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_counts_are_scikit_learn_s(
    name: str, classes: int, pixels: int, target_dtype: torch.dtype, prediction_dtype: torch.dtype, ignore: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("FULLCONV_OPS", name)
    target = torch.randint(0, classes, (pixels,), dtype=target_dtype)
    prediction = torch.randint(0, classes, (pixels,), dtype=prediction_dtype)
    target[::5] = ignore
    counts = confusion_counts(prediction, target, classes, ignore)
    valid = target != ignore
    assert counts.dtype == torch.int64
    if target[valid].unique().numel() > 1:
        expected = confusion_matrix(target[valid], prediction[valid], labels=range(classes))
        assert counts.tolist() == expected.tolist()
    assert counts.sum() == valid.sum()
    more = counts.clone()
    add_counts(more, prediction, target, ignore)
    _scatter_counts(more, prediction, target, ignore)
    assert torch.equal(more, 3 * counts)


def test_counts_in_every_backend(backend: str, device: torch.device) -> None:
    for classes in (3, 21, 90):
        target, prediction = (torch.randint(0, classes, (2, 30, 41), device=device) for _ in range(2))
        target[0, :9] = 255
        valid = target != 255
        expected = confusion_matrix(target[valid].cpu(), prediction[valid].cpu(), labels=range(classes))
        assert confusion_counts(prediction, target, classes).tolist() == expected.tolist()
        rows = confusion_counts(prediction[:, ::2].to(torch.uint8), target[:, ::2].to(torch.uint8), classes)
        assert rows.sum() == (target[:, ::2] != 255).sum()


def test_large_maps_are_counted_in_parts() -> None:
    target, prediction = (torch.randint(0, 21, (3, 1700, 1501), dtype=torch.uint8) for _ in range(2))
    expected = torch.bincount(target.flatten().long() * 21 + prediction.flatten(), minlength=441).view(21, 21)
    assert torch.equal(confusion_counts(prediction, target, 21), expected)
    assert torch.equal(confusion_counts(prediction.int(), target.long(), 21), expected)


def test_strided_maps() -> None:
    maps = torch.randint(0, 3, (16, 18, 4), dtype=torch.uint8)
    assert confusion_counts(maps[..., 0], maps[..., 0], 3).sum() == 16 * 18
    assert confusion_counts(maps[:, ::2, 1], maps[:, ::2, 1], 3).trace() == 16 * 9


def test_counts_from_coarse_logits(backend: str, device: torch.device) -> None:
    logits, labels = torch.randn(2, 4, 3, 5, device=device), torch.randint(0, 4, (2, 10, 17), device=device)
    labels[:, 0] = 255
    prediction = F.interpolate(logits, (10, 17), mode="bilinear").argmax(1)
    assert torch.equal(evaluate_counts(logits, labels), confusion_counts(prediction, labels, 4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_ids_outside_the_classes_are_counted_and_named(backend: str, device: torch.device, dtype: torch.dtype) -> None:
    zeros = torch.zeros(4, dtype=dtype, device=device)
    with pytest.raises(ValueError, match=r"prediction holds id 3 and 4 pixels outside .* expected 0 to 2$"):
        confusion_counts(zeros + 3, zeros, 3)
    some = zeros.clone()
    some[1] = 9
    with pytest.raises(ValueError, match=r"target holds id 9 and 1 pixels outside .* or 255"):
        confusion_counts(zeros, some, 3)
    some[1] = 255
    assert confusion_counts(some, some, 3).sum() == 3


def test_refuses() -> None:
    zeros = torch.zeros(4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="one shape"):
        confusion_counts(zeros, zeros[:2], 3)
    with pytest.raises(ValueError, match="prediction must be integer labels"):
        confusion_counts(zeros.float(), zeros, 3)
