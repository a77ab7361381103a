"""From what a model file says of itself to its network, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from fullconv.errors import ModelFileError, UsageError, first_few
from fullconv.models.arguments import LARGEST, SMALL, check_arguments, in_words, is_of, names_large
from fullconv.models.build import BuiltModel, build_model
from fullconv.models.variants import FOREIGN, MODELS, encoder_arguments, model_arguments
from fullconv.names import check_network
from fullconv.spec import ClassSet, Preprocessing


def rebuild(
    header: Mapping[str, Any], where: str, stored: int | None = None
) -> tuple[BuiltModel, ClassSet, Preprocessing]:
    """The network that a header describes, with random weights, and what it says of classes and pixels.

    Args:
        where: the file, for messages.
        stored: values in the file, if known: a network that is much larger is refused before memory is taken for it.

    Raises:
        ModelFileError: the header says more than an architecture, or one that cannot be built.
    """
    wanted = described(header["model"], where)
    classes, preprocessing = read_meaning(header, wanted, where)
    try:
        if stored is not None and _names_widths(wanted):
            with torch.device("meta"):
                values = sum(value.numel() for value in build_model(**wanted).network.state_dict().values())
            if values > 2 * stored:
                raise ModelFileError(f"{where}: its header describes {values} values, it holds {stored}; save it again")
        model = build_model(**wanted)
    except ModelFileError:
        raise
    except UsageError as error:
        raise ModelFileError(f"{where}: {error}") from error
    model.licence = header.get("weights_licence", "")
    return model, classes, preprocessing


def read_meaning(header: Mapping[str, Any], model: Mapping[str, Any], where: str) -> tuple[ClassSet, Preprocessing]:
    """What a header says of classes and pixels, which has to fit the described ``model``.

    Raises:
        ModelFileError: it is damaged, or does not fit.
    """
    try:
        classes, preprocessing = ClassSet.from_dict(header["classes"]), Preprocessing.from_dict(header["preprocessing"])
    except (UsageError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFileError(
            f"{where}: the classes or the preprocessing in its header are damaged ({error}); save it again"
        ) from error
    for what, said, own in (
        ("classes", len(classes), model["num_classes"]),
        ("channels", preprocessing.channels, model["in_channels"]),
    ):
        if said != own:
            raise ModelFileError(f"{where}: its header names {said} {what} for a network of {own}; save it again")
    return classes, preprocessing


def described(model: Any, where: str) -> dict[str, Any]:
    """The arguments of :func:`fullconv.models.build_model` in a model file's header, and no others: no weights.

    Raises:
        ModelFileError: another name or type.
    """
    takes = {
        "name": str,
        "num_classes": int,
        "encoder": str,
        "in_channels": int,
        "encoder_args": dict,
        "model_args": dict,
    }
    if not isinstance(model, dict) or set(model) != set(takes):
        found = first_few(sorted(map(str, model)), 8) if isinstance(model, dict) else str(model)[:60]
        raise ModelFileError(f"{where}: its header describes a model by {found[:200]}; expected {', '.join(takes)}")
    for name, value in model.items():
        if not is_of(takes[name], value) or (takes[name] is int and not 0 < value <= LARGEST):
            raise ModelFileError(
                f"{where}: its header says {name} is {str(value)[:60]!r}; expected {in_words(takes[name])}"
            )
    encoder, name = check_network(model["encoder"], where, ModelFileError), model["name"]
    if name not in (*MODELS, *FOREIGN):
        raise ModelFileError(
            f"{where}: {name[:60]!r} is no network; fullconv.load opens models of regions, but no training starts from "
            "one"
        )
    try:
        takes_encoder = encoder_arguments(encoder, name)
    except UsageError as error:
        raise ModelFileError(f"{where}: {error}") from error
    check_arguments(takes_encoder, model["encoder_args"], f"{where}: encoder_args", ModelFileError)
    check_arguments(model_arguments(name), model["model_args"], f"{where}: model_args", ModelFileError)
    return dict(model)


def _names_widths(model: Mapping[str, Any]) -> bool:
    """Whether described arguments could make a network large."""
    return model["num_classes"] > SMALL or names_large(model["encoder_args"]) or names_large(model["model_args"])
