"""What ``fullconv train DATA --minutes M`` chooses, beside what it did before: ResNet-34, random weights, 30 epochs.

    python benchmarks/choosing.py ../shared/data OUT --minutes 4 [--weights FILE] [--only NAME ...] [--seeds 0 1 2]

Each data set is trained both ways, one run after the other (a run that has ended is kept): val mean IoU of the best
epoch, and the minutes that the whole command took. ``OUT/choosing.json`` keeps them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SCENES = {
    "shapes": "shapes",
    "shapes, thin": "shapes:lines=4",
    "shapes, imbalanced": "shapes:num_classes=8,imbalance=50",
    "shapes, 20 classes": "shapes:num_classes=20,objects=3-6",
}
FOLDERS = {"KITTI Road": "kitti_road", "VOC sample": "voc_sample", "CamVid": "camvid"}
BEFORE = ("--encoder", "resnet34", "--epochs", "30")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that holds camvid, kitti_road and voc_sample")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", default="4", help="of what is chosen")
    parser.add_argument("--weights", help="of the encoder, for what is chosen")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    sets = {**SCENES, **{name: str(options.data / folder) for name, folder in FOLDERS.items()}}
    weights = ("--encoder-weights", options.weights) if options.weights else ()
    ways = {"chosen": ("--minutes", options.minutes, *weights), "before": BEFORE}
    rows: dict[str, dict[str, list[list[float]]]] = {}
    for seed in options.seeds:
        for name, data in sets.items():
            if options.only and name not in options.only:
                continue
            for way, arguments in ways.items():
                out = options.out / f"{name.replace(', ', '-').replace(' ', '-')}-{way}-{seed}"
                found = trained(data, [*arguments, "--seed", str(seed)], out)
                rows.setdefault(name, {}).setdefault(way, []).append(found)
                print(f"{name}, {way}, seed {seed}: mean IoU {found[0]:.4f} in {found[1]:.1f} minutes", flush=True)
    (options.out / "choosing.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("| data | chosen | minutes | before | minutes |\n|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {cells(row['chosen'])} | {cells(row['before'])} |")


def trained(data: str, options: list[str], out: Path) -> list[float]:
    """Val mean IoU and minutes of a run; as they were where it has ended before."""
    done = out / "minutes.json"
    if not done.is_file():
        command = [str(Path(sys.executable).with_name("fullconv")), "train", data, "--out", str(out), *options]
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        done.write_text(json.dumps((time.monotonic() - started) / 60))
    return [json.loads((out / "scores.json").read_text())["mean_iou"], json.loads(done.read_text())]


def cells(runs: list[list[float]]) -> str:
    scores = [score for score, _ in runs]
    spread = f" ({min(scores):.3f} to {max(scores):.3f})" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.3f}{spread} | {statistics.mean(minutes for _, minutes in runs):.1f}"


if __name__ == "__main__":
    main()
