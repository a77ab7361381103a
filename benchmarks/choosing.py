"""What ``fullconv train DATA --minutes M`` chooses, beside what it did before: ResNet-34 from random weights, crops of
the images' size, and every other option as ``train --help`` has it, for the same minutes.

    python benchmarks/choosing.py ../shared/data OUT --minutes 4 [--weights FILE] [--only NAME ...] [--seeds 0 1 2]

Each data set is trained both ways, one run after the other (a run that has ended is kept): val mean IoU of the best
epoch, and the minutes that the whole command took. ``OUT/choosing.json`` keeps them. Without --weights the encoder's
are those that are cached or can be fetched.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import yaml

from fullconv import open_dataset
from fullconv.training.config import TrainConfig

SCENES = {
    "shapes": "shapes",
    "shapes, thin": "shapes:lines=4",
    "shapes, imbalanced": "shapes:num_classes=8,imbalance=50",
    "shapes, 20 classes": "shapes:num_classes=20,objects=3-6",
}
FOLDERS = {"KITTI Road": "kitti_road", "VOC sample": "voc_sample", "CamVid": "camvid"}


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
    rows: dict[str, dict[str, list[list[float]]]] = {}
    for seed in options.seeds:
        for name, data in sets.items():
            if options.only and name not in options.only:
                continue
            before = options.out / f"before-{name.replace(', ', '-').replace(' ', '-')}.yaml"
            write_before(before, data)
            for way, arguments in {"chosen": weights, "before": ("--recipe", str(before))}.items():
                out = options.out / f"{name.replace(', ', '-').replace(' ', '-')}-{way}-{seed}"
                found = trained(data, [*arguments, "--minutes", options.minutes, "--seed", str(seed)], out)
                rows.setdefault(name, {}).setdefault(way, []).append(found)
                print(f"{name}, {way}, seed {seed}: mean IoU {found[0]:.4f} in {found[1]:.1f} minutes", flush=True)
    (options.out / "choosing.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("| data | chosen | minutes | before | minutes |\n|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {cells(row['chosen'])} | {cells(row['before'])} |")


def write_before(path: Path, data: str) -> None:
    """A recipe that leaves nothing to be chosen but the epochs."""
    config = TrainConfig(encoder_weights="none").model_dump(mode="json", exclude={"minutes", "epochs", "seed"})
    sizes = Counter(item.image.size() for item in open_dataset(data).split("train"))
    height, width = sizes.most_common(1)[0][0]
    config["crop"] = [min(height, 512), min(width, 512)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))


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
