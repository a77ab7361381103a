from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import Shapes, check, open_dataset
from fullconv.data.open import shapes_dataset
from fullconv.errors import DataError
from tests.conftest import save_mask


def test_counts_are_those_of_the_masks() -> None:
    shapes = Shapes(height=30, width=40, train=6, val=2)
    report = check(shapes_dataset(shapes))
    labels = [shapes.draw(i)[1] for i in range(6)]
    assert report.pixels["train"].tolist() == sum(np.bincount(m.ravel(), minlength=5) for m in labels).tolist()
    assert report.presence["train"].tolist() == [sum(int(k in m) for m in labels) for k in range(5)]
    assert report.sizes == {(30, 40): 8}
    assert report.problems == []
    # median frequency, by its definition
    present = [k for k in range(5) if report.presence["train"][k]]
    frequency = [sum((m == k).sum() for m in labels) / sum(m.size for m in labels if k in m) for k in present]
    expected = np.median(frequency) / frequency
    assert [w for w in report.median_frequency_weights() if w] == pytest.approx(list(expected))


def test_every_problem_is_reported_at_once(make_folder: Callable[..., Path]) -> None:
    root = make_folder(6)
    (root / "dataset.yaml").write_text("classes: [ground, disc, square, triangle, ring]\n")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "masks" / "scene_0.png")
    save_mask(root / "masks" / "scene_1.png", np.full((48, 64), 9))
    (root / "images" / "scene_2.png").write_bytes(b"broken")
    report = check(open_dataset(root))
    assert len(report.problems) == 3
    with pytest.raises(DataError, match=r"and 2 more problems: fullconv check lists them"):
        report.raise_problems()


def test_masks_without_a_label_are_a_problem(make_folder: Callable[..., Path]) -> None:
    root = make_folder(4)
    (root / "dataset.yaml").write_text("classes: [only]\n")
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.full((48, 64), 255))
    assert any("no labelled pixel" in problem for problem in check(open_dataset(root)).problems)
