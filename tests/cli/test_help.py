"""--help by groups, and the shell's completion."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cyclopts.completion.detect import ShellDetectionError

from fullconv.cli.command import app, run
from fullconv.models.timm_facts import TIMM
from fullconv.models.variants import MODELS
from fullconv.training.config import TrainConfig
from fullconv.training.option_names import SECTIONS, SYNONYMS


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("verb", ["train", "sweep"])
def test_options_come_in_groups(
    verb: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ten most used first; every option once."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    assert f"  fullconv {verb} my_data" in said
    parts = dict(part.split("─", 1) for part in said.split("╭─ ")[1:])
    assert list(parts) == ["Arguments ", "Most used ", *(f"{title} " for title in SECTIONS)]
    found = {title: re.findall(r"^│[ *]{1,4}(--[a-z-]+)", text, re.MULTILINE) for title, text in parts.items()}
    assert len(found["Most used "]) == 10
    assert "--rate" in found["Most used "]
    assert "--init-from" in found["Network "]
    assert "--momentum" in found["Optimisation "]
    shown = [flag for flags in found.values() for flag in flags if not flag.startswith("--no-")]
    assert len(shown) == len(set(shown))
    flags = {"--" + name.replace("_", "-") for name in TrainConfig.model_fields}
    assert flags <= set(shown)


def test_arguments_by_name_are_shown_as_they_are_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run(["train", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for option, known in (("encoder", TIMM), ("model", MODELS["fcn8s"].arguments())):
        flag = f"--{option}-args"
        assert f"as {flag}.NAME VALUE: " in said
        (example,) = re.findall(rf"for example ({flag}\.\S+ \S+)", said)
        _, bound, _ = app.parse_args(["train", "shapes", *example.split()], exit_on_error=False, print_error=False)
        ((name, value),) = getattr(bound.arguments["options"], f"{option}_args").items()
        assert name in known
        assert isinstance(value, (int, float))
        assert run(["train", "shapes", flag, "head_channels=8"]) == 2
        assert f"{flag}: expected {flag}.NAME VALUE (found 'head_channels=8')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "first", "titles"),
    [
        ("predict", "runs/mine photos --out masks", "What is written, Large images, Better labels, Machine"),
        ("evaluate", "runs/mine", "What is scored, Better labels, Large images, What is written, Machine"),
        ("compare", "runs/first runs/second", "Parameters"),
    ],
)  # fmt: skip
def test_other_verbs_have_examples_and_groups(
    verb: str, first: str, titles: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert f"\n  fullconv {verb} {first}" in said
    assert re.findall(r"^╭─ ([A-Z][a-z ]+) ─", said, re.MULTILINE) == ["Arguments", *titles.split(", ")]
    shown = re.findall(r"^│[ *]+(--[a-z-]+)", said, re.MULTILINE)
    flags = {name for arg in app[verb].assemble_argument_collection() for name in arg.names if name.startswith("--")}
    assert {flag for flag in shown if not flag.startswith("--no-")} == {
        flag for flag in flags if not flag.startswith("--no-")
    }
    assert "choices: ," not in said


VERBS = [name for name in app if not name.startswith("-")]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_examples(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert len(re.findall(rf"^  fullconv {verb}\b", said, re.MULTILINE)) >= 2


@pytest.mark.parametrize("words", [["help"], ["help", "train"], ["train", "-h"], ["-h"]])
def test_help_by_other_names(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert capsys.readouterr().out.startswith(
        "Usage: fullconv train" if "train" in words else "Usage: fullconv COMMAND"
    )


def test_synonyms_are_of_options_that_are_there() -> None:
    flags = {
        name
        for verb in app
        if not verb.startswith("-")
        for arg in app[verb].assemble_argument_collection()
        for name in arg.names
    }
    for option, others in SYNONYMS.items():
        assert "--" + option.replace("_", "-") in flags
        assert len(set(others.split())) == len(others.split())
        assert option not in others.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("ZSH", raising=False)
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    run(["--install-completion", "--shell", shell])
    (script,) = (path for path in tmp_path.rglob("*fullconv*") if path.is_file())
    if shell != "bash" or not shutil.which("bash"):
        assert "encoder-weights" in script.read_text()
        return
    ask = f"""source {script}
complete_it=$(complete -p fullconv | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=(fullconv train --encoder-w); COMP_CWORD=2
$complete_it fullconv --encoder-w train; echo "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "--encoder-weights"


def test_an_unknown_shell_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nobody() -> str:
        raise ShellDetectionError

    monkeypatch.setattr("cyclopts.completion.detect.detect_shell", nobody)
    assert run(["--install-completion"]) == 2
    said = "fullconv: which shell is it? fullconv --install-completion --shell bash, or zsh, or fish\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("verb", "usage"),
    [
        ("export", "MODEL --out OUT [OPTIONS]"),
        ("heatmap", "IMAGES --synset SYNSET --out OUT [OPTIONS]"),
        ("predict", "MODEL IMAGES --out OUT [OPTIONS]"),
        ("pseudo-label", "MODEL DATA --out OUT [OPTIONS]"),
        ("review", "MODEL DATA --out OUT [OPTIONS]"),
        ("sweep", "DATA --over OVER --out OUT [OPTIONS]"),
    ],
)
def test_the_usage_is_in_the_order_in_which_it_is_typed(
    verb: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run([verb, "--help"])
    assert capsys.readouterr().out.splitlines()[0].strip() == f"Usage: fullconv {verb} {usage}"
