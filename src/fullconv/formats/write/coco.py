"""Target ``coco``: instance annotations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.formats.write.base import Writer, write_values
from fullconv.formats.write.objects import refuse_two_backgrounds
from fullconv.polygons.contents import categories, category


class Coco(Writer):
    """COCO's instance annotations: one run-length mask for each class of an image."""

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        refuse_two_backgrounds(spec, "coco")
        self.background = spec.classes.background
        self.content: dict[str, dict[str, list[Any]]] = {}
        self.void = 0
        notes.append("coco keeps no colours, and one region for each class of an image")
        if self.background is None:
            notes.append("coco calls what no region covers background: one more class when it is read again")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        from pycocotools import mask as coco

        path = self.image(self.root / split, name, item, sample)
        content = self.content.setdefault(
            split, {"images": [], "annotations": [], "categories": categories(self.spec.classes)}
        )
        number = len(content["images"]) + 1
        height, width = sample.labels.shape
        content["images"].append({"id": number, "file_name": path.name, "height": height, "width": width})
        for label in np.unique(sample.labels):
            if label == self.spec.classes.ignore_index:
                self.void += int((sample.labels == label).sum())
            elif label != self.background:
                encoded = coco.encode(np.asfortranarray(sample.labels == label).view(np.uint8))
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1, "image_id": number, "category_id": category(int(label)),
                        "segmentation": {"size": [height, width], "counts": encoded["counts"].decode()},
                        "area": int(coco.area(encoded)), "bbox": coco.toBbox(encoded).tolist(), "iscrowd": 0,
                    }
                )  # fmt: skip

    def finish(self, names: Mapping[str, list[str]]) -> None:
        (self.root / "annotations").mkdir()
        for split, content in self.content.items():
            text = json.dumps(content)
            (self.root / "annotations" / f"instances_{split}.json").write_text(text, encoding="utf-8")
        write_values(self.root, self.spec)
        if self.void:
            self.notes.append(f"coco has no void: {self.void:,} unlabelled pixels are background now")
