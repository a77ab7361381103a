from __future__ import annotations

import pytest

from fullconv.terminal import program


@pytest.mark.parametrize(
    ("called", "found", "typed"),
    [
        (".venv/bin/fullconv", None, ".venv/bin/fullconv"),
        ("my tools/fullconv", None, "'my tools/fullconv'"),
        ("/opt/venv/bin/fullconv", "/opt/venv/bin/fullconv", "fullconv"),
        ("train.py", None, "fullconv"),
    ],
)
def test_commands_that_are_printed_can_be_typed(
    called: str, found: str | None, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [called, "demo"])
    monkeypatch.setattr("shutil.which", lambda name: found)
    assert program() == typed
