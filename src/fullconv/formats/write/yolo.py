"""Target ``yolo``: a text file of outlines for each image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.formats.write.base import Writer, write_classes
from fullconv.formats.write.objects import outlined, refuse_other_splits, refuse_two_backgrounds
from fullconv.polygons.contents import yolo_labels

NO_POSES = [0, 0]
"""``kpt_shape`` of data without points: lines are outlines, whatever their lengths."""


class Yolo(Writer):
    """YOLO segmentation as Ultralytics reads it; ``dataset.yaml`` keeps for us what ``data.yaml`` cannot."""

    outlines = True

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        refuse_two_backgrounds(spec, "yolo")
        refuse_other_splits(spec, "yolo")
        self.labels = yolo_labels(spec.classes)
        self.numbers = {label: number for number, label in enumerate(self.labels)}
        self.void = self.cut = self.pieces = 0
        notes.append("yolo keeps no colours and no background class: dataset.yaml keeps them for fullconv")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        self.image(self.root / "images" / split, name, item, sample)
        size, lines = np.array(sample.labels.shape[::-1]), []
        for label, rings, area in outlined(item, sample, self.spec.classes, self.coarse):
            if label == self.spec.classes.ignore_index:
                self.void += area
                continue
            self.pieces, self.cut = self.pieces + 1, self.cut + (len(rings) > 1)
            for ring in rings:
                # the middle of each pixel: whoever cuts off the fraction, as Ultralytics does, has the pixel again
                shares = ((ring + 0.5 * (self.coarse is None)) / size).ravel()
                lines.append(" ".join([str(self.numbers[label]), *(f"{share:.8g}" for share in shares)]))
        path = self.root / "labels" / split / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def finish(self, names: Mapping[str, list[str]]) -> None:
        content: dict[str, Any] = {split: f"images/{split}" for split in names}
        named = {number: self.spec.classes.names[label] for label, number in self.numbers.items()}
        content |= {"kpt_shape": NO_POSES, "names": named}
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
        (self.root / "data.yaml").write_text(text, encoding="utf-8")
        write_classes(self.root, self.spec)
        if self.void:
            self.notes.append(no_void("yolo", self.void, self.spec))
        if self.cut:
            self.notes.append(
                f"outlines have no holes: {self.cut} of {self.pieces} objects are several lines, as if several objects"
            )


def no_void(target: str, pixels: int, spec: DatasetSpec) -> str:
    """What becomes of pixels without a label."""
    if spec.classes.background is None:
        return f"{target} has no void: {pixels:,} unlabelled pixels are in no region, which dataset.yaml keeps apart"
    return f"{target} has no void: {pixels:,} unlabelled pixels are background now"
