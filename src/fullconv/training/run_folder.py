"""A run folder while it is trained: what is written there, each file in one step."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from PIL import Image

from fullconv.errors import UsageError
from fullconv.files import replacing, write_text
from fullconv.machine import usable_cores
from fullconv.model_card import FILE as CARD
from fullconv.model_card import card_of
from fullconv.model_file import read_header
from fullconv.there import refuse_existing_run, refuse_no_run
from fullconv.training.config import TrainConfig
from fullconv.training.run import Run


class RunFolder(Run):
    """A :class:`Run` that is written."""

    @property
    def pace(self) -> float:
        """How long a validation took, over the steps of its epoch; 0 where nobody has noted it."""
        try:
            return float(json.loads(self._pace.read_text(encoding="utf-8"))["validation"])
        except (OSError, ValueError, TypeError, KeyError):  # it only tells how long a run takes
            return 0.0

    @property
    def _pace(self) -> Path:
        return self.state.parent / "pace.json"

    def begin(
        self,
        config: TrainConfig,
        environment: Mapping[str, Any],
        listing: str = "",
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        """Make the folder with what is known before the first step.

        Args:
            config: the options.
            environment: what :meth:`write_environment` adds.
            listing: the parameters loaded, reshaped and missing, from the weights it starts from.
            reasons: of the options that were chosen.

        Raises:
            UsageError: another run has just made it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self.config.touch(exist_ok=False)  # claims the folder, should another run have chosen it as well
        except FileExistsError as error:
            raise UsageError(f"{self.path}: another run has just taken this folder; start again") from error
        config.save(self.config, reasons)
        self.write_environment(environment)
        if listing:
            write_text(self.path / "weights.txt", listing + "\n")

    def change_epochs(self, epochs: int) -> None:
        """Say in ``config.yaml`` how many there are by now; everything else in it stays."""
        kept = self.config.read_text(encoding="utf-8")
        write_text(self.config, re.sub(r"^epochs: .*$", f"epochs: {epochs}", kept, flags=re.MULTILINE))

    @contextmanager
    def taken(self) -> Iterator[None]:
        """No other process trains here meanwhile; the system gives it free when this process ends, however it does.

        Raises:
            UsageError: another process trains here.
        """
        self.state.parent.mkdir(exist_ok=True)
        lock = FileLock(self.state.parent / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise UsageError(
                f"{self.path}: another process trains here; wait until it ends, or stop it, and go on then"
            ) from error
        try:
            yield
        finally:
            with suppress(OSError):  # before it is free, so that nobody else's is removed
                Path(lock.lock_file).unlink()
            lock.release()

    def discard_unsaved(self) -> None:
        """Leave nothing behind of a run that failed before its first epoch was saved."""
        if not self.last.is_file() and not self.state.is_file():
            shutil.rmtree(self.path, ignore_errors=True)

    def write_environment(self, extra: Mapping[str, Any]) -> None:
        """What it ran on and how it was started."""
        content = {
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            **surroundings(),
            **extra,
        }
        write_text(self.environment, json.dumps(content, indent=2) + "\n")

    def write_log(self, history: Sequence[Mapping[str, float]]) -> None:
        """``log.csv``: a row an epoch; the columns are the objective's."""
        text = io.StringIO()
        columns = dict.fromkeys(name for row in history for name in row)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        write_text(self.path / "log.csv", text.getvalue())

    def write_scores(self, scores: Mapping[str, Any]) -> None:
        write_text(self.path / "scores.json", json.dumps(scores, indent=2) + "\n")

    def write_pace(self, validation: float) -> None:
        """What :attr:`pace` is, for whoever goes on."""
        write_text(self._pace, json.dumps({"validation": validation}) + "\n")

    def write_card(self) -> None:
        """``README.md``: what the best model is, how good, and under which terms."""
        files = sorted(path.name for path in self.path.iterdir() if path.is_file() and path.name != CARD)
        write_text(self.path / CARD, card_of(read_header(self.best), self.path.resolve().name, files))

    def write_picture(self, name: str, picture: np.ndarray) -> None:
        with replacing(self.path / name) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")

    def point_latest(self) -> None:
        """``runs/latest`` points to this run, if it lies in a folder ``runs`` (and the file system has links)."""
        if self.path.resolve().parent.name != "runs":
            return
        link = self.path.parent / "latest"
        try:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(self.path.name, target_is_directory=True)
        except OSError:
            pass


def new_run_path(out: str | os.PathLike[str] | None, name: str) -> Path:
    """The folder of a new run: ``out``, or the first free ``runs/<name>-<n>``.

    Raises:
        UsageError: ``out`` exists.
    """
    if out is not None:
        refuse_existing_run(Path(out))
        return Path(out)
    number = 1
    while (path := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return path


def existing_run(out: str | os.PathLike[str] | None) -> RunFolder:
    """The run to continue: ``out``, or ``runs/latest``.

    Raises:
        UsageError: there is nothing to continue.
    """
    path = Path(out) if out is not None else Path("runs") / "latest"
    run = RunFolder(path.parent / path.readlink() if path.is_symlink() else path)  # the link moves with the next run
    refuse_no_run(run.path)
    return run


def surroundings() -> dict[str, Any]:
    """Of the machine and its programs, JSON-ready."""
    packages = {}
    for name in ("fullconv", "torch", "torchvision", "timm", "lightning", "numpy", "pillow", "safetensors"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": packages,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
