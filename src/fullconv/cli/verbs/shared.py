"""What every verb shares: the app they belong to, how they complain, their progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """What moves a bar to (done, all), on a terminal; else None."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("pairs, left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def pixels_bar() -> Iterator[Callable[[Path, int, int], None] | None]:
    """What moves a bar to (file, pixels done, all of its pixels), on a terminal; else None."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("left"))
    tasks: dict[Path, TaskID] = {}
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:

        def done(path: Path, some: int, every: int) -> None:
            if path not in tasks:  # what an earlier run labelled says nothing of the speed of this one
                tasks[path] = bar.add_task(path.name, total=every, completed=some)
            bar.update(tasks[path], completed=some, visible=some < every)

        yield done
