"""GrabCut of boxes: against OpenCV called by hand, on objects that it can cut, and on boxes that it cannot."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from fullconv.errors import UsageError
from fullconv.weak import grabcut as module
from fullconv.weak.drawn import Box
from fullconv.weak.grabcut import agreement, grabcut, refuse_without_libraries

cv2 = pytest.importorskip("cv2")


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red disc and a blue square that touch, on grey; image and labels."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :96]
    labels = np.zeros((64, 96), np.uint8)
    labels[(y - 30) ** 2 + (x - 32) ** 2 <= 16**2] = 1
    labels[20:52, 46:74] = 2
    colours = np.array([(120, 120, 120), (220, 60, 50), (50, 80, 220)], np.float32)
    image = colours[labels] + random.normal(0, 6, (64, 96, 3))
    return image.clip(0, 255).astype(np.uint8), labels


BOXES = (Box(1, 16, 14, 49, 47), Box(2, 46, 20, 74, 52))


def test_objects_that_touch_are_cut_and_the_rest_is_background() -> None:
    image, truth = scene()
    labels, found = grabcut(image, BOXES, 255, 0, 3)
    known = labels != 255
    assert known.mean() > 0.9
    assert (labels == truth)[known].mean() > 0.995
    assert vars(found) == {"boxes": 2, "small": 0, "unsure": 0}
    again, _ = grabcut(image, BOXES, 255, 0, 3)
    assert np.array_equal(labels, again)


def test_one_run_is_opencvs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A box that does not move, with surroundings of a quarter: OpenCV's GrabCut with its rectangle."""
    image, _ = scene()
    for name, value in {"RUNS": 1, "MOVED": 0.0, "AROUND": (0.25, 0.25)}.items():
        monkeypatch.setattr(module, name, value)
    box = BOXES[1]
    share = agreement(image, box, np.random.default_rng(0))
    left, top, right, bottom = 46 - 7, 20 - 8, 74 + 7, 52 + 8
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.setRNGSeed(1)
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(crop, mask, (7, 8, 28, 32), *models, module.ITERATIONS, cv2.GC_INIT_WITH_RECT)
    assert np.array_equal(share > 0.5, (mask % 2 == 1)[8:40, 7:35])


def test_a_large_box_is_cut_on_a_smaller_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = scene()
    monkeypatch.setattr(module, "LONGEST", 24)
    labels, _ = grabcut(image, BOXES, 255, 0, 0)
    known = labels != 255
    assert labels.shape == truth.shape
    assert (labels == truth)[known].mean() > 0.96


def test_grey_images_and_images_of_more_bands_are_cut_too() -> None:
    image, truth = scene()
    for pixels in (image[..., :1], np.concatenate([image, image[..., :2]], 2)):
        labels, _ = grabcut(pixels, BOXES[1:], 255, 0, 0)
        known = (labels != 255) & (truth != 1)
        assert (labels == truth)[known].mean() > 0.98


def test_what_cannot_be_cut_is_counted() -> None:
    image, _ = scene()
    tiny, whole, crowd = Box(1, 0, 0, 3, 9), Box(2, 0, 0, 96, 64), Box(-1, 80, 40, 96, 64)
    labels, found = grabcut(image, (tiny, whole, crowd), 255, 0, 0)
    assert vars(found) == {"boxes": 2, "small": 1, "unsure": 1}
    assert (labels[0:9, 0:3] == 1).all()
    assert (labels[40:64, 80:96] == 255).all()
    middle = labels[17:46, 26:69]  # a fifth of the area: 29 x 43
    assert (middle == 2).all()
    assert (labels == 2).sum() == middle.size


def test_flat_pixels_have_no_cut_and_fail_nowhere() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    labels, found = grabcut(image, (Box(1, 10, 10, 30, 30),), 255, 0, 0)
    assert set(np.unique(labels)) <= {0, 1, 255}
    assert (labels == 1).any()
    assert found.boxes == 1


def test_without_its_library_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_without_libraries("boxsup")
    missing = {"skimage"}
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else find(name))
    refuse_without_libraries("grabcut")
    with pytest.raises(UsageError, match=r"--box-labels boxsup needs the package scikit-image.*fullconv\[weak\]"):
        refuse_without_libraries("boxsup")
    missing.add("cv2")
    with pytest.raises(
        UsageError, match=r"--box-labels grabcut needs the package opencv-contrib-python-headless.*fullconv\[weak\]"
    ) as refused:
        refuse_without_libraries("grabcut")
    assert "\n" not in str(refused.value)
