"""From nothing to masks: train on the built-in scenes, save, load, label a picture of another size.

    python examples/01_train_and_predict.py

About half a minute on two CPU cores.
"""

from pathlib import Path

import fullconv
from fullconv.data import Shapes


def main() -> None:
    run = fullconv.train(
        "shapes", encoder="resnet18", model_args={"head_channels": 64}, epochs=5, batch_size=8, rate=2e-3
    )
    print("val mean IoU", run.scores["mean_iou"])

    segmenter = fullconv.load(run.best)
    picture, truth = Shapes(height=150, width=211, seed=7).draw(0)
    prediction = segmenter.predict(picture)
    print("pixels labelled right:", (prediction.labels == truth).mean())

    out = Path(run.path) / "example"
    prediction.save(out / "mask.png")
    print("mask:", out / "mask.png")


if __name__ == "__main__":
    main()
