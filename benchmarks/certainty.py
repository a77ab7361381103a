"""What confidence and entropy cost beside labels alone: ``python benchmarks/certainty.py [--rounds 21] [--size 1024]``.

Prints a line for each kind, of the kernels alone (labels from coarse logits, 21 classes, stride 8) and of
``Segmenter.predict`` (FCN-8s on MobileNetV2, random weights): milliseconds of labels alone, and the median (quartiles)
of the ratios within a round, in which all kinds take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from fullconv.models import build_model
from fullconv.ops import upsample_argmax, upsample_entropy
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

CLASSES = ClassSet(tuple(f"class {index}" for index in range(21)))
KINDS = ("labels", "+ confidence", "+ entropy")


def kernels(size: int) -> list[Callable[[], object]]:
    logits = torch.randn(1, len(CLASSES), size // 8, size // 8)
    return [
        lambda: upsample_argmax(logits, (size, size)),
        lambda: upsample_argmax(logits, (size, size), confidence=True),
        lambda: (upsample_argmax(logits, (size, size)), upsample_entropy(logits, (size, size))),
    ]


def predictions(size: int) -> list[Callable[[], object]]:
    built = build_model("fcn8s", len(CLASSES), "mobilenetv2_100")
    segmenter = Segmenter(built, CLASSES, Preprocessing()).to("cpu")
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return [
        lambda: segmenter.predict(image),
        lambda: segmenter.predict(image, confidence=True),
        lambda: segmenter.predict(image, entropy=True),
    ]


def rounds(calls: list[Callable[[], object]], number: int) -> np.ndarray:
    """Seconds ``[number, kinds]``, after one round that is not counted."""
    found = []
    for _ in range(number + 1):
        row = []
        for call in calls:
            begun = time.perf_counter()
            call()
            row.append(time.perf_counter() - begun)
        found.append(row)
    return np.array(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--size", type=int, default=1024)
    asked = parser.parse_args()
    for name, make in (("kernels", kernels), ("predict", predictions)):
        seconds = rounds(make(asked.size), asked.rounds)
        ratios = seconds / seconds[:, :1]
        print(f"{name}, {asked.size}x{asked.size}: labels {1e3 * np.median(seconds[:, 0]):.2f} ms")
        for kind, column in zip(KINDS[1:], ratios.T[1:], strict=True):
            low, middle, high = np.percentile(column, (25, 50, 75))
            print(f"  {kind}: {middle:.2f} times ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
