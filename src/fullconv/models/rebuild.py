"""From what a model file says of itself to its network, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from fullconv.errors import ModelFileError, UsageError
from fullconv.models.arguments import described, names_widths
from fullconv.models.build import BuiltModel, build_model
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
        if stored is not None and names_widths(wanted):
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
