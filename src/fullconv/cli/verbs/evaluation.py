"""``evaluate``, ``compare``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Compared, Data, Model, Precision, Runner
from fullconv.cli.verbs.shared import app, as_json, computes_on, say, say_data, starting
from fullconv.errors import UsageError, plural
from fullconv.there import refuse_folders

EVALUATE = (
    "fullconv evaluate runs/mine",
    "fullconv evaluate runs/mine my_data --split test --report scores.html",
    "fullconv evaluate model.onnx my_data --json scores.json --pictures pictures",
)
SECTIONS = {
    "What is scored": "split", "Better labels": "scales", "Large images": "tile", "What is written": "json",
    "Machine": "device",
}  # fmt: skip
"""Titles of the help, and the first option of each."""
COMPARE = (
    "fullconv compare runs/first runs/second",
    "fullconv compare a.safetensors b.safetensors --data my_data --split test",
)


@app.command(help_formatter=Help(*EVALUATE, sections=SECTIONS), usage="Usage: fullconv evaluate MODEL [DATA] [OPTIONS]")
def evaluate(
    model: Model,
    data: Data = "",
    /,
    *,
    split: str = "val",
    restrict: bool = False,
    scales: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    flip: bool = False,
    image_prior: bool = False,
    superpixels: bool = False,
    crf: bool = False,
    crf_with: str = "",
    tile: int = 2048,
    overlap: int | None = None,
    json: Path | None = None,
    pictures: Path | None = None,
    report: Path | None = None,
    per_image: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    runner: Runner = "auto",
    workers: int | None = None,
) -> int:
    """Score MODEL on DATA at full image resolution: the masks that predict writes, against the truth.

    Says which classes are taken for which, which images are worst, and for classes that fail why, and what to try.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes; by
        default what MODEL, a run folder, learned from.
    split
        The split to score.
    restrict
        Choose the class of each pixel among those that DATA labels. Without it a pixel predicted as another class is an
        error, as it would be in a mask that predict writes; how many there are is said.
    scales
        Average the probabilities of each image at several scales of its sides: 0.5 0.75 1 1.25 1.5.
    flip
        Average with those of the mirrored image, at every scale.
    image_prior
        Multiply by how probable each class is in the image as a whole, of a model that was trained with image tags.
        This, --superpixels and --crf refine the label maps in this order; the loss stays the network's own.
    superpixels
        Let every superpixel have one class: needs the extra weak.
    crf
        Refine the label maps with a fully connected CRF.
    crf_with
        The same with other settings: appearance=3,colour_deviation=5,...
    tile
        As for predict.
    overlap
        As for predict.
    json
        Also write the scores to this file.
    pictures
        A folder for confusion.png and worst.png: the worst images beside truth, prediction and errors.
    report
        An HTML page to write: scores with 95 % intervals, findings, confusion, calibration, boundaries, images.
    per_image
        A CSV table to write: mean IoU, pixel accuracy and confidence of each image.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    workers
        Reading processes; by default by the number of cores.
    """
    if not data:
        _refuse_no_run((model,), "fullconv evaluate MODEL DATA")
    refuse_folders(json, report, per_image)
    with starting():
        from fullconv.cli.report import evaluation_report
        from fullconv.cli.tables import score_table
        from fullconv.crf import CRF
        from fullconv.evaluation.evaluate import evaluate as score
        from fullconv.evaluation.pictures import CONFUSION, WORST
        from fullconv.files import write_text
        from fullconv.formats.open import open_dataset
        from fullconv.model_file import model_file
        from fullconv.pretrained import find_model
        from fullconv.refinement import Superpixels
        from fullconv.views import Views

        computing = computes_on(model, device)
    crf_settings = CRF.parse(crf_with) if crf or crf_with else None
    pieces = Superpixels() if superpixels else None
    views = Views(tuple(scales or (1.0,)), flip)
    data = data or _data_of(model)
    with Bar("evaluate", device=computing) as progress:
        model_file(find_model(model))  # a missing one is refused before data are read
        spec = open_dataset(data)
        say_data(f"{spec.title}, {plural(len(spec.split(split)), 'image')} of {split}", spec.reasons)
        scores = score(
            model,
            spec,
            split,
            restrict=restrict,
            views=views,
            image_prior=image_prior,
            superpixels=pieces,
            crf=crf_settings,
            tile=tile,
            overlap=overlap,
            device=device,
            precision=precision,
            runner=runner,
            workers=workers,
            pictures=pictures,
            report=report,
            per_image=per_image,
            progress=progress,
        )
    score_table(scores, what=f"{spec.root}, {split}")
    evaluation_report(scores, written=report or json)
    for file in filter(None, (report, per_image)):
        say(f"written: {file}")
    if pictures is not None:
        say(f"pictures: {', '.join(str(pictures / name) for name in (CONFUSION, WORST)[: 1 + bool(scores.worst)])}")
    if json is not None:
        asked = {
            "model": str(model), "data": data, "split": split, "restrict": restrict,
            "views": dataclasses.asdict(views), "image_prior": image_prior,
            "superpixels": None if pieces is None else dataclasses.asdict(pieces),
            "crf": None if crf_settings is None else dataclasses.asdict(crf_settings),
        }  # fmt: skip
        write_text(json, as_json({**scores.to_dict(), "confusion": scores.confusion.tolist(), **asked}))
    return 0


@app.command(help_formatter=Help(*COMPARE), usage="Usage: fullconv compare MODELS [OPTIONS]")
def compare(
    *models: Compared,
    data: Data = "",
    split: str = "val",
    restrict: bool = False,
    scales: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    flip: bool = False,
    json: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    runner: Runner = "auto",
    workers: int | None = None,
) -> int:
    """Score two or more models on the same images, and say whether the differences are real.

    Images are drawn with replacement, the same for all models, 1,000 times: a difference is real where 0 lies outside
    of its 95 % interval. That is about other images of this kind, not about another training of the same network.

    Parameters
    ----------
    models
        Model files or run folders; the first is what others are compared with.
    data
        As for evaluate; by default what the first one, a run folder, learned from.
    split
        The split to score.
    restrict
        As for evaluate.
    scales
        As for evaluate.
    flip
        As for evaluate.
    json
        Also write scores and differences to this file.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    workers
        Reading processes; by default by the number of cores.
    """
    if not data:
        _refuse_no_run(models, "--data DATA")
    with starting():
        from fullconv.cli.tables import comparison_table
        from fullconv.evaluation.compare import compare as compared
        from fullconv.files import write_text
        from fullconv.views import Views

        computing = computes_on(models[0], device) if models else ""
    views = Views(tuple(scales or (1.0,)), flip)
    with Bar("compare", device=computing) as progress:
        found = compared(
            models, data or _data_of(models[0]), split, restrict=restrict, views=views, device=device,
            precision=precision, runner=runner, workers=workers, progress=progress,
        )  # fmt: skip
    comparison_table(found)
    if json is not None:
        write_text(json, as_json({**found.to_dict(), "split": split}))
    return 0


def _refuse_no_run(models: tuple[Path, ...], how: str) -> None:
    """Of the first model, whose data are taken.

    Raises:
        UsageError: it is no run folder; ``how`` data is given then.
    """
    if not models or not models[0].is_dir():
        raise UsageError(f"only a run folder knows its data; give it: {how}")


def _data_of(run: Path) -> str:
    """What a run learned from."""
    from fullconv.training.resume import data_of
    from fullconv.training.run import Run

    return data_of(Run(run))
