"""Rasters larger than memory: windows are read, labelled and written as they come."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fullconv.errors import DataError, NotFiniteError, UsageError
from fullconv.images.certainty import NOTHING, to_bytes
from fullconv.images.files import image_size
from fullconv.images.raster import RasterReader, refuse_other_bands, window_pixels
from fullconv.images.raster_open import BY_ROWS, RASTER_SUFFIXES, open_raster
from fullconv.images.raster_write import Look, MapWriter
from fullconv.images.tiff import is_tiff
from fullconv.images.values import Pixels
from fullconv.parts import Part
from fullconv.prediction.beside import Ahead, Behind
from fullconv.prediction.provenance import model_digest
from fullconv.prediction.rows import Rows, Writers
from fullconv.prediction.settings import Settings
from fullconv.runner import not_finite_error
from fullconv.segmenter import Segmenter
from fullconv.spec import Values
from fullconv.tiles import Read, tile_order, tiled_parts
from fullconv.tiling import Tiling

LARGE = 1 << 26
"""Pixels, 8192 x 8192: a larger image is always read by window and its labels written as TIFF."""
Done = Callable[[Path, int, int], None]
"""Told of an image, how many of its pixels are labelled, and of how many."""


def raster_of(path: Path, level: int = 0) -> RasterReader | None:
    """Open an image as a raster where its labels are to be one: it is large, lies on the earth, says which value holds
    nothing, or is asked for by ``level``. None for all others: they are read whole.

    Raises:
        DataError: a raster that cannot be read.
        UsageError: no such level.
    """
    suffix = path.suffix.lower()
    if suffix in RASTER_SUFFIXES:
        reader = open_raster(path, level)
        if reader is None:
            raise DataError(f"{path}: its samples are stored in a way that is not read; save it as a tiled GeoTIFF")
        return reader
    large = suffix in BY_ROWS and np.prod(image_size(path, most=1 << 62), dtype=float) > LARGE
    if not level and not large and not is_tiff(path):
        return None
    reader = open_raster(path, level)
    if reader is None:
        return None
    info = reader.info
    if level or info.place.tags or info.nodata is not None or info.size[0] * info.size[1] > LARGE:
        return reader
    reader.close()
    return None


def predict_raster(
    segmenter: Segmenter, reader: RasterReader, path: Path, out: Path, asked: Settings,
    note: Callable[..., None], done: Done | None = None,
) -> None:  # fmt: skip
    """Write the labels of a raster as a tiled TIFF file with its georeference; where it holds nothing, the ignore id.

    What a killed run had finished is kept beside ``out`` and not labelled again.

    Args:
        reader: the open raster; it is closed.
        path: the file behind it.
        out: the TIFF file to write.
        note: called with what to know of the labels, before they are made.

    Raises:
        DataError: the raster does not fit the model, is damaged, or holds nothing at all.
        UsageError: a tile or overlap that cannot be, ``out`` is the raster itself, or another process writes it.
        FullconvError: no space, or no place to write; scores that are not finite.
    """
    info, preprocessing = reader.info, segmenter.preprocessing
    try:
        if out.resolve() == path.resolve():
            raise UsageError(
                f"--out {out.parent} would overwrite the image {path}; choose another folder for the masks"
            )
        if preprocessing.resize is not None:
            raise DataError(
                "{}: the model brings every image to {}x{}, which is not done by window; cut the raster into images, "
                "or train a model without resize".format(path, *preprocessing.resize)
            )
        values = preprocessing.values or Values(fill=preprocessing.fill)
        refuse_other_bands(info, preprocessing.channels, values)
        tiling = segmenter.tiling(info.size, asked.tile, asked.overlap, asked.exact)
        note(segmenter.seam_note(info.size, asked.tile, asked.overlap, asked.exact))
        if info.place.placed and not info.place.projected:
            note(f"{path}: states no projection (CRS); its labels lie where it does, without one")
        if not info.place.tags and info.nodata is None and not asked.level and path.suffix.lower() in BY_ROWS:
            note("images of more than 8192 x 8192 pixels go by window: their masks are tiled .tif files")
        writers = _writers(segmenter, info.size, out, asked, _job(segmenter, path, tiling, asked))
        try:
            _label(segmenter, reader, tiling, values, writers, asked, done and functools.partial(done, path))
            if writers.labels.empty:
                nodata = "" if info.nodata is None else f" {info.nodata:g}"
                raise DataError(f"{path}: every pixel is nodata{nodata}, so there are no labels; check that value")
            writers.finish(info.place, asked.overviews)
        except (DataError, NotFiniteError):  # the same would come again
            writers.discard()
            raise
        finally:
            writers.close()
    finally:
        reader.close()


def _writers(
    segmenter: Segmenter, size: tuple[int, int], out: Path, asked: Settings, job: dict[str, object]
) -> Writers:
    """The labels' file, and those of confidence and entropy where they are asked for.

    Raises:
        FullconvError: too little space for all, or no place to write.
        UsageError: another process writes one of them.
    """
    looks = {out: Look.of(segmenter.classes)}
    for kind, nothing in NOTHING.items():
        if getattr(asked, kind):
            looks[out.with_suffix(f".{kind}.tif")] = Look(np.dtype(np.uint8), nothing)
    need = {path: size[0] * size[1] * look.dtype.itemsize for path, look in looks.items()}
    opened = list[MapWriter]()
    try:
        for path, look in looks.items():
            opened.append(MapWriter(path, size, look, job, others=sum(need.values()) - need[path]))
    except BaseException:
        for writer in opened:
            writer.close()
        raise
    return Writers(opened)


@torch.inference_mode()
def _label(
    segmenter: Segmenter,
    reader: RasterReader,
    tiling: Tiling,
    values: Values,
    writers: Writers,
    asked: Settings,
    done: Callable[[int, int], None] | None,
) -> None:
    """Label what ``writers`` have not yet, a row of tiles at a time; files are read and written beside the network."""
    size, channels = reader.info.size, segmenter.preprocessing.channels
    rows = Rows(writers.rows, size[1], writers.looks)

    def pixels_of(down: slice, across: slice) -> Pixels:
        return window_pixels(reader, down, across, channels, values)

    begin = writers.rows
    with Ahead(pixels_of, tile_order(size, tiling, begin)) as ahead, Behind(writers.append) as behind:

        def read(down: slice, across: slice) -> Tensor | None:
            image, blank = ahead.read(down, across)
            if blank is not None:
                rows.leave_out(down, across, blank)
                if not tiling.blend and blank.all():
                    return None
            return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]

        name = reader.info.where
        for part in parts_by_window(segmenter, size, read, tiling, begin, name):
            maps = part.maps(asked.wanted)
            certain = [to_bytes(kind, one) for kind in NOTHING if (one := getattr(maps, kind)) is not None]
            rows.put(part.rows, part.columns, [maps.labels, *certain])
            complete = rows.complete()
            if complete is not None:
                behind.write(complete)
            if done is not None:
                done(rows.pixels, size[0] * size[1])


def _job(segmenter: Segmenter, path: Path, tiling: Tiling, asked: Settings) -> dict[str, object]:
    """All that labels depend on: a partial file of anything else is not continued."""
    file = path.stat()
    return {
        "raster": [str(path.resolve()), file.st_size, file.st_mtime_ns, asked.level],
        "model": model_digest(segmenter),
        "tiling": list(tiling),
        "runner": str(segmenter.runner),
    }


def parts_by_window(
    segmenter: Segmenter, size: tuple[int, int], read: Read, tiling: Tiling, first_row: int, name: str
) -> Iterator[Part]:
    """The scores of an image that is read by window.

    Args:
        size: ``(height, width)``; ``resize`` has no place here.
        read: rows and columns -> raw pixels ``1 c h w``; None: they hold nothing, and any label will do.
        tiling: of :meth:`Segmenter.tiling`.
        first_row: what ends above it is left out.
        name: what errors call the image.

    Returns:
        Parts that cover the image once, from its top.

    Raises:
        NotFiniteError: the network's scores are nan or infinite.
    """
    last: list[Tensor] = []

    def remembered(rows: slice, columns: slice) -> Tensor | None:
        pixels = read(rows, columns)
        last[:] = last if pixels is None else [pixels]
        return pixels

    for part in tiled_parts(segmenter.runner, size, remembered, tiling, first_row):
        if not bool(part.logits.isfinite().all()):
            where = f"{name}, rows {part.rows.start} to {part.rows.stop}"
            raise not_finite_error(segmenter.runner, [where], lambda: segmenter.runner.coarse_logits(last[0]))
        yield part
