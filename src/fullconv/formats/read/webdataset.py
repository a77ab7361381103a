"""Tar shards of samples, as webdataset's ``ShardWriter`` and ``fullconv convert --to webdataset`` write them.

The format is tar; licence and classes are those of the data set inside.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from fullconv.data.dataset import Item
from fullconv.data.sources import EncodedImage, EncodedMask
from fullconv.errors import DataError, first_few
from fullconv.formats.container_classes import count_classes
from fullconv.formats.containers.shards import INDEX, ShardSample, index_of, is_shard, scan
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import SPLIT_NAMES, Found
from fullconv.images.encoding import MaskEncoding
from fullconv.text import head_of


def recognise_webdataset(root: Path, description: Description, problems: Problems) -> Found | None:
    """``train-000000.tar`` and so on, here or in a folder per split."""
    if (root / INDEX).is_file() and '"shards"' in head_of(root / INDEX):
        shards = index_of(root)
        reasons = [f"{len(shards)} tar shards that {INDEX} describes"]
    else:
        paths = sorted([*root.glob("*.tar"), *root.glob("*/*.tar")])
        if not paths or not is_shard(paths[0]):
            return None
        others = Counter[str]()
        shards = [(_split(root, path), scan(path, others)) for path in paths]
        reasons = [f"{len(shards)} tar shards of samples, named by their keys (webdataset)"]
        if others:
            said = first_few([f"{count} {ending}" for ending, count in others.most_common()], 8)
            reasons.append(f"other members of the samples are not read: {said}")
    samples = [sample for _, rows in shards for sample in rows]
    if not samples:
        raise DataError(f"{root}: its {len(shards)} shards hold no sample; expected <key>.jpg and <key>.seg.png")
    classes, encoding = count_classes(root, description, [sample.mask for sample in samples], reasons, problems)
    splits: dict[str, list[Item]] = {}
    for number, (split, rows) in enumerate(shards):
        splits.setdefault(split, []).extend(_item(sample, number, encoding) for sample in rows)
    return Found("webdataset", reasons, splits, classes, handles=("values", "ignore"))


def _item(sample: ShardSample, block: int, encoding: MaskEncoding) -> Item:
    return Item(
        sample.key,
        EncodedImage(sample.image),
        EncodedMask(sample.mask, encoding),
        block=block,
    )


def _split(root: Path, path: Path) -> str:
    """By the shard's name or its folder's; shards without such a name are divided by the seeded rule."""
    for text in (path.name, "" if path.parent == root else path.parent.name):
        for split, names in SPLIT_NAMES:
            if re.match(rf"({'|'.join(names)})([-_.\d]|$)", text, re.IGNORECASE):
                return split
    return ""
