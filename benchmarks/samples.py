"""Training samples per second of one core: read, zoom, crop, mirror; beside Pillow + torchvision's reference.

    python benchmarks/samples.py [--picture IMAGE.jpg MASK.png] [--rounds 7]

prints one JSON line, milliseconds a sample; ``run.py --only samples`` shows it as a table.

Peers do the same work: a random zoom of 0.5 to 2 times the base size, a mirror, a crop; theirs as torchvision's
references/segmentation/presets.py does it with Pillow, ours as ``fullconv train`` does (8-bit pixels, which the
network's device turns to normalised floats; ``+ floats`` does that here too). Sizes: 500x375 (base 520, crop 480), as
torchvision trains on VOC, and 2048x1024 (base 1024, crop 768), as others do on Cityscapes. The picture is a photograph
with its mask, or a noisy scene of ``shapes``. ``--cache``: decoded before, read from the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from fullconv.data import Augmentation, TrainData
from fullconv.data.cache import decoded
from fullconv.data.shapes import Shapes
from fullconv.formats.open import open_dataset
from fullconv.freed import keep_freed_memory
from fullconv.images.write import mask_image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CASES = {"500x375": ((500, 375), 520, 480), "2048x1024": ((2048, 1024), 1024, 768)}
FILES = 8


class Reference:
    """torchvision's training preset, backend ``pil``."""

    def __init__(self, base: int, crop: int) -> None:
        self.low, self.high, self.crop = base // 2, base * 2, crop
        self.floats = v2.ToDtype(torch.float32, scale=True)
        self.normalise = v2.Normalize(MEAN, STD)

    def __call__(self, image_path: Path, mask_path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = Image.open(image_path).convert("RGB"), Image.open(mask_path)
        size = int(torch.randint(self.low, self.high + 1, ()))
        image = F.resize(image, [size], antialias=True)
        mask = F.resize(mask, [size], interpolation=v2.InterpolationMode.NEAREST)
        if torch.rand(()) < 0.5:
            image, mask = F.hflip(image), F.hflip(mask)
        short = [max(self.crop - side, 0) for side in image.size]
        if any(short):
            image = F.pad(image, [0, 0, *short], fill=0)
            mask = F.pad(mask, [0, 0, *short], fill=255)
        top = int(torch.randint(0, image.height - self.crop + 1, ()))
        left = int(torch.randint(0, image.width - self.crop + 1, ()))
        image, mask = (F.crop(part, top, left, self.crop, self.crop) for part in (image, mask))
        pixels = self.normalise(self.floats(F.pil_to_tensor(image)))
        return pixels, F.pil_to_tensor(mask).squeeze(0).long()


def make_files(folder: Path, picture: Image.Image, labels: Image.Image, size: tuple[int, int]) -> None:
    """A data folder of JPEGs (quality 90) and palette masks of one size, parts of one picture."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(FILES):
        shift = 8 * number
        box = (shift, shift, picture.width - 64 + shift, picture.height - 64 + shift)
        picture.resize(size, Image.Resampling.BICUBIC, box).save(folder / "images" / f"{number}.jpg", quality=90)
        part = labels.resize(size, Image.Resampling.NEAREST, box)
        part.save(folder / "masks" / f"{number}.png")


def floats(image: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    return F.normalize(F.to_dtype(pixels, torch.float32, scale=True), list(MEAN), list(STD))


def load(files: list[Path] | None) -> tuple[Image.Image, Image.Image]:
    """The picture and its labels."""
    if files:
        return Image.open(files[0]).convert("RGB"), Image.open(files[1])
    image, labels = Shapes(height=1024, width=2048, noise=12.0).draw(0)
    return Image.fromarray(image), mask_image(labels, Shapes().classes)


def measure(files: list[Path] | None, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds a sample, per case and contestant, one number a round."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as fullconv train does; it serves the peer too
    picture, labels = load(files)
    result: dict[str, dict[str, list[float]]] = {}
    for name, (size, base, crop) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            make_files(folder, picture, labels, size)
            (folder / "dataset.yaml").write_text(f"classes: [{', '.join(f'c{i}' for i in range(21))}]\n")
            spec = open_dataset(folder)
            items = [*spec.split("train"), *spec.split("val")]
            scale = (base / 2 / min(size), base * 2 / min(size))
            augmentation = Augmentation((crop, crop), scale, flip=True)
            data = TrainData(spec, items, augmentation, seed=0)
            os.environ["FULLCONV_CACHE"] = str(folder / "cache")
            kept_spec = decoded(spec)
            kept = TrainData(kept_spec, [*kept_spec.split("train"), *kept_spec.split("val")], augmentation, seed=0)
            reference = Reference(base, crop)

            def ours(epoch: int, index: int, data: TrainData = data) -> object:
                return data[epoch, index]

            def cached(epoch: int, index: int, data: TrainData = kept) -> object:
                return data[epoch, index]

            def ours_floats(epoch: int, index: int, data: TrainData = data) -> object:
                sample = data[epoch, index]
                return floats(sample.image), torch.from_numpy(sample.labels.copy()).long()

            def theirs(epoch: int, index: int, reference: Reference = reference, items: list = items) -> object:
                return reference(items[index].image.files[0], items[index].annotation.files[0])

            contestants: dict[str, Callable[[int, int], object]] = {
                "fullconv": ours, "fullconv + floats": ours_floats, "fullconv --cache": cached,
                "Pillow + torchvision": theirs,
            }  # fmt: skip
            result[name] = {contestant: [] for contestant in contestants}
            for contestant in contestants.values():
                contestant(0, 0)
            for turn in range(rounds):
                for label, contestant in contestants.items():
                    started = time.perf_counter()
                    for epoch in range(5 * turn, 5 * turn + 5):
                        for index in range(len(items)):
                            contestant(epoch, index)
                    result[name][label].append(1000 * (time.perf_counter() - started) / (5 * len(items)))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--picture", type=Path, nargs=2)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.picture, arguments.rounds)))


if __name__ == "__main__":
    main()
