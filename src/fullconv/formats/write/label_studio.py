"""Target ``label-studio``: its JSON tasks, with brush regions.

Format: Label Studio's documentation, "Import pre-annotated data"; the run lengths are those of
:mod:`fullconv.formats.read.label_studio_rle`.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.formats.read.label_studio_rle import CHANNELS
from fullconv.formats.write.base import Writer, write_classes
from fullconv.formats.write.objects import refuse_two_backgrounds, regions
from fullconv.formats.write.yolo import no_void

FROM, TO = "label", "image"
"""Names of the controls in the labelling interface."""
WORD, COUNT_BITS = 8, (3, 4, 8, 16)
"""Bits of a value, and the lengths that a count may have."""


class LabelStudioTasks(Writer):
    """``tasks.json`` with regions as predictions, which an annotator corrects and submits; ``label_config.xml`` for the
    project's labelling interface; images as Label Studio's local files.
    """

    regions_in: ClassVar[str] = "predictions"

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        refuse_two_backgrounds(spec, "label-studio")
        self.tasks: list[dict[str, Any]] = []
        self.void = 0
        notes.append(
            "label-studio: give label_config.xml to the project, and serve this folder as local storage "
            "(LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT); splits are not kept"
        )

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        path = self.image(self.root / "images", name, item, sample)
        size, results = sample.labels.shape, list[dict[str, Any]]()
        for region in regions(item, sample, self.spec.classes):
            if region.label == self.spec.classes.ignore_index:
                self.void += int(region.mask.sum())
                continue
            mask = np.zeros(size, bool)
            high, wide = region.mask.shape
            mask[region.top : region.top + high, region.left : region.left + wide] = region.mask
            label = self.spec.classes.names[region.label]
            results.append(
                {
                    "id": f"{name}-{len(results)}", "from_name": FROM, "to_name": TO, "type": "brushlabels",
                    "original_width": size[1], "original_height": size[0], "image_rotation": 0,
                    "value": {"format": "rle", "rle": list(packed(mask)), "brushlabels": [label]},
                }
            )  # fmt: skip
        entry = {"model_version": "fullconv", "result": results}
        place = f"/data/local-files/?d=images/{path.name}"
        self.tasks.append({"data": {"image": place}, self.regions_in: [entry]})

    def finish(self, names: Mapping[str, list[str]]) -> None:
        (self.root / "tasks.json").write_text(json.dumps(self.tasks), encoding="utf-8")
        view = ET.Element("View")
        ET.SubElement(view, "Image", name=TO, value="$image")
        brush = ET.SubElement(view, "BrushLabels", name=FROM, toName=TO)
        for label, (name, colour) in enumerate(zip(self.spec.classes.names, self.spec.classes.palette, strict=True)):
            if label != self.spec.classes.background:
                ET.SubElement(brush, "Label", value=name, background="#" + bytes(colour).hex())
        ET.indent(view)
        ET.ElementTree(view).write(self.root / "label_config.xml", encoding="utf-8")
        write_classes(self.root, self.spec)
        if self.void:
            self.notes.append(no_void("label-studio", self.void, self.spec))


def packed(mask: np.ndarray) -> bytes:
    """A mask ``[height, width]`` as thi.ng's run lengths of its picture of four channels, each 0 or 255."""
    values = mask.ravel()
    starts = np.flatnonzero(np.diff(values, prepend=~values[:1]))
    lengths = np.diff(starts, append=values.size) * CHANNELS
    bits = [f"{values.size * CHANNELS:032b}", f"{WORD - 1:05b}", *(f"{length - 1:04b}" for length in COUNT_BITS)]
    most = 1 << COUNT_BITS[-1]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = f"{255 * int(values[start]):08b}"
        while length:
            now = min(length, most)
            number = next(i for i, width in enumerate(COUNT_BITS) if now <= 1 << width)
            bits += ["1", f"{number:02b}", f"{now - 1:0{COUNT_BITS[number]}b}", value]
            length -= now
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
