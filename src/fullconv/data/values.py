"""Which values the images of a data set hold, and the range by which they become the 8 bits that a network sees."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sources import FileImage
from fullconv.errors import MOST_NAMED, DataError, FullconvError, UsageError, first_few
from fullconv.images.stored import Kind, Stored, kind_of, read_wide
from fullconv.images.values import bands_of, refuse_other_type
from fullconv.spec import Values

MOST_IMAGES = 100
"""Images whose values give the range, those of train with the smallest SHA-256 of their names."""
MOST_VALUES = 256
"""Rows, and columns, evenly spread, whose values are looked at in each of them."""
PERCENTILES = (0.1, 99.9)
"""Hot pixels, glints and dead sensors are fewer; display programs cut 2 %, where much of what is rare lies."""
EIGHT_BITS = (".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".avif")
"""Files that hold nothing else."""


def with_values(
    spec: DatasetSpec,
    channels: int | None = None,
    stated: Sequence[tuple[float, float]] = (),
    nodata: Sequence[float | None] = (),
    bands: Sequence[str] = (),
) -> DatasetSpec:
    """The data set with what its images hold: channels, range and nodata, and a line about each.

    Args:
        channels, stated, nodata, bands: what ``dataset.yaml`` says; the range and nodata for all bands, or for each.

    Raises:
        DataError: some images hold bytes and some other values, or none of a sample holds a finite one.
    """
    channels = channels or len(bands) or None
    try:
        given = Values(tuple(stated), tuple(nodata), bands=tuple(bands))
        kinds = _kinds(spec, channels is not None and not stated)
        if kinds:
            _refuse_other(spec, kinds, given)
            return _described(spec, kinds, channels, given)
        if (stated or given.nodata) and not any(isinstance(item.image, FileImage) for item in _sample(spec)):
            raise DataError(f"{spec.root}: range and nodata have no effect here: this layout's images are of 8 bits")
        return _made(spec, channels or spec.channels, given)
    except UsageError as error:
        raise DataError(f"{spec.root / 'dataset.yaml'}: {error}") from error


def _described(spec: DatasetSpec, kinds: list[tuple[Item, Kind]], channels: int | None, given: Values) -> DatasetSpec:
    """The data set by what the headers of some images say."""
    reasons = []
    bands = kinds[0][1].bands
    if channels is None:
        channels = 3 if bands in (1, 3) else bands
        if channels != 3:
            reasons.append(f"images of {kinds[0][1]}, so channels: {channels}")
        if any(kind.alpha for _, kind in kinds):
            reasons.append(
                f"the images' alpha channel is left out; 'channels: {bands + 1}' in dataset.yaml keeps it as a band"
            )
    given.refuse_other_channels(channels)
    given, more = _named(spec, {kind.names for _, kind in kinds}, channels, given)
    reasons += more
    tags = {kind.nodata for _, kind in kinds}
    if not given.nodata and tags != {None}:
        if len(tags) == 1:
            given = dataclasses.replace(given, nodata=tuple(tags))
        shown = ", ".join(sorted("none" if tag is None else f"{tag:g}" for tag in tags))
        reasons.append(f"nodata {shown}, by the files' own tag GDAL_NODATA")
    elif tags - {None, *given.nodata}:
        reasons.append(
            f"the files' own tag GDAL_NODATA counts as well: {', '.join(f'{t:g}' for t in tags if t is not None)}"
        )
    spec = dataclasses.replace(spec, channels=channels, reasons=(*spec.reasons, *reasons))
    if kinds[0][1].dtype != "uint8" and not given.range:
        return find_range(spec, given)
    return _made(spec, channels, given)


def _named(spec: DatasetSpec, found: set[tuple[str, ...]], channels: int, given: Values) -> tuple[Values, list[str]]:
    """The bands by the names that the files' own OME metadata give their channels, and what to say of them.

    Args:
        found: the names in each file; empty where it names none.

    Raises:
        DataError: ``dataset.yaml`` has these names in another order.
    """
    known = sorted(names for names in found if len(names) == channels)
    if not known or given.bands in known:
        return given, []
    first = ", ".join(known[0])
    if given.bands:
        if any(set(names) & set(given.bands) for names in known):
            raise DataError(
                f"{spec.root / 'dataset.yaml'}: calls the bands {', '.join(given.bands)}, the files' own OME metadata "
                f"{first}; give the names of the files, in their order, or leave bands out"
            )
        return given, [f"the files' own OME metadata call the bands {first}; the names of dataset.yaml are taken"]
    if len(found) > 1:
        other = next((", ".join(names) for names in known[1:]), "none")
        return given, [
            f"the files' own OME metadata differ in the names of their bands ({first}; {other}), so none are taken; "
            "state bands in dataset.yaml"
        ]
    return dataclasses.replace(given, bands=known[0]), ["bands are called as the files' own OME metadata say"]


def as_most(
    spec: DatasetSpec,
    channels: int | None = None,
    stated: Sequence[tuple[float, float]] = (),
    nodata: Sequence[float | None] = (),
    bands: Sequence[str] = (),
) -> DatasetSpec:
    """As :func:`with_values`, by those images of a sample that hold what most of them do: for a check, which then names
    the others.

    Raises:
        DataError: these are refused too.
    """
    kinds = _kinds(spec, told=False)
    if not kinds:
        return spec
    (most, _), *_ = Counter((kind.dtype, kind.bands) for _, kind in kinds).most_common(1)
    alike = [item for item, kind in kinds if (kind.dtype, kind.bands) == most]
    few = with_values(dataclasses.replace(spec, splits={"train": alike}), channels, stated, nodata, bands)
    return dataclasses.replace(few, splits=spec.splits)


def find_range(spec: DatasetSpec, given: Values) -> DatasetSpec:
    """The data set with the range of its train split (else its first): percentiles of a sample of its values.

    Whole numbers within 0 to 255 that reach beyond 127 keep their values: they are bytes, stored wider.

    Raises:
        DataError: no image of the sample can be read, or no value in it is finite.
    """
    items = _sample(spec)
    with ThreadPoolExecutor() as pool:
        looked_at = list(pool.map(lambda item: _values(spec, item, given), items))
    parts = [part for part in looked_at if not isinstance(part, DataError)]
    if not parts:
        raise next(part for part in looked_at if isinstance(part, DataError))
    columns = [np.concatenate(band) if band else np.empty(0) for band in zip(*parts, strict=True)]
    if not columns or not all(column.size for column in columns):
        raise DataError(
            f"{spec.root}: no value of its images is finite and not nodata; state 'range: [low, high]' in dataset.yaml"
        )
    whole = all(column.dtype.kind in "ui" for column in columns)
    lowest, highest = min(column.min() for column in columns), max(column.max() for column in columns)
    split = "train" if "train" in spec.splits else next(iter(spec.splits))
    looked = f"{'all ' if len(parts) == len(spec.splits[split]) else ''}{len(parts)} images of {split}"
    if whole and lowest >= 0 and 127 < highest <= 255:
        bounds, source = [(0.0, 255.0)], f"{looked} hold whole numbers from {lowest} to {highest}: bytes, stored wider"
    else:
        bounds = [_percentiles(column) for column in columns]
        bounds = bounds[:1] if len(set(bounds)) == 1 else bounds
        source = (
            f"percentiles {PERCENTILES[0]:g} and {PERCENTILES[1]:g} of {looked}, without nodata and not finite values"
        )
    values = dataclasses.replace(given, range=tuple(bounds), source=source)
    return _made(spec, spec.channels, values, _clipped(columns, values))


def join_values(specs: Sequence[DatasetSpec], mixed: DatasetSpec) -> DatasetSpec:
    """The mixture with the one range that a model keeps: what its data sets state, else of all their images together.

    Raises:
        DataError: some hold 8-bit images and some others, or they state different ranges.
    """
    ranged = [spec for spec in specs if spec.values is not None and spec.values.range]
    plain = [spec for spec in specs if spec.values is None or not spec.values.range]
    if ranged and any(not spec.values.bytes_fit for spec in ranged if spec.values) and plain:
        raise DataError(
            f"{plain[0].root}: holds 8-bit images, {ranged[0].root} others; a model reads one kind: convert one of them"
        )
    found = {spec.values for spec in specs if spec.values is not None}
    if not found:
        return mixed
    stated = {value for value in found if value.range and not value.source}
    nodata = {value.nodata for value in found} | ({()} if len(found) and plain else set())
    if len(stated) > 1 or len(nodata) > 1:
        a, b = sorted(map(str, found))[:2]
        raise DataError(
            f"{mixed.name}: its data sets have different ranges or nodata ({a}; {b}), a model keeps one; state the "
            "same in each dataset.yaml"
        )
    names = {value.bands for value in found if value.bands}
    if len(names) > 1:
        a, b = (", ".join(bands) for bands in sorted(names)[:2])
        raise DataError(f"{mixed.name}: its data sets have different bands ({a}; {b}); give all the same, in one order")
    bands = next(iter(names), ())
    given = Values(nodata=next(iter(nodata)), bands=bands)
    if stated:
        return _made(mixed, mixed.channels, dataclasses.replace(next(iter(stated)), bands=bands))
    return find_range(mixed, given) if ranged else _made(mixed, mixed.channels, given)


def stored_image(item: Item, channels: int) -> Stored:
    """The values of an image that is not read as 8-bit colours, from its file or its place in a container."""
    file = item.image.file()
    assert file is not None  # what is drawn, or decoded already, holds bytes
    return read_wide(file, channels)


def _made(spec: DatasetSpec, channels: int, values: Values, more: str = "") -> DatasetSpec:
    """The data set with its channels and values, and a line that says what they are."""
    values.refuse_other_channels(channels)
    if values.bands:
        spec = dataclasses.replace(spec, reasons=(*spec.reasons, f"bands: {first_few(values.bands, MOST_NAMED)}"))
    if not values.range and not values.nodata:
        return dataclasses.replace(spec, channels=channels, values=values if values.bands else None)
    said = f"values: range {values}"
    said += f" ({values.source}{more})" if values.source else " (stated)"
    return dataclasses.replace(spec, channels=channels, values=values, reasons=(*spec.reasons, said))


def _sample(spec: DatasetSpec) -> list[Item]:
    """Some images of train, or of the first split: those with the smallest SHA-256 of ``0:id``; of a container, some
    of its first part, for the others may be far.
    """
    items = spec.splits.get("train") or next(items for items in spec.splits.values() if items)
    first: dict[int, int] = {}
    near = [item for item in items if item.block < 0 or first.setdefault(item.source, item.block) == item.block]
    return sorted(near, key=lambda item: hashlib.sha256(f"0:{item.id}".encode()).hexdigest())[:MOST_IMAGES]


def _kinds(spec: DatasetSpec, told: bool) -> list[tuple[Item, Kind]]:
    """Some images with what their headers say; no image of a container where ``dataset.yaml`` tells (``told``)."""
    found: list[tuple[Item, Kind]] = []
    for item in _sample(spec):
        near = isinstance(item.image, FileImage)
        if near and item.image.files[0].suffix.lower() in EIGHT_BITS:
            found.append((item, Kind("uint8", 3)))
            continue
        try:
            file = None if told and not near else item.image.file()
            if file is not None:  # drawn, or of a layout whose images are bytes
                found.append((item, kind_of(file)))
        except FullconvError:
            continue  # it is named when it is read
    return found


def _refuse_other(spec: DatasetSpec, kinds: list[tuple[Item, Kind]], given: Values) -> None:
    types: dict[str, Item] = {}
    for item, kind in kinds:
        types.setdefault(kind.dtype, item)
    if set(types) == {"uint8"}:
        refuse_other_type(np.dtype(np.uint8), given, _name(spec, kinds[0][0]))
    if len(types) < 2 or (given.range and ("uint8" not in types or given.bytes_fit)):
        return
    (a, first), (b, second) = list(types.items())[:2]
    raise DataError(
        f"{spec.root}: images of different values, {_name(spec, first)} holds {a} and {_name(spec, second)} {b}; "
        "save them alike" + ("" if "uint8" in types else ", or state 'range: [low, high]' in dataset.yaml")
    )


def _name(spec: DatasetSpec, item: Item) -> str:
    return item.image.path.name if isinstance(item.image, FileImage) else item.id


def _values(spec: DatasetSpec, item: Item, given: Values) -> list[np.ndarray] | DataError:
    """Some values of each band, those that it holds; an error where the image cannot be read."""
    open_range = dataclasses.replace(given, range=((0.0, 1.0),), fill=(0,))
    try:
        stored = stored_image(item, spec.channels)
        rows, columns = (max(1, -(-side // MOST_VALUES)) for side in stored.array.shape[:2])
        few = stored._replace(array=np.ascontiguousarray(stored.array[::rows, ::columns]))
        bands = list(bands_of(few, spec.channels, open_range, item.image.where))
    except DataError as error:
        return error
    return [(band.stored if band.empty is None else band.stored[~band.empty]).ravel() for band in bands]


def _percentiles(column: np.ndarray) -> tuple[float, float]:
    low, high = (float(f"{value:.6g}") for value in np.percentile(column, PERCENTILES))
    return (low, high) if low < high else (low, low + 1)


def _clipped(columns: Sequence[np.ndarray], values: Values) -> str:
    bounds = values.range * (len(columns) if len(values.range) == 1 else 1)
    cut = sum(int(((c < low) | (c > high)).sum()) for c, (low, high) in zip(columns, bounds, strict=True))
    return f"; {cut / sum(column.size for column in columns):.2%} of the values are clipped"
