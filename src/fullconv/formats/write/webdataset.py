"""Target ``webdataset``: tar shards of samples, as the webdataset library reads and writes them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.formats.containers.shards import write_index
from fullconv.formats.write.base import Writer, free_name, write_description
from fullconv.images.write import mask_image

SHARD_BYTES = 256 << 20
SHARD_SAMPLES = 1000


class WebDataset(Writer):
    """``train-000000.tar`` ... with ``<key>.jpg`` and ``<key>.seg.png``; ``index.json`` says where each of them lies.

    A shard is closed at 256 MiB or 1000 samples.
    """

    parts = True

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        self.shards: dict[str, list[Path]] = {}
        self.keys: set[str] = set()
        self.open: tuple[str, tarfile.TarFile] | None = None
        self.count = 0

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        key = free_name(name, self.keys, r"\w-")  # a key ends at the first dot
        self.keys.add(key)
        shard = self._shard(split)
        image, suffix = self.image_bytes(item, sample)
        buffer = io.BytesIO()
        mask_image(sample.labels, self.spec.classes).save(buffer, "PNG")
        for ending, content in ((suffix, image), (".seg.png", buffer.getvalue())):
            member = tarfile.TarInfo(key + ending)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
        self.count += 1

    def finish(self, names: Mapping[str, list[str]]) -> None:
        self.close()
        write_description(self.root, self.spec)
        write_index(self.root, self.shards)

    def _shard(self, split: str) -> tarfile.TarFile:
        """The open shard of the split; a new one where there is none, or it is full."""
        if self.open is not None:
            of, shard = self.open
            if of == split and self.count < SHARD_SAMPLES and shard.offset < SHARD_BYTES:
                return shard
            self.close()
        paths = self.shards.setdefault(split, [])
        paths.append(self.root / f"{split}-{len(paths):06d}.tar")
        shard = tarfile.open(paths[-1], "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 (closed when it is full)
        self.open, self.count = (split, shard), 0
        return shard

    def close(self) -> None:
        if self.open is not None:
            self.open[1].close()
            self.open = None
