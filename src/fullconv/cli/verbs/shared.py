"""What every verb shares: the app they belong to, how they complain."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from cyclopts import App, Parameter

from fullconv.bars import Bar
from fullconv.terminal import program, wrapped


def _shown(default: Any) -> str | None:
    """A default as --help shows it; what is off or empty shows none."""
    if default in (None, False, "", ()) or default == {}:
        return None
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


app = App(
    name="fullconv",
    help="Semantic segmentation with fully convolutional networks: from a folder of images and masks to masks of "
    "new images. DATA is a folder, a zip or tar archive, or the name shapes; MODEL is a model file or a run folder.",
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), negative_none=(), show_default=_shown),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # it would leave without a word
)
app.register_install_completion_command(help="Let the shell (bash, zsh, fish) complete verbs and options.")


TYPED: list[str] = []
"""The arguments of the command that runs, as they were typed."""


def command() -> str:
    """The whole command that runs, to be typed again."""
    return f"{program()} {shlex.join(TYPED)}".strip()


def complain(line: str) -> None:
    """One line on the error stream."""
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)  # over the ^C that a terminal shows where no bar stood
    say(f"fullconv: {line}", sys.stderr)


def say(line: str, stream: TextIO | None = None) -> None:
    """A line, as :mod:`fullconv.terminal` prints them; to the standard output by default."""
    stream = stream or sys.stdout
    if stream.isatty():
        line = wrapped(line, shutil.get_terminal_size().columns)
    print(line, file=stream)


def say_data(title: str, reasons: Iterable[str]) -> None:
    """What data were read, and how: above what was made of them."""
    say(title)
    for reason in reasons:
        say(f"  {reason}")


def as_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"


def starting() -> Bar:
    """Shown while PyTorch, and what a verb needs of it, are loaded: seconds."""
    return Bar("starting", "", summary=False)


def computes_on(model: Path, device: str) -> str:
    """The device that a model will be on.

    Raises:
        UsageError: no such device.
    """
    from fullconv.device import choose_device

    return "cpu" if model.suffix in (".onnx", ".xml") else str(choose_device(device))
