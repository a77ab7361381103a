"""Regions of an image and what is in each: proposals, and segmenters that classify them."""

from __future__ import annotations

from fullconv.regions.proposals import Proposals, propose_regions

__all__ = ["Proposals", "propose_regions"]
