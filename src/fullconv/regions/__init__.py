"""Regions of an image and what is in each: proposals, and segmenters that classify them. Imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullconv.regions.fit import fit_regions
    from fullconv.regions.instances import Instances, InstanceSegmenter
    from fullconv.regions.proposals import Proposals, propose_regions
    from fullconv.regions.segmenter import RegionSegmenter

_HOMES = {
    "InstanceSegmenter": "instances",
    "Instances": "instances",
    "Proposals": "proposals",
    "RegionSegmenter": "segmenter",
    "fit_regions": "fit",
    "propose_regions": "proposals",
}

__all__ = ["InstanceSegmenter", "Instances", "Proposals", "RegionSegmenter", "fit_regions", "propose_regions"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fullconv.regions' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fullconv.regions.{_HOMES[name]}"), name)
