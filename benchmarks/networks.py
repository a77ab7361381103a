"""Every network on three encoders for the same minutes on CamVid, then one table: ``docs/networks.md`` holds it.

    python benchmarks/networks.py train ../shared/data/camvid runs/networks --weights ../shared/weights  # quiet machine
    python benchmarks/networks.py table ../shared/data/camvid runs/networks
    python benchmarks/networks.py refine ../shared/data/camvid runs/networks   # scores without and with a dense CRF

The first and the last skip what is there already, so that they can be stopped and called again; ``--only`` and
``--encoders`` do a part.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import yaml

import fullconv
from fullconv.model_file import read_header
from fullconv.models import build_model

BUDGET: dict[str, Any] = {
    "batch_size": 8, "crop": (352, 480), "scale": (0.75, 1.5), "rate": 2e-3, "encoder_rate": 5e-4,
    "weight_decay": 1e-2, "ema": 0.99, "loss": "cross-entropy",
}  # fmt: skip
TRAIN_IMAGES = 367
ENCODERS = ("mobilenetv2_100", "tf_efficientnet_lite0", "tf_efficientnet_lite2")
NETWORKS: dict[str, dict[str, Any]] = {
    "fcn32s": {},
    "fcn16s": {},
    "fcn8s": {},
    "fcn4s": {},
    "unet": {},
    "unet, interpolation": {"upsampling": "interpolate", "last": "bilinear"},
    "fpn": {},
    "deeplab, large-fov": {"head": "large-fov"},
    "deeplab, aspp": {"head": "aspp", "head_channels": 128},
    "deeplab, aspp-pool": {"head": "aspp-pool", "output_stride": 16},
    "dilated": {},
    "hypercolumn": {},
    "segnet": {},
}
SCRATCH = "segnet"
"""VGG16 only, and no weights of it here: from scratch, half the side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["train", "table", "refine"])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--weights", type=Path, help="a folder with ENCODER-imagenet.safetensors of each encoder")
    parser.add_argument("--minutes", type=float, default=4, help="of every run, all in all")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    options = parser.parse_args()
    if options.do == "table":
        table(options.runs)
        return
    for name in options.only:
        for encoder in ["vgg16"] if name == SCRATCH else options.encoders:
            run = folder(options.runs, name, encoder)
            if options.do == "train" and not (run / "done").is_file():
                train(name, encoder, options, run)
            elif options.do == "refine" and (run / "done").is_file() and not (run / "crf.json").is_file():
                plain, refined = (fullconv.evaluate(run, options.data, crf=crf) for crf in (None, fullconv.CRF()))
                found = {"plain": plain.to_dict(), "refined": refined.to_dict()}
                (run / "crf.json").write_text(json.dumps(found))
                print(name, encoder, plain.mean_iou, refined.mean_iou, flush=True)


def folder(runs: Path, name: str, encoder: str) -> Path:
    return runs / f"{name.replace(', ', '-')}-{encoder}"


def train(name: str, encoder: str, options: argparse.Namespace, run: Path) -> None:
    budget = {**BUDGET, "minutes": options.minutes, "model": model_of(name), "model_args": NETWORKS[name]}
    if name == SCRATCH:
        budget |= {"encoder_weights": "none", "crop": (176, 240), "resize": (180, 240), "encoder_rate": None}
    else:
        budget["encoder_weights"] = str(options.weights / f"{encoder}-imagenet.safetensors")
    fullconv.train(options.data, run, check=False, encoder=encoder, **budget)
    (run / "done").touch()


def table(runs: Path) -> None:
    """A line of Markdown for each network; what was not run is not measured."""
    parts = ("parameters, M", "passes over the images", "val mean IoU")
    print("| network | " + " | ".join(f"{part}: MobileNetV2, Lite0, Lite2" for part in parts) + " |")
    print("|---" * (len(parts) + 1) + "|")
    for name in NETWORKS:
        columns = [facts(folder(runs, name, encoder)) for encoder in (["vgg16"] if name == SCRATCH else ENCODERS)]
        cells = [", ".join(column) for column in zip(*columns, strict=True)]
        print(f"| {name}{' (VGG16)' if name == SCRATCH else ''} | " + " | ".join(cells) + " |")


def facts(run: Path) -> list[str]:
    """Parameters, passes over the train images, val mean IoU of the best epoch."""
    if not (run / "done").is_file():
        return ["not measured"] * 3
    network = build_model(**read_header(run)["model"]).network
    config = yaml.safe_load((run / "config.yaml").read_text())
    with (run / "log.csv").open() as file:
        epochs = len(list(csv.DictReader(file)))
    steps = epochs * (config["epoch_steps"] or math.ceil(TRAIN_IMAGES / config["batch_size"]))
    return [
        f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f}",
        f"{steps * config['batch_size'] / TRAIN_IMAGES:.1f}",
        f"{json.loads((run / 'scores.json').read_text())['mean_iou']:.3f}",
    ]


def model_of(name: str) -> str:
    return name.partition(",")[0]


if __name__ == "__main__":
    main()
