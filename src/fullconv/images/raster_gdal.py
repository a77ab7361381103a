"""Rasters by GDAL (the package rasterio): GeoTIFF, JPEG 2000, VRT, and PNG and JPEG row by row."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window

from fullconv.errors import DataError
from fullconv.gdal import CACHE, without_georeference
from fullconv.images.damage import damaged
from fullconv.images.raster import Block, RasterInfo
from fullconv.images.raster_place import Georeference, geo_tags

DRIVERS = ("GTiff", "JP2OpenJPEG", "VRT", "PNG", "JPEG")
"""Told by content; no driver that reads from elsewhere."""
PLAIN = ("gray", "red", "green", "blue", "alpha", "palette", "undefined")
"""What bands may mean, as GDAL calls it, for 8 bits to be read as they are."""
logging.getLogger("rasterio").addHandler(logging.NullHandler())  # our own line says it, once


class GdalReader:
    """A file that GDAL reads by window.

    Args:
        level: 0, or the smaller copy (overview) to read.

    Raises:
        DataError: damaged, or of no kind that is read.
    """

    def __init__(self, path: Path, level: int = 0) -> None:
        self._where = str(path)
        options: dict[str, Any] = {"overview_level": level - 1} if level else {}
        try:
            with rasterio.Env(GDAL_CACHEMAX=CACHE), without_georeference():
                self._file = DatasetReader(str(path), driver=list(DRIVERS), sharing=False, **options)
                self.info = self._info()
                flags = [flag for band in self._file.mask_flag_enums for flag in band]
                self._inverted = self._file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
            raise _damaged(self._where, error) from error
        self._masked = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags

    @property
    def by_window(self) -> bool:
        """Whether its samples mean what whole images' do: no CMYK, no packed bits."""
        names = [place.name for place in self._file.colorinterp]
        packed = any("NBITS" in self._file.tags(band, ns="IMAGE_STRUCTURE") for band in self._file.indexes)
        colours = set(names) <= set(PLAIN) if self.info.dtype == "uint8" else True
        return colours and not packed and len(set(self._file.dtypes)) == 1

    @property
    def is_mapped(self) -> bool:
        """Never: GDAL decodes blocks."""
        return False

    def read(self, rows: slice, columns: slice) -> Block:
        """As :meth:`fullconv.images.raster.RasterReader.read`."""
        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        try:
            with rasterio.Env(GDAL_CACHEMAX=CACHE), without_georeference():
                array = np.moveaxis(self._file.read(window=window), 0, 2)
                valid = self._file.dataset_mask(window=window) > 0 if self._masked else None
        except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
            raise _damaged(f"{self._where}, rows {rows.start} to {rows.stop}", error) from error
        return Block(np.iinfo(array.dtype).max - array if self._inverted else array, valid)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _info(self) -> RasterInfo:
        file = self._file
        stated = {None if value is None or not np.isfinite(value) else float(value) for value in file.nodatavals}
        if len(stated) > 1:
            raise DataError(
                f"{self._where}: its bands state different nodata values ({', '.join(map(str, file.nodatavals))}); "
                "write one for all (gdal_edit.py -a_nodata)"
            )
        palette = None
        if file.count == 1 and file.colorinterp[0] == ColorInterp.palette and file.dtypes[0] == "uint8":
            table = file.colormap(1)
            palette = np.array([table.get(index, (0, 0, 0))[:3] for index in range(256)], np.uint8)
        factors = file.overviews(1)
        size = (file.height, file.width)
        return RasterInfo(
            self._where, size, file.count, file.dtypes[0],
            tuple(place for place, kind in enumerate(file.colorinterp) if kind == ColorInterp.alpha), stated.pop(),
            palette, file.block_shapes[0], _place(file),
            (size, *((-(-size[0] // factor), -(-size[1] // factor)) for factor in factors)),
            tuple(name or "" for name in file.descriptions) if any(file.descriptions) else (),
        )  # fmt: skip


def _place(file: Any) -> Georeference:
    """The tags with which GDAL would write where a file lies."""
    points, points_crs = file.gcps
    crs = file.crs or points_crs
    placed = not file.transform.is_identity or bool(points) or file.rpcs is not None
    if not placed and not crs:
        return Georeference()
    where: dict[str, Any] = {"gcps": points} if points else {"transform": file.transform}
    if file.rpcs is not None:
        where["rpcs"] = file.rpcs
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=1, height=1, count=1, dtype="uint8", crs=crs, **where) as small:
            if file.tags().get("AREA_OR_POINT") == "Point":
                small.update_tags(AREA_OR_POINT="Point")
        memory.seek(0)
        return geo_tags(tifffile.TiffFile(io.BytesIO(memory.read())).pages.first)


def _damaged(where: str, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    return damaged(where, error.__cause__ or error)
