"""A folder of the Hugging Face ``datasets`` library: parquet shards with an image and a label column.

The format is Apache Parquet; licence and classes are those of the data set inside (see its README).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.decode import read_raw_mask
from fullconv.data.description import Description
from fullconv.data.layouts.base import SPLIT_NAMES, Found, child
from fullconv.data.parquet import Cell, ParquetImage, ParquetLabels, open_parquet
from fullconv.data.spec import Item, MaskEncoding
from fullconv.errors import DataError, first_few
from fullconv.spec import ClassSet

IMAGE_COLUMNS = ("image", "pixel_values", "img")
LABEL_COLUMNS = ("label", "labels", "mask", "annotation", "segmentation_mask", "semantic_segmentation")
COUNTED_LABELS = 1000
Place = tuple[Path, int, int]
"""Shard, row group, row in it."""


def recognise_hf_datasets(root: Path, description: Description) -> Found | None:
    """``data/train-00000-of-00001.parquet`` and so on; ``id2label.json`` names the classes."""
    if not _shards(root, dict(SPLIT_NAMES)["train"]):
        return None
    shards = {split: paths for split, names in SPLIT_NAMES if (paths := _shards(root, names))}
    columns = _columns(shards["train"][0])
    if columns is None:
        return None
    cells = {split: [place for path in paths for place in _places(path, columns)] for split, paths in shards.items()}
    reasons = [f"parquet shards ({', '.join(shards)}): Hugging Face datasets, images in {columns[0]}, "
               f"labels in {columns[1]}"]  # fmt: skip
    classes, encoding = _classes(root, description, cells, columns[1], reasons)
    splits = {split: _items(split, places, columns, encoding) for split, places in cells.items()}
    return Found("hf_datasets", reasons, splits, classes)


def _items(split: str, places: list[Place], columns: tuple[str, str], encoding: MaskEncoding) -> list[Item]:
    image, label = columns
    return [
        Item(
            f"{split}_{index:06d}",
            place[0],
            index=index,
            labels=ParquetLabels(Cell(*place, label), encoding),
            pixels=ParquetImage(Cell(*place, image)),
        )
        for index, place in enumerate(places)
    ]


def _shards(root: Path, names: Sequence[str]) -> list[Path]:
    """The shards of one split: ``train*.parquet`` here or in ``data``, or all in a folder ``train``."""
    start = re.compile(rf"({'|'.join(names)})([-_.].*)?\.parquet", re.IGNORECASE)
    for folder in (root / "data", root):
        if not folder.is_dir():
            continue
        inside = child(folder, names)
        found = sorted(path for path in folder.glob("*.parquet") if start.fullmatch(path.name))
        found = found or (sorted(inside.glob("*.parquet")) if inside else [])
        if found:
            _complete(found)
            return found
    return []


def _complete(paths: list[Path]) -> None:
    counts = [int(match.group(1)) for path in paths if (match := re.search(r"-\d+-of-(\d+)", path.name))]
    if counts and len(paths) != max(counts):
        raise DataError(
            f"{paths[0].parent}: {len(paths)} of {max(counts)} shards like {paths[0].name} are there; "
            "fetch the missing ones, and leave one set of shards per split"
        )


def _columns(path: Path) -> tuple[str, str] | None:
    """The names of the image and the label column; None for a table without images."""
    with open_parquet(path) as file:
        schema = file.schema_arrow
    images = [field.name for field in schema if "bytes" in _fields(field.type)]
    image = next((name for name in IMAGE_COLUMNS if name in images), None)
    if image is None:
        return None
    label = next((name for name in LABEL_COLUMNS if name in images), None)
    if label is None:
        kinds = first_few([f"{field.name} ({str(field.type)[:20]})" for field in schema], 6)
        raise DataError(
            f"{path}: has images but no masks; found columns {kinds}; expected one of {', '.join(LABEL_COLUMNS)} "
            "as struct<bytes, path>"
        )
    return image, label


def _fields(kind: Any) -> list[str]:
    import pyarrow

    return [field.name for field in kind] if pyarrow.types.is_struct(kind) else []


def _places(path: Path, columns: tuple[str, str]) -> list[Place]:
    """File, row group and row of every entry, from the footer."""
    with open_parquet(path) as file:
        missing = [name for name in columns if "bytes" not in _struct(file.schema_arrow, name)]
        if missing:
            raise DataError(f"{path}: has no column {missing[0]} of images, unlike the first shard; fetch it again")
        rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    return [(path, group, row) for group, count in enumerate(rows) for row in range(count)]


def _struct(schema: Any, name: str) -> list[str]:
    return _fields(schema.field(name).type) if name in schema.names else []


def _classes(
    root: Path, description: Description, cells: dict[str, list[Place]], column: str, reasons: list[str]
) -> tuple[ClassSet, MaskEncoding]:
    """From ``dataset.yaml``, ``id2label.json``, or counted."""
    given = description.class_set()
    encoding = description.encoding(given)
    if given is not None:
        reasons.append("classes from dataset.yaml")
        return given, encoding
    listing = root / "id2label.json"
    if listing.is_file():
        names = _id2label(listing)
        reasons.append(f"class names from {listing.name}")
        values = {} if list(names) == list(range(len(names))) else {value: i for i, value in enumerate(names)}
        if values:
            reasons.append("its ids are not 0, 1, 2, ...: they are numbered in their order")
        return ClassSet(tuple(names.values())), MaskEncoding(values, {}, encoding.void_values, encoding.void_colours)
    places = [place for split in cells.values() for place in split]
    step = -(-len(places) // COUNTED_LABELS)
    looked = places[::step]
    seen = set().union(*(_values(Cell(*place, column)) for place in looked))
    void = set(encoding.void_values) if encoding.void_values is not None else {65535 if max(seen) > 255 else 255}
    real = seen - void
    if seen == {0, 255} and encoding.void_values is None:
        raise DataError(
            f"{root}: the masks hold only 0 and 255; is 255 a class or unlabelled? Write one of these lines into "
            f"{root / 'dataset.yaml'}: 'values: {{0: background, 255: foreground}}' (a class), or "
            "'ignore: [255]' (unlabelled)"
        )
    if not real:
        raise DataError(f"{root}: every pixel of {len(looked)} masks is void; name the classes in dataset.yaml")
    largest = max(real)
    if largest > 20 and len(real) < largest / 2:
        raise DataError(f"{root}: the masks hold {len(real)} different ids up to {largest}; are these classes, or "
                        "instances? Name the classes in id2label.json or dataset.yaml")  # fmt: skip
    reasons.append(f"class names are not given: {largest + 1} classes counted from {len(looked)} of {len(places)} "
                   f"masks, evenly spaced (largest id {largest})")  # fmt: skip
    return ClassSet(tuple(f"class_{index}" for index in range(largest + 1))), encoding


def _id2label(listing: Path) -> dict[int, str]:
    """Ids and names, in the order of the ids."""
    try:
        content = {int(value): str(name) for value, name in json.loads(listing.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f'{listing}: expected {{"0": "name", "1": "name", ...}} ({error}); correct it') from error
    if not content or len(set(content.values())) < len(content) or min(content) < 0:
        raise DataError(f"{listing}: expected a different name for each id from 0 on; correct it")
    return dict(sorted(content.items()))


def _values(cell: Cell) -> set[int]:
    file = cell.file()
    raw = read_raw_mask(file)
    if raw.ndim == 3:
        if (raw != raw[..., :1]).any():
            raise DataError(f"{file}: an RGB mask, but no colour is named; give the classes' colours in dataset.yaml "
                            "(classes: {road: [128, 64, 128], ...})")  # fmt: skip
        raw = raw[..., 0]
    return {int(value) for value in np.unique(raw)}
