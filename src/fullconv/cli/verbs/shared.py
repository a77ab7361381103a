"""What every verb shares: the app they belong to, how they complain."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any, TextIO

from cyclopts import App, Parameter


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
)
app.register_install_completion_command(help="Let the shell (bash, zsh, fish) complete verbs and options.")


TYPED: list[str] = []
"""The arguments of the command that runs, as they were typed."""


def command() -> str:
    """The whole command that runs, to be typed again."""
    return f"fullconv {shlex.join(TYPED)}"


def complain(line: str) -> None:
    """One line on the error stream."""
    say(f"fullconv: {line}", sys.stderr)


def say(line: str, stream: TextIO | None = None) -> None:
    """A line: at a terminal broken between words, what follows indented, in a log as it is.

    Args:
        stream: the standard output by default.
    """
    stream = stream or sys.stdout
    if stream.isatty():
        width = shutil.get_terminal_size().columns
        line = "\n".join(_broken(one, width) for one in line.split("\n"))
    print(line, file=stream)


def _broken(line: str, width: int) -> str:
    lead = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.strip(), width, initial_indent=lead, subsequent_indent=f"{lead}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def as_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"


def computes_on(model: Path, device: str) -> str:
    """The device that a model will be on.

    Raises:
        UsageError: no such device.
    """
    from fullconv.device import choose_device

    return "cpu" if model.suffix in (".onnx", ".xml") else str(choose_device(device))
