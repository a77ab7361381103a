"""Tiles, overlaps and images that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.errors import UsageError
from tests.builders.tiled import SHALLOW, picture, segmenter


@pytest.mark.parametrize("tile", [0, -8, 7, 64.0, "64", None, True, np.float32(64)])
def test_tiles_that_cannot_be_are_refused(tile: Any) -> None:
    model = segmenter("fcn8s", "resnet10t", SHALLOW)
    for size in ((9, 9), (100, 300)):
        with pytest.raises(UsageError, match=r"tile must be a whole number of pixels, at least 8 .*found"):
            model.predict(picture(*size), tile=tile)


@pytest.mark.parametrize("overlap", [-1, 57, 64, 256, 1.5, "9"])
def test_overlaps_that_leave_no_room_are_refused(overlap: Any) -> None:
    model = segmenter("fcn8s", "resnet10t", SHALLOW)
    with pytest.raises(UsageError, match="overlap must be a whole number of pixels, 0 to 56 with tiles of 64"):
        model.predict(picture(100, 300), tile=64, overlap=overlap)
    assert model.predict(picture(9, 80), tile=np.int64(64), overlap=56).labels.shape == (9, 80)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0), np.uint8),
        np.zeros((3,), np.uint8),
        np.zeros((1, 1, 2, 3, 3), np.uint8),
        np.zeros((4, 4, 3), bool),
        np.zeros((4, 4, 3), complex),
        np.array([["a"]]),
        None,
        Image.new("RGB", (0, 4)),
    ],
    ids=["no rows", "no columns", "one axis", "five axes", "bool", "complex", "text", "None", "no columns, Pillow"],
)
def test_images_that_hold_nothing_or_no_numbers_are_refused(image: Any) -> None:
    with pytest.raises(UsageError, match=r"expected an (image: .*an )?array \[height, width, 3\].*found"):
        segmenter("fcn8s", "resnet10t", SHALLOW).predict(image)


def test_the_command_line_says_how_far_a_network_sees_and_what_tiles_cost(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = segmenter("fcn8s", "resnet10t", SHALLOW)
    model.save(tmp_path / "m.safetensors")
    Image.fromarray(picture(50, 300)).save(tmp_path / "a.png")
    assert run(["info", str(tmp_path / "m.safetensors")]) == 0
    pixels = model.runner.context.pixels
    assert f"sees {pixels} pixels around each; tiles that overlap by {2 * pixels} give" in capsys.readouterr().out
    command = ["predict", str(tmp_path / "m.safetensors"), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    assert run([*command, "--tile", "64"]) == 0
    assert "labels near their seams may differ" in capsys.readouterr().out
    for wrong in (["--tile", "0"], ["--tile", "64", "--overlap", "64"]):
        assert run([*command, *wrong]) == 2
        assert "must be a whole number of pixels" in capsys.readouterr().err
