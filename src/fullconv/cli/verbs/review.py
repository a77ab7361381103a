"""``review``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Data, Model, Precision, Runner
from fullconv.cli.verbs.shared import app, computes_on, say, starting
from fullconv.there import refuse_folders, refuse_lone_tasks

REVIEW = (
    "fullconv review runs/mine my_data --out review.html",
    "fullconv review runs/mine my_data --out review.html --to cvat --tasks tasks",
)


@app.command(help_formatter=Help(*REVIEW), usage="Usage: fullconv review MODEL DATA --out OUT [OPTIONS]")
def review(
    model: Model,
    data: Data,
    /,
    *,
    out: Path,
    json: Path | None = None,
    split: str = "",
    budget: int = 50,
    to: Literal["", "cvat", "label-studio", "labelme"] = "",
    tasks: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    runner: Runner = "auto",
    workers: int | None = None,
) -> int:
    """Find masks of DATA that are probably wrong, and choose which of its images without a mask to label next.

    A region of a mask is doubtful where MODEL holds its label far less probable than is usual for its class. MODEL
    should not have learned from these masks.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    data
        A folder of images and masks, of which some or all may be missing; an archive of one, several joined as A+B, an
        address of shards, or shapes.
    out
        The HTML page to write: the places with pictures, what to label next, classes, images.
    json
        Also write all of it to this file: images, places and classes, the most doubtful first.
    split
        Look at this split alone; by default at all of them.
    budget
        How many images to choose for labelling; and how many doubtful masks become tasks.
    to
        Write tasks for this annotation tool: the doubtful masks as they are, and the images to label next with what
        MODEL predicts. What the tool exports is a data set for fullconv check and fullconv convert.
    tasks
        The folder for the tasks.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    workers
        Reading processes; by default by the number of cores.
    """
    refuse_folders(out, json)
    refuse_lone_tasks(to, tasks)
    import fullconv

    with starting():
        computing = computes_on(model, device)
    with Bar("review", device=computing) as progress:
        found = fullconv.review(
            model,
            data,
            out=out,
            json=json,
            split=split,
            budget=budget,
            to=to,
            tasks=tasks,
            device=device,
            precision=precision,
            runner=runner,
            workers=workers,
            progress=progress,
        )
    for line in found.lines():
        say(line)
    for place in found.places[:10]:
        box = "{} {} {} {}".format(*place.box)
        say(f"  {place.image}: {place.label}, predicted {place.predicted} ({place.sure:.2f}), box {box}")
    for file in filter(None, (out, json)):
        say(f"written: {file}")
    return 0
