"""A run that goes on where it stopped."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fullconv.data import DatasetSpec
from fullconv.errors import UsageError, first_few
from fullconv.terminal import program
from fullconv.training.config import MACHINE, TrainConfig
from fullconv.training.run import Run
from fullconv.training.run_folder import RunFolder, existing_run
from fullconv.training.state import Checkpoint


def typed(data: str | os.PathLike[str] | DatasetSpec) -> str:
    """What names the data on a command line; empty where they were made in Python."""
    return "" if isinstance(data, DatasetSpec) else os.fspath(data)


def kept_name(data: str) -> str:
    """A name of data that means the same in every folder: paths are absolute and plain, also those of ``A+B``."""
    if not data or "://" in data or data.startswith("shapes"):
        return data
    if "+" in data and not Path(data).expanduser().exists():
        return "+".join(kept_name(part) for part in data.split("+"))
    path = Path(data).expanduser().absolute()
    plain = Path(os.path.normpath(path))
    behind_a_link = path.exists() and not (plain.exists() and plain.samefile(path))  # what ".." is then
    return str(path if behind_a_link else plain)


def data_of(run: Run, command: str = "") -> str:
    """The name of the data that a run learns from, as it was kept.

    Args:
        command: which names the data; by default the one that resumes the run.

    Raises:
        UsageError: the run does not know it, or nothing is there any more.
    """
    ask = f"give it: {command or f'fullconv train DATA --resume {shlex.quote(str(run.path))}'}"
    kept = kept_name(_kept(run, "given"))
    if not kept:
        raise UsageError(f"{run.path}: does not say by which name its data can be opened; {ask}")
    for part in [kept] if Path(kept).exists() else kept.split("+"):
        if Path(part).is_absolute() and not Path(part).exists():
            raise UsageError(f"{run.path}: its data was in {part}, which is not there any more; {ask}")
    return kept


def is_own(run: Run, data: str | os.PathLike[str] | DatasetSpec) -> bool:
    """Whether data are named as those of the run were kept; never of data made in Python."""
    return bool(typed(data)) and kept_name(typed(data)) == kept_name(_kept(run, "given"))


def _kept(run: Run, what: str) -> str:
    """A line of ``environment.json``; empty where it has none."""
    try:
        kept = json.loads(run.environment.read_text(encoding="utf-8")).get(what, "")
    except (OSError, ValueError, AttributeError):
        return ""
    return kept if isinstance(kept, str) else ""


def other_data(run: Run, classes: Sequence[str], spec: DatasetSpec) -> UsageError:
    """What to raise where a run of these classes cannot go on with some data: it names the run's own."""
    own, differs = _kept(run, "given") or _kept(run, "data"), "other names, order or range of values of its images"
    if tuple(classes) != spec.classes.names:
        differs = f"classes {first_few(list(spec.classes.names), 5)}, not {first_few(list(classes), 5)}"
    again = "leave the data out: " if _kept(run, "given") else "give its own: "
    return UsageError(
        f"{spec.root}: not the data of the run {run.path}" + (f", which are {own}" if own else "") + f" ({differs}); "
        f"{again}{go_on(run, _kept(run, 'given'))}"
    )


def go_on(run: Run, data: str) -> str:
    """What to type, whole, so that a run goes on; ``data`` is how its data was named, empty where made in Python."""
    if data:
        return f"{program()} train --resume {shlex.quote(str(run.path))}"
    return f"fullconv.train(DATA, resume={str(run.path)!r})"


def resume_run(
    out: str | os.PathLike[str] | None, recipe: str | os.PathLike[str] | None, options: dict[str, Any]
) -> tuple[RunFolder, TrainConfig, Checkpoint | None]:
    """The run ``out`` (by default ``runs/latest``), its options, and its state (None: it was stopped before the first).

    Args:
        recipe, options: what was given this time; only options of the machine may differ from those of the run.

    Raises:
        UsageError: there is no such run, its state cannot be read, or another option differs.
    """
    run = existing_run(out)
    config, saved = _config(run, recipe, options), Checkpoint.read(run)
    if saved is not None:  # whatever this machine would choose
        config = config.model_copy(update={"precision": saved.precision})
    return run, config, saved


def _config(run: Run, recipe: str | os.PathLike[str] | None, options: dict[str, Any]) -> TrainConfig:
    """The options of the run, with what was given for the machine."""
    saved = TrainConfig.load(run.config, {})
    asked = TrainConfig.load(recipe, options)
    if asked.encoder_weights == "auto":  # the run has what that was
        asked = asked.model_copy(update={"encoder_weights": saved.encoder_weights})
    for name in asked.model_fields_set:
        if name not in MACHINE and getattr(asked, name) != getattr(saved, name):
            raise UsageError(
                f"--resume: {name} was {getattr(saved, name)!r} in {run.path}, found {getattr(asked, name)!r}; "
                f"leave it out, or start a new run from it: fullconv train DATA --init-from {run.path}"
            )
    changed = {name: getattr(asked, name) for name in asked.model_fields_set if name in MACHINE}
    return saved.model_copy(update=changed)
