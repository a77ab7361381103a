"""Code blocks of Markdown pages, and what it takes to run them: in order, in one folder, in this process."""

from __future__ import annotations

import contextlib
import glob
import io
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fullconv.cli.main import run

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)(?P<info>.*)$")
OPTION = re.compile(r'(\w+)="([^"]*)"')
FRACTION = re.compile(r"\d+\.\d+")
SHELL = ("bash", "sh", "")
SMALL = {"--epochs": "1", "--encoder": "resnet10t", "--crop": "64 64", "--batch-size": "4"}
"""What a training of a page becomes here, where the page itself says nothing of it."""
SMALL_IN_PYTHON = {"epochs": 1, "encoder": "resnet10t", "crop": (64, 64), "batch_size": 4, "workers": 0}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the options behind it (``skip="why"``), where it stands."""

    language: str
    options: dict[str, str]
    text: str
    line: int

    def commands(self) -> list[str]:
        """Lines of a shell block, continued ones joined, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        found = [re.sub(r"(^|\s)# .*", "", line).strip() for line in lines]
        return [line for line in found if line and not line.startswith("#")]


def blocks(path: Path) -> Iterator[Block]:
    """Fenced blocks, and indented ones (of the shell, if anything)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        start = number
        number += 1
        if fence := FENCE.match(lines[start]):
            while lines[number].strip() != fence["ticks"]:
                number += 1
            text = textwrap.dedent("\n".join(lines[start + 1 : number]))
            yield Block(fence["language"], dict(OPTION.findall(fence["info"])), text, start + 1)
            number += 1
        elif lines[start].startswith("    ") and not "".join(lines[max(0, start - 1) : start]).strip():
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            yield Block("", {}, textwrap.dedent("\n".join(lines[start:number])), start + 1)


def tokens(command: str) -> list[str]:
    """The arguments of ``fullconv ...``, its globs expanded as a shell does."""
    words = []
    for word in shlex.split(command, posix=False)[1:]:
        bare = shlex.split(word)[0]
        found = sorted(glob.glob(word)) if "*" in word and word == bare else []
        words += found or [bare]
    return words


def smaller(words: list[str]) -> list[str]:
    """A training of minutes or many epochs as one of seconds; nothing reads in further processes."""
    verb = words[0]
    if verb in ("train", "sweep") and not {"--resume", "--config", "--recipe"} & set(words):
        for option in {"--minutes", "--epochs"} & set(words):
            place = words.index(option)
            words = [*words[:place], *words[place + 2 :]]
        for option, value in SMALL.items():
            if option not in words and f"over {option.removeprefix('--')}=" not in " ".join(words):
                words = [*words, option, *value.split()]
    if verb in ("train", "sweep", "evaluate", "review", "compare") and "--workers" not in words:
        words = [*words, "--workers", "0"]
    return words


def small_in_python(train: Callable[..., Any]) -> Callable[..., Any]:
    """``fullconv.train`` that makes a training of minutes one of seconds, as :func:`smaller` does on command lines."""

    def small(*data: Any, **options: Any) -> Any:
        chosen = any(options.get(name) for name in ("epochs", "recipe", "config", "resume"))
        return train(*data, **options if chosen else SMALL_IN_PYTHON | options)

    return small


@dataclass
class Page:
    """What blocks of a page did so far: the names of its Python, and what was printed last."""

    path: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""

    def do(self, block: Block) -> None:
        """Run a block, write the file that it shows, or compare it with what was printed.

        Raises:
            AssertionError: a command ends with another exit code than ``exits``, or the page says what is not printed.
        """
        if block.language in ("bash", "sh"):
            self.printed = "".join(self.command(line, block) for line in block.commands())
        elif block.language == "python":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(block.text, f"{self.path}:{block.line}", "exec"), self.names)
            self.printed = said.getvalue()
        elif "title" in block.options:
            file = Path(block.options["title"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text + "\n", encoding="utf-8")
        elif block.language == "text":
            missing = differs(block.text, self.printed)
            assert not missing, f"{self.path}:{block.line}: not printed: {missing}\n\n{self.printed}"
        elif block.language or any(line.startswith("fullconv ") for line in block.commands()):
            raise AssertionError(f"{self.path}:{block.line}: a block that is neither run nor marked")

    def command(self, line: str, block: Block) -> str:
        if not line.startswith("fullconv "):
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
            return done.stdout + done.stderr
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(smaller(tokens(line)))
        printed = out.getvalue() + err.getvalue()
        assert code == int(block.options.get("exits", "0")), f"{self.path}: {line}: {code}\n{printed}"
        return printed


def differs(shown: str, printed: str) -> str:
    """The first line of ``shown`` that was not printed, in order; empty where all were.

    Blanks count as one, decimal fractions are any, ``...`` is anything.
    """
    place, said = 0, [plain(line) for line in printed.splitlines()]
    for line in shown.splitlines():
        wanted = re.compile(re.escape(plain(line)).replace(re.escape("..."), ".*"))
        if not wanted.pattern.strip(".*"):
            continue
        found = next((at for at in range(place, len(said)) if wanted.fullmatch(said[at])), None)
        if found is None:
            return line
        place = found + 1
    return ""


def plain(line: str) -> str:
    return FRACTION.sub("0.0", " ".join(line.split()))
