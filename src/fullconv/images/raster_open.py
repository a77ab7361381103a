"""Opening a file as a raster, by the library that reads it by window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fullconv.errors import DataError, UsageError
from fullconv.gdal import has_gdal
from fullconv.images.files import stored_size
from fullconv.images.raster import RasterReader
from fullconv.images.raster_rows import HeldRows, Turned
from fullconv.images.raster_tiff import TiffReader
from fullconv.images.tiff import is_tiff

if TYPE_CHECKING:
    from fullconv.images.raster_gdal import GdalReader

GDAL_SUFFIXES = (".jp2", ".j2k", ".jpx", ".vrt")
"""Read by GDAL alone."""
SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".qptiff")
"""TIFF files by another name."""
RASTER_SUFFIXES = (*GDAL_SUFFIXES, *SLIDE_SUFFIXES)
"""Beside those of images."""
BY_ROWS = (".png", ".jpg", ".jpeg")


def open_raster(path: Path, level: int = 0) -> RasterReader | None:
    """Open a file for reading by window; None where it can only be read whole.

    Args:
        level: 0, or which of its smaller copies (levels of a pyramid, overviews) to read.

    Raises:
        DataError: missing, damaged, or of a kind whose package is not installed.
        UsageError: no such level.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the name or the list that names it")
    if suffix in GDAL_SUFFIXES and not has_gdal():
        raise DataError(f"{path}: read by the package rasterio, which is missing; pip install 'fullconv[raster]'")
    kind: type[GdalReader | TiffReader] = _gdal_reader() if has_gdal() else TiffReader
    turn = 1
    if is_tiff(path):
        first = TiffReader(path)
        first.close()
        turn = first.orientation
        if not first.plain:
            kind = TiffReader
    elif suffix in BY_ROWS and has_gdal():
        turn = stored_size(path)[1]
    elif suffix not in GDAL_SUFFIXES:
        _refuse_level(path, level, ())
        return None
    reader: GdalReader | TiffReader = kind(path)
    try:
        _refuse_level(path, level, reader.info.levels)
    finally:
        if level:
            reader.close()
    if level:
        full = reader.info
        reader = kind(path, level)
        place = reader.info.place if full.place.tags else full.place  # GDAL gives a copy of what lies nowhere a scale
        reader.info = replace(reader.info, levels=full.levels, place=place)
    if not reader.by_window:
        reader.close()
        return None
    return _prepared(reader, turn)


def _gdal_reader() -> type[GdalReader]:
    from fullconv.images.raster_gdal import GdalReader  # see fullconv.gdal

    return GdalReader


def _prepared(reader: GdalReader | TiffReader, turn: int) -> RasterReader:
    """A raster of whole rows with rows that are kept; turned upright, but for one that lies on the earth as it is."""
    (high, wide), (height, width) = reader.info.block, reader.info.size
    held = wide >= width and high < height and not reader.is_mapped
    rows = HeldRows(reader) if held else reader
    return Turned(rows, turn) if turn > 1 and not reader.info.place.placed else rows


def _refuse_level(path: Path, level: int, levels: tuple[tuple[int, int], ...]) -> None:
    if not 0 <= level < max(1, len(levels)):
        sizes = ", ".join(f"{number} is {w}x{h}" for number, (h, w) in enumerate(levels))
        raise UsageError(f"{path}: has {len(levels)} levels{f' ({sizes})' if sizes else ''}, found --level {level}")
