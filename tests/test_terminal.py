from __future__ import annotations

import pytest

from fullconv.terminal import program, wrapped, wrapped_in_log


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


def test_a_command_is_never_broken_within_its_quotes() -> None:
    line = "interrupted; go on with: fullconv train --resume 'runs/int 3 of the second try with a long name'"
    parts = wrapped(line, 80).splitlines()
    assert len(parts) == 2
    assert parts[1] == "  'runs/int 3 of the second try with a long name'"
    prose = "it isn't the model's name, but 'what fullconv calls it' isn't either: words go on, and may be broken"
    assert max(map(len, wrapped(prose, 40).splitlines())) <= 40


@pytest.mark.parametrize("called", ["fullconv", ".venv/bin/fullconv", "'my tools/fullconv'"])
def test_a_log_keeps_commands_whole(called: str) -> None:
    command = f"{called} predict runs/{'x' * 80} PHOTOS --out masks --overlay"
    assert wrapped_in_log(f"  {command}\ngo on with: {command}", 60) == f"  {command}\ngo on with: {command}"
    prose = "  try: see whether train has it (fullconv check DATA); then more --epochs, or --class-weights auto"
    assert [len(line) <= 60 for line in wrapped_in_log(prose, 60).splitlines()] == [True, True]
