"""What mask files say beside their labels: orientation, pixels without a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.cli.main import run
from tests.builders.commands import checked
from tests.builders.orientation import pairs, stored, turned


def test_where_only_the_image_has_an_orientation_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = pairs(tmp_path / "data", 3, turned(stored(), 3))
    said = str(checked(root, capsys)["printed"])
    assert "3 of 4 pairs: image has an EXIF orientation, its mask has none: taken as made on the image as it" in said
    root = pairs(tmp_path / "other", 1, turned(stored(), 3), of_mask=3)
    assert "3 of 4 pairs: mask has an EXIF orientation, its image has none" in str(checked(root, capsys)["printed"])
    root = pairs(tmp_path / "both", 6, stored(), of_mask=6)
    assert "EXIF" not in str(checked(root, capsys)["printed"])


def test_sizes_that_disagree_name_the_orientation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = pairs(tmp_path / "data", 6, stored())
    line = (
        "is 24x40, but its mask 1.png is 40x24 (sides swapped: the EXIF orientation 6 of the image turns it, the mask"
    )
    assert line in str(checked(root, capsys, code=3)["printed"])
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 3
    assert "the EXIF orientation 6 of the image turns it, the mask has none" in capsys.readouterr().err
