"""Rasters: images that are read by window, so that they may be larger than memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from fullconv.errors import MOST_NAMED, DataError, first_few
from fullconv.images.pixels import to_channels
from fullconv.images.raster_place import Georeference
from fullconv.images.stored import Stored
from fullconv.images.values import BoolArray, Pixels, refuse_other_type, to_pixels
from fullconv.spec import Values


@dataclass(frozen=True)
class RasterInfo:
    """What a raster says of itself.

    Attributes:
        where: its name, for messages.
        size: ``(height, width)``.
        samples: per pixel, alpha included.
        dtype: of its samples, as numpy calls it.
        alpha: which samples are alpha.
        nodata: the value that holds nothing; None for none, or one that is not finite.
        palette: uint8 ``[n, 3]``, of one 8-bit sample; None without one.
        block: ``(height, width)`` of what is decoded at once.
        place: where it lies on the earth.
        levels: ``(height, width)`` of itself and its smaller copies.
        bands: what it calls its bands; empty where it names none.
    """

    where: str
    size: tuple[int, int]
    samples: int
    dtype: str
    alpha: tuple[int, ...] = ()
    nodata: float | None = None
    palette: np.ndarray | None = None
    block: tuple[int, int] = (1, 1)
    place: Georeference = field(default_factory=Georeference)
    levels: tuple[tuple[int, int], ...] = ()
    bands: tuple[str, ...] = ()


class Block(NamedTuple):
    """Samples ``[h, w, samples]`` as they are stored, and where a mask beside them says that there are data."""

    array: np.ndarray
    valid: BoolArray | None = None


class RasterReader(Protocol):
    """A raster that is open; read by one thread at a time."""

    info: RasterInfo

    def read(self, rows: slice, columns: slice) -> Block:
        """A window within the raster.

        Raises:
            DataError: damaged or truncated there.
        """

    def close(self) -> None:
        """Let go of the file."""


def window_pixels(reader: RasterReader, rows: slice, columns: slice, channels: int, values: Values) -> Pixels:
    """A window as the network sees it, by the rules of whole images; blank also where alpha is 0 or a mask says so.

    Raises:
        DataError: damaged there, other bands, or another type than the range is for.
    """
    info, (array, valid) = reader.info, reader.read(rows, columns)
    alpha = [place for place in info.alpha if channels < array.shape[2]]
    covered = [valid, *(array[..., place] > 0 for place in alpha)]
    stored, filled = _shown(info, array, channels)
    pixels = to_pixels(stored, channels, values, info.where)
    blank = pixels.blank
    for mask in (*covered, filled):
        if mask is not None and not mask.all():
            blank = ~mask if blank is None else blank | ~mask
    if blank is None or blank is pixels.blank:
        return pixels
    image = np.array(pixels.image)
    image[blank] = values.fill if len(values.fill) == channels else values.fill[0]
    return Pixels(image, blank)


def refuse_other_bands(info: RasterInfo, channels: int, values: Values) -> None:
    """Refuse a raster that a model of ``channels`` cannot take, before anything is read.

    Raises:
        DataError: other bands, by number or by name, or another type than the range of values is for.
    """
    named = f" ({first_few(values.bands, MOST_NAMED)})" if values.bands else ""
    stored, _ = _shown(info, np.zeros((1, 1, info.samples), info.dtype), channels)
    own = [place for place in range(stored.array.shape[2]) if place not in stored.alpha]
    if channels not in (stored.array.shape[2], len(own)) and not (len(own) == 1 and channels == 3):
        alpha = " and alpha" if info.alpha else ""
        raise DataError(
            f"{info.where}: holds {len(own)} band{'s' if len(own) > 1 else ''}{alpha} of {info.dtype}, the model takes "
            f"{channels}{named}; give the bands that it was trained on (gdal_translate -b), or another model"
        )
    called = tuple(name for place, name in enumerate(info.bands) if len(own) < channels or place in own)
    known = set(called) & set(values.bands)
    if known and called != values.bands:
        missing = [name for name in values.bands if name not in known]
        lacks = f" and has no {', '.join(missing)}" if missing else ""
        raise DataError(
            f"{info.where}: calls its bands {', '.join(called)}{lacks}, the model takes {', '.join(values.bands)}; "
            "give it these, in this order (gdal_translate -b)"
        )
    refuse_other_type(np.dtype(info.dtype), values, info.where)


def _shown(info: RasterInfo, array: np.ndarray, channels: int) -> tuple[Stored, BoolArray | None]:
    """Stored samples, 8-bit colours brought to the model's; and where these held a value (None: yet to be asked)."""
    plain = array.dtype == np.uint8 and array.shape[2] != channels and {channels, array.shape[2]} <= {1, 3, 4}
    if info.palette is None and not plain:
        return Stored(array, info.alpha, info.nodata), None
    filled = None if info.nodata is None else (array != info.nodata).any(2)
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    if info.palette is not None:
        image.putpalette(info.palette.ravel().tolist())
    return Stored(to_channels(image, channels if channels in (1, 3, 4) else 3)), filled
