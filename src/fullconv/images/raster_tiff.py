"""Rasters by tifffile: OME, slides, pyramids, and any tiled or stripped TIFF file without GDAL."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, TiffPage, TiffPageSeries

from fullconv.errors import DataError
from fullconv.images.damage import damaged
from fullconv.images.formats import MAX_PIXELS
from fullconv.images.raster import Block, RasterInfo
from fullconv.images.raster_place import geo_tags, scaled
from fullconv.images.tiff import DAMAGE, channel_names, colours_of, lacks_codec, no_data, orientation_of
from fullconv.images.tiff_image import ALPHA

CACHE = 128 << 20
"""Bytes of decoded tiles or strips that are kept."""
AXES = ("YX", "YXS", "SYX", "CYX", "CYXS", "IYX", "QYX")
"""Of tifffile's series: rows, columns, samples, channels, pages."""
MEANINGS = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.PALETTE)


class TiffReader:
    """A TIFF file that tifffile reads by window; its channels or pages of one size are bands.

    Args:
        level: 0, or the smaller copy (level of the pyramid, overview) to read.

    Raises:
        DataError: damaged, no such level, or a stack of other axes.
    """

    def __init__(self, path: Path, level: int = 0) -> None:
        self._where = str(path)
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._held = 0
        try:
            self._file = tifffile.TiffFile(str(path))
            try:
                self._open(level)
            except BaseException:
                self._file.close()
                raise
        except DataError:
            raise
        except DAMAGE as error:
            raise self._damaged(self._where, error) from error

    def _open(self, level: int) -> None:
        series: TiffPageSeries = self._file.series[0]
        levels = series.levels
        chosen = levels[level]
        axes = "".join(axis for axis, count in zip(chosen.axes, chosen.shape, strict=True) if count > 1 or axis in "YX")
        if axes not in AXES:
            raise DataError(
                f"{self._where}: a stack with the axes {axes} {chosen.shape}; expected one picture, save it alone"
            )
        self._pages = [page for page in chosen.pages if page is not None]
        first = self._first = chosen.keyframe
        self._mapped = [self._map(page) for page in self._pages]
        samples, extra = int(first.samplesperpixel), tuple(int(kind) for kind in first.extrasamples)
        alpha = tuple(samples - len(extra) + place for place, kind in enumerate(extra) if kind in ALPHA)
        palette = colours_of(first) if samples == len(self._pages) == 1 and first.dtype == np.uint8 else None
        sizes = tuple((int(one.shape[one.axes.index("Y")]), int(one.shape[one.axes.index("X")])) for one in levels)
        place = geo_tags(levels[0].keyframe)
        nodata = no_data(levels[0].keyframe)
        nodata = float(nodata) if nodata is not None and math.isfinite(nodata) else None
        bands, names = samples * len(self._pages), channel_names(self._file)
        self.info = RasterInfo(
            self._where, sizes[level], bands, np.dtype(first.dtype).newbyteorder("=").name,
            alpha if len(self._pages) == 1 else (), nodata, palette,
            _block(first), scaled(place, sizes[0], sizes[level]), sizes, names if len(names) == bands else (),
        )  # fmt: skip

    @property
    def by_window(self) -> bool:
        """Whether its samples mean what whole images' do, and no piece that is decoded at once is too large."""
        page = self._first
        bits = page.bitspersample
        whole = isinstance(bits, int) and bits == np.dtype(page.dtype).itemsize * 8
        small = math.prod(self.info.block) <= MAX_PIXELS or self._mapped[0] is not None
        return page.photometric in MEANINGS and whole and np.dtype(page.dtype).kind in "uif" and small

    @property
    def plain(self) -> bool:
        """Whether GDAL reads all of it: no slide, no OME, no channels in pages."""
        file = self._file
        kinds = (file.is_ome, file.is_svs, file.is_ndpi, file.is_scn, file.is_bif, file.is_qpi, file.is_philips)
        return not any(kinds) and len(self._pages) == 1

    @property
    def orientation(self) -> int:
        """How it is to be turned, 1 to 8 as EXIF counts."""
        return orientation_of(self._first)

    @property
    def is_mapped(self) -> bool:
        """Whether it lies in the file as it is, so that any window costs no more than itself."""
        return all(mapped is not None for mapped in self._mapped)

    def read(self, rows: slice, columns: slice) -> Block:
        """As :meth:`fullconv.images.raster.RasterReader.read`."""
        try:
            planes = [self._window(index, rows, columns) for index in range(len(self._pages))]
        except DAMAGE as error:
            raise self._damaged(f"{self._where}, rows {rows.start} to {rows.stop}", error) from error
        array = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        if array.dtype.byteorder not in "=|":
            array = array.astype(array.dtype.newbyteorder("="))
        inverted = self._first.photometric == PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u"
        return Block(np.iinfo(array.dtype).max - array if inverted else array)

    def close(self) -> None:
        """Let go of the file."""
        self._cache.clear()
        self._mapped = []
        self._file.close()

    def _map(self, page: Any) -> np.ndarray | None:
        """The page in the file, ``[h, w, samples]``, where it is stored in one piece without compression."""
        if not page.is_memmappable:
            return None
        mapped = np.memmap(
            self._where, page.parent.byteorder + page.dtype.char, "r", page.dataoffsets[0], tuple(page.shape)
        )
        return np.moveaxis(mapped, 0, 2) if _planar(self._first) else mapped.reshape(*mapped.shape[:2], -1)

    def _window(self, index: int, rows: slice, columns: slice) -> np.ndarray:
        """A window of one page ``[h, w, samples]``."""
        mapped = self._mapped[index]
        if mapped is not None:
            return np.array(mapped[rows, columns])
        page = self._pages[index]
        (high, wide), samples = _block(self._first), int(self._first.samplesperpixel)
        planar = _planar(self._first)
        down, across = -(-self.info.size[0] // high), -(-self.info.size[1] // wide)
        result = np.empty((rows.stop - rows.start, columns.stop - columns.start, samples), page.dtype)
        for plane in range(samples if planar else 1):
            target = result[..., plane : plane + 1] if planar else result
            for y in range(rows.start // high, -(-rows.stop // high)):
                for x in range(columns.start // wide, -(-columns.stop // wide)):
                    piece = self._segment(index, (plane * down + y) * across + x)
                    top, left = max(rows.start, y * high), max(columns.start, x * wide)
                    bottom, right = min(rows.stop, (y + 1) * high), min(columns.stop, (x + 1) * wide)
                    target[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = (
                        piece[top - y * high : bottom - y * high, left - x * wide : right - x * wide]
                    )
        return result

    def _segment(self, index: int, number: int) -> np.ndarray:
        """A decoded tile or strip ``[h, w, samples]``."""
        key = (index, number)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        page, first = self._pages[index], self._first
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        data = None
        if count:
            self._file.filehandle.seek(offset)
            data = self._file.filehandle.read(count)
            if len(data) < count:
                raise ValueError(f"{len(data)} of {count} bytes of a piece")
        tables = {"jpegtables": first.jpegtables} if first.jpegtables is not None else {}
        header = {"jpegheader": first.jpegheader} if getattr(first, "jpegheader", None) is not None else {}
        segment, _, shape = first.decode(data, number, **tables, **header)
        piece = np.full(shape[1:], first.nodata, first.dtype) if segment is None else segment[0]
        self._cache[key] = piece
        self._held += piece.nbytes
        while self._held > CACHE and len(self._cache) > 1:
            self._held -= self._cache.popitem(last=False)[1].nbytes
        return piece

    def _damaged(self, where: str, error: Exception) -> DataError:
        if lacks_codec(error):
            return DataError(
                f"{where}: compressed in a way that needs the package imagecodecs, which is missing; "
                "pip install 'fullconv[tiff]', or save it with deflate compression"
            )
        return damaged(where, error)


def _planar(page: TiffPage) -> bool:
    return int(page.samplesperpixel) > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE


def _block(page: TiffPage) -> tuple[int, int]:
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)
