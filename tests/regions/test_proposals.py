"""Region proposals: what they cover, what they count, and OpenCV's own selective search beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fullconv.data.shapes import Shapes
from fullconv.errors import UsageError
from fullconv.regions import propose_regions
from fullconv.regions.proposals import LARGEST, Method

VOC = Path(__file__).parents[3] / "shared" / "data" / "voc_sample"
SCENES = Shapes(height=120, width=160, train=8, val=2, noise=8)


def objects(labels: np.ndarray, fewest: int = 30) -> list[np.ndarray]:
    """Each connected part of a class that is not background, bool ``[height, width]``."""
    found = []
    for label in range(1, int(labels.max(initial=0)) + 1):
        parts, count = ndimage.label(labels == label)
        found += [parts == part for part in range(1, count + 1)]
    return [mask for mask in found if mask.sum() >= fewest]


def overlaps(proposals, mask: np.ndarray) -> np.ndarray:
    inside = proposals.counts(mask.astype(np.uint8), 2)
    return inside[:, 1] / (inside[:, 0] + mask.sum())


@pytest.mark.parametrize("method", ["selective-search", "felzenszwalb"])
def test_objects_of_shapes_are_among_the_regions(method: Method) -> None:
    best = []
    for index in range(SCENES.train):
        image, labels = SCENES.draw(index)
        proposals = propose_regions(image, method)
        best += [overlaps(proposals, mask).max() for mask in objects(labels)]
    assert len(best) > 15
    assert np.mean(np.array(best) >= 0.5) > 0.9


def test_masks_boxes_and_counts_agree() -> None:
    """Against a loop over the masks; no mask comes twice."""
    image, labels = SCENES.draw(3)
    labels = np.where(labels == 2, 255, labels)
    proposals = propose_regions(image, limit=150)
    counts = proposals.counts(labels, 5)
    seen = set()
    for index, mask in enumerate(proposals.masks()):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert proposals.boxes[index].tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert counts[index].tolist() == [int((labels[mask] == label).sum()) for label in range(5)]
        assert proposals.areas[index] == mask.sum()
        seen.add(mask.tobytes())
    assert len(seen) == len(proposals) == 150


def test_the_same_image_gives_the_same_regions_and_fewer_are_the_first() -> None:
    image, _ = SCENES.draw(0)
    every, few = propose_regions(image), propose_regions(image, limit=40)
    assert np.array_equal(propose_regions(image).boxes, every.boxes)
    assert np.array_equal(few.boxes, every.boxes[:40])
    assert all(np.array_equal(few.mask(i), every.mask(i)) for i in range(40))


@pytest.mark.skipif(not VOC.is_dir(), reason="needs ../shared/data")
def test_boxes_cover_objects_of_voc_as_opencvs_do() -> None:
    """The same pieces and measures of similarity; OpenCV's own loop joins them in a slightly other order."""
    import cv2

    ours, theirs, shared = [], [], []
    for name in ("2007_000129",):
        image = np.asarray(Image.open(next(VOC.rglob(f"{name}.jpg"))))
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
        search.switchToSelectiveSearchFast()
        opencv = np.asarray(search.process())
        opencv[:, 2:] += opencv[:, :2]
        boxes = propose_regions(image, limit=10**6).boxes
        shared.append(len({*map(tuple, boxes.tolist())} & {*map(tuple, opencv.tolist())}) / len(opencv))
        labels = np.asarray(Image.open(next(VOC.rglob(f"SegmentationClass/{name}.png"))))
        for mask in objects(np.where(labels == 255, 0, labels)):
            rows, columns = np.nonzero(mask)
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            ours.append(box_overlaps(boxes, box).max())
            theirs.append(box_overlaps(opencv, box).max())
    assert min(shared) > 0.8
    assert np.mean(ours) > np.mean(theirs) - 0.02


def box_overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    inside = sides.clip(0).prod(1)
    return inside / ((boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - inside)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (40, 30)])
@pytest.mark.parametrize("method", ["selective-search", "felzenszwalb"])
def test_a_blank_image_is_one_region(size: tuple[int, int], method: Method) -> None:
    proposals = propose_regions(np.full((*size, 3), 90, np.uint8), method)
    assert proposals.boxes.tolist() == [[0, 0, size[1], size[0]]]
    assert proposals.mask(0).all()


def test_large_images_have_masks_of_their_own_size() -> None:
    image = np.full((450, 601), 40, np.uint8)
    image[150:300, 200:400] = 220
    assert image.size > LARGEST
    proposals = propose_regions(image)
    assert proposals.mask(0).shape == image.shape
    assert overlaps(proposals, image == 220).max() > 0.98


@pytest.mark.parametrize(
    ("image", "arguments", "message"),
    [
        (np.zeros((9, 9, 4), np.uint8), {}, "one or three channels, found uint8 (9, 9, 4)"),
        (np.zeros((9, 9, 3), np.float32), {}, "need uint8"),
        (np.zeros((0, 9), np.uint8), {}, "found uint8 (0, 9)"),
        (np.zeros((9, 9), np.uint8), {"method": "mcg"}, "selective-search or felzenszwalb, found 'mcg'"),
        (np.zeros((9, 9), np.uint8), {"limit": 0}, "at least 1 region"),
    ],
)
def test_what_cannot_be(image: np.ndarray, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        propose_regions(image, **arguments)
    assert message in str(caught.value)


def test_a_missing_package_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"opencv-contrib-python-headless.*pip install 'fullconv\[regions\]'"):
        propose_regions(np.zeros((9, 9), np.uint8))
