"""Tar shards of samples: where each lies, and reading it without unpacking.

A shard is an uncompressed tar whose members ``<key>.<ending>`` with one key are a sample (webdataset's convention).
``index.json`` beside the shards says where every member lies, so that samples are read by offset, in any order:

    {"format": 1, "shards": [{"file": "train-000000.tar", "split": "train", "bytes": 1234,
                              "samples": [["key", ".jpg", 512, 700, ".seg.png", 1536, 99], ...]}, ...]}
"""

from __future__ import annotations

import itertools
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullconv.errors import MOST_NAMED, DataError, first_few
from fullconv.files import ORIGIN, leads_outside
from fullconv.formats.containers.far import INDEX, open_shard
from fullconv.images.encoded import EncodedFile
from fullconv.text import parse_json, read_text

FORMAT = 1
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".webp", ".tif", ".tiff", ".bmp", ".npy")
MASK_WORDS = ("seg", "mask", "label", "labels", "annotation", "target")


@dataclass(frozen=True)
class Member:
    """One file in a shard."""

    shard: Path
    name: str
    offset: int
    size: int

    @property
    def where(self) -> str:
        return f"{self.shard}: {self.name}"

    @property
    def container(self) -> Path:
        return self.shard

    def file(self) -> EncodedFile:
        """Its bytes."""
        try:
            with open_shard(self.shard) as shard:
                shard.seek(self.offset)
                content = shard.read(self.size)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.where}: cannot be read ({error}); fetch the shard again") from error
        if len(content) < self.size:
            raise DataError(f"{self.where}: the shard ends before it; fetch it again")
        return EncodedFile(content, self.where, Path(self.name).suffix)


@dataclass(frozen=True)
class ShardSample:
    """One image and its mask."""

    key: str
    image: Member
    mask: Member


def index_of(root: Path) -> list[tuple[str, list[ShardSample]]]:
    """``(split, samples)`` of every shard, from ``index.json``.

    Raises:
        DataError: the index is damaged or of a newer format, or a shard of other size than it says.
    """
    path = root / INDEX
    try:
        content = parse_json(read_text(path))
        if content["format"] > FORMAT:
            raise DataError(f"{path}: of format {content['format']}; this fullconv reads {FORMAT}: upgrade it")
        shards = [
            (shard["split"], _shard_path(root, shard["file"], shard["bytes"]), shard["samples"])
            for shard in content["shards"]
        ]
        if not all(isinstance(split, str) for split, _, _ in shards):
            raise TypeError("a split that is no name")
        sizes = [int(shard["bytes"]) for shard in content["shards"]]
        return [
            (split, [_sample(shard, size, row) for row in rows])
            for (split, shard, rows), size in zip(shards, sizes, strict=True)
        ]
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: not an index of shards ({error!r}); delete it to have the shards read") from error


def is_shard(path: Path) -> bool:
    """Whether the tar begins with two files of one key, an image among them; archives of folders do not."""
    try:
        with tarfile.open(path, "r:") as shard:
            names = [member.name for member in itertools.islice((m for m in shard if m.isfile()), 2)]
    except (tarfile.TarError, OSError, EOFError):
        return False
    return len({_key(name) for name in names}) == 1 < len(names) and any(n.endswith(IMAGE_ENDINGS) for n in names)


def scan(path: Path, others: Counter[str] | None = None) -> list[ShardSample]:
    """The samples of one shard, from the headers of its members.

    Args:
        others: takes up the endings of the members that are neither image nor mask.

    Raises:
        DataError: not an uncompressed tar, cut short, or a sample without image or mask.
    """
    keys: dict[str, dict[str, Member]] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                if member.isfile():
                    key = _key(member.name)
                    found = Member(path, member.name, member.offset_data, member.size)
                    keys.setdefault(key, {})[member.name[len(key) :].lower()] = found
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: not a complete, uncompressed tar ({error}); samples are read by offset: unpack .gz, "
            "fetch it again"
        ) from error
    samples = [ShardSample(key, *_pair(path, key, endings)) for key, endings in keys.items()]
    if others is not None:
        for sample in samples:
            others.update(e for e, m in keys[sample.key].items() if m not in (sample.image, sample.mask))
    return samples


def write_index(root: Path, shards: Mapping[str, Sequence[Path]]) -> None:
    """``index.json`` of shards per split."""
    rows = [
        {
            "file": path.relative_to(root).as_posix(),
            "split": split,
            "bytes": path.stat().st_size,
            "samples": [
                [s.key, *(value for m in (s.image, s.mask) for value in (m.name[len(s.key) :], m.offset, m.size))]
                for s in scan(path)
            ],
        }
        for split, paths in shards.items()
        for path in paths
    ]
    (root / INDEX).write_text(json.dumps({"format": FORMAT, "shards": rows}), encoding="utf-8")


def _key(name: str) -> str:
    """A member's name up to the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _shard_path(root: Path, name: str, size: int) -> Path:
    """Where a shard of the index lies."""
    if leads_outside(name):
        raise DataError(f"{root / INDEX}: names shard {name!r}, outside its folder; refused")
    path = root / name
    if path.is_file() and path.stat().st_size != size:
        raise DataError(f"{path}: {path.stat().st_size} bytes, but {INDEX} says {size}; fetch it again")
    if not path.is_file() and not (root / ORIGIN).is_file():
        raise DataError(f"{path}: no such shard, but {INDEX} names it; fetch it")
    return path


def _sample(shard: Path, length: int, row: Sequence[Any]) -> ShardSample:
    key, *members = row
    if any(offset < 0 or size < 0 or offset + size > length for _, offset, size in _threes(members)):
        raise DataError(f"{shard}: {INDEX} says that sample {key} lies outside its {length} bytes; fetch both again")
    image, mask = (Member(shard, f"{key}{ending}", int(offset), int(size)) for ending, offset, size in _threes(members))
    return ShardSample(key, image, mask)


def _threes(values: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    return zip(values[::3], values[1::3], values[2::3], strict=True)


def _pair(path: Path, key: str, endings: Mapping[str, Member]) -> tuple[Member, Member]:
    """Image and mask of a sample: the mask's ending begins with a word for it, or it is the PNG beside a JPEG."""
    pictures = [ending for ending in endings if ending.endswith(IMAGE_ENDINGS)]
    masks = [ending for ending in pictures if ending[1:].startswith(MASK_WORDS) and ending.count(".") > 1]
    images = [ending for ending in pictures if ending not in masks]
    if not masks and len(images) == 2:
        masks = [ending for ending in images if ending in (".png", ".npy")]
        images = [ending for ending in images if ending not in masks]
    if len(images) != 1 or len(masks) != 1:
        raise DataError(
            f"{path}: sample {key} has {first_few(sorted(endings), MOST_NAMED)}; expected one image and one mask, such "
            f"as {key}.jpg and {key}.seg.png"
        )
    return endings[images[0]], endings[masks[0]]
