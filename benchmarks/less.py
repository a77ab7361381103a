"""Learning from less: the same network and budget, taught by masks, boxes, scribbles, points or tags.

    python benchmarks/less.py shapes --weights FILE --out RUNS
    python benchmarks/less.py camvid --data DATA --weights FILE --out RUNS

Trains every setting with three seeds, one run after the other (a run that is there is kept, one that was interrupted
goes on), and writes mean IoU on val, its share of full supervision and the minutes that somebody would have annotated
into ``benchmarks/less.json``, which ``--picture`` draws.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullconv import Superpixels, evaluate, open_dataset
from fullconv.data.dataset import DatasetSpec
from fullconv.palette import DISTINCT
from fullconv.weak import KINDS, supervise
from fullconv.weak.drawn import point_count, stroke_count

HERE = Path(__file__).resolve().parent
SECONDS = {"masks": 239.7, "boxes": 7.0, "scribbles": 10.9, "points": 2.4, "tags": 1.0}
"""A mask of an image; a box of an object; each stroke; a point of a piece; a tag of each class, asked for each image.

Masks, scribbles, points and tags: Bearman et al., "What's the Point", ECCV 2016, on PASCAL VOC; boxes: Papadopoulos et
al., "Extreme clicking", ICCV 2017.
"""


@dataclass(frozen=True)
class Study:
    """One table.

    Attributes:
        data: as ``fullconv train`` takes it; None: given on the command line.
        common: options of every run.
        settings: what differs.
        refined: settings whose runs are evaluated once more, with what may happen to whole images at prediction.
    """

    data: str | None
    common: tuple[str, ...]
    settings: dict[str, tuple[str, ...]]
    refined: tuple[str, ...] = ()


SCRIBBLES = ("--labels", "scribbles")
BOXES = ("--labels", "boxes")
TAGS = ("--labels", "tags")
STUDIES = {
    "camvid": Study(
        None,
        ("--model", "fcn8s", "--model-args.streams", "[32,16,8,4]", "--model-args.head-channels", "64",
         "--encoder", "mobilenetv2_100", "--crop", "192", "256", "--epochs", "16", "--batch-size", "8",
         "--rate", "2e-3", "--encoder-rate", "5e-4", "--weight-decay", "1e-2", "--ema", "0.99"),
        {
            "masks": ("--labels", "masks"),
            "scribbles": SCRIBBLES,
            "scribbles + CRF loss": (*SCRIBBLES, "--crf-loss", "0.1"),
            "points": ("--labels", "points"),
        },
    ),
    "shapes": Study(
        "shapes:height=96,width=96,train=300,val=100,occlusion=1,objects=3-5",
        ("--model", "fcn8s", "--encoder", "mobilenetv2_100", "--epochs", "9", "--batch-size", "8"),
        {
            "masks": ("--labels", "masks"),
            "scribbles": SCRIBBLES,
            "scribbles + CRF loss": (*SCRIBBLES, "--crf-loss", "0.1"),
            "boxes, filled": (*BOXES, "--box-labels", "filled"),
            "boxes, inner": (*BOXES, "--box-labels", "inner"),
            "boxes, Simple Does It": (*BOXES, "--box-labels", "grabcut"),
            "boxes, BoxSup": (*BOXES, "--box-labels", "boxsup"),
            "points": ("--labels", "points"),
            "tags, log-sum-exp": TAGS,
            "tags, MIL-max": (*TAGS, "--tag-pooling", "max"),
        },
        refined=("tags, log-sum-exp", "tags, MIL-max"),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", help="the folder, where the study names none")
    parser.add_argument("--weights", help="of the encoder; by default random ones")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the runs")
    parser.add_argument("--only", nargs="+", help="settings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, default=HERE / "less.json")
    parser.add_argument("--picture", type=Path, help="draw the curve of all studies in --json")
    options = parser.parse_args()
    study = STUDIES[options.study]
    data = options.data or study.data or parser.error(f"{options.study} needs --data")
    for seed in options.seeds:  # every setting once before any twice: what is there can be compared
        for name, more in study.settings.items():
            if not options.only or name in options.only:
                weights = ("--encoder-weights", options.weights) if options.weights else ()
                train(data, [*study.common, *weights, *more, "--seed", str(seed)], run_folder(options, name, seed))
    results = json.loads(options.json.read_text()) if options.json.is_file() else {}
    results[options.study] = collect(options, study, data)
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results[options.study]))
    if options.picture:
        draw(results, options.picture)


def run_folder(options: argparse.Namespace, name: str, seed: int) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in name)
    return Path(options.out) / f"{options.study}-{words}-{seed}"


def train(data: str, options: list[str], out: Path) -> None:
    """A run from its beginning, or from where it was interrupted; nothing where it has ended."""
    if (out / "done").is_file():
        return
    command = [str(Path(sys.executable).with_name("fullconv")), "train", data, "--out", str(out)]
    command += ["--resume"] if (out / "resume" / "state.pt").is_file() else options
    print(" ".join(command), file=sys.stderr, flush=True)
    subprocess.run(command, check=True)
    (out / "done").touch()


def collect(options: argparse.Namespace, study: Study, data: str) -> dict[str, Any]:
    """Of each setting: its runs' mean IoU on val, what it took to annotate, and what a constant map scores."""
    spec = open_dataset(data)
    minutes = annotation_minutes(spec)
    rows: dict[str, Any] = {}
    for name, more in study.settings.items():
        files = [run_folder(options, name, seed) / "scores.json" for seed in options.seeds]
        runs = [json.loads(file.read_text()) for file in files if file.with_name("done").is_file()]
        if runs:
            rows[name] = {"minutes": minutes[more[1]], "mean_iou": [run["mean_iou"] for run in runs]}
        if runs and name in study.refined:
            models = [file.with_name("best.safetensors") for file in files if file.with_name("done").is_file()]
            scores = [evaluate(model, data, image_prior=True, superpixels=Superpixels()) for model in models]
            rows[f"{name} + image prior, superpixels"] = {**rows[name], "mean_iou": [one.mean_iou for one in scores]}
    return {
        "data": study.data or options.study,
        "command": " ".join(study.common),
        "train_images": len(spec.split("train")),
        "constant_map": constant_map(spec),
        "settings": rows,
    }


def annotation_minutes(spec: DatasetSpec) -> dict[str, float]:
    """What the train images would have taken, by kind."""
    classes, images = spec.classes, len(spec.split("train"))
    boxes, strokes, points = 0, 0, 0
    for item in supervise(spec, "boxes").spec.split("train"):
        boxes += len(item.annotation.boxes())  # type: ignore[attr-defined]
    for item in spec.split("train"):  # a point for each piece, of the background too
        labels = item.annotation.label_map(len(classes), classes.ignore_index)
        strokes += stroke_count(labels, classes.ignore_index)
        points += point_count(labels, classes.ignore_index)
    print(f"{images} images: {boxes} boxes, {strokes} strokes, {points} points", file=sys.stderr)
    times = {"masks": images, "boxes": boxes, "scribbles": strokes, "points": points, "tags": images * len(classes)}
    return {kind: SECONDS[kind] * times[kind] / 60 for kind in KINDS}


def constant_map(spec: DatasetSpec) -> float:
    """The best mean IoU on val of a map of one class everywhere."""
    counts = np.zeros(len(spec.classes), np.int64)
    for item in spec.split("val"):
        labels = item.annotation.label_map(len(counts), spec.classes.ignore_index)
        counts += np.bincount(labels.ravel(), minlength=len(counts))[: len(counts)]
    return float(counts.max() / counts.sum() / (counts > 0).sum())


def table(study: dict[str, Any]) -> str:
    """Markdown."""
    full = statistics.mean(study["settings"]["masks"]["mean_iou"]) if "masks" in study["settings"] else math.nan
    lines = [
        "| taught by | annotation, minutes | val mean IoU, mean (lowest to highest) | of masks' |", "|---|---|---|---|"
    ]  # fmt: skip
    for name, row in study["settings"].items():
        scores = row["mean_iou"]
        mean = statistics.mean(scores)
        spread = f"{min(scores):.3f} to {max(scores):.3f}, {len(scores)} run{'s' * (len(scores) > 1)}"
        lines.append(f"| {name} | {row['minutes']:,.0f} | {mean:.3f} ({spread}) | {mean / full:.1%} |")
    lines.append(f"| one class everywhere | 0 | {study['constant_map']:.3f} | {study['constant_map'] / full:.1%} |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Mean IoU against annotation minutes, a panel for each study."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(7 * len(results), 6.5))
    figure.subplots_adjust(0.05, 0.35, 0.99, 0.96, wspace=0.14)
    for axes, (name, study) in zip(np.atleast_1d(figure.subplots(1, len(results))), results.items(), strict=True):
        for number, (setting, row) in enumerate(study["settings"].items()):
            mean = statistics.mean(row["mean_iou"])
            error = [[mean - min(row["mean_iou"])], [max(row["mean_iou"]) - mean]]
            look = {
                "fmt": "osD^vPX"[number % 7],
                "color": [channel / 255 for channel in DISTINCT[number]],
                "capsize": 3,
            }
            axes.errorbar(row["minutes"], mean, error, label=setting, **look)
        axes.axhline(study["constant_map"], color="grey", linestyle=":", label="one class everywhere")
        axes.set(xscale="log", xlabel="annotation of the train images, minutes", ylabel="mean IoU on val", ylim=(0, 1))
        axes.set_title(f"{name}: {study['train_images']} train images, same network and budget", fontsize="medium")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(-0.08, -0.11), ncols=2, frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
