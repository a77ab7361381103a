"""``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.verbs.shared import app, as_json


@app.command
def compare(
    *models: Path,
    data: str = "",
    split: str = "val",
    restrict: bool = False,
    scales: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    flip: bool = False,
    json: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    workers: int | None = None,
) -> int:
    """Score two or more models on the same images, and say whether the differences are real.

    Images are drawn with replacement, the same for all models, 1,000 times: a difference is real where 0 lies outside
    of its 95 % interval. That is about other images of this kind, not about another training of the same network.

    Parameters
    ----------
    models
        Model files or run folders; the first is what others are compared with.
    data
        As for evaluate; by default what the first one, a run folder, learned from.
    split
        The split to score.
    restrict
        As for evaluate.
    scales
        As for evaluate.
    flip
        As for evaluate.
    json
        Also write scores and differences to this file.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    workers
        Reading processes; by default by the number of cores.
    """
    from fullconv.cli.tables import comparison_table
    from fullconv.evaluation.compare import compare as compared
    from fullconv.files import write_text
    from fullconv.views import Views

    found = compared(
        models, data or _data_of(models), split, restrict=restrict, views=Views(tuple(scales or (1.0,)), flip),
        device=device, precision=precision, runner=runner, workers=workers,
    )  # fmt: skip
    comparison_table(found)
    if json is not None:
        write_text(json, as_json({**found.to_dict(), "split": split}))
    return 0


def _data_of(models: tuple[Path, ...]) -> str:
    from fullconv.errors import UsageError
    from fullconv.training.resume import data_of
    from fullconv.training.run import Run

    if not models or not models[0].is_dir():
        raise UsageError("only a run folder knows its data; give --data DATA")
    return data_of(Run(models[0]))
