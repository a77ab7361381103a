"""What batching can gain on this machine: the cost of an image alone and in a batch, and of what surrounds the network.

python benchmarks/batches.py [--rounds 15] [--sizes 64x64 128x128 480x360]

Processor time of one thread, which other work on the machine hardly changes; batches of 1 and of 8 in turn, and the
quartiles of the ratios over the rounds. What two threads wait for each other is not in it.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from serve import jpeg, model

from fullconv.given import read_given
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import predict_together
from fullconv.pretrained import load
from fullconv.segmenter import Segmenter

BATCH = 8


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def network(segmenter: Segmenter, image: np.ndarray, count: int) -> float:
    """Seconds that an image takes in a batch of so many."""
    images, names = [image] * count, ["the image"] * count
    return seconds(lambda: list(predict_together(segmenter, images, names, Settings()))) / count


def measure(segmenter: Segmenter, size: tuple[int, int], rounds: int) -> dict[str, object]:
    body = jpeg(size)
    image = read_given(body, segmenter.preprocessing)
    (prediction,) = predict_together(segmenter, [image], ["the image"], Settings())
    assert not isinstance(prediction, Exception)
    labels = Image.fromarray(prediction.labels.astype(np.uint8))
    network(segmenter, image, BATCH)  # what is made once
    alone, together, decoding, encoding = list[float](), list[float](), list[float](), list[float]()
    for _ in range(rounds):
        alone.append(statistics.median(network(segmenter, image, 1) for _ in range(BATCH)))
        together.append(network(segmenter, image, BATCH))
        decoding.append(seconds(lambda: read_given(body, segmenter.preprocessing)))
        encoding.append(seconds(lambda: labels.save(io.BytesIO(), "PNG", compress_level=3)))
    ratios = statistics.quantiles([a / t for a, t in zip(alone, together, strict=True)], n=4)
    milliseconds = {
        "alone": alone, "in_a_batch": together, "decoding": decoding, "encoding": encoding,
    }  # fmt: skip
    return {
        "size": f"{size[1]}x{size[0]}",
        "milliseconds": {name: round(statistics.median(values) * 1e3, 2) for name, values in milliseconds.items()},
        "alone_over_batch": [round(ratio, 2) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", nargs="+", default=["64x64", "128x128", "256x256", "480x360"], help="width x height")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        segmenter = load(model(Path(folder)))
        for text in asked.sizes:
            width, height = map(int, text.split("x"))
            print(json.dumps(measure(segmenter, (height, width), asked.rounds)), flush=True)


if __name__ == "__main__":
    main()
