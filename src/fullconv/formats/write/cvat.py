"""Target ``cvat``: "CVAT for images 1.1"."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.formats.write.base import Writer, write_classes
from fullconv.formats.write.objects import Outlined, outlined, refuse_other_splits, refuse_two_backgrounds, regions
from fullconv.formats.write.yolo import no_void


class Cvat(Writer):
    """CVAT's ``annotations.xml`` with a mask (or simpler, a polygon) for each object, and the images by subset."""

    outlines = True

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        refuse_two_backgrounds(spec, "cvat")
        refuse_other_splits(spec, "cvat")
        self.tree = ET.Element("annotations")
        ET.SubElement(self.tree, "version").text = "1.1"
        labels = ET.SubElement(ET.SubElement(ET.SubElement(self.tree, "meta"), "project"), "labels")
        for label, (name, colour) in enumerate(zip(spec.classes.names, spec.classes.palette, strict=True)):
            if label != spec.classes.background:
                entry = ET.SubElement(labels, "label")
                ET.SubElement(entry, "name").text = name
                ET.SubElement(entry, "color").text = "#" + bytes(colour).hex()
                ET.SubElement(entry, "type").text = "any"
                ET.SubElement(entry, "attributes")
        self.void = 0

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        classes = self.spec.classes
        path = self.image(self.root / "images" / split, name, item, sample)
        height, width = sample.labels.shape
        image = ET.SubElement(
            self.tree, "image", id=str(len(self.tree.findall("image"))), name=path.name, subset=split,
            width=str(width), height=str(height),
        )  # fmt: skip
        if self.coarse is not None:
            self._polygons(image, outlined(item, sample, classes, self.coarse))
            return
        for region in regions(item, sample, classes):
            if region.label == classes.ignore_index:
                self.void += int(region.mask.sum())
                continue
            high, wide = region.mask.shape
            ET.SubElement(
                image, "mask", label=classes.names[region.label], source="manual", occluded="0",
                rle=", ".join(map(str, runs(region.mask))), left=str(region.left), top=str(region.top),
                width=str(wide), height=str(high), z_order="0",
            )  # fmt: skip

    def _polygons(self, image: ET.Element, found: Iterable[Outlined]) -> None:
        """Parts of an object are a group."""
        for number, (label, rings, area) in enumerate(found, 1):
            if label == self.spec.classes.ignore_index:
                self.void += area
                continue
            for ring in rings:
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)
                shape = ET.SubElement(
                    image, "polygon", label=self.spec.classes.names[label], source="manual", occluded="0",
                    points=points, z_order="0",
                )  # fmt: skip
                if len(rings) > 1:
                    shape.set("group_id", str(number))

    def finish(self, names: Mapping[str, list[str]]) -> None:
        ET.indent(self.tree)
        ET.ElementTree(self.tree).write(self.root / "annotations.xml", encoding="utf-8", xml_declaration=True)
        write_classes(self.root, self.spec)
        kind = "masks, for its brush" if self.coarse is None else "polygons"
        self.notes.append(f"cvat's regions are {kind}; its background is what no region covers")
        if self.void:
            self.notes.append(no_void("cvat", self.void, self.spec))


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths row by row, in turn outside and inside; the first is outside, and may be 0."""
    values = mask.ravel()
    starts = np.flatnonzero(np.diff(values, prepend=False, append=~values[-1:]))
    lengths: list[int] = np.diff(starts, prepend=0).tolist()
    return lengths
