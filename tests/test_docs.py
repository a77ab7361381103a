"""What the docs name is there: files, links, names of the program, flags of its commands, the rooms and their order."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fullconv.cli.command import app

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fullconv"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
MODULES = sorted(SOURCE.rglob("*.py"))
FOLDERS = ("src/", "docs/", "tests/", "benchmarks/", "examples/", "recipes/", ".ci/")
GIVEN = {"--help", "--version", "--install-completion"}
OTHERS = ("cvat-cli", "nuctl", "docker", "curl ", "pytest", "pip ", "nsys", "gpu.sh", "python benchmarks/")
"""Programs whose flags are not ours."""


def ids(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def attribute(owner: Any, name: str) -> Any:
    """An attribute, or the type of a field that has no value."""
    if hasattr(owner, name):
        return getattr(owner, name)
    if any(name in inspect.get_annotations(base) for base in getattr(owner, "__mro__", ())):
        return None
    raise AttributeError(f"{owner} has no {name}")


def resolve(dotted: str) -> Any:
    """What a dotted name stands for; raises where there is nothing of that name."""
    first, *rest = dotted.split(".")
    found = importlib.import_module(first)
    for depth, name in enumerate(rest, 2):
        try:
            found = attribute(found, name)
        except AttributeError:
            found = importlib.import_module(".".join([first, *rest][:depth]))
    return found


def spans(text: str) -> Iterator[str]:
    """Code between backticks, and the lines of code blocks."""
    for number, part in enumerate(text.split("```")):
        yield from part.splitlines() if number % 2 else re.findall(r"`([^`]+)`", part)


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [slug(line) for line in headings], target


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_files_and_names_of_the_program_are_there(page: Path) -> None:
    for span in spans(page.read_text(encoding="utf-8")):
        for word in re.findall(r"[\w./-]+", span):
            if word.startswith(FOLDERS) and "YOUR" not in word and (ROOT / word.split("/")[0]).is_dir():
                assert (ROOT / word).exists(), word
            elif re.fullmatch(r"[a-z_/]+\.py", word) and "/" in word:
                assert (SOURCE / word).exists() or (ROOT / word).exists(), word
        for dotted in re.findall(r"\bfullconv(?:\.\w+)+", span):
            resolve(dotted)


def flags_of(verb: str) -> set[str]:
    return {name for argument in app[verb].assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_flags_are_those_of_the_commands(page: Path) -> None:
    """Behind ``fullconv VERB`` those of the verb, elsewhere those of any."""
    verbs = {name: flags_of(name) for name in app if not name.startswith("-")}
    every = {flag for flags in verbs.values() for flag in flags}
    for span in spans(page.read_text(encoding="utf-8")):
        if any(other in span for other in OTHERS):
            continue
        line = span.partition(" # ")[0]
        verb = re.search(r"(?:^|\s)(?:fullconv )?(\w+) ", line)
        known = verbs[verb[1]] if verb and verb[1] in verbs else every
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line):
            assert flag in known | GIVEN, span


@pytest.mark.parametrize("module", MODULES, ids=ids(MODULES))
def test_what_a_docstring_refers_to_is_there(module: Path) -> None:
    name = ".".join(["fullconv", *module.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
    text = module.read_text(encoding="utf-8")
    targets = re.findall(r":(?:func|class|meth|mod|data|attr):`~?([^`]+)`", text)
    if not targets:
        return
    here = importlib.import_module(name)
    owners = [here, *(thing for thing in vars(here).values() if isinstance(thing, type))]
    for target in targets:
        if target.partition(".")[0] in ("fullconv", "torch"):
            resolve(target)
            continue
        for owner in owners:
            try:
                found = owner
                for part in target.split("."):
                    found = attribute(found, part)
                break
            except AttributeError:
                continue
        else:
            pytest.fail(f"{target} is not there")


def layers() -> list[list[str]]:
    """The contract of the rooms, from the ground up."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    rooms = next(contract["layers"] for contract in contracts if contract["name"] == "Rooms import one way")
    return [[name.strip().removeprefix("fullconv.") for name in layer.split("|")] for layer in reversed(rooms)]


def test_the_rooms_are_those_of_the_contract() -> None:
    """In its order; and each has a line that says what it is for."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.split("## Rooms")[1].split("```")[1]
    drawn = [re.split(r"\s+\|\s+", line.split("  ")[0].strip()) for line in block.strip().splitlines()]
    assert [sorted(line) for line in drawn] == [sorted(layer) for layer in layers()]
    rows = re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(name for layer in layers() for name in layer)


def test_every_module_is_in_a_room() -> None:
    rooms = {name.partition(".")[0] for layer in layers() for name in layer}
    there = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == rooms


def test_no_test_imports_another() -> None:
    """What tests share is in tests/builders."""
    for path in (ROOT / "tests").rglob("*.py"):
        for module in re.findall(r"^\s*(?:from|import) (tests[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert module.startswith("tests.builders"), path


@pytest.mark.parametrize("name", ["Makefile", "benchmarks/gpu.sh"])
def test_scripts_name_tests_that_are_there(name: str) -> None:
    for word in re.findall(r"tests/[\w*./-]+", (ROOT / name).read_text(encoding="utf-8")):
        assert list(ROOT.glob(word)), word
