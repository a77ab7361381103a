from __future__ import annotations

import io

import pytest
from rich.console import Console

from fullconv.cli.command import app
from fullconv.terminal import VERBS, print_lines, program, wrapped, wrapped_in_log


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


LONG = "'/tmp/the pictures of every summer/my data/town'"


@pytest.mark.parametrize(
    ("before", "command", "after"),
    [
        ("interrupted at step 13; go on with: ", "fullconv train --resume 'runs/my run of the second try'", ""),
        ("interrupted; go on with: ", ".venv/bin/fullconv demo --resume --out runs/my_own_demonstration_2", ""),
        ("nothing is trained yet; start again with: ", f"'my tools/fullconv' train {LONG} --minutes 5", ""),
        ("  ", f"fullconv evaluate 'runs/my run' {LONG}", ""),
        ("a.png: no such file (and 2 more problems: ", f"fullconv check {LONG}", "lists them)"),
        ("the mask's void (see it: ", f"fullconv check {LONG}", "says what is there); then train"),
        ("continue with another folder, as with: ", "fullconv import 'my folder' OUT --classes sky,road", "; or not"),
        ("it takes no such option; what there is ", "fullconv sweep --help", "lists them, each of them by its name"),
        ("run it on: ", """fullconv info '/tmp/it'"'"'s my run of today/the best model of all of them.pt'""", ""),
    ],
)
def test_a_command_is_never_broken(before: str, command: str, after: str) -> None:
    lines = wrapped(f"fullconv: {before}{command} {after}" if before.strip() else before + command, 80).splitlines()
    (whole,) = (line for line in lines if command in line)
    assert all(len(line) <= 80 for line in lines if line != whole)
    assert len(whole) <= 80 or whole.strip().removesuffix(" lists them)") == command
    words = " ".join(" ".join(lines).split())
    assert words == " ".join(f"{'fullconv: ' * bool(before.strip())}{before}{command} {after}".split())


def test_prose_about_the_program_is_wrapped() -> None:
    prose = "it isn't the model's name, but 'what fullconv calls it' isn't either: words go on, and may be broken"
    assert max(map(len, wrapped(prose, 40).splitlines())) <= 40


def test_every_verb_is_known() -> None:
    assert list(VERBS) == sorted(name for name in app if not name.startswith("-"))


def test_nor_is_it_broken_by_what_prints_it() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    print_lines(console, f"interrupted at step 13; go on with: fullconv train --resume {LONG} --device cuda:0")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[1] == f"  fullconv train --resume {LONG} --device cuda:0"


@pytest.mark.parametrize("called", ["fullconv", ".venv/bin/fullconv", "'my tools/fullconv'"])
def test_a_log_keeps_commands_whole(called: str) -> None:
    command = f"{called} predict runs/{'x' * 80} PHOTOS --out masks --overlay"
    assert wrapped_in_log(f"  {command}\ngo on with: {command}", 60) == f"  {command}\ngo on with: {command}"
    prose = "  try: see whether train has it (fullconv check DATA); then more --epochs, or --class-weights auto"
    assert [len(line) <= 60 for line in wrapped_in_log(prose, 60).splitlines()] == [True, True]
