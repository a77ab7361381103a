"""Faults of single files, and of a folder that is opened although something is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fullconv.cli.main import run
from tests.builders.faults import (
    bad_list,
    bare_image,
    broken_image,
    describe,
    grey_photograph,
    jpeg_mask,
    jpeg_photograph,
    one_id,
    only_0_and_255,
    photograph,
    rgb_without_names,
    small_mask,
    smoothed_rgb,
    smoothed_values,
    strange_colour,
    strange_id,
    swapped_folders,
    turned_mask,
)
from tests.builders.folders import Make

PROBLEMS = [
    (broken_image, "scene_1.png: truncated, it ends too early", "fix: copy it again from its source"),
    (jpeg_mask, "scene_1.jpg: a mask stored as JPEG", "fix: export the mask again as PNG"),
    (small_mask, "scene_1.png: is 64x48, but its mask scene_1.png is 32x24", "labels are never resized"),
    (turned_mask, "its mask scene_1.png is 48x64 (sides swapped", "fix: export the mask at the image's size"),
    (strange_id, "scene_1.png: holds id 9 at row", "fix: add the value or colour to dataset.yaml"),
    (bare_image, "1 of 6 images have no mask (scene_1.png)", "fix: add the masks, or move these images away"),
    (bad_list, "train.txt: 1 of 4 entries name no image with a mask (scene_77)", "take the entries off the list"),
    (only_0_and_255, "the masks hold only 0 and 255", "'values: {0: background, 255: foreground}' (a class)"),
    (rgb_without_names, "an RGB mask, but no colour is named; the masks hold", "class_1: [0, 0, 0]"),
    (swapped_folders, "masks: holds photographs (", "fix: put images into images/ and masks into masks/"),
    (photograph, "scene_1.png: a photograph, not a mask", "fix: put the image's mask in its place, or leave"),
    (grey_photograph, "scene_1.png: a photograph, not a mask", "fix: put the image's mask in its place, or leave"),
    (jpeg_photograph, "scene_1.jpg: a photograph, not a mask", "fix: put the image's mask in its place, or leave"),
    (smoothed_rgb, "scene_0.png: smoothed edges: ", "--fix gives each such pixel the nearest colour"),
    (strange_colour, "scene_1.png: colour (10, 250, 250) at row 5, column 5", "fix: add the value or colour"),
    (smoothed_values, "scene_1.png: smoothed edges: ", "--fix gives each such pixel the nearest colour"),
    (one_id, "suspicious: every labelled pixel of the data set is square", "fix: look at the masks"),
]


@pytest.mark.parametrize(("spoil", "words", "fix"), PROBLEMS, ids=[case[0].__name__ for case in PROBLEMS])
def test_each_problem_has_its_line_and_its_fix(
    spoil: Callable[[Path], None], words: str, fix: str, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    describe(root)
    assert run(["check", str(root)]) == 0
    capsys.readouterr()
    spoil(root)
    assert run(["check", str(root)]) == 3
    said, errors = capsys.readouterr()
    assert errors == "" or errors.startswith("check: 6 pairs, ")  # no bar where there is no terminal
    lines = said.splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("problem: ") and words in line]
    assert len(found) == 1, said
    assert fix.replace("class_1: [0, 0, 0]", "[0, 0, 0]") in lines[found[0] + 1]
    assert re.fullmatch(r"\d+ problems?: training would go wrong", lines[-1])


def test_json_says_how_many_pairs_are_in_no_figure(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder(6)
    describe(root)
    file = tmp_path / "check.json"
    for spoiled in (0, 1):
        if spoiled:
            broken_image(root)
        run(["check", str(root), "--json", str(file)])
        found = json.loads(file.read_text())
        assert found["images_not_read"] == spoiled
        assert sum(size["images"] for size in found["sizes"]) == sum(found["images"].values()) - spoiled
