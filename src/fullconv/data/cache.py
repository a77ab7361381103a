"""Decoded images and labels in one memory-mapped file: built once, shared by all processes that read it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock

from fullconv.data.annotations import Annotation
from fullconv.data.dataset import AnnotationSource, DatasetSpec, ImageSource, Item
from fullconv.data.instances import Instance, KeepsInstances, keeps_instances
from fullconv.data.sample import Sample, read_sample
from fullconv.errors import FullconvError
from fullconv.files import ORIGIN, cache_folder
from fullconv.images.encoding import UInt8Array
from fullconv.images.values import Pixels
from fullconv.machine import usable_cores
from fullconv.spec import Values

FORMAT = 1
PIXELS, INDEX = "pixels.bin", "index.json"
READ_AHEAD = 64


@dataclass(frozen=True)
class CachedArray:
    """Where one array lies in the file."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str

    def array(self) -> np.ndarray:
        """The array, read-only; only the pages that are looked at are read."""
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        return _mapped(self.path)[self.offset : self.offset + size].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class CachedImage:
    """An image of the cache, decoded from ``of``."""

    place: CachedArray
    of: ImageSource

    @property
    def where(self) -> Path | str:
        return self.of.where

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.place.path,)

    def file(self) -> None:
        """It is decoded already."""

    def read(self, channels: int, shrink: int = 1, values: Values | None = None) -> Pixels:
        """As it was decoded; that a pixel holds nothing is in the labels already."""
        return Pixels(self.place.array())

    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.place.shape[0], self.place.shape[1]


@dataclass(frozen=True)
class CachedLabels:
    """Labels of the cache, decoded from ``of``."""

    place: CachedArray
    of: AnnotationSource

    @property
    def where(self) -> Path | str:
        return self.of.where

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.place.path,)

    @property
    def has_label_map(self) -> bool:
        return True

    def stored_as(self) -> str:
        return self.of.stored_as()

    def annotations(self) -> tuple[Annotation, ...]:
        return self.of.annotations()

    @property
    def has_instances(self) -> bool:
        return keeps_instances(self.of)

    def instances(self) -> tuple[Instance, ...]:
        """Drawn anew: the cache holds none."""
        assert isinstance(self.of, KeepsInstances)
        return self.of.instances()

    def label_map(self, num_classes: int, ignore_index: int) -> np.ndarray:
        """``[height, width]``."""
        return self.place.array()


def decoded(spec: DatasetSpec, progress: Callable[[int, int], None] | None = None) -> DatasetSpec:
    """The same data set, read from decoded pixels in ``$FULLCONV_CACHE`` (``~/.cache/fullconv``).

    The file is built if there is none for these files (their names, sizes and times of change), classes and rules;
    an older one of the same data is deleted then. Several processes may ask at once: one builds, the others wait.

    Args:
        spec: any; one without files (``shapes``) is drawn faster than it is read, and comes back as it is.
        progress: called with the items done and all.

    Raises:
        DataError: an item that cannot be read.
        FullconvError: the disk is, or would be, full.
    """
    if not any(item.files for split in spec.splits.values() for item in split):
        return spec
    digests = {id(item): digest(item) for split in spec.splits.values() for item in split}
    unique = {digests[id(item)]: item for split in spec.splits.values() for item in split}  # some are in two splits
    items = list(unique.values())
    place = hashlib.sha256(str(spec.root.resolve()).encode()).hexdigest()[:16]
    home = cache_folder() / "decoded" / f"{spec.name}-{place}"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / _key(spec, unique)
    with FileLock(home / ".lock"):
        if not (folder / INDEX).is_file():
            for old in home.iterdir():
                if old.is_dir():
                    shutil.rmtree(old, ignore_errors=True)
            _build(spec, items, folder, progress)
    rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    places = {
        digest: (_place(folder, row["image"]), _place(folder, row["labels"]))
        for digest, row in zip(unique, rows, strict=True)
    }

    def cached(item: Item) -> Item:
        pixels, ids = places[digests[id(item)]]
        image, labels = CachedImage(pixels, item.image), CachedLabels(ids, item.annotation)
        return dataclasses.replace(item, image=image, annotation=labels, block=-1)

    splits = {name: [cached(item) for item in split] for name, split in spec.splits.items()}
    return dataclasses.replace(spec, splits=splits)


def _key(spec: DatasetSpec, digests: Iterable[str]) -> str:
    """A digest of everything that the decoded pixels depend on."""
    own = pickle.dumps((FORMAT, spec.classes, spec.encoding, spec.channels, spec.values, spec.labelled))
    return hashlib.sha256(own + "".join(digests).encode()).hexdigest()[:32]


def digest(item: Item, *more: object) -> str:
    """One item: its names and sources, size and time of its files (not of fetched shards, which come and go).

    ``more``: whatever else is made of it depends on; picklable.
    """
    found = hashlib.sha256(pickle.dumps((item.source, item.id, item.image, item.annotation, *more)))
    for path in item.files:
        found.update(str(path).encode())
        if path.is_file() and not (path.parent / ORIGIN).is_file():
            status = path.stat()
            found.update(f"|{status.st_size}|{status.st_mtime_ns}".encode())
    return found.hexdigest()


def _build(spec: DatasetSpec, items: Sequence[Item], folder: Path, progress: Callable[[int, int], None] | None) -> None:
    """Write the pixels, then the index: a folder without index is one that was not finished."""
    folder.mkdir()
    rows: list[dict[str, tuple[int, list[int], str]]] = []
    try:
        with (folder / PIXELS).open("wb") as file:
            for done, sample in enumerate(_samples(spec, items), start=1):
                row = {}
                for name, array in (("image", sample.image), ("labels", sample.labels)):
                    row[name] = (file.tell(), list(array.shape), array.dtype.str)
                    file.write(np.ascontiguousarray(array).data)
                    file.write(bytes(-file.tell() % 64))
                rows.append(row)
                if done == min(READ_AHEAD, len(items)):
                    _refuse_full(folder, file.tell() // done * (len(items) - done))
                if progress is not None:
                    progress(done, len(items))
        (folder / INDEX).write_text(json.dumps(rows), encoding="utf-8")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise FullconvError(f"{folder}: the disk is full; free some, or train without --cache") from error
        raise


def _samples(spec: DatasetSpec, items: Sequence[Item]) -> Iterator[Sample]:
    """All samples in order, read by several threads, not far ahead."""
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for start in range(0, len(items), READ_AHEAD):
            yield from pool.map(lambda item: read_sample(spec, item), items[start : start + READ_AHEAD])


def _refuse_full(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FullconvError(
            f"{folder}: the decoded data set needs {size / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free; "
            "set FULLCONV_CACHE to a larger disk, or train without --cache"
        )


def _place(folder: Path, row: tuple[int, list[int], str]) -> CachedArray:
    return CachedArray(folder / PIXELS, row[0], tuple(row[1]), row[2])


@lru_cache(maxsize=8)
def _mapped(path: Path) -> UInt8Array:
    return np.memmap(path, dtype=np.uint8, mode="r")
