"""``train``, ``sweep``, ``evaluate``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.bars import Bar
from fullconv.cli.help import Grouped
from fullconv.cli.typed import LATEST
from fullconv.cli.verbs.shared import app, as_json, computes_on
from fullconv.training.config import TrainConfig

TRAIN = (
    "fullconv train my_data --encoder-weights imagenet",
    "fullconv train my_data --epochs 60 --rate 5e-4 --out runs/longer",
    "fullconv train camvid --recipe camvid_fcn8s_mobilenetv2",
    "fullconv train --resume runs/longer",
)
SWEEP = (
    "fullconv sweep my_data --over rate=0.002,0.001,0.0005 --out study",
    "fullconv sweep my_data --over encoder=resnet18,mobilenetv2_100 --out study",
)
OPTIONS = Parameter(name="*", show_choices=False)
"""Every training option as a flag; their descriptions say the choices already."""


@app.command(help_formatter=Grouped(*TRAIN), usage="Usage: fullconv train DATA [OPTIONS]")
def train(
    data: str = "",
    /,
    *,
    out: Path | None = None,
    recipe: Path | None = None,
    resume: Path | None = None,
    config: Annotated[TrainConfig | None, OPTIONS] = None,
) -> int:
    """Train a network on DATA.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes. A run
        that is resumed knows its own.
    out
        The run folder; by default runs/DATA-MODEL-N. It is never overwritten.
    recipe
        A YAML file of the options below, or the name of one that fullconv recipes lists; flags override it.
    resume
        Continue this run where it stopped, with its own data and options; alone: the run --out, by default runs/latest.
    config
        Training options.
    """
    import fullconv

    given = config.model_dump(exclude_unset=True) if config else {}
    run = True if resume == Path(LATEST) else resume or False
    fullconv.train(data or None, out, recipe=recipe, resume=run, **given)
    return 0


@app.command
def recipes(name: str = "", /) -> int:
    """List the recipes that come with fullconv, or print the one called NAME with its command, time and score.

    Parameters
    ----------
    name
        One of the list; train takes it as --recipe NAME.
    """
    import fullconv
    from fullconv.cli.tables import recipes_table
    from fullconv.training.recipes import subject

    found = fullconv.recipes(name)
    if name:
        print(found[name], end="")
    else:
        recipes_table({title: subject(text) for title, text in found.items()})
    return 0


@app.command(help_formatter=Grouped(*SWEEP))
def sweep(
    data: str,
    /,
    *,
    over: str,
    out: Path,
    recipe: Path | None = None,
    jobs: int = 1,
    config: Annotated[TrainConfig | None, OPTIONS] = None,
) -> int:
    """Train once for each value of one option: one table, one picture of the same samples.

    Called again with the same --out, finished runs are kept and interrupted ones go on.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
    over
        OPTION=VALUE,VALUE,..., for example rate=0.001,0.0003, 'crop=[256,256],[384,384]' or (VGG16)
        encoder-args.dropout=0.5,0.25.
    out
        The folder for the runs, sweep.csv and sweep.png.
    recipe
        A YAML file of the options below, or the name of one that fullconv recipes lists; flags override it.
    jobs
        Runs at a time; they share the cores.
    config
        Training options.
    """
    from fullconv.cli.tables import sweep_table
    from fullconv.training.sweep import sweep as train_each

    given = config.model_dump(exclude_unset=True) if config else {}
    with Bar("sweep", "runs") as done:
        found = train_each(data, over, out, recipe=recipe, jobs=jobs, progress=print, done=done, **given)
    sweep_table(found)
    return 0


@app.command
def evaluate(
    model: Path,
    data: str,
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
    precision: str = "auto",
    runner: str = "auto",
    workers: int | None = None,
) -> int:
    """Score MODEL on DATA at full image resolution: the masks that predict writes, against the truth.

    Says which classes are taken for which, which images are worst, and for classes that fail why, and what to try.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
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
        The same with other settings: appearance=3,position_deviation=30,colour_deviation=5,...
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
    from fullconv.cli.report import evaluation_report
    from fullconv.cli.tables import score_table
    from fullconv.crf import CRF
    from fullconv.evaluation.evaluate import evaluate as score
    from fullconv.evaluation.pictures import CONFUSION, WORST
    from fullconv.files import write_text
    from fullconv.refinement import Superpixels
    from fullconv.views import Views

    crf_settings = CRF.parse(crf_with) if crf or crf_with else None
    pieces = Superpixels() if superpixels else None
    views = Views(tuple(scales or (1.0,)), flip)
    with Bar("evaluate", device=computes_on(model, device)) as progress:
        scores = score(
            model,
            data,
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
    score_table(scores)
    evaluation_report(scores)
    for file in filter(None, (report, per_image)):
        print(f"written: {file}")
    if pictures is not None:
        print(f"pictures: {', '.join(str(pictures / name) for name in (CONFUSION, WORST)[: 1 + bool(scores.worst)])}")
    if json is not None:
        asked = {
            "model": str(model), "data": data, "split": split, "restrict": restrict,
            "views": dataclasses.asdict(views), "image_prior": image_prior,
            "superpixels": None if pieces is None else dataclasses.asdict(pieces),
            "crf": None if crf_settings is None else dataclasses.asdict(crf_settings),
        }  # fmt: skip
        write_text(json, as_json({**scores.to_dict(), "confusion": scores.confusion, **asked}))
    return 0
