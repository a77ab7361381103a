from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from fullconv.ops import confusion_counts


@given(st.integers(2, 12), st.integers(0, 200), st.sampled_from([torch.uint8, torch.int32, torch.int64]))
def test_counts_are_scikit_learn_s(classes: int, pixels: int, dtype: torch.dtype) -> None:
    target = torch.randint(0, classes, (pixels,), dtype=dtype)
    prediction = torch.randint(0, classes, (pixels,), dtype=dtype)
    target[::5] = 255
    counts = confusion_counts(prediction, target, classes)
    valid = target != 255
    assert counts.dtype == torch.int64
    if target[valid].unique().numel() > 1:
        expected = confusion_matrix(target[valid], prediction[valid], labels=range(classes))
        assert counts.tolist() == expected.tolist()
    assert counts.sum() == valid.sum()


def test_ids_outside_the_classes_are_refused() -> None:
    zeros = torch.zeros(4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="prediction holds id 3 in 4 pixels"):
        confusion_counts(zeros + 3, zeros, 3)
    with pytest.raises(ValueError, match="target holds id 9"):
        confusion_counts(zeros, zeros + 9, 3)
    with pytest.raises(ValueError, match="one shape"):
        confusion_counts(zeros, zeros[:2], 3)
