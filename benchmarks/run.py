"""``make bench``: fullconv beside its peers, in one run, in turn, as ratios with their spread.

    python benchmarks/run.py [--rounds 3] [--json benchmarks/results.json]

Every contestant runs in a process of its own, all of them once per round; a ratio is taken within each round, so that
a drift of the machine's speed cancels. Linux only (peak memory is read from /proc).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
TRAIN = ["fullconv-fcn8s-resnet34", "smp-fpn-resnet34", "smp-unet-mobilenet_v2", "torchvision-fcn-resnet50"]
PREDICT = ["fullconv-fcn8s-mobilenetv2_100", "fullconv-fcn8s-resnet34", *TRAIN[1:]]
START = {
    "fullconv --help": [str(Path(sys.executable).with_name("fullconv")), "--help"],
    "import fullconv": [sys.executable, "-c", "import fullconv"],
    "import segmentation_models_pytorch": [sys.executable, "-c", "import segmentation_models_pytorch"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    results: dict[str, dict[str, list[dict[str, float]]]] = {
        "train": {name: [] for name in TRAIN},
        "predict": {name: [] for name in PREDICT},
        "start": {name: [] for name in START},
    }
    for round_number in range(options.rounds):
        print(f"round {round_number + 1} of {options.rounds}", file=sys.stderr)
        for kind in ("train", "predict"):
            for name, rows in results[kind].items():
                rows.append(measured([sys.executable, str(HERE / "contestants.py"), kind, name]))
        for name, rows in results["start"].items():
            rows.append({"seconds": duration(START[name])})
    record = {"machine": machine(), "date": date.today().isoformat(), "rounds": options.rounds, "results": results}
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    show(results)


def measured(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return row


def duration(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def show(results: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    """One table per measurement; ratios are ours over theirs, median (least to greatest)."""
    console = Console()
    ours = results["train"][TRAIN[0]]
    table = Table("training step, 320x480, batch 4, 21 classes", "images/s", "extra MiB", "our speed", "our memory")
    for name, rows in results["train"].items():
        speed = [a["images_per_s"] / b["images_per_s"] for a, b in zip(ours, rows, strict=True)]
        extra = [a["extra_mib"] / b["extra_mib"] for a, b in zip(ours, rows, strict=True)]
        table.add_row(
            name,
            f"{middle(rows, 'images_per_s'):.2f}",
            f"{middle(rows, 'extra_mib'):.0f}",
            spread(speed),
            spread(extra),
        )
    console.print(table)
    ours = results["predict"][PREDICT[0]]
    table = Table("prediction, one image of 320x480", "ms", "theirs / ours")
    for name, rows in results["predict"].items():
        ratio = [b["seconds"] / a["seconds"] for a, b in zip(ours, rows, strict=True)]
        table.add_row(name, f"{1000 * middle(rows, 'seconds'):.0f}", spread(ratio))
    console.print(table)
    table = Table("start-up", "s")
    for name, rows in results["start"].items():
        table.add_row(name, f"{middle(rows, 'seconds'):.2f}")
    console.print(table)


def middle(rows: list[dict[str, float]], field: str) -> float:
    return sorted(row[field] for row in rows)[len(rows) // 2]


def spread(ratios: list[float]) -> str:
    ordered = sorted(ratios)
    return f"{ordered[len(ordered) // 2]:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    packages = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "fullconv")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
