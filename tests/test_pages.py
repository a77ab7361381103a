"""What the docs tell people to type: run page by page, or, where it needs what a test has not, at least understood."""

from __future__ import annotations

import ast
import inspect
import operator
import re
import shutil
from pathlib import Path

import pytest
import yaml
from cyclopts import CycloptsError

import fullconv
from fullconv.cli.command import app
from fullconv.cli.verbs import arguments
from fullconv.training.config import TrainConfig
from tests.builders.pages import SHELL, Page, blocks, small_in_python, tokens

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
NAMED = [path.relative_to(ROOT).as_posix() for path in PAGES]
SKIPPED = {
    "README.md": 1,
    "docs/choose.md": 1,
    "docs/how.md": 0,
    "docs/index.md": 1,
    "docs/start.md": 2,
    "docs/troubleshooting.md": 0,
    "docs/tutorials/deploy.md": 5,
    "docs/tutorials/few-labels.md": 0,
    "docs/tutorials/labelling-tools.md": 0,
    "docs/tutorials/medical.md": 0,
    "docs/tutorials/one-class.md": 0,
    "docs/tutorials/own-masks.md": 0,
    "docs/tutorials/satellite.md": 0,
    "docs/tutorials/thin-and-rare.md": 1,
}
"""Pages that are run, and how many of their blocks are not: each says why (``skip="why"``), and is understood."""
READY = ("README.md", "docs/choose.md", "docs/troubleshooting.md")
"""Pages that begin with data of the reader's own: ``my_data`` and ``holiday``."""


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    fullconv.convert("shapes:train=12,val=4", folder / "my_data")
    (folder / "holiday").mkdir()
    shutil.copy(folder / "my_data" / "images" / "shapes_000000.png", folder / "holiday" / "beach.png")
    return folder


@pytest.mark.parametrize("name", SKIPPED)
def test_a_page_runs_from_its_first_block_to_its_last(
    name: str, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as a user would, in a folder of its own; what the page shows as printed is printed.

    Decimal fractions may differ, ``...`` stands for anything, and trainings are small (``tests/builders/pages.py``).
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    if name in READY:
        shutil.copytree(own_data, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(fullconv, "train", small_in_python(fullconv.train))
    page, skipped = Page(Path(name)), 0
    for block in blocks(ROOT / name):
        if "skip" in block.options:
            assert len(block.options["skip"]) > 10
            skipped += 1
        else:
            page.do(block)
    assert skipped == SKIPPED[name]


@pytest.fixture
def nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that commands name are the reader's: they are not looked for."""
    for name in vars(arguments):
        if name in ("read_header", "header_text") or name.startswith(("refuse_missing", "refuse_no")):
            monkeypatch.setattr(arguments, name, lambda given: None)
    monkeypatch.setattr(arguments, "model_file", Path)


@pytest.mark.usefixtures("nothing_is_missing")
@pytest.mark.parametrize("path", PAGES, ids=NAMED)
def test_commands_are_understood(path: Path) -> None:
    """Every ``fullconv ...`` of a code block, by the command line itself: verbs, options, values, what is required."""
    for block in blocks(path):
        for line in block.commands() if block.language in SHELL else ():
            if line.startswith("fullconv "):
                words = tokens(line)
                try:
                    app.parse_args(words, exit_on_error=False, print_error=False)
                except CycloptsError as error:
                    pytest.fail(f"{path.name}:{block.line}: {line}: {error}")


@pytest.mark.usefixtures("nothing_is_missing")
@pytest.mark.parametrize("verb", [name for name in app if not name.startswith("-")])
def test_examples_of_the_help_are_understood(verb: str) -> None:
    for line in app[verb].help_formatter.examples:
        app.parse_args(tokens(line), exit_on_error=False, print_error=False)


@pytest.mark.parametrize("path", PAGES, ids=NAMED)
def test_code_is_understood(path: Path) -> None:
    """Python compiles, and calls our functions with arguments that they take; YAML is YAML."""
    for block in blocks(path):
        if block.language == "python":
            for call in (node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.Call)):
                check_call(call)
        elif block.language == "yaml":
            yaml.safe_load(block.text)


def check_call(call: ast.Call) -> None:
    name = ast.unparse(call.func)
    if not re.fullmatch(r"fullconv(\.\w+)+", name):
        return
    function = operator.attrgetter(name.removeprefix("fullconv."))(fullconv)
    parameters = inspect.signature(function).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    known = {*parameters, *(TrainConfig.model_fields if open_ended else ())}
    unknown = [keyword.arg for keyword in call.keywords if keyword.arg and keyword.arg not in known]
    assert not unknown, ast.unparse(call)
