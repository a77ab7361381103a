"""What a target cannot hold is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make, small_pair


def test_voc_refuses_what_it_could_not_give_back(tmp_path: Path) -> None:
    for i in range(2):
        small_pair(tmp_path / "data", f"IMG.rf.{i}", i)
    for classes, words in (
        ({"a": [1, 2, 3], "b": [1, 2, 3]}, "two classes have the colour"),
        (["a", "ignored"], "cannot hold a class called 'ignored'"),
        (["a", "#1 road"], "cannot hold a class called '#1 road'"),
    ):
        (tmp_path / "data" / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes}))
        with pytest.raises(UsageError, match=words):
            convert(tmp_path / "data", tmp_path / "out", "voc")
    (tmp_path / "data" / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["background", "b"]}))
    out = convert(tmp_path / "data", tmp_path / "out", "voc").out
    assert {item.id for split in open_dataset(out).splits.values() for item in split} == {"IMG.rf.0", "IMG.rf.1"}


@pytest.mark.parametrize(
    ("to", "content", "words"),
    [
        ("coco", "classes: [background, _background_, c, d, e]", "would be one class"),
        ("voc", "classes: [' a', b, c, d, e]", "cannot hold a class called"),
        ("voc", "channels: 4", "its images have 4 channels, which only --to folder"),
    ],
)
def test_targets_refuse_what_they_cannot_hold(
    to: str, content: str, words: str, make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(3)
    (root / "dataset.yaml").write_text(content)
    assert run(["convert", str(root), str(tmp_path / "copy"), "--to", to]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()
