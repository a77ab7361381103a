"""Every network on three encoders for the same minutes on CamVid, then one table: ``docs/networks.md`` holds it.

    python benchmarks/networks.py train ../shared/data/camvid runs/networks --weights ../shared/weights  # quiet machine
    python benchmarks/networks.py refine ../shared/data/camvid runs/networks   # scores with and without dense CRF
    python benchmarks/networks.py time ../shared/data/camvid runs/networks     # needs a quiet machine
    python benchmarks/networks.py table ../shared/data/camvid runs/networks

All but the last skip what is there already, so that they can be stopped and called again; ``--only`` and ``--encoders``
do a part.
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
    "batch_size": 8, "crop": (352, 480), "scale": (0.75, 1.5), "rate": 2e-3, "encoder_rate": 5e-4,
    "weight_decay": 1e-2, "ema": 0.99, "loss": "cross-entropy",
}  # fmt: skip
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
    parser.add_argument("do", choices=["train", "refine", "time", "table"])
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
            elif options.do == "time" and not (run / "time.json").is_file():
                (run / "time.json").write_text(json.dumps(timed(name, encoder)))


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


def timed(name: str, encoder: str) -> dict[str, float]:
    """A training step of a batch of 4 in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("contestants.py")), "train"]
    command += [f"fullconv-{model_of(name)}-{encoder}", *SIZE, "--model-args", json.dumps(NETWORKS[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(name, encoder, row, flush=True)
    return row


def table(runs: Path) -> None:
    """A line of Markdown for each network; what was not run is not measured."""
    shown = ["MobileNetV2", "Lite0", "Lite2"]
    parts = ("parameters, M", "images/s", "epochs", "mean IoU", "with CRF")
    print("| network | " + " | ".join(f"{part}: {', '.join(shown)}" for part in parts) + " |")
    print("|---" * (len(parts) + 1) + "|")
    for name in NETWORKS:
        columns = [facts(folder(runs, name, encoder)) for encoder in (["vgg16"] if name == SCRATCH else ENCODERS)]
        cells = [", ".join(column) for column in zip(*columns, strict=True)]
        print(f"| {name}{' (VGG16)' if name == SCRATCH else ''} | " + " | ".join(cells) + " |")


def facts(run: Path) -> list[str]:
    """Parameters, images per second, epochs, mean IoU without and with the CRF."""
    if not (run / "done").is_file():
        return ["not measured"] * 5
    network = build_model(**read_header(run)["model"]).network
    found = [f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f}"]
    time = run / "time.json"
    found.append(f"{json.loads(time.read_text())['images_per_s']:.1f}" if time.is_file() else "not measured")
    found.append(str(len((run / "log.csv").read_text().splitlines()) - 1))
    crf = run / "crf.json"
    if not crf.is_file():
        return [*found, f"{json.loads((run / 'scores.json').read_text())['mean_iou']:.3f}", "not measured"]
    return [*found, *(f"{one['mean_iou']:.3f}" for one in json.loads(crf.read_text()).values())]


def model_of(name: str) -> str:
    return name.partition(",")[0]


if __name__ == "__main__":
    main()
