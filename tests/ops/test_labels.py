from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.ops import upsample_argmax


@settings(max_examples=150)
@given(st.data())
def test_labels_are_those_of_interpolate_then_argmax(data: st.DataObject) -> None:
    n, c = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 9))
    h, w = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))
    size = (data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60)))
    align = data.draw(st.booleans())
    logits = torch.randn(n, c, h, w)
    full = F.interpolate(logits, size, mode="bilinear", align_corners=align)
    labels = upsample_argmax(logits, size, align_corners=align)
    assert labels.dtype == torch.uint8
    # where they differ, the two scores agree to rounding
    chosen = full.gather(1, labels.long()[:, None])
    assert (full.amax(1, keepdim=True) - chosen).max() < 1e-5
    assert (labels == full.argmax(1)).float().mean() > 0.99


def test_ties_go_to_the_lower_id_and_many_classes_need_int32() -> None:
    assert upsample_argmax(torch.zeros(1, 5, 2, 2), (8, 8)).max() == 0
    logits = torch.zeros(1, 300, 1, 1)
    logits[0, 299] = 1
    labels = upsample_argmax(logits, (3, 3))
    assert labels.dtype == torch.int32
    assert (labels == 299).all()
