"""The demonstration: train, evaluate, predict on data that needs no download."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from PIL import Image

from fullconv.cli.tables import score_table
from fullconv.data import Shapes
from fullconv.errors import UsageError
from fullconv.evaluation.evaluate import evaluate
from fullconv.formats.open import shapes_dataset
from fullconv.prediction.files import predict
from fullconv.training import Run, train

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
TRAIN_SCENES, NEW_SCENES = 512, 8


def demo(out: str | os.PathLike[str] = "runs/demo", workers: int | None = None) -> Run:
    """Train FCN-8s on ``shapes``, score it, and label scenes of another size that it has never seen.

    Args:
        out: where everything goes; what an earlier demo left there is replaced.
        workers: reading processes; by default by the number of cores.

    Raises:
        UsageError: ``out`` exists and is not an earlier demo.
    """
    out = Path(out)
    started = time.monotonic()
    if out.exists():
        if not (out / "demo").is_file():
            raise UsageError(f"{out}: exists and is not an earlier demo; choose another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / "demo").touch()
    data = shapes_dataset(Shapes(train=TRAIN_SCENES))
    run = train(data, out / "run", workers=workers, **OPTIONS)
    segmenter = run.segmenter()
    score_table(evaluate(segmenter, data, workers=workers))
    scenes = Shapes(height=161, width=243, seed=1)
    images = []
    for index in range(NEW_SCENES):
        path = out / "new" / f"scene_{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scenes.draw(index)[0]).save(path)
        images.append(path)
    predict(segmenter, images, out / "masks", overlay=True)
    epoch = run.scores["epoch"]
    print(f"val mean IoU {run.scores['mean_iou']:.4f} (epoch {epoch}) after {time.monotonic() - started:.0f} s")
    print(f"image | truth | prediction: {run.path / 'pictures' / f'epoch_{epoch:03d}.png'}")
    print(f"curves: {run.path / 'curves.png'}")
    print(f"new scenes of another size and their masks: {out / 'new'}, {out / 'masks'}")
    return run
