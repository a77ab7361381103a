"""Lines for people: at a terminal broken between words, what follows indented; in a log as they are."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

from rich.console import Console

_QUOTED = re.compile(r"(?<!\S)'[^']+'(?!\w)")
_COMMAND = re.compile(r"(^\s*|: )('[^']*fullconv'|\S*fullconv) \S")
_NO_BREAK = "\x1f"
"""In place of a blank at which no line may be broken; in no text for people."""


def program() -> str:
    """What to type to call the command line again: its name, or as it was called where the shell does not find that."""
    called = Path(sys.argv[0]) if sys.argv else Path()
    return shlex.quote(sys.argv[0]) if called.stem == "fullconv" and not shutil.which("fullconv") else "fullconv"


def wrapped(text: str, width: int) -> str:
    """Each line in pieces of at most so many columns; longer words, such as paths, stay whole."""
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def wrapped_in_log(text: str, width: int) -> str:
    """The same, of the lines that explain one above them, which are indented. The others are searched for, and so
    are not broken; nor are lines that hold a command to copy.
    """
    lines = text.split("\n")
    return "\n".join(_wrapped(one, width) if one[:1] == " " and not _COMMAND.search(one) else one for one in lines)


def print_lines(console: Console, text: str, style: str = "") -> None:
    """The text as it is, without markup, wrapped at a terminal."""
    if console.is_terminal:
        text = wrapped(text, console.width)
    console.print(text, highlight=False, markup=False, soft_wrap=True, style=style or None)


def _wrapped(line: str, width: int) -> str:
    lead = line[: len(line) - len(line.lstrip())]
    text = line.strip()
    if "fullconv" in text:  # perhaps a command, which is typed as it stands
        text = _QUOTED.sub(lambda quoted: quoted[0].replace(" ", _NO_BREAK), text)
    return textwrap.fill(
        text, width, initial_indent=lead, subsequent_indent=f"{lead}  ", break_long_words=False,
        break_on_hyphens=False,
    ).replace(_NO_BREAK, " ")  # fmt: skip
