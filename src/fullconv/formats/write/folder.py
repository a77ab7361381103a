"""Target ``folder``: images, masks and a description."""

from __future__ import annotations

from collections.abc import Mapping

from fullconv.data.dataset import Item
from fullconv.data.sample import Sample
from fullconv.formats.write.base import Writer, write_description, write_lists
from fullconv.images.write import write_mask


class Folder(Writer):
    """``images/``, ``masks/``, lists and a ``dataset.yaml``: holds everything."""

    lists = True
    parts = True

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        self.image(self.root / "images", name, item, sample)
        write_mask(self.root / "masks" / f"{name}.png", sample.labels, self.spec.classes)

    def finish(self, names: Mapping[str, list[str]]) -> None:
        write_lists(self.root / "lists", names)
        write_description(self.root, self.spec, splits={split: f"lists/{split}.txt" for split in names})
