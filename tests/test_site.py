"""The site of ``docs/``: built strictly, asking no server, with every public name and every option in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fullconv
import fullconv.ops
from fullconv.cli.command import app

ROOT = Path(__file__).parents[1]
VERBS = sorted(name for name in app if not name.startswith("-"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; every warning is an error (links, anchors, pages that nothing leads to, wrong docstrings)."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return out


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*", text)
        assert not loaded, (page.name, loaded)


def test_no_markdown_is_left(site: Path) -> None:
    """What GitHub takes for a code block, table or list is one here too."""
    for page in site.rglob("*.html"):
        text = re.sub(r"<(pre|code|script)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for paragraph in re.findall(r"<p>(.*?)</p>", text, re.DOTALL):
            assert not re.search(r"```|^\||\n\|--|\n\s*- ", paragraph), (page.name, paragraph[:200])


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    reference = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    for name in [*fullconv.__all__, *(f"ops.{one}" for one in fullconv.ops.__all__)]:
        assert f'id="fullconv.{name}"' in reference, name


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_in_its_verbs_table(site: Path, verb: str) -> None:
    text = (site / "options.html").read_text(encoding="utf-8")
    table = text.partition(f'<h2 id="{verb}">')[2].partition("<h2")[0]
    training = text.partition('<h2 id="train">')[2].partition("<h2")[0]
    for argument in app[verb].assemble_argument_collection(parse_docstring=True):
        if argument.name == "*":
            continue
        shown = table + (training if verb == "sweep" else "")
        assert any(f"<code>{name}" in shown for name in argument.names), argument.name
        assert argument.parameter.help, (verb, argument.name)


def test_what_lies_outside_of_docs_is_carried_along(site: Path) -> None:
    """A link to the benchmarks, an example or a folder leads to a page that shows it."""
    for name, words in {
        "benchmarks/index.html": "make bench",
        "examples/04_client.py.page.html": "urllib",
        "src/fullconv/recipes/index.html": "camvid_fcn8s_mobilenetv2.yaml",
    }.items():
        assert words in (site / "repository" / name).read_text(encoding="utf-8"), name
