"""Every network for the same short budget on CamVid, then one table: ``docs/networks.md`` holds what it printed.

    python benchmarks/networks.py train ../shared/data/camvid runs/networks --weights WEIGHTS
    python benchmarks/networks.py refine ../shared/data/camvid runs/networks   # scores with and without dense CRF
    python benchmarks/networks.py time ../shared/data/camvid runs/networks     # needs a quiet machine
    python benchmarks/networks.py table ../shared/data/camvid runs/networks

The first two skip what is there already, so that they can be stopped and called again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fullconv
from fullconv.model_file import read_header
from fullconv.models import build_model

SIZE = ("352", "480")

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["train", "refine", "time", "table"])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--weights", type=Path, help="of MobileNetV2")
    options = parser.parse_args()
    for name, args in {**MOBILENET, **SCRATCH}.items():
        run = options.runs / name.replace(", ", "-")
        if options.do == "train" and not (run / "done").is_file():
            train(name, args, options, run)
        elif options.do == "refine" and (run / "done").is_file() and not (run / "crf.json").is_file():
            plain, refined = (fullconv.evaluate(run, options.data, crf=crf) for crf in (None, fullconv.CRF()))
            found = {"plain": plain.to_dict(), "refined": refined.to_dict()}
            (run / "crf.json").write_text(json.dumps(found))
            print(name, plain.mean_iou, refined.mean_iou, plain.pixel_accuracy, refined.pixel_accuracy, flush=True)
        elif options.do == "time":
            (run / "time.json").write_text(json.dumps(timed(name, args)))
    if options.do == "table":
        table(options.runs)


def train(name: str, args: dict[str, Any], options: argparse.Namespace, run: Path) -> None:
    budget = {**BUDGET, "model": model_of(name), "model_args": args}
    if name in SCRATCH:
        budget |= {"encoder": "vgg16", "epochs": 2, "crop": (176, 240), "resize": (180, 240), "encoder_rate": None}
    else:
        budget |= {"encoder": "mobilenetv2_100", "encoder_weights": str(options.weights)}
    fullconv.train(options.data, run, check=False, **budget)
    (run / "done").touch()


def timed(name: str, args: dict[str, Any]) -> dict[str, float]:
    """A training step of a batch of 4 in a process of its own."""
    contestant = f"fullconv-{model_of(name)}-{'vgg16' if name in SCRATCH else 'mobilenetv2_100'}"
    command = [sys.executable, str(Path(__file__).with_name("contestants.py")), "train", contestant, *SIZE]
    done = subprocess.run([*command, "--model-args", json.dumps(args)], capture_output=True, text=True, check=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(name, row, flush=True)
    return row


def table(runs: Path) -> None:
    """A line of Markdown for each network."""
    print(
        "| network | parameters, M | images/s | extra MiB | val mean IoU | with CRF | val pixel accuracy | with CRF |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in {**MOBILENET, **SCRATCH}:
        run = runs / name.replace(", ", "-")
        header = read_header(run)
        network = build_model(**header["model"]).network
        parameters = sum(p.numel() for p in network.parameters()) / 1e6
        time, crf = (json.loads((run / f"{part}.json").read_text()) for part in ("time", "crf"))
        scores = [crf[kind][score] for score in ("mean_iou", "pixel_accuracy") for kind in ("plain", "refined")]
        print(
            f"| {name} | {parameters:.1f} | {time['images_per_s']:.1f} | {time['extra_mib']:.0f} | "
            + " | ".join(f"{score:.3f}" for score in scores)
            + " |"
        )


def model_of(name: str) -> str:
    return name.partition(",")[0]


if __name__ == "__main__":
    main()
