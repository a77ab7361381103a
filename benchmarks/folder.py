"""What a folder costs beside its network: ``predict`` from files to files, and the same images in memory, in turn.

    python benchmarks/folder.py                      1,000 JPEG files of 512 x 512, FCN-8s on MobileNetV2, 21 classes
    python benchmarks/folder.py --images 30 --rounds 1
    python benchmarks/folder.py --device cuda
    python benchmarks/folder.py --runner openvino    exported, and computed by another library

A round: decoded images, in batches of the size that ``predict`` makes, through the network to labels in memory, in as
many streams as ``predict`` has (on a CPU one for each core; else one); then ``predict`` of the folder, reading and
writing included. The ratio is within a round. Fails above 1.15. Beside it the same in processor time of all threads,
and what the network takes by one batch after another, each by all threads (of the first 50 images).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import fullconv
from fullconv.data.shapes import Shapes
from fullconv.models import build_model
from fullconv.names import RUNNERS
from fullconv.prediction.files import predict
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size, predict_together
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing
from fullconv.streams import count, in_streams

MOST = 1.15


def model(device: str, runner: str, folder: Path) -> Segmenter:
    """FCN-8s on MobileNetV2, 21 classes, random weights; exported into the folder where another runner is asked for."""
    torch.manual_seed(0)
    built = build_model("fcn8s", 21, "mobilenetv2_100")
    segmenter = Segmenter(built, ClassSet(tuple(f"class {index}" for index in range(21))), Preprocessing())
    if runner == "torch":
        return segmenter.to(device)
    fullconv.export(segmenter, "onnx", folder / "model.onnx")
    return fullconv.load(folder / "model.onnx", runner=runner)


def in_memory(segmenter: Segmenter, images: list[np.ndarray], streams: int) -> None:
    """Labels of images that are in memory."""
    asked = Settings()
    size = batch_size(segmenter, asked, images[0].shape[:2])
    batches = (images[first : first + size] for first in range(0, len(images), size))

    def compute(batch: list[np.ndarray]) -> list[object]:
        return list(predict_together(segmenter, batch, ["image"] * len(batch), asked))

    for batch, found in in_streams(batches, streams, lambda batch, room: True, compute):
        if found is None:
            compute(batch)


def timed(images: int, work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds an image by the clock, and of processor time."""
    begun, used = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - begun) / images, 1000 * (time.process_time() - used) / images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runner", default="torch", choices=("torch", *RUNNERS))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        segmenter = model(chosen.device, chosen.runner, folder)
        (folder / "in").mkdir()
        scenes = Shapes(height=chosen.side, width=chosen.side)
        images = []
        for index in range(chosen.images):
            path = folder / "in" / f"{index:04d}.jpg"
            Image.fromarray(scenes.draw(index)[0]).save(path, quality=90)
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB")))
        streams = count(segmenter.runner, len(images))
        in_memory(segmenter, images[:16], 1)  # compiles kernels, chooses convolutions
        rounds = []
        for number in range(chosen.rounds):
            some = images[:50]
            shared = timed(len(some), lambda some=some: in_memory(segmenter, some, 1))
            alone = timed(len(images), lambda: in_memory(segmenter, images, streams))
            whole = timed(len(images), lambda out=folder / f"out{number}": predict(segmenter, folder / "in", out))
            assert len(list((folder / f"out{number}").glob("*.png"))) == chosen.images
            rounds.append({"shared": shared, "streams": alone, "folder": whole, "ratio": whole[0] / alone[0]})
            print(
                f"ms an image (processor): network {alone[0]:.1f} ({alone[1]:.1f}) in {streams} streams, "
                f"{shared[0]:.1f} ({shared[1]:.1f}) by all threads; folder {whole[0]:.1f} ({whole[1]:.1f}), "
                f"{whole[0] / alone[0]:.3f} times ({whole[1] / alone[1]:.3f})",
                flush=True,
            )
    ratio = statistics.median(one["ratio"] for one in rounds)
    print(json.dumps({"images": chosen.images, "side": chosen.side, "runner": str(segmenter.runner), "rounds": rounds}))
    print(f"median ratio {ratio:.3f}, at most {MOST}: {'reached' if ratio <= MOST else 'MISSED'}")
    raise SystemExit(ratio > MOST)


if __name__ == "__main__":
    main()
