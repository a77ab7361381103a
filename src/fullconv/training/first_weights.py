"""The network of a new run with the weights it starts from: random, an encoder's, or another model's."""

from __future__ import annotations

import dataclasses
from typing import Any

from fullconv.data import DatasetSpec
from fullconv.errors import UsageError
from fullconv.model_file import read_header
from fullconv.models import build_model
from fullconv.models.build import BuiltModel
from fullconv.models.by_class import transplant_by_class
from fullconv.models.rebuild import described
from fullconv.models.variants import FOREIGN, MODELS
from fullconv.pretrained import find_model, load
from fullconv.segmenter import Segmenter
from fullconv.spec import Preprocessing
from fullconv.training.config import TrainConfig


def as_started(config: TrainConfig) -> tuple[TrainConfig, str]:
    """The options with what was not given as the model has it that ``init_from`` names: the encoder, and of the same
    network its arguments (of another library's the network itself). And a line about it.

    Raises:
        UsageError: ``init_from`` is no model.
    """
    if not config.init_from:
        return config, ""
    start = _header(config.init_from)["model"]
    given, whole = config.model_fields_set, start["name"] in FOREIGN
    taken: dict[str, Any] = {}
    if whole and "model" not in given:
        taken["model"] = start["name"]
    same = taken.get("model", config.model) == start["name"]
    if "encoder" not in given and (same or not whole):
        taken["encoder"] = start["encoder"]
    arguments = {**start["model_args"], **config.model_args} if same else config.model_args
    if arguments != config.model_args:
        taken["model_args"] = arguments
    said = ", ".join(f"{name} {value}" for name, value in taken.items())
    return config.model_copy(update=taken), f"as in {config.init_from}: {said}" if said else ""


def new_segmenter(config: TrainConfig, spec: DatasetSpec) -> tuple[Segmenter, BuiltModel]:
    """The network on the CPU with the data's classes, and how it was built: its notes and the listing of its weights.

    Raises:
        UsageError: ``init_from`` is no model, or one on another encoder; no such network, encoder or weights file.
    """
    start = _start(config)
    encoder_args, model_args = config.encoder_args, config.model_args
    if start is not None:
        encoder_args = {**start["model"]["encoder_args"], **encoder_args}
    if config.model in MODELS:
        model_args = {**model_args, **MODELS[config.model].network.told_by(spec.classes)}
    weights = "none" if config.encoder_weights == "auto" else config.encoder_weights
    built = build_model(
        config.model, len(spec.classes), config.encoder, weights, spec.channels,
        encoder_args, model_args,
    )  # fmt: skip
    if start is not None:
        _take_over(config.init_from, start, spec, built)
    if config.input_range == "unit":
        built.mean, built.std = (0.0,), (1.0,)
    preprocessing = Preprocessing.for_channels(spec.channels, built.mean, built.std, config.resize)
    if spec.values is not None:
        values = dataclasses.replace(spec.values, fill=preprocessing.fill)
        preprocessing = dataclasses.replace(preprocessing, values=values)
    return Segmenter(built, spec.classes, preprocessing), built


def _start(config: TrainConfig) -> dict[str, Any] | None:
    """The header of the model that ``init_from`` names.

    Raises:
        UsageError: it is no model, or one on another encoder.
    """
    if not config.init_from:
        return None
    start = _header(config.init_from)
    name, encoder = start["model"]["name"], start["model"]["encoder"]
    if name in FOREIGN and config.model != name:
        raise UsageError(f"--init-from {config.init_from}: a whole network of {name}; leave --model and --encoder out")
    if encoder != config.encoder:
        raise UsageError(
            f"--init-from {config.init_from}: its encoder is {encoder}, not {config.encoder}; leave --encoder out, "
            f"or use --encoder {encoder}"
        )
    return start


def _header(path: str) -> dict[str, Any]:
    start = read_header(find_model(path))
    start["model"] = described(start["model"], path)
    return start


def _take_over(path: str, start: dict[str, Any], spec: DatasetSpec, built: BuiltModel) -> None:
    """The other model's parameters, score layers by the classes' names, and what it says of its encoder's weights."""
    source = load(path, "cpu", "fp32")
    report = transplant_by_class(source.network, source.classes.names, built.network, spec.classes.names)
    built.note(f"start from {path}", report)
    built.mean, built.std = (tuple(start["preprocessing"][name]) for name in ("mean", "std"))
    built.licence = start.get("weights_licence", "")
    before = Preprocessing.from_dict(start["preprocessing"]).values
    if before != spec.values and (before and before.range) != (spec.values and spec.values.range):
        built.notes.append(
            f"values: its range was {before or 'that of 8 bits'}, here it is {spec.values or 'that of 8 bits'}; "
            "'range' in dataset.yaml sets another"
        )
