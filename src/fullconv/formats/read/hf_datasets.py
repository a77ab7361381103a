"""A folder of the Hugging Face ``datasets`` library: parquet shards with an image and a label column.

The format is Apache Parquet; licence and classes are those of the data set inside (see its README).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fullconv.data.dataset import Item
from fullconv.data.sources import EncodedImage, EncodedMask
from fullconv.errors import DataError, first_few
from fullconv.formats.container_classes import count_classes
from fullconv.formats.containers.parquet import Cell, open_parquet
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found, child
from fullconv.images.encoding import MaskEncoding

IMAGE_COLUMNS = ("image", "pixel_values", "img")
LABEL_COLUMNS = ("label", "labels", "mask", "annotation", "segmentation_mask", "semantic_segmentation")
RowAddress = tuple[Path, int, int]
"""Shard, row group, row in it."""


def recognise_hf_datasets(root: Path, description: Description, problems: Problems) -> Found | None:
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
    others = [name for name in _names_of(shards["train"][0]) if name not in columns]
    if others:
        reasons.append(f"other columns are not read: {first_few(others, 8)}")
    masks = [Cell(*place, columns[1]) for places in cells.values() for place in places]
    classes, encoding = count_classes(root, description, masks, reasons, problems)
    splits = {split: _items(split, places, columns, encoding) for split, places in cells.items()}
    return Found("hf_datasets", reasons, splits, classes, handles=("values", "ignore"))


def _items(split: str, places: list[RowAddress], columns: tuple[str, str], encoding: MaskEncoding) -> list[Item]:
    image, label = columns
    blocks = {place[:2]: number for number, place in enumerate(places)}
    return [
        Item(
            f"{split}_{index:06d}",
            EncodedImage(Cell(*place, image)),
            EncodedMask(Cell(*place, label), encoding),
            block=blocks[place[:2]],
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


def _names_of(path: Path) -> list[str]:
    with open_parquet(path) as file:
        return list(file.schema_arrow.names)


def _fields(kind: Any) -> list[str]:
    import pyarrow

    return [field.name for field in kind] if pyarrow.types.is_struct(kind) else []


def _places(path: Path, columns: tuple[str, str]) -> list[RowAddress]:
    """File, row group and row of every entry, from the footer."""
    with open_parquet(path) as file:
        missing = [name for name in columns if "bytes" not in _struct(file.schema_arrow, name)]
        if missing:
            raise DataError(f"{path}: has no column {missing[0]} of images, unlike the first shard; fetch it again")
        rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    return [(path, group, row) for group, count in enumerate(rows) for row in range(count)]


def _struct(schema: Any, name: str) -> list[str]:
    return _fields(schema.field(name).type) if name in schema.names else []
