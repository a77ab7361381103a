"""``review``: how many of its first 100 places are truly wrong, what it costs beside ``evaluate``, and what it chooses.

    python benchmarks/review.py wrong --data CAMVID --model RUN ... --out OUT   # models that have not seen val
    python benchmarks/review.py folds --data CAMVID --weights FILE --out OUT    # cross-validated: train is judged
    python benchmarks/review.py cost --data CAMVID --model RUN --out OUT        # beside evaluate, in turn
    python benchmarks/review.py next --weights FILE --out OUT                   # chosen images beside random ones

``wrong`` and ``folds``: 5 % of the connected regions of a split are relabelled by a seeded rule, the masks written as a
data set of their own; a place counts as truly wrong where at least half of its pixels were relabelled. What is there in
OUT is kept. Results go into ``benchmarks/review.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fullconv import evaluate, open_dataset, review, train
from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.drawing import Annotations
from fullconv.data.sample import Sample, read_sample
from fullconv.formats.write import TARGETS
from fullconv.reviewing.result import Place, joined
from fullconv.weak import medial

HERE = Path(__file__).resolve().parent
SHARE = 0.05
"""Of the 8-connected regions, whatever their size."""
FOLDS, FIRST = 2, 100
CAMVID: dict[str, Any] = {
    "model": "fcn8s", "model_args": {"streams": [32, 16, 8, 4], "head_channels": 64}, "encoder": "mobilenetv2_100",
    "crop": [192, 256], "batch_size": 8, "rate": 2e-3, "encoder_rate": 5e-4, "weight_decay": 1e-2, "ema": 0.99,
    "epochs": 8, "check": False,
}  # fmt: skip
"""As in the CamVid study of benchmarks/less.py, for half of its epochs."""
POOL = "shapes:height=64,width=64,train=400,val=200,num_classes=7,objects=1-2,imbalance=50"
SHAPES: dict[str, Any] = {
    "model": "fcn8s", "encoder": "mobilenetv2_100", "epochs": 30, "batch_size": 8, "check": False, "workers": 0,
}  # fmt: skip
BEGIN, CHOSEN = 20, 40
"""Images of the pool that have a mask at first, at random; and that get one then."""


# -- wrong masks ------------------------------------------------------------------------------------------------------


def relabelled(labels: np.ndarray, classes: int, ignore: int, random: np.random.Generator) -> np.ndarray:
    """Each region is drawn with a chance of :data:`SHARE`; a drawn one gets another class, any with equal chance."""
    ids, numbers = np.ascontiguousarray(labels, np.int32), np.zeros(labels.shape, np.int32)
    count = medial.components(ids, ignore, np.zeros(ids.size + 1, np.int32), numbers)
    table = np.array([ignore, *medial.bounds(numbers, ids, count)[:, 0]])
    for region in range(1, count + 1):
        if random.random() < SHARE:
            table[region] = (table[region] + random.integers(1, classes)) % classes
    return table[numbers].astype(labels.dtype)


def corrupted(data: str, split: str, seed: int, out: Path) -> DatasetSpec:
    """A copy of one split as a data set whose val it is; ``changed/ID.npy``: which pixels were relabelled, packed."""
    if not out.exists():
        spec = open_dataset(data)
        items, random = spec.split(split), np.random.default_rng(seed)
        (partial := out.with_suffix(".part")).mkdir(parents=True)
        (partial / "changed").mkdir()
        writer = TARGETS["folder"](dataclasses.replace(spec, splits={"train": items}), partial, [])
        for item in items:
            sample = read_sample(spec, item)
            labels = relabelled(sample.labels, len(spec.classes), spec.classes.ignore_index, random)
            writer.add("train", item.id, item, Sample(item.id, sample.image, labels))
            np.save(partial / "changed" / f"{item.id}.npy", np.packbits(labels != sample.labels))
        writer.finish({"train": [item.id for item in items]})
        shutil.move(partial, out)
    spec = open_dataset(out)
    every = [item for items in spec.splits.values() for item in items]
    return dataclasses.replace(spec, splits={"val": sorted(every, key=lambda item: item.id)})


def truly_wrong(places: Sequence[Place], spec: DatasetSpec) -> list[bool]:
    """Whether at least half of the pixels of each place were relabelled."""
    items, found = {item.id: item for item in spec.split("val")}, []
    for place in places:
        labels = read_sample(spec, items[place.image]).labels
        packed = np.load(spec.root / "changed" / f"{place.image}.npy")
        changed = np.unpackbits(packed, count=labels.size).reshape(labels.shape)
        ids, numbers = np.ascontiguousarray(labels, np.int32), np.zeros(labels.shape, np.int32)
        count = medial.components(ids, spec.classes.ignore_index, np.zeros(ids.size + 1, np.int32), numbers)
        sizes = np.bincount(numbers.ravel())[1:]
        box = (spec.classes.names.index(place.label), *place.box)
        same = [i for i, row in enumerate(medial.bounds(numbers, ids, count).tolist()) if tuple(row) == box]
        region = numbers == 1 + next(i for i in same if sizes[i] == place.pixels)
        found.append(bool(changed[region].mean() >= 0.5))
    return found


def counted(places: Sequence[Place], spec: DatasetSpec) -> dict[str, Any]:
    right = truly_wrong(places, spec)
    return {"places": len(places), "truly_wrong": sum(right), f"of_the_first_{FIRST}": sum(right[:FIRST])}


def wrong(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A model that has not seen val, on masks of val."""
    rows = []
    for model in options.model:
        for seed in options.seeds:
            spec = corrupted(options.data, "val", seed, options.out / f"val-{seed}")
            found = review(model, spec, workers=0)
            rows.append({"model": Path(model).name, "seed": seed, **counted(found.places, spec)})
            print(rows[-1], flush=True)
    return rows


def folds(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Models that learn from wrong masks of one part of train judge the other: neighbouring frames lie in one part."""
    rows = []
    for seed in options.seeds:
        spec = corrupted(options.data, "train", seed, options.out / f"train-{seed}")
        items: Sequence[Item] = spec.split("val")
        edges, reviews = [round(len(items) * k / FOLDS) for k in range(FOLDS + 1)], []
        for fold, (start, end) in enumerate(pairwise(edges)):
            held, rest = items[start:end], [*items[:start], *items[end:]]
            part = dataclasses.replace(spec, splits={"train": rest, "val": held[::23]})  # few: nothing is chosen by it
            model = trained(part, options.out / f"fold-{seed}-{fold}", CAMVID, options.weights, seed)
            whole = dataclasses.replace(spec, splits={"val": held})
            reviews.append(review(model, whole, workers=0))
            print(fold, counted(reviews[-1].places, spec), flush=True)
        rows.append({"seed": seed, **counted(joined(reviews).places, spec)})
        print(rows[-1], flush=True)
    return rows


def trained(spec: DatasetSpec, out: Path, options: dict[str, Any], weights: str, seed: int) -> Path:
    """The run's last model: none is chosen by val; a run that is there is kept."""
    if not (out / "done").is_file():
        if out.exists():
            shutil.rmtree(out)
        train(spec, out, encoder_weights=weights, seed=seed, **options)
        (out / "done").touch()
    return out / "last.safetensors"


# -- cost -------------------------------------------------------------------------------------------------------------


def cost(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both commands in turn, each in a process of its own."""
    program, rows = str(Path(sys.executable).with_name("fullconv")), []
    for round_ in range(options.rounds):
        row: dict[str, Any] = {"round": round_}
        for verb, more in (("evaluate", []), ("review", ["--split", "val", "--out", str(options.out / "cost.html")])):
            command = [program, verb, options.model[0], options.data, *more]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{' '.join(command)}: failed")
            row[verb] = {
                "seconds": time.perf_counter() - start, "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_MiB": used.ru_maxrss / 1024,
            }  # fmt: skip
        row["ratio"] = {name: row["review"][name] / row["evaluate"][name] for name in row["review"]}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


# -- what to label next -----------------------------------------------------------------------------------------------


def label_next(options: argparse.Namespace) -> list[dict[str, Any]]:
    """From :data:`BEGIN` masks: :data:`CHOSEN` images chosen by review beside as many random ones, trained equally."""
    rows, spec = [], open_dataset(POOL)
    pool = spec.split("train")
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(pool)).tolist()
        begin, rest = [pool[i] for i in order[:BEGIN]], [pool[i] for i in order[BEGIN:]]

        def run(name: str, items: Sequence[Item], seed: int = seed) -> Path:
            part = dataclasses.replace(spec, splits={"train": items, "val": spec.split("val")[:8]})
            return trained(part, options.out / f"next-{name}-{seed}", SHAPES, options.weights, seed)

        first = run("begin", begin)
        bare = [
            dataclasses.replace(item, annotation=Annotations(item.id, (0, 0), (), has_label_map=False)) for item in rest
        ]
        found = review(first, dataclasses.replace(spec, splits={"train": [*begin, *bare]}), budget=CHOSEN, workers=0)
        by_id = {item.id: item for item in rest}
        chosen = [by_id[one.image] for one in found.label_next]
        scores = {
            name: evaluate(run(name, [*begin, *more]), spec, workers=0).mean_iou
            for name, more in (("chosen", chosen), ("random", rest[:CHOSEN]))
        }
        rows.append({"seed": seed, "begin": evaluate(first, spec, workers=0).mean_iou, **scores})
        print(rows[-1], flush=True)
    gains = [row["chosen"] - row["random"] for row in rows]
    print(f"chosen less random, mean: {statistics.mean(gains):+.4f}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("wrong", "folds", "cost", "next"))
    parser.add_argument("--data", default="", help="CamVid's folder")
    parser.add_argument("--model", nargs="+", default=[], help="models that have not seen val")
    parser.add_argument("--weights", default="none", help="of the encoder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=HERE / "review.json")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = {"wrong": wrong, "folds": folds, "cost": cost, "next": label_next}[options.what](options)
    results = json.loads(options.json.read_text()) if options.json.is_file() else {}
    results[options.what] = rows
    options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
