"""Masks in colours that nobody named: one question, and no complaint that only follows from the guess."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.checking.check import check
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset

COLOURS = np.array([[0, 0, 0], [30, 200, 30], [200, 30, 30]], np.uint8)


def _folder(root: Path, smooth: bool = False, photographs: int = 0) -> Path:
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(8):
        labels = np.zeros((96, 128), np.uint8)
        labels[10:40, 8 * number : 8 * number + 30] = 1
        labels[50:52, 10:13] = 2  # rare
        image = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / "images" / f"{number}.png")
        mask = Image.fromarray(COLOURS[labels])
        if smooth:
            mask = mask.resize((256, 192), Image.Resampling.BILINEAR).resize((128, 96), Image.Resampling.BILINEAR)
        (Image.fromarray(image) if number < photographs else mask).save(root / "masks" / f"{number}.png")
    return root


@pytest.mark.parametrize("smooth", [False, True])
def test_the_guess_is_one_question_and_nothing_follows_from_it(smooth: bool, tmp_path: Path) -> None:
    root = _folder(tmp_path / "data", smooth)
    report = check(root)
    assert report.guessed
    (problem,) = report.problems
    assert "an RGB mask, but no colour is named" in problem
    assert ("lie between those" in problem) == smooth
    assert not [one for one in report.findings if one.kind in ("rare", "absent", "ids", "smoothed", "unlearned")]
    fix = report.findings[0].fix
    assert "class_1: [30, 200, 30]" in fix
    shares = "class_0 92%, class_1 6%" if smooth else "class_0 93%, class_1 7%"
    assert f"' into {root / 'dataset.yaml'}, with your own names (of the pixels about: {shares})" in fix
    with pytest.raises(DataError, match="no colour is named"):
        open_dataset(root)
    names = {"ground": [0, 0, 0], "tree": [30, 200, 30], "car": [200, 30, 30]}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": names}))
    named = check(root)
    assert not named.guessed
    if smooth:
        with pytest.raises(DataError, match=r"smoothed edges: .*; save masks without smoothing, or .* --fix COPY"):
            named.raise_problems()
    else:
        assert not named.problems
        assert [one.kind for one in named.findings if one.kind == "rare"] == ["rare"]


def test_photographs_among_masks_are_called_so_and_are_no_classes(tmp_path: Path) -> None:
    report = check(_folder(tmp_path / "data", photographs=3))
    question, *photographs = [one for one in report.findings if one.problem]
    assert "data/masks/3.png: an RGB mask, but no colour is named; the masks hold 3 colours" in question.text
    assert [one.kind for one in photographs] == ["photograph"] * 3
    assert all("a photograph, not a mask" in one.text for one in photographs)


def test_photographs_alone_are_images_in_the_wrong_folder(tmp_path: Path) -> None:
    report = check(_folder(tmp_path / "data", photographs=8))
    (problem,) = [one for one in report.findings if one.problem]
    assert "masks: holds photographs (0.png, 1.png, 2.png and 5 more), and no masks" in problem.text
    assert "put images into images/ and masks into masks/" in problem.fix


def test_a_colour_that_lies_between_others_is_named_though_it_is_not_proposed(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data")
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            mask = np.array(picture)
        mask[60:70, 60:80] = (15, 100, 15)
        Image.fromarray(mask).save(path)
    fix = check(root).findings[0].fix
    assert "name [15, 100, 15] 2% too if these are classes, no smoothed edges" in fix
