"""Lines for people: at a terminal broken between words, what follows indented; in a log as they are."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

from rich.console import Console

VERBS = (
    "check", "compare", "convert", "cvat-function", "demo", "evaluate", "export", "heatmap", "import", "info", "models",
    "predict", "pseudo-label", "recipes", "review", "serve", "sweep", "synsets", "train",
)  # fmt: skip
_WORD = r"""(?:'[^']*'|"[^"]*"|[^\s'"();,]|,(?=\S))+"""
_PROSE = r"(?:(?:and|or|then) |[a-z]+s (?:it|them|the|which|what|some|how|one|a|that)\b)"
"""How a sentence goes on behind a command: ``fullconv check DATA lists them``."""
_COMMAND = re.compile(
    rf"(?<![^\s(])(?:'[^']*fullconv'|[^\s'(]*fullconv) (?:(?:{'|'.join(VERBS)})(?![\w-])|--\w)(?:{_WORD})?"
    rf"(?: +(?!{_PROSE}){_WORD})*"
)
_NO_BREAK = "\x1f"
"""In place of a blank at which no line may be broken; in no text for people."""


def program() -> str:
    """What to type to call the command line again: its name, or as it was called where the shell does not find that."""
    called = Path(sys.argv[0]) if sys.argv else Path()
    return shlex.quote(sys.argv[0]) if called.stem == "fullconv" and not shutil.which("fullconv") else "fullconv"


def wrapped(text: str, width: int) -> str:
    """Each line in pieces of at most so many columns; longer words, such as paths, stay whole, and so do commands to
    copy, which begin on a line of their own where they do not fit.
    """
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def wrapped_in_log(text: str, width: int) -> str:
    """The same, of the lines that explain one above them, which are indented. The others are searched for, and so
    are not broken.
    """
    return "\n".join(_wrapped(line, width) if line[:1] == " " else line for line in text.split("\n"))


def print_lines(console: Console, text: str, style: str = "") -> None:
    """The text as it is, without markup, wrapped at a terminal."""
    if console.is_terminal:
        text = wrapped(text, console.width)
    console.print(text, highlight=False, markup=False, soft_wrap=True, style=style or None)


def _wrapped(line: str, width: int) -> str:
    lead = line[: len(line) - len(line.lstrip())]
    text = _COMMAND.sub(lambda command: command[0].replace(" ", _NO_BREAK), line.strip())
    return textwrap.fill(
        text, width, initial_indent=lead, subsequent_indent=f"{lead}  ", break_long_words=False,
        break_on_hyphens=False,
    ).replace(_NO_BREAK, " ")  # fmt: skip
