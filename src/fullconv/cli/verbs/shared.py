"""What every verb shares: the app they belong to, how they complain."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

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


def complain(line: str) -> None:
    """One line on the error stream."""
    print(f"fullconv: {line}", file=sys.stderr)


def as_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"


def computes_on(model: Path, device: str) -> str:
    """The device that a model will be on.

    Raises:
        UsageError: no such device.
    """
    from fullconv.device import choose_device

    return "cpu" if model.suffix in (".onnx", ".xml") else str(choose_device(device))
