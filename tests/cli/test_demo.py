from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fullconv.cli import demo
from fullconv.cli.main import run
from fullconv.errors import Interrupted, UsageError
from fullconv.training import fit
from tests.builders.runs import Asked


def test_the_demo_shows_where_everything_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One short epoch of it; `make demo` is the real thing."""
    monkeypatch.setattr(demo, "OPTIONS", {**demo.OPTIONS, "epochs": 1, "encoder": "resnet10t"})
    monkeypatch.setattr(demo, "DATA", "shapes:train=32")
    for _ in range(2):  # a second demo takes the place of the first
        demo.demo(tmp_path / "demo", workers=0)
    said = capsys.readouterr().out
    assert "val mean IoU" in said
    assert "PHOTOS" not in said
    again = next(line for line in said.splitlines() if line.startswith("  fullconv predict "))
    assert run(shlex.split(again)[1:]) == 0  # as it stands
    assert len(list((tmp_path / "demo" / "predicted").glob("*.png"))) == 2 * demo.NEW_SCENES
    assert len(list((tmp_path / "demo" / "masks").glob("*.png"))) == 2 * demo.NEW_SCENES
    for line in said.splitlines():
        if line.startswith(("image |", "curves:")):
            assert Path(line.rpartition(": ")[2]).is_file()
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="not an earlier demo"):
        demo.demo(tmp_path / "mine")


def test_a_demo_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "OPTIONS", {**demo.OPTIONS, "epochs": 1, "encoder": "resnet10t", "model": "fcn32s"})
    monkeypatch.setattr(demo, "DATA", "shapes:height=64,width=64,train=8,val=1")
    monkeypatch.setattr(demo, "NEW_SCENES", 1)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "InterruptRequest", lambda: Asked(0))
        with pytest.raises(Interrupted, match=r"interrupted at step 1; go on with: fullconv demo --resume$"):
            demo.demo(workers=0)
        with pytest.raises(Interrupted, match=r"fullconv demo --resume --out 'other demo'$"):
            demo.demo("other demo", workers=0, resume=True)
    assert "other demo: nothing is saved there to go on from, so the demo begins" in capsys.readouterr().out
    demo.demo(workers=0, resume=True)
    said = capsys.readouterr().out
    assert "resuming runs/demo/run at step 1 of 1" in said
    assert "fullconv train my_data" in said.partition("next, ")[2]
