"""Where a raster lies on the earth, as the tags of a GeoTIFF file say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import tifffile

GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 50844)
"""ModelPixelScale, ModelTiepoint, ModelTransformation, the three of GeoKeys, RPCs."""


class GeoTag(NamedTuple):
    """A tag of a GeoTIFF file: number, TIFF's number of its type, how many values, the values."""

    code: int
    kind: int
    number: int
    value: object


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies on the earth, as the tags of GeoTIFF say it.

    Attributes:
        tags: empty for an image that lies nowhere.
        placed: an affine transform, ground control points or rational polynomials are stated.
        projected: a coordinate reference system is stated.
    """

    tags: tuple[GeoTag, ...] = ()
    placed: bool = False
    projected: bool = False


def geo_tags(page: tifffile.TiffPage) -> Georeference:
    """Where a page of a TIFF file says that it lies."""
    tags = tuple(GeoTag(tag.code, int(tag.dtype), tag.count, tag.value) for tag in page.tags if tag.code in GEO_TAGS)
    codes = {tag.code for tag in tags}
    return Georeference(tags, bool(codes & {33550, 33922, 34264, 50844}), 34735 in codes)


def scaled(place: Georeference, full: tuple[int, int], size: tuple[int, int]) -> Georeference:
    """Where a raster lies, told in the pixels of a copy of ``size`` of the one of ``full``."""
    if size == full:
        return place
    down, across = full[0] / size[0], full[1] / size[1]
    factors = {
        33550: (across, down, 1.0),
        33922: (1 / across, 1 / down, 1.0, 1.0, 1.0, 1.0),
        34264: (across, down, 1.0, 1.0) * 4,
    }
    tags = []
    for tag in place.tags:
        value: Any = tag.value
        if tag.code in factors:
            by = factors[tag.code]
            value = tuple(number * by[index % len(by)] for index, number in enumerate(value))
        tags.append(GeoTag(tag.code, tag.kind, tag.number, value))
    return Georeference(tuple(tags), place.placed, place.projected)
