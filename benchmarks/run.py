"""``make bench``: fullconv beside its peers, in one run, in turn, as ratios with their spread.

    python benchmarks/run.py [--rounds 3] [--only train predict networks start kernels samples] [--json FILE]

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
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
TRAIN = ["fullconv-fcn8s-resnet34", "smp-fpn-resnet34", "smp-unet-mobilenet_v2", "torchvision-fcn-resnet50"]
PREDICT = ["fullconv-fcn8s-mobilenetv2_100", "fullconv-fcn8s-resnet34", *TRAIN[1:]]
PAIRS = {
    "U-Net": ("fullconv-unet-mobilenetv2_100", "smp-unet-mobilenet_v2"),
    "FPN": ("fullconv-fpn-mobilenetv2_100", "smp-fpn-mobilenet_v2"),
    "DeepLabV3, stride 8": ("fullconv-deeplab-mobilenetv2_100", "smp-deeplabv3-mobilenet_v2"),
}
ON_GPU = [f"{name}+bf16" for name in TRAIN[1:]]  # the peers trained under autocast as well
SQUARE = ["512", "512"]
KERNELS = {
    "cross-entropy-21-8": "cross-entropy, forward and backward, 21 classes, stride 8, 4 images of 512x512",
    "cross-entropy-21-32": "the same, stride 32",
    "cross-entropy-150-4": "cross-entropy, 150 classes, stride 4, {images} images of 512x512",
    "argmax-21-8": "labels, 21 classes, stride 8, one image of 1024x1024",
    "counts-21": "confusion counts, 21 classes, 1024x1024 (plain: np.bincount)",
    "step-150": "training step, FCN-8s ResNet-34, 150 classes, 320x480, batch 4",
    "step-crf": "training step of the CamVid recipe, 352x480, batch 8; theirs / ours: with the CRF loss",
}
ALONE = ("counts-21", "step-crf")  # no plain side to compare the memory with
KINDS = ["train", "predict", "networks", "start", "kernels", "samples"]
START = {
    "fullconv --help": [str(Path(sys.executable).with_name("fullconv")), "--help"],
    "import fullconv": [sys.executable, "-c", "import fullconv"],
    "import segmentation_models_pytorch": [sys.executable, "-c", "import segmentation_models_pytorch"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=KINDS)
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="of training, prediction, networks and kernels"
    )
    parser.add_argument("--picture", nargs=2, help="photograph and mask for the samples, instead of a drawn scene")
    parser.add_argument("--json", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    wanted, device = options.only or KINDS, options.device
    more = ON_GPU if device == "cuda" else []
    results: dict[str, dict[str, list[dict[str, float]]]] = {
        "train": {name: [] for name in [*TRAIN, *more]},
        "predict": {name: [] for name in [*PREDICT, *more]},
        "networks": {
            name: []
            for ours, theirs in PAIRS.values()
            for name in (ours, theirs, *([f"{theirs}+bf16"] if more else []))
        },
        "start": {name: [] for name in START},
    }
    results = {kind: rows for kind, rows in results.items() if kind in wanted}
    contestant = [sys.executable, str(HERE / "contestants.py")]
    for round_number in range(options.rounds if results else 0):
        print(f"round {round_number + 1} of {options.rounds}", file=sys.stderr)
        for kind in ("train", "predict"):
            for name, rows in results.get(kind, {}).items():
                rows.append(measured([*contestant, kind, name, "--device", device]))
        for name, rows in results.get("networks", {}).items():
            row, latency = (
                measured([*contestant, kind, name, *SQUARE, "--device", device]) for kind in ("train", "predict")
            )
            rows.append({**row, "latency": latency["seconds"]})
        for name, rows in results.get("start", {}).items():
            rows.append({"seconds": duration(START[name])})
    record = json.loads(options.json.read_text()) if options.only and options.json.is_file() else {}
    source = {"machine": machine(), "date": date.today().isoformat()}
    for kind, rows in results.items():
        record[kind if device == "cpu" or kind == "start" else f"{kind} on {device}"] = {
            **source,
            "rounds": options.rounds,
            "rows": rows,
        }
    if "kernels" in wanted:
        record[f"kernels on {device}"] = {**source, "rows": kernels(device)}
    if "samples" in wanted:
        picture = ["--picture", *options.picture] if options.picture else []
        row = measured([sys.executable, str(HERE / "samples.py"), *picture])
        record["samples"] = {**source, "picture": "photograph" if picture else "drawn scene", "rows": row}
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    show(results)
    if "samples" in wanted:
        show_samples(record["samples"]["rows"])
    if "kernels" in wanted:
        show_kernels(record[f"kernels on {device}"]["rows"], device)


def kernels(device: str) -> dict[str, dict[str, object]]:
    """Times, ratios and memory of every kernel beside plain PyTorch."""
    script, tail = [sys.executable, str(HERE / "kernels.py")], ["--device", device]
    rows: dict[str, dict[str, object]] = {}
    for case in KERNELS:
        print(case, file=sys.stderr)
        rows[case] = dict(measured([*script, "time", case, *tail]))
    sides = [(case, side) for case in KERNELS if case not in ALONE for side in ("ours", "plain")]
    with ThreadPoolExecutor(len(sides) if device == "cuda" else 1) as pool:  # what else runs is no matter of memory
        found = pool.map(lambda pair: measured([*script, "memory", *pair, *tail]), sides)
        for (case, side), row in zip(sides, found, strict=True):
            rows[case][f"extra_mib_{side}"] = row["extra_mib"]
    if device == "cpu":
        rows["powers"] = dict(measured([*script, "powers"]))
    return rows


def show_kernels(rows: dict[str, dict[str, Any]], device: str) -> None:
    """Ratios are theirs over ours: median (quartiles of the rounds)."""
    table = Table(
        f"on {device}", "ours, ms", "plain, ms", "faster than plain", "than another", "extra MiB", "of plain's"
    )
    for case, title in KERNELS.items():
        row = rows[case]
        times, ratios = row["seconds"], row["ratios"]
        others = [name for name in ratios if name != "plain"]
        memory = "extra_mib_ours" in row
        table.add_row(
            title.format(images=16 if device == "cuda" else 2),
            f"{1000 * times['ours']:.2f}",
            f"{1000 * times['plain']:.1f}" if "plain" in times else "",
            quartiles(ratios["plain"]) if "plain" in ratios else "",
            ", ".join(f"{name} {quartiles(ratios[name])}" for name in others),
            f"{row['extra_mib_ours']:.1f}" if memory else "",
            f"{100 * row['extra_mib_ours'] / row['extra_mib_plain']:.1f} %" if memory else "",
        )
    Console(width=180).print(table)
    if "powers" in rows:
        print(f"limit: {rows['powers']['per_second'] / 1e9:.2f} exponentials per ns on all cores, in the first cache")


def quartiles(values: list[float]) -> str:
    return f"{values[1]:.1f} ({values[0]:.1f} to {values[2]:.1f})"


def measured(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def duration(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def show(results: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    """One table per measurement; ratios are ours over theirs, median (least to greatest)."""
    console = Console()
    if "train" in results:
        ours = results["train"][TRAIN[0]]
        table = Table("training step, 320x480, 21 classes", "images/s", "extra MiB", "our speed", "our memory")
        for name, rows in results["train"].items():
            speed = [a["images_per_s"] / b["images_per_s"] for a, b in zip(ours, rows, strict=True)]
            extra = [a["extra_mib"] / b["extra_mib"] for a, b in zip(ours, rows, strict=True)]
            columns = f"{middle(rows, 'images_per_s'):.2f}", f"{middle(rows, 'extra_mib'):.0f}"
            table.add_row(name, *columns, spread(speed), spread(extra))
        console.print(table)
    if "predict" in results:
        ours = results["predict"][PREDICT[0]]
        table = Table("prediction, one image of 320x480", "ms", "theirs / ours")
        for name, rows in results["predict"].items():
            ratio = [b["seconds"] / a["seconds"] for a, b in zip(ours, rows, strict=True)]
            table.add_row(name, f"{1000 * middle(rows, 'seconds'):.1f}", spread(ratio))
        console.print(table)
    if "networks" in results:
        columns = "images/s", "ours", "speed", "memory", "ms", "ours", "theirs/ours"
        table = Table("512x512, MobileNetV2: the peer, ours beside it", *columns)
        for title, (first, second) in PAIRS.items():
            ours = results["networks"][first]
            for theirs in (second, f"{second}+bf16"):
                if theirs not in results["networks"]:
                    continue
                pairs = list(zip(ours, results["networks"][theirs], strict=True))
                table.add_row(
                    title + theirs.removeprefix(second),
                    *(f"{middle(rows, 'images_per_s'):.2f}" for rows in (results["networks"][theirs], ours)),
                    spread([x["images_per_s"] / y["images_per_s"] for x, y in pairs]),
                    spread([x["extra_mib"] / y["extra_mib"] for x, y in pairs]),
                    *(f"{1000 * middle(rows, 'latency'):.1f}" for rows in (results["networks"][theirs], ours)),
                    spread([y["latency"] / x["latency"] for x, y in pairs]),
                )
        console.print(table)
    if "start" in results:
        table = Table("start-up", "s")
        for name, rows in results["start"].items():
            table.add_row(name, f"{middle(rows, 'seconds'):.2f}")
        console.print(table)


def show_samples(cases: dict[str, dict[str, list[float]]]) -> None:
    """Samples a second of one core; ratios to the last contestant, median (least to greatest) of the rounds."""
    for case, contestants in cases.items():
        table = Table(f"training samples of {case}, one core", "ms", "a second", "times as many")
        *_, peer = contestants.values()
        for name, times in contestants.items():
            ratios = [theirs / ours for theirs, ours in zip(peer, times, strict=True)]
            median = sorted(times)[len(times) // 2]
            table.add_row(name, f"{median:.2f}", f"{1000 / median:.0f}", spread(ratios))
        Console().print(table)


def middle(rows: list[dict[str, float]], field: str) -> float:
    return sorted(row[field] for row in rows)[len(rows) // 2]


def spread(ratios: list[float]) -> str:
    ordered = sorted(ratios)
    return f"{ordered[len(ordered) // 2]:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"


def machine() -> dict[str, object]:
    import torch

    info = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    packages = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "fullconv")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in packages},
    }


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"  # run from a source tree


if __name__ == "__main__":
    main()
