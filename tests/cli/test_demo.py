from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.cli import demo
from fullconv.errors import UsageError


def test_the_demo_shows_where_everything_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One short epoch of it; `make demo` is the real thing."""
    monkeypatch.setattr(demo, "OPTIONS", {**demo.OPTIONS, "epochs": 1, "encoder": "resnet10t"})
    monkeypatch.setattr(demo, "TRAIN_SCENES", 32)
    for _ in range(2):  # a second demo takes the place of the first
        demo.demo(tmp_path / "demo", workers=0)
    said = capsys.readouterr().out
    assert "val mean IoU" in said
    assert len(list((tmp_path / "demo" / "masks").glob("*.png"))) == 2 * demo.NEW_SCENES
    for line in said.splitlines():
        if line.startswith(("image |", "curves:")):
            assert Path(line.rpartition(": ")[2]).is_file()
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="not an earlier demo"):
        demo.demo(tmp_path / "mine")
