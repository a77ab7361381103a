"""The demonstration: train, evaluate, predict on data that needs no download."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

from PIL import Image

from fullconv.bars import Bar
from fullconv.cli.tables import score_table
from fullconv.data import Shapes
from fullconv.errors import Interrupted, UsageError
from fullconv.evaluation.evaluate import evaluate
from fullconv.prediction.files import predict
from fullconv.terminal import program
from fullconv.training import Run, train
from fullconv.training.ending import sheet

OUT = "runs/demo"
OPTIONS: dict[str, Any] = {
    "model": "fcn8s",
    "encoder": "resnet18",
    "model_args": {"head_channels": 64},
    "epochs": 11,
    "batch_size": 8,
    "rate": 2e-3,
    "scale": (0.8, 1.25),
    "crop": (96, 96),
}
DATA, NEW_SCENES = "shapes:train=512", 8


def demo(out: str | os.PathLike[str] = OUT, workers: int | None = None, resume: bool = False) -> Run:
    """Train FCN-8s on ``shapes``, score it, and label scenes of another size that it has never seen.

    Args:
        out: where everything goes; what an earlier demo left there is replaced.
        workers: reading processes; by default by the number of cores.
        resume: go on with the demo in ``out`` where it stopped.

    Raises:
        UsageError: ``out`` exists and is not an earlier demo.
        Interrupted: after Ctrl-C, with what goes on from there.
    """
    try:
        return _demo(Path(out), workers, resume)
    except (Interrupted, KeyboardInterrupt) as error:
        where = "" if Path(out) == Path(OUT) else f" --out {shlex.quote(os.fspath(out))}"
        what = str(error).partition(";")[0] or "interrupted"
        raise Interrupted(f"{what}; go on with: {program()} demo --resume{where}") from error


def _demo(out: Path, workers: int | None, resume: bool) -> Run:
    started = time.monotonic()
    goes_on = resume and (out / "demo").is_file() and Run(out / "run").state.is_file()
    if resume and not goes_on:
        print(f"{out}: nothing is saved there to go on from, so the demo begins")
    if out.exists() and not goes_on:
        if not (out / "demo").is_file():
            raise UsageError(f"{out}: exists and is not an earlier demo; choose another --out")
        shutil.rmtree(out)
    if not goes_on:
        out.mkdir(parents=True)
        (out / "demo").touch()
    run = train(DATA, out / "run", workers=workers, resume=goes_on, **OPTIONS)
    segmenter = run.segmenter()
    with Bar("evaluate", device=str(segmenter.device)) as progress:
        scores = evaluate(segmenter, DATA, workers=workers, progress=progress)
    score_table(scores, what="shapes, val")
    scenes = Shapes(height=161, width=243, seed=1)
    images = []
    for index in range(NEW_SCENES):
        path = out / "new" / f"scene_{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scenes.draw(index)[0]).save(path)
        images.append(path)
    predict(segmenter, images, out / "masks", overlay=True)
    epoch = run.scores["epoch"]
    seconds = time.monotonic() - started
    print(f"val mean IoU {run.scores['mean_iou']:.4f} (epoch {epoch}); {seconds:.0f} s since it was called")
    print(f"image | truth | prediction | errors: {sheet(run)}")
    print(f"curves: {run.path / 'curves.png'}")
    print(f"new scenes of another size and their masks: {out / 'new'}, {out / 'masks'}")
    again = (out / "new", "--out", out / "predicted", "--overlay")
    print(f"label them again:\n  {program()} predict {shlex.join(map(str, (run.path, *again)))}")
    print(f"next, with your own images and masks:\n  {program()} check my_data\n  {program()} train my_data")
    return run
