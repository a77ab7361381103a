"""Tables and lines on the terminal."""

from __future__ import annotations

import pytest
import yaml

from fullconv.cli.main import run
from tests.builders.folders import Make


def test_names_are_printed_as_they_are(make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(3)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["b:x:", "disc", "square", "triangle", "ring"]}))
    (root / "masks" / "scene_1.png").rename(root / "masks" / ":x:1.png")
    (root / "images" / "scene_1.png").rename(root / "images" / ":x:1.png")
    (root / "masks" / ":x:1.png").write_bytes(b"")
    run(["check", str(root)])
    said = capsys.readouterr().out
    assert "b:x:" in said
    assert ":x:1.png" in said
