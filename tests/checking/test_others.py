"""What train says of data with several problems."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import fullconv
from fullconv.checking import others
from fullconv.checking.check import check
from fullconv.checking.others import open_or_count
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make


def test_the_first_problem_comes_with_the_number_of_others(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(6, name="my photos")
    (root / "masks" / "scene_0.png").unlink()
    with pytest.raises(DataError) as first:
        open_dataset(root)
    with pytest.raises(DataError) as alone:
        open_or_count(root)
    assert str(alone.value) == str(first.value)
    for name in ("scene_2", "scene_3"):
        (root / "images" / f"{name}.png").write_bytes(b"broken")
    assert len(check(root).problems) == 3
    expected = f"{first.value} (and 2 more problems: fullconv check {shlex.quote(str(root))} lists them)"
    with pytest.raises(DataError) as several:
        fullconv.train(root, quiet=True)
    assert str(several.value) == expected
    monkeypatch.setattr(others, "MOST_READ", 2)  # too many to read: of those found in opening there is no other
    with pytest.raises(DataError) as many:
        open_or_count(root)
    assert str(many.value) == str(first.value)


def test_a_folder_without_data_is_said_as_before(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set recognised") as error:
        open_or_count(tmp_path)
    assert "more problem" not in str(error.value)
