"""The objects that a model finds in images, one by one: with masks as COCO's run lengths, and as its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fullconv.device import autocast
from fullconv.errors import UsageError
from fullconv.files import write_text
from fullconv.geometry import Window
from fullconv.given import Given, read_given
from fullconv.models.mask_rcnn import Detections, MaskRCNN
from fullconv.parts import Part
from fullconv.polygons.contents import categories, category
from fullconv.runner import RunModel, TorchRunner, normalise
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from fullconv.tiling import TILE

Entry = dict[str, Any]
"""An annotation as COCO's JSON has it."""


@dataclass(frozen=True, eq=False)
class Instances:
    """The objects found in one image, the most certain first.

    Attributes:
        size: ``(height, width)`` of the image.
        labels: int64 ``[n]``, class ids.
        scores: float32 ``[n]``, 0 to 1.
        boxes: float32 ``[n, 4]``, ``xyxy`` in pixels, as the network gave them.
        runs: of each mask, COCO's compressed run lengths.
    """

    size: tuple[int, int]
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    runs: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.runs)

    def mask(self, place: int) -> np.ndarray:
        """Where one of them is, bool ``[height, width]``."""
        from pycocotools import mask as coco

        return np.asarray(coco.decode({"size": list(self.size), "counts": self.runs[place]})).astype(bool)

    def entries(self) -> list[Entry]:
        """As COCO's JSON has them, but for ``id`` and ``image_id``; ``bbox`` is that of the mask."""
        found = (mask_entry(runs, self.size) for runs in self.runs)
        return [
            {"category_id": category(int(label)), **entry, "iscrowd": 0, "score": float(score)}
            for label, score, entry in zip(self.labels, self.scores, found, strict=True)
        ]

    @classmethod
    def of(cls, found: Detections, size: tuple[int, int]) -> Instances:
        """What a network found in an image of ``(height, width)``."""
        runs = tuple(run_lengths(mask.cpu().numpy()) for mask in found.pasted(size))
        labels, scores, boxes = (part.cpu().numpy() for part in (found.labels, found.scores, found.boxes))
        return cls(size, labels, scores, boxes, runs)


def run_lengths(mask: np.ndarray) -> bytes:
    """A mask, bool ``[height, width]``, as COCO's compressed run lengths."""
    from pycocotools import mask as coco

    counts: bytes = coco.encode(np.asfortranarray(mask).view(np.uint8))["counts"]
    return counts


def mask_entry(runs: bytes, size: tuple[int, int]) -> Entry:
    """``segmentation``, ``area`` and ``bbox`` (left, top, width, height) of a mask."""
    from pycocotools import mask as coco

    encoded = {"size": list(size), "counts": runs}
    segmentation = {"size": list(size), "counts": runs.decode("ascii")}
    return {
        "segmentation": segmentation, "area": int(coco.area(encoded)), "bbox": np.asarray(coco.toBbox(encoded)).tolist()
    }  # fmt: skip


def write_coco_json(path: Path, images: Mapping[str, Instances], classes: ClassSet) -> None:
    """Write what was found in images, by their file names, as COCO's JSON: its ``annotations`` have a ``score`` each.

    It is read as a data set. The annotations alone are what ``COCO.loadRes`` takes; best without ``bbox``, whose area
    it would take for the mask's.
    """
    content: dict[str, list[Entry]] = {"images": [], "annotations": [], "categories": categories(classes)}
    for number, (name, found) in enumerate(images.items(), start=1):
        height, width = found.size
        content["images"].append({"id": number, "file_name": name, "height": height, "width": width})
        for entry in found.entries():
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": number, **entry})
    write_text(path, json.dumps(content))


def finds_instances(segmenter: Segmenter) -> bool:
    """Whether a model's network finds objects."""
    return isinstance(segmenter.runner, TorchRunner) and isinstance(segmenter.runner.network, MaskRCNN)


class InstanceSegmenter(Segmenter):
    """A model whose network finds objects, which keeps those of every image that it labels.

    Label maps are the same, from the same pass of the network; only of images that go in tiles objects are looked for
    in the image as a whole beside.

    Attributes:
        found: of each image so far, in order.

    Raises:
        UsageError: a network without objects.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        if not finds_instances(segmenter):
            raise UsageError(
                f"{segmenter.config['name']} labels pixels and knows no objects; instances need a model trained with "
                "--model maskrcnn"
            )
        model = RunModel(segmenter.runner, segmenter.config, segmenter.licence)
        super().__init__(model, segmenter.classes, segmenter.preprocessing, segmenter.provenance)
        self.found: list[Instances] = []

    def find(self, image: Given) -> Instances:
        """The objects in an image, as :meth:`fullconv.Segmenter.predict` takes it."""
        pixels = np.require(read_given(image, self.preprocessing), requirements=["C", "W"])
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        return Instances.of(self._detect(batch)[0], (pixels.shape[0], pixels.shape[1]))

    def parts(
        self, pixels: Tensor, tile: int = TILE, overlap: int | None = None, exact: bool = False
    ) -> Iterator[Part]:
        """As those of the model; the objects of the images go to ``found``."""
        self.check_tiles(tile, overlap)
        size = (pixels.shape[2], pixels.shape[3])
        detections = self._detect(pixels)
        self.found += [Instances.of(one, size) for one in detections]
        if max(size) > self.tiling(size, tile, overlap, exact).tile:
            yield from super().parts(pixels, tile, overlap, exact)
            return
        network = self._mask_rcnn
        logits = torch.stack([network.score_map(one, size) for one in detections])
        yield Part(logits, Window(0, 0, *size), slice(0, size[0]), slice(0, size[1]))

    @property
    def _mask_rcnn(self) -> MaskRCNN:
        network = self.network
        assert isinstance(network, MaskRCNN)
        return network

    @torch.inference_mode()
    def _detect(self, pixels: Tensor) -> list[Detections]:
        with autocast(self.device, self.precision):
            return self._mask_rcnn.detect(normalise(pixels.to(self.device, non_blocking=True), self.preprocessing))
