"""What a folder costs beside its network: ``predict`` from files to files, and the same images in memory, in turn.

    python benchmarks/folder.py                      1,000 JPEG files of 512 x 512, FCN-8s on MobileNetV2, 21 classes
    python benchmarks/folder.py --images 30 --rounds 1
    python benchmarks/folder.py --device cuda

A round is both: decoded images, in batches of the size that ``predict`` makes, through the network to labels in memory;
then ``predict`` of the folder, reading and writing included. The ratio is within a round. Fails above 1.15.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fullconv.data.shapes import Shapes
from fullconv.models import build_model
from fullconv.prediction.files import predict
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size, predict_together
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

MOST = 1.15


def model(device: str) -> Segmenter:
    """FCN-8s on MobileNetV2, 21 classes, random weights."""
    torch.manual_seed(0)
    built = build_model("fcn8s", 21, "mobilenetv2_100")
    return Segmenter(built, ClassSet(tuple(f"class {index}" for index in range(21))), Preprocessing()).to(device)


def in_memory(segmenter: Segmenter, images: list[np.ndarray]) -> float:
    """Seconds for the labels of images that are in memory."""
    asked = Settings()
    count = batch_size(segmenter, asked, images[0].shape[:2])
    begun = time.perf_counter()
    for first in range(0, len(images), count):
        batch = images[first : first + count]
        for _ in predict_together(segmenter, batch, ["image"] * len(batch), asked):
            pass
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    segmenter = model(chosen.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        scenes = Shapes(height=chosen.side, width=chosen.side)
        images = []
        for index in range(chosen.images):
            path = folder / "in" / f"{index:04d}.jpg"
            Image.fromarray(scenes.draw(index)[0]).save(path, quality=90)
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB")))
        in_memory(segmenter, images[:16])  # compiles kernels, chooses convolutions
        rounds = []
        for number in range(chosen.rounds):
            alone = in_memory(segmenter, images)
            begun = time.perf_counter()
            result = predict(segmenter, folder / "in", folder / f"out{number}")
            whole = time.perf_counter() - begun
            assert len(result.written) == chosen.images
            rounds.append({"network": alone, "folder": whole, "ratio": whole / alone})
            print(
                f"network {alone:.1f} s ({chosen.images / alone:.1f} images/s), folder {whole:.1f} s, "
                f"ratio {whole / alone:.3f}"
            )
    ratio = statistics.median(one["ratio"] for one in rounds)
    print(json.dumps({"images": chosen.images, "side": chosen.side, "runner": str(segmenter.runner), "rounds": rounds}))
    print(f"median ratio {ratio:.3f}, at most {MOST}: {'reached' if ratio <= MOST else 'MISSED'}")
    raise SystemExit(ratio > MOST)


if __name__ == "__main__":
    main()
