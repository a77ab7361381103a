"""Findings that need the whole data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.checking.check import check
from fullconv.cli.main import run
from fullconv.formats.open import open_dataset
from tests.builders.faults import (
    blank_mask,
    copies,
    describe,
    interpolated_ids,
    leak,
    lonely_mask,
    mostly_void,
    near_copies,
    near_leak,
    one_file_in_both,
    only_in_val,
    rare_class,
    unlisted_pair,
)
from tests.builders.folders import Make, small_pair
from tests.builders.images import save_mask


def test_pairs_on_no_list_are_pairs_whatever_their_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        small_pair(tmp_path, str(i), i % 3, suffix="_mask")
    (tmp_path / "train.txt").write_text("0\n1\n")
    (tmp_path / "val.txt").write_text("2\n")
    run(["check", str(tmp_path)])
    assert "without a mask" not in capsys.readouterr().out


def test_masks_exported_empty_are_no_training_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(4):
        small_pair(tmp_path, str(i), 0)
    assert run(["check", str(tmp_path)]) == 3
    assert "suspicious: every labelled pixel of the data set is class_0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("images", "words", "end"),
    [
        (1, "one image only, both train and val", "sound, but one image is too few to tell how good a model is"),
        (2, "val is one image: ", "fit for training"),
    ],
)
def test_so_few_images_that_scores_say_nothing(
    images: int, words: str, end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(images):
        labels = np.zeros((32, 32), np.uint8)
        labels[:, 16 - number :] = 1
        save_mask(tmp_path / "masks" / f"{number}.png", labels)
        image = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    assert run(["check", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert words in said
    assert said.endswith(end)


NOTES = [
    (lonely_mask, "masks: 1 mask without an image (lonely.png)", "pair them by name"),
    (unlisted_pair, "images: 1 pair in no split (scene_5.png)", "list them"),
    (leak, "leak: 1 image of val is also in train, pixel for pixel (images/scene_4.png = images/scene_1.png)", "--fix"),
    (one_file_in_both, "pixel for pixel (images/scene_5.png = images/scene_5.png): the scores on val flatter", "--fix"),
    (
        near_leak,
        "leak: 1 image of val is nearly equal to images of train (images/scene_4.png ~ images/scene_1",
        "scene",
    ),
    (
        copies,
        "1 image of train is a copy of an earlier one, pixel for pixel (images/scene_2.png = images/scene_1.png)",
        "keep one",
    ),
    (copies, "labelled differently: 1 pair", "keep one of each"),
    (near_copies, "1 image of train is nearly equal to others of it (images/scene_4.png ~", "keep them in one split"),
    (interpolated_ids, "of the border pixels have an id between those of their neighbours", "nearest neighbour only"),
    (blank_mask, "1 image without a labelled pixel (images/scene_1.png)", "label them"),
    (mostly_void, "% of the pixels of train are ignored", "check that the ignored values are intended"),
    (only_in_val, "absent from train: ring", "weight 0"),
    (only_in_val, "not in train, so never learned: ring (val)", "split again"),
    (rare_class, "rare in train: ring 0.130% (weight ", "--class-weights median-frequency"),
]


@pytest.mark.parametrize(("spoil", "words", "fix"), NOTES, ids=[f"{case[0].__name__}-{case[2]}" for case in NOTES])
def test_each_note_has_its_line_and_its_fix(
    spoil: Callable[[Path], None], words: str, fix: str, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    describe(root)
    assert run(["check", str(root)]) == 0
    assert words not in capsys.readouterr().out
    spoil(root)
    assert run(["check", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("note: ") and words in line]
    assert len(found) == 1, lines
    assert lines[found[0] + 1].startswith("  fix: ")
    assert fix in lines[found[0] + 1]
    assert lines[-1] == "fit for training"


def test_weights_where_nothing_is_labelled(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "dataset.yaml").write_text("classes: [a, b]\n")
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.full((48, 64), 255))
    assert check(open_dataset(root)).median_frequency_weights() == [0.0, 0.0]
