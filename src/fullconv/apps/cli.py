"""The command line: one verb, one function. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError

from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.training.config import TrainConfig, explain

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # CUDA's and the CPU allocator's

app = App(
    name="fullconv",
    help="Semantic segmentation with fully convolutional networks: from a folder of images and masks to masks of "
    "new images. DATA is a folder, a zip or tar archive, or the name shapes; MODEL is a model file or a run folder.",
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), negative_none=()),
    result_action="return_value",
)


@app.command
def train(
    data: str,
    /,
    *,
    out: Path | None = None,
    recipe: Path | None = None,
    resume: bool = False,
    config: Annotated[TrainConfig | None, Parameter(name="*")] = None,
) -> int:
    """Train a network on DATA.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, or shapes.
    out
        The run folder; by default runs/DATA-MODEL-N. It is never overwritten.
    recipe
        A YAML file of the options below; flags override it.
    resume
        Continue the run --out (by default runs/latest) where it stopped.
    config
        Training options.
    """
    import fullconv

    given = config.model_dump(exclude_unset=True) if config else {}
    fullconv.train(data, out, recipe=recipe, resume=resume, **given)
    return 0


@app.command
def sweep(
    data: str,
    /,
    *,
    over: str,
    out: Path,
    recipe: Path | None = None,
    jobs: int = 1,
    config: Annotated[TrainConfig | None, Parameter(name="*")] = None,
) -> int:
    """Train once for each value of one option: one table, one picture of the same samples.

    Called again with the same --out, finished runs are kept and interrupted ones go on.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, or shapes.
    over
        OPTION=VALUE,VALUE,..., for example encoder-args.dropout=0.5,0.25.
    out
        The folder for the runs, sweep.csv and sweep.png.
    recipe
        A YAML file of the options below; flags override it.
    jobs
        Runs at a time; they share the cores.
    config
        Training options.
    """
    from fullconv.apps.sweep import sweep as train_each
    from fullconv.apps.tables import sweep_table

    given = config.model_dump(exclude_unset=True) if config else {}
    found = train_each(data, over, out, recipe=recipe, jobs=jobs, progress=print, **given)
    sweep_table(found)
    return 0


@app.command
def evaluate(
    model: Path,
    data: str,
    /,
    *,
    split: str = "val",
    crf: bool = False,
    crf_with: str = "",
    json: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
) -> int:
    """Score MODEL on DATA at full image resolution.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    data
        A folder of images and masks, an archive of one, or shapes.
    split
        The split to score.
    crf
        Refine the label maps with a fully connected CRF first; the loss stays the network's own.
    crf_with
        The same with other settings: appearance=3,position_deviation=30,colour_deviation=5,...
    json
        Also write the scores to this file.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16 or fp32.
    workers
        Reading processes; by default by the number of cores.
    """
    from fullconv.apps.tables import score_table
    from fullconv.files import write_text
    from fullconv.pretrained import load
    from fullconv.refine import CRF
    from fullconv.training import evaluate as score

    refinement = CRF.parse(crf_with) if crf or crf_with else None
    scores = score(load(model, device, precision), data, split, crf=refinement, workers=workers)
    score_table(scores)
    if refinement:
        print(f"after {refinement}; the loss is the network's own")
    if json is not None:
        settings = dataclasses.asdict(refinement) if refinement else None
        asked = {"model": str(model), "data": data, "split": split, "crf": settings}
        write_text(json, _json({**scores.to_dict(), **asked}))
    return 0


@app.command
def predict(
    model: Path,
    /,
    *images: str,
    out: Path,
    overlay: bool = False,
    probabilities: bool = False,
    tile: int = 2048,
    overlap: int = 256,
    crf: bool = False,
    crf_with: str = "",
    device: str = "auto",
    precision: str = "auto",
) -> int:
    """Write a mask STEM.png under --out for every image.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    images
        Image files, folders of them, or globs.
    out
        The folder for the masks.
    overlay
        Also write STEM.overlay.png, the classes' colours over the image.
    probabilities
        Also write STEM.npz with the float16 probabilities [classes, height, width].
    tile
        Images larger than this go in tiles of this side, with bounded memory.
    overlap
        Overlap of neighbouring tiles in pixels.
    crf
        Refine the masks with a fully connected CRF: edges follow the image, specks vanish. Holds the probabilities
        of the whole image, whatever --tile.
    crf_with
        The same with other settings: appearance=3,position_deviation=30,colour_deviation=5,...
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16 or fp32.
    """
    from fullconv.apps.predict import predict_files
    from fullconv.pretrained import load
    from fullconv.refine import CRF

    if not images:
        raise UsageError("no images given; name files, folders or globs after the model")
    if not 0 <= overlap < tile:
        raise UsageError(f"--overlap must be at least 0 and less than --tile, found {overlap} and {tile}")
    segmenter = load(model, device, precision)
    result = predict_files(
        segmenter,
        images,
        out,
        overlay=overlay,
        probabilities=probabilities,
        tile=tile,
        overlap=overlap,
        crf=CRF.parse(crf_with) if crf or crf_with else None,
        progress=lambda path, error: _complain(error) if error else None,
    )
    print(f"{len(result.written)} masks in {out}")
    if result.failed:
        _complain(f"{len(result.failed)} of {len(result.failed) + len(result.written)} images could not be read")
    return 1 if result.failed else 0


@app.command
def heatmap(
    *images: str,
    synset: list[str],
    out: Path,
    encoder: str = "resnet50",
    encoder_weights: str = "imagenet",
    head_weights: str = "",
    sizes: list[str] | None = None,
    combine: str = "geometric",
    flip: bool = False,
    threshold: float = 0.0,
    device: str = "auto",
    precision: str = "auto",
) -> int:
    """Show where an ImageNet class, or a group of them, is in images: no training, no masks.

    Writes STEM.png (image, map of each size, combined map), STEM.overlay.png and STEM.npz under --out.

    Parameters
    ----------
    images
        Image files, folders of them, or globs.
    synset
        A WordNet id (n02084071) or a word (dog); several are looked for together.
    out
        The folder for the maps.
    encoder
        A timm classifier, or torchvision's as torchvision/NAME.
    encoder_weights
        imagenet (downloaded once), none, or a file.
    head_weights
        An HDF5 file with datasets w and b for the last layer alone.
    sizes
        HEIGHTxWIDTH that the image is brought to, several; by default heights 400, 800 and 1600.
    combine
        How the maps are joined: geometric, arithmetic or max.
    flip
        Average with the maps of the mirrored image.
    threshold
        Above 0, also write STEM.labels.png: where the map reaches this share of its maximum.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16 or fp32.
    """
    from fullconv.apps.heatmap import heatmap as find
    from fullconv.apps.heatmap import parse_size
    from fullconv.heatmapper import HeatMapper

    if not images:
        raise UsageError("no images given; name files, folders or globs")
    chosen = [parse_size(text) for text in sizes] if sizes else None
    mapper = HeatMapper.load(encoder, encoder_weights, head_weights=head_weights, device=device, precision=precision)
    failed: list[DataError] = []

    def complain(error: DataError) -> None:
        failed.append(error)
        _complain(str(error))

    found = find(
        images, synset, out, mapper=mapper, sizes=chosen, combine=combine, flip=flip,  # type: ignore[arg-type]
        threshold=threshold, unreadable=complain,
    )  # fmt: skip
    print(f"{len(found)} heat maps in {out}")
    return 1 if failed else 0


@app.command
def check(data: str, /, *, json: Path | None = None, html: Path | None = None, fix: Path | None = None) -> int:
    """Read all of DATA and say what is in it, what would go wrong in training, and how to mend it.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, or shapes.
    json
        Also write the findings to this file.
    html
        Also write them to this file as a page with pictures; it needs no other file.
    fix
        Also write a mended copy of DATA to this new folder; DATA itself is never changed.
    """
    from fullconv.apps.tables import check_table
    from fullconv.data import check as read_all
    from fullconv.data.checking.mending import mend, refuse_existing
    from fullconv.data.checking.opening import open_for_check
    from fullconv.data.checking.page import write_page
    from fullconv.files import write_text

    spec, found = open_for_check(data)
    if fix is not None:
        refuse_existing(fix, spec)
    with _progress_bar() as progress:
        report = read_all(spec, found=found, progress=progress)
    check_table(report)
    if json is not None:
        write_text(json, _json(report.to_dict()))
    if html is not None:
        write_page(report, html)
        print(f"page: {html}")
    if fix is not None:
        print("\n".join(mend(report, fix).lines()))
    return DataError.exit_code if report.problems else 0


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """What moves a bar to (done, all), on a terminal; else None."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("pairs, left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command
def info(model: Path, /) -> int:
    """Say what MODEL is: network, classes, preprocessing, where it comes from.

    Parameters
    ----------
    model
        A model file, a run folder, or torchvision/NAME (downloaded once).
    """
    from fullconv.apps.tables import info_table
    from fullconv.model_file import model_file, read_header
    from fullconv.pretrained import find_model

    found = find_model(model)
    info_table(model_file(found), read_header(found))
    return 0


@app.command
def convert(data: str, out: Path, /, *, to: str = "folder") -> int:
    """Write DATA in another layout into the new folder OUT, and say what the layout cannot hold.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, A+B, or shapes.
    out
        The folder to make.
    to
        folder (holds everything), voc, cityscapes or coco.
    """
    from fullconv.data.convert import convert as write_all
    from fullconv.data.open import open_dataset

    spec = open_dataset(data)
    total = sum(len(items) for items in spec.splits.values())
    with _progress_bar() as progress:
        done = write_all(spec, out, to, None if progress is None else lambda count: progress(count, total))
    print(f"{out}: {to}, " + ", ".join(f"{count} {split}" for split, count in done.images.items()))
    for note in done.notes:
        print(f"  {note}")
    return 0


@app.command(name="import")
def import_model(
    folder: Path, out: Path, /, *, classes: str, mean: str = "0.485,0.456,0.406", std: str = "0.229,0.224,0.225"
) -> int:
    """Make a model file of a network that segmentation_models.pytorch saved.

    Parameters
    ----------
    folder
        What its save_pretrained wrote: config.json and model.safetensors.
    out
        The model file to write, ending in .safetensors.
    classes
        Names of the output channels, separated by commas.
    mean
        What the training images were normalised with, of 1; the folder does not say.
    std
        The standard deviations of the same.
    """
    from fullconv.pretrained import from_smp

    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: a model file ends in .safetensors")
    if out.exists():
        raise UsageError(f"{out}: exists; choose another name")
    names = [name.strip() for name in classes.split(",")]
    segmenter = from_smp(folder, names, _numbers("--mean", mean), _numbers("--std", std))
    segmenter.save(out)
    print(f"{out}: {len(names)} classes")
    return 0


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{option} must be numbers separated by commas, found {text!r}") from error


@app.command
def models(pattern: str = "", /) -> int:
    """List networks, encoders and trained weights with their licences.

    Parameters
    ----------
    pattern
        Part of a name, or a glob such as 'convnext*'; without it a short list is shown.
    """
    from fullconv.apps.tables import models_table
    from fullconv.models.catalogue import known_weights, networks

    found = known_weights(pattern)
    if not found:
        raise UsageError(f"no weights are called like {pattern!r}; fullconv models shows some names")
    models_table(networks(), found)
    return 0


@app.command
def demo(*, out: Path = Path("runs/demo"), workers: int | None = None) -> int:
    """Train FCN-8s on the built-in shapes data, evaluate it, predict new scenes.

    Parameters
    ----------
    out
        Where everything goes; what an earlier demo left there is replaced.
    workers
        Reading processes; by default by the number of cores.
    """
    from fullconv.apps.demo import run_demo

    run_demo(out, workers)
    return 0


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns 0 (fine), 1 (failed while running), 2 (usage), 3 (data), 130 (interrupted)."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        if isinstance(error.__cause__, ValidationError):
            _complain(explain(error.__cause__, "the options"))
            return UsageError.exit_code
        _complain(" ".join(str(error).split()) + "; fullconv --help shows the usage")
        return UsageError.exit_code
    except FullconvError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; nothing was left half-written")
        return 130
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        _complain("out of memory; use a smaller --crop, --batch-size, --resize or --tile")
        return FullconvError.exit_code
    except OSError as error:
        _complain(f"{error.filename or 'system'}: {error.strerror or error}")
        return FullconvError.exit_code
    return code if isinstance(code, int) else 0


def _complain(line: str) -> None:
    print(f"fullconv: {line}", file=sys.stderr)


def _json(values: dict[str, Any]) -> str:
    import json

    return json.dumps(values, indent=2) + "\n"


if __name__ == "__main__":
    main()
