"""What the arguments of verbs must be: looked at where they are parsed, before PyTorch is loaded for anything else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from fullconv.cli.typed import LATEST
from fullconv.cli.verbs.shared import TYPED
from fullconv.errors import UsageError
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.model_file import BEST, header_text, is_model_folder, model_file, read_header
from fullconv.names import refuse_unknown_names, refuse_unknown_precision, refuse_unknown_runner
from fullconv.serving.sources import named
from fullconv.terminal import program
from fullconv.there import (
    ARCHIVE_SUFFIXES,
    is_shapes,
    refuse_missing_config,
    refuse_missing_data,
    refuse_missing_images,
    refuse_missing_weights,
    refuse_no_run,
    refuse_nothing_to_import,
)
from fullconv.training.config import TrainConfig
from fullconv.training.over import parse_over
from fullconv.training.recipes import find_recipe

TORCHVISION = "torchvision/"
SUFFIX = ".safetensors"
MODEL_SUFFIXES = (SUFFIX, ".onnx", ".xml")
SECOND = {"evaluate": "the data", "predict": "the images", "pseudo-label": "the data", "review": "the data"}
"""What a verb takes after its model."""


def _model(_: Any, given: str | Path | None) -> None:
    """A model file, a run folder, or a name; folders of other libraries are left to who reads them."""
    path = Path(given or "")
    if given and not str(given).startswith(TORCHVISION) and not (path / "config.json").is_file():
        file = model_file(path)
        if file.suffix == SUFFIX:
            read_header(file)


def _first(_: Any, given: Path) -> None:
    """A model, of a verb that takes it before what it is for; the other way round is said, with what to type."""
    if is_shapes(str(given)) or _holds_no_model(given):
        typed = [*TYPED]
        second = SECOND.get(typed[0], "")
        places = {place: Path(word) for place, word in enumerate(typed[1:], 1)}
        here = next((place for place, path in places.items() if path == given), 0)  # typed as it may be: ./photos/
        models = [place for place, path in places.items() if path != given and _is_model(path)]
        if here and models and second:
            typed[here], typed[models[0]] = typed[models[0]], typed[here]
        else:
            typed = [typed[0], "MODEL", *([str(given)] * bool(second))]
        order = f"the first argument is a model{f', the second {second}' if second else ''}"
        raise UsageError(f"{given}: holds no model; {order}: {program()} {shlex.join(typed)}")
    _model(_, given)


def _holds_no_model(path: Path) -> bool:
    """Whether something is there that is no model of ours, nor a run or another library's folder."""
    if path.is_file():
        return path.suffix.lower() in (*IMAGE_SUFFIXES, *ARCHIVE_SUFFIXES)
    own = ("config.yaml", "config.json")
    return path.is_dir() and not _is_model(path) and not any((path / name).is_file() for name in own)


def _is_model(path: Path) -> bool:
    """Whether a path is likely a model: by its ending, or as the folder of a run or of runs."""
    if path.is_dir():
        return is_model_folder(path) or any(path.glob(f"*/{BEST}"))
    return path.is_file() and path.suffix.lower() in MODEL_SUFFIXES


def _foreign(_: Any, given: Path) -> None:
    refuse_nothing_to_import(given)


def _compared(_: Any, given: Path) -> None:
    """A model; data is easily named in its place, as ``evaluate`` takes it."""
    if is_shapes(str(given)) or (given.is_dir() and not _is_model(given)):
        raise UsageError(f"{given}: data, where models are expected; give it as --data {given}")
    _model(_, given)


def _served(_: Any, given: str) -> None:
    _model(_, named(given)[1])


def _data(_: Any, given: str) -> None:
    if given:
        refuse_missing_data(given)


def _images(_: Any, given: str) -> None:
    refuse_missing_images(given)


def _resumed(_: Any, given: Path | None) -> None:
    if given is not None and given != Path(LATEST):
        refuse_no_run(given)


def _config(_: Any, given: Path | None) -> None:
    if given is not None:
        refuse_missing_config(given)


def _recipe(_: Any, given: Path | None) -> None:
    if given is not None:
        find_recipe(given)


def _precision(_: Any, given: str) -> None:
    refuse_unknown_precision(given)


def _runner(_: Any, given: str) -> None:
    refuse_unknown_runner(given)


def _over(_: Any, given: str) -> None:
    parse_over(given)


def _options(_: Any, given: TrainConfig | None) -> None:
    refuse_wrong_options({} if given is None else given.model_dump(exclude_unset=True))


def refuse_wrong_options(typed: Mapping[str, Any]) -> None:
    """Of names and files of training options, those that were given.

    Raises:
        UsageError, ModelFileError: one is not there, or is no file of its kind.
    """
    refuse_unknown_names(typed)
    if "encoder_weights" in typed:
        refuse_missing_weights(typed["encoder_weights"])
        if typed["encoder_weights"].endswith(SUFFIX):
            header_text(Path(typed["encoder_weights"]))
    _model(None, typed.get("init_from"))


Model = Annotated[Path, Parameter(validator=_first)]
Compared = Annotated[Path, Parameter(validator=_compared)]
Served = Annotated[str, Parameter(validator=_served)]
Data = Annotated[str, Parameter(validator=_data)]
Images = Annotated[str, Parameter(validator=_images)]
Resumed = Annotated[Path | None, Parameter(validator=_resumed)]
Config = Annotated[Path | None, Parameter(validator=_config)]
Recipe = Annotated[Path | None, Parameter(validator=_recipe)]
Precision = Annotated[str, Parameter(validator=_precision)]
Runner = Annotated[str, Parameter(validator=_runner)]
Foreign = Annotated[Path, Parameter(validator=_foreign)]
Over = Annotated[str, Parameter(validator=_over)]
Options = Annotated[TrainConfig | None, Parameter(name="*", show_choices=False, validator=_options)]
"""Every training option as a flag; their descriptions say the choices already."""
