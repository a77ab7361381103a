"""What a region model may be told, and keeps in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_type_hints

from fullconv.errors import FullconvError, UsageError
from fullconv.models.arguments import check_arguments
from fullconv.regions.proposals import LIMIT, Method

WARPS = (32, 512)


@dataclass(frozen=True)
class RegionOptions:
    """``model_args`` of a region model.

    Attributes:
        proposals: how regions are proposed (:func:`fullconv.regions.propose_regions`).
        limit: at most so many regions of an image.
        features: ``warped``: every region's box is brought to one size and goes through the encoder; ``pooled``: the
            image goes through it once, and each region takes the means of what lies in it.
        warp: that size, pixels a side.
        refine: ``none``; or the masks of the best regions are predicted anew: ``grid``, by a grid of classifiers;
            ``pixels``, by the hypercolumn network whose encoder describes the regions.
    """

    proposals: Method = "selective-search"
    limit: int = LIMIT
    features: Literal["warped", "pooled"] = "warped"
    warp: int = 64
    refine: Literal["none", "grid", "pixels"] = "none"

    @classmethod
    def of(cls, given: Mapping[str, Any], what: str, error: type[FullconvError] = UsageError) -> RegionOptions:
        """What was given, checked.

        Args:
            what: whose arguments they are, for messages.

        Raises:
            FullconvError: of the kind ``error``: an unknown name, another type, or a value out of range.
        """
        hints = get_type_hints(cls)
        told = check_arguments({name: hints[name] for name in (f.name for f in fields(cls))}, given, what, error)
        result = cls(**told)
        for name, low, high in (("limit", 1, 1 << 16), ("warp", *WARPS)):
            if not low <= getattr(result, name) <= high:
                raise error(f"{what}: {name} must lie from {low} to {high}, found {getattr(result, name)}")
        return result

    @property
    def network(self) -> str:
        """The network that holds the encoder, with taps for the features; all of it is used to refine by pixels."""
        if self.refine == "pixels":
            return "hypercolumn"
        return "fcn32s" if self.features == "warped" else "fcn8s"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
