"""The region route beside an FCN: seconds for one image by stage, and mean IoU on shapes.

    python benchmarks/regions.py time IMAGE WEIGHTS
    python benchmarks/regions.py compare WEIGHTS OUT
    python benchmarks/regions.py compare WEIGHTS OUT --data ../shared/data/camvid --every 6 4

WEIGHTS are those of a MobileNetV2 trained on ImageNet (timm's mobilenetv2_100, .safetensors). `time` brings IMAGE to
500x375 and gives the median of three calls after one, and the processor's time beside it: on a busy machine, with
`--threads 1`, that is what to compare. `compare` trains each on the same images, of `shapes` or of --data (every sixth
of train and every fourth of val: --every 6 4), the FCN for 20 epochs: scores, and the processor's seconds for a val
image and for training.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import fullconv
from fullconv.formats.read import VOC_CLASSES
from fullconv.models import build_model
from fullconv.regions.options import RegionOptions
from fullconv.regions.segmenter import RegionSegmenter, encoder_of
from fullconv.spec import Preprocessing

ENCODER = "mobilenetv2_100"
DATA = "shapes:height=128,width=128,train=48,val=32"
MODELS = {
    "FCN-8s": {"model": "fcn8s", "epochs": 20},
    "R-CNN, warped boxes": {"model": "rcnn"},
    "SDS, warped boxes and masks": {"model": "sds"},
    "SDS, refined by a grid": {"model": "sds", "model_args": {"refine": "grid"}},
    "SDS, pooled from one pass": {"model": "sds", "model_args": {"features": "pooled"}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    verbs = parser.add_subparsers(dest="verb", required=True)
    timing = verbs.add_parser("time")
    timing.add_argument("image", type=Path)
    timing.add_argument("weights", type=Path)
    scores = verbs.add_parser("compare")
    scores.add_argument("weights", type=Path)
    scores.add_argument("out", type=Path)
    scores.add_argument("--data", default=DATA)
    scores.add_argument("--every", type=int, nargs=2, default=(1, 1), metavar=("TRAIN", "VAL"))
    scores.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.verb == "time":
        time_one(np.asarray(Image.open(options.image).convert("RGB").resize((500, 375))), options.weights)
    else:
        compare(options.weights, options.out, options.data, options.every, options.only)


def time_one(image: np.ndarray, weights: Path) -> None:
    built = build_model("fcn8s", len(VOC_CLASSES), ENCODER, str(weights))
    fcn = fullconv.Segmenter(built, VOC_CLASSES, Preprocessing(built.mean, built.std)).to("cpu")
    report("FCN-8s, all", partial(fcn.predict, image))
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
    for name, features in (("rcnn", "warped"), ("sds", "warped"), ("sds", "pooled")):
        options = RegionOptions(features=features)
        built = encoder_of(name, len(VOC_CLASSES), ENCODER, str(weights), options=options)
        model = RegionSegmenter(name, built, VOC_CLASSES, Preprocessing(built.mean, built.std), options).to("cpu")
        runner = model.runner
        # as many positive scores as a trained model may have at worst: each class competes in all its places
        runner.parts.svm_weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
        proposals = runner.proposals(pixels)
        if name == "rcnn":
            report(f"selective search, {len(proposals)} regions", partial(runner.proposals, pixels))
        report(f"{name}, {features} features", partial(runner.describe, pixels, proposals))
        report(f"{name}, {features}, all", partial(model.predict, image))


def report(what: str, call: Callable[[], object]) -> None:
    call()
    wall, processor = [], []
    for _ in range(3):
        before = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - before[0])
        processor.append(time.process_time() - before[1])
    print(f"{what}: {np.median(wall):.2f} s, {np.median(processor):.2f} s of a processor", flush=True)


def compare(weights: Path, out: Path, data: str, every: Sequence[int], only: list[str]) -> None:
    whole = fullconv.open_dataset(data)
    splits = {name: whole.split(name)[::step] for name, step in zip(("train", "val"), every, strict=True)}
    spec = dataclasses.replace(whole, splits=splits)
    for name in only:
        options = MODELS[name]
        folder = out / name.replace(" ", "_").replace(",", "")
        before = time.process_time()
        run = fullconv.train(
            spec, folder, encoder=ENCODER, encoder_weights=str(weights), workers=0, quiet=True, **options
        )
        training = time.process_time() - before
        segmenter = run.segmenter("cpu")
        images = [item.image.read(3).image for item in spec.split("val")]
        segmenter.predict(images[0])
        before = time.process_time()
        for image in images:
            segmenter.predict(image)
        each = (time.process_time() - before) / len(images)
        print(
            f"{name}: mean IoU {run.scores['mean_iou']:.3f}, {each:.3f} s an image, {training:.0f} s to train",
            flush=True,
        )


if __name__ == "__main__":
    main()
