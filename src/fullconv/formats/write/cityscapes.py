"""Target ``cityscapes``: its folders and training ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.errors import UsageError, first_few
from fullconv.formats.read import CITYSCAPES_CLASSES
from fullconv.formats.write.base import Writer, png


class Cityscapes(Writer):
    """Cityscapes' folders with ``labelTrainIds``; classes find theirs by name, others become void."""

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        strange = [split for split in spec.splits if split not in ("train", "val", "test")]
        if strange:
            raise UsageError(f"--to cityscapes: it has splits train, val and test, not {strange[0]}")
        if spec.values is not None and spec.values.range:
            raise UsageError("--to cityscapes: its images are of 8 bits, these hold other values; use --to folder")
        known = {name: index for index, name in enumerate(CITYSCAPES_CLASSES.names)}
        self.table = np.full(spec.classes.ignore_index + 1, 255, np.uint8)
        lost = []
        for index, name in enumerate(spec.classes.names):
            self.table[index] = known.get(name.casefold(), 255)
            if name.casefold() not in known:
                lost.append(name)
        if len(lost) == len(spec.classes):
            raise UsageError(
                f"--to cityscapes: none of the classes ({first_few(lost)}) is one of its 19; choose another target"
            )
        if "test" in spec.splits:
            notes.append(
                "cityscapes' own test has no public masks: test is written, and left out when it is read again"
            )
        if lost:
            notes.append(f"cityscapes has 19 classes by name; void now: {first_few(lost, 25)}")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        images, masks = (self.root / kind / split / "data" for kind in ("leftImg8bit", "gtFine"))
        self.copied(item)  # counts those that are turned
        for folder in (images, masks):
            folder.mkdir(parents=True, exist_ok=True)
        (images / f"{name}_leftImg8bit.png").write_bytes(png(sample.image))
        Image.fromarray(self.table[sample.labels]).save(masks / f"{name}_gtFine_labelTrainIds.png")

    def finish(self, names: Mapping[str, list[str]]) -> None:
        """Nothing: the folders say it all."""
