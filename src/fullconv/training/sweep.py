"""``sweep``: one training run for each value of an option, one table, one picture of the same samples."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from fullconv import draw
from fullconv.checking.others import open_or_count
from fullconv.data import DatasetSpec, Item, read_sample
from fullconv.errors import FullconvError, Interrupted, UsageError
from fullconv.evaluation.log_findings import read_log
from fullconv.files import replacing, write_text
from fullconv.machine import usable_cores
from fullconv.names import REGION_MODELS
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.first_weights import as_started
from fullconv.training.over import folder_name, parse_over, with_value
from fullconv.training.pictures import sheet_items, sheet_row
from fullconv.training.run import Run
from fullconv.training.sweep_pace import SweepPace
from fullconv.weak import supervise

COLUMNS = (
    "value", "mean_train_loss", "last_train_loss", "last_val_loss", "best_mean_iou", "best_epoch", "seconds", "notes",
)  # fmt: skip

LOOK = 0.5
"""Seconds after which it is looked again how far the runs are."""


@dataclass
class Swept:
    """What :func:`sweep` found: a row of :data:`COLUMNS` per value, and where table and picture lie."""

    option: str
    rows: list[dict[str, Any]]
    table: Path
    picture: Path

    @property
    def no_effect(self) -> bool:
        """Whether every value gave the same scores, and losses as logged: the option had no effect here."""
        figures = [str({**row, "value": "", "seconds": 0}) for row in self.rows]  # as text nan is nan
        return len(figures) > 1 and all(figure == figures[0] for figure in figures)


def sweep(
    data: str | os.PathLike[str],
    over: str,
    out: str | os.PathLike[str],
    *,
    recipe: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
    done: Callable[[int, int, str, float], None] | None = None,
    **options: Any,
) -> Swept:
    """Train once for each value of one option, everything else (seed, order, augmentation) the same.

    Each run is a process and a run folder of its own under ``out``; called again, finished runs are kept and
    interrupted ones go on. ``sweep.csv`` holds the table, ``sweep.png`` the same val samples as every run labels them.

    Args:
        data: whatever :func:`fullconv.open_dataset` takes, by path or name.
        over: ``OPTION=VALUE,VALUE,...``; a dot reaches into an option of names: ``encoder_args.dropout=0.5,0.25``.
        out: folder for the runs, the table and the picture.
        recipe: a YAML file of options.
        jobs: runs at a time; they share the cores.
        progress: called with a line when a run begins or ends.
        done: called with the number of epochs that have ended, of all runs together, and of all; which run trains; and
            the seconds left (nan: unknown).
        **options: fields of :class:`TrainConfig`; they override the recipe.

    Raises:
        UsageError: wrong options, before anything is trained.
        FullconvError: a run failed.
        Interrupted: after Ctrl-C; the runs have saved where they are.
    """
    option, values = parse_over(over)
    if jobs < 1:
        raise UsageError(f"--jobs must be at least 1, found {jobs}")
    started = as_started(TrainConfig.load(recipe, options))[0]
    base = started.model_dump(mode="json")  # all: a resumed run compares what it is told
    out = Path(out)
    runs = [Run(out / folder_name(option, value)) for value in values]
    configs = [with_value(base, option, value) for value in values]
    if any(config["minutes"] is not None for config in configs):
        raise UsageError("sweep compares runs of equal epochs, and --minutes may end each at another; give --epochs")
    for config in configs:
        if config["model"] in REGION_MODELS:
            raise UsageError(f"sweep compares epochs, which {config['model']} has none of; train each by itself")
    for config in configs:
        TrainConfig.load(None, config)
    spec = open_or_count(data)
    spec.split("train")
    asked = dict.fromkeys(config["labels"] for config in configs)
    spec = next(iter([supervise(spec, labels).spec for labels in asked]))  # each may be refused
    _train_all(data, runs, configs, jobs, progress or (lambda line: None), done or (lambda *at: None))
    rows = [{"value": str(value), **_summary(run)} for value, run in zip(values, runs, strict=True)]
    swept = Swept(option, rows, out / "sweep.csv", out / "sweep.png")
    _write_table(swept)
    _write_picture(swept, spec, [f"{option.rpartition('.')[2]} {value}" for value in values], runs)
    return swept


def _train_all(
    data: str | os.PathLike[str],
    runs: Sequence[Run],
    configs: Sequence[dict[str, Any]],
    jobs: int,
    say: Callable[[str], None],
    done: Callable[[int, int, str, float], None],
) -> None:
    """Every run, ``jobs`` at a time; none is begun after one has failed.

    Raises:
        FullconvError: a run failed.
        Interrupted: after Ctrl-C, when those that ran have saved.
    """
    failed = threading.Event()

    def train_one(run: Run, config: dict[str, Any]) -> None:
        if failed.is_set():
            return
        say(f"{run.path.name} begins")
        try:
            _train(data, run, config, jobs)
        except BaseException:
            failed.set()
            raise
        iou, notes = run.scores["mean_iou"], run.scores.get("notes", [])
        say("; ".join([f"{run.path.name}: best mean IoU " + ("-" if iou is None else f"{iou:.4f}"), *notes]))

    total = sum(config["epochs"] for config in configs)
    pace = SweepPace([config["epochs"] for config in configs], jobs)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            begun = [pool.submit(train_one, run, config) for run, config in zip(runs, configs, strict=True)]
            left = set(begun)
            while left:
                over, goes = [one.done() for one in begun], [one.running() for one in begun]
                rows = [_seconds(run) for run in runs]
                seconds = pace.left(time.monotonic(), rows, goes, over)
                done(*_reached(runs, configs, rows, over, goes), math.nan if seconds is None else seconds)
                ended, left = wait(left, LOOK, FIRST_COMPLETED)
                for one in ended:
                    one.result()
            done(total, total, "", 0.0)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):  # the runs hear it too, each in its log
                say("each run finishes its step, then saves; Ctrl-C again stops at once")
            pool.shutdown(cancel_futures=True)  # waits for those that run: after Ctrl-C they save and leave
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(f"{runs[0].path.parent}: interrupted; the same command goes on") from error
            raise


def _seconds(run: Run) -> list[float]:
    """Of the epochs that a run has trained, by its log."""
    return [row.get("seconds", 0.0) for row in read_log(run.path / "log.csv")]


def _reached(
    runs: Sequence[Run],
    configs: Sequence[dict[str, Any]],
    rows: Sequence[Sequence[float]],
    ended: Sequence[bool],
    running: Sequence[bool],
) -> tuple[int, int, str]:
    """How many epochs have ended, of how many, and what the first run that goes does; by the runs' own files."""
    some, where = 0, ""
    for run, config, trained, over, goes in zip(runs, configs, rows, ended, running, strict=True):
        epochs, so_far = config["epochs"], len(trained)
        some += epochs if over else so_far
        if goes and not where:
            at = f"epoch {so_far + 1}/{epochs}" if so_far < epochs else "ending"
            where = f"{run.path.name}, {at if run.config.is_file() else 'starting'}"
    return some, sum(config["epochs"] for config in configs), where


def _write_picture(swept: Swept, spec: DatasetSpec, titles: Sequence[str], runs: Sequence[Run]) -> None:
    """The same val samples as each run's best model labels them, one column a run."""
    segmenters = [run.segmenter() for run in runs]
    pictures = [_seen(spec, item, segmenters) for item in sheet_items(spec.split("val"))]
    with replacing(swept.picture) as temporary:
        Image.fromarray(draw.contact_sheet(pictures, spec.classes, 240, titles)).save(temporary, format="PNG")


def _seen(spec: DatasetSpec, item: Item, segmenters: Sequence[Segmenter]) -> draw.Row:
    """A sample and the labels of each model, which sees its own mean where the image holds nothing."""
    own = [dataclasses.replace(spec, values=model.preprocessing.values) for model in segmenters]
    samples = [read_sample(one, item) for one in own]
    labels = [m.predict_pixels(s.image).labels for m, s in zip(segmenters, samples, strict=True)]
    return sheet_row(item.id, samples[0], labels, spec.classes)


def _train(data: str | os.PathLike[str], run: Run, config: dict[str, Any], jobs: int) -> None:
    """One run in a process of its own, begun or continued."""
    recipe = run.path.with_name(run.path.name + ".yaml")
    write_text(recipe, yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "fullconv", "train", os.fspath(data), "--out", str(run.path)]
    command += ["--recipe", str(recipe)] + ["--resume"] * run.config.is_file()
    threads = max(1, usable_cores() // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)} if jobs > 1 else None
    log = run.path.with_name(run.path.name + ".log")
    with log.open("a", encoding="utf-8") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if code == Interrupted.exit_code:
        raise Interrupted(f"{run.path}: interrupted; the same command goes on")
    if code:
        last = (log.read_text(encoding="utf-8").strip().splitlines() or ["no output"])[-1]
        raise FullconvError(f"{run.path}: the run failed ({last.removeprefix('fullconv: ')}); see {log}")


def _summary(run: Run) -> dict[str, Any]:
    """What the table says of a run."""
    rows = list(csv.DictReader(io.StringIO((run.path / "log.csv").read_text(encoding="utf-8"))))
    losses = [float(row["train_loss"]) for row in rows]
    return {
        "mean_train_loss": float(np.mean(losses)),
        "last_train_loss": losses[-1],
        "last_val_loss": float(rows[-1]["val_loss"]),
        "best_mean_iou": run.scores["mean_iou"],
        "best_epoch": run.scores["epoch"],
        "seconds": sum(float(row["seconds"]) for row in rows),
        "notes": "; ".join(run.scores.get("notes", [])),
    }


def _write_table(swept: Swept) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in swept.rows:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
    write_text(swept.table, text.getvalue())
