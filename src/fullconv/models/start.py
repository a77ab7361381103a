"""Where a network's first weights come from, and what is to be known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fullconv.errors import ModelFileError, UsageError
from fullconv.models.arguments import check_arguments
from fullconv.models.weights import TransplantReport
from fullconv.names import check_network
from fullconv.spec import IMAGENET_MEAN, IMAGENET_STD, sound_mean_and_std


@dataclass(kw_only=True)
class Start:
    """What is to be known of the weights that a network starts with.

    Attributes:
        mean, std: what they expect.
        licence: of theirs, as far as their file says.
        notes: lines for the user: what was loaded from where.
        listing: the same, parameter by parameter.
        warnings: lines on what may be wrong with them.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    licence: str = ""
    notes: list[str] = field(default_factory=list)
    listing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, source: str, report: TransplantReport) -> None:
        """Keep which parameters were loaded, reshaped or missing in ``source``."""
        self.notes.append(f"{source}: {report}")
        self.listing.append(f"{source}: {report.listing()}")


def stated_arguments(
    path: str, said: dict[str, Any], encoder: str, takes: Mapping[str, Any], start: Start
) -> dict[str, Any]:
    """The architecture arguments that a weights file names in its metadata; mean, std and licence go to ``start``.

    Raises:
        UsageError: weights of another network.
        ModelFileError: metadata that name more than an architecture.
    """
    architecture = check_network(said.get("architecture", encoder), path, ModelFileError)
    if architecture != encoder:
        raise UsageError(f"{path}: holds weights of {architecture}, not of {encoder}; use --encoder {architecture}")
    start.mean, start.std = _numbers(said, "mean", start.mean, path), _numbers(said, "std", start.std, path)
    if not sound_mean_and_std(start.mean, start.std):
        raise ModelFileError(
            f"{path}: its metadata say mean {start.mean} and std {start.std}; expected those of pixels from 0 to 1"
        )
    start.licence = str(said.get("licence", ""))
    return check_arguments(takes, said.get("args", {}), f"{path}: its metadata's args", ModelFileError)


def _numbers(said: dict[str, Any], name: str, default: tuple[float, ...], path: str) -> tuple[float, ...]:
    """A list of numbers from a weights file's metadata, or the default where it names none."""
    values = said.get(name)
    if values is None:
        return default
    if not isinstance(values, list) or not values or not all(type(value) in (int, float) for value in values):
        raise ModelFileError(f"{path}: its metadata's {name} is {str(values)[:60]!r}; expected a number per channel")
    return tuple(float(value) for value in values)


def may_be_sold(licence: str | None) -> bool:
    """Whether a licence's name is one of those that allow commercial use."""
    return (licence or "").lower() in ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
