"""Every network for the same short budget on CamVid, then one table: ``docs/networks.md`` holds what it printed.

    python benchmarks/networks.py train ../shared/data/camvid runs/networks --weights WEIGHTS
    python benchmarks/networks.py table ../shared/data/camvid runs/networks

``train`` skips what is trained already, so that it can be stopped and called again. ``table`` needs a quiet machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import fullconv

BUDGET: dict[str, Any] = {
    "epochs": 5, "batch_size": 8, "crop": (352, 480), "scale": (0.75, 1.5), "rate": 2e-3, "encoder_rate": 5e-4,
    "weight_decay": 1e-2, "ema": 0.99,
}  # fmt: skip
MOBILENET: dict[str, dict[str, Any]] = {
    "fcn32s": {},
    "fcn16s": {},
    "fcn8s": {},
    "fcn4s": {},
    "unet": {},
    "fpn": {},
    "unet, interpolation": {"upsampling": "interpolate", "last": "bilinear"},
    "deeplab, large-fov": {"head": "large-fov"},
    "deeplab, aspp": {"head": "aspp", "head_channels": 128},
    "deeplab, aspp-pool": {"head": "aspp-pool", "output_stride": 16},
    "dilated": {},
    "hypercolumn": {},
}
SCRATCH: dict[str, dict[str, Any]] = {"segnet": {}}
"""VGG16 only, and no weights of it here: from scratch, half the side, fewer epochs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=["train", "table"])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--weights", type=Path, help="of MobileNetV2")
    options = parser.parse_args()
    for name, args in {**MOBILENET, **SCRATCH}.items():
        out = options.runs / name.replace(", ", "-")
        if not (out / "last.safetensors").is_file() or not (out / "done").is_file():
            train(name, args, options, out)


def train(name: str, args: dict[str, Any], options: argparse.Namespace, out: Path) -> None:
    budget = {**BUDGET, "model": name.partition(",")[0], "model_args": args}
    if name in SCRATCH:
        budget |= {"encoder": "vgg16", "epochs": 2, "crop": (176, 240), "resize": (180, 240), "encoder_rate": None}
    else:
        budget |= {"encoder": "mobilenetv2_100", "encoder_weights": str(options.weights)}
    fullconv.train(options.data, out, check=False, **budget)
    (out / "done").touch()


if __name__ == "__main__":
    main()
