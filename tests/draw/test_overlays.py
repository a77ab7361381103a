from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from fullconv import draw
from fullconv.draw import legend, overlays
from fullconv.images.picture import write_picture
from fullconv.label_map import Prediction
from fullconv.spec import ClassSet

CLASSES = ClassSet(("sky", "road"), ((0, 0, 200), (200, 0, 0)))


def halves(height: int = 30, width: int = 40) -> np.ndarray:
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] = 1
    return labels


def test_colours_alone() -> None:
    labels = np.array([[0, 1, 255]], dtype=np.uint8)
    assert draw.colorize(labels, CLASSES).tolist() == [[[0, 0, 200], [200, 0, 0], [255, 255, 255]]]
    assert draw.colorize(labels.astype(np.int32) * 257, CLASSES)[0, 2].tolist() == [255, 255, 255]


def test_inside_a_class_its_colour_is_mixed_and_at_its_border_full() -> None:
    image = np.full((30, 40, 3), 100, np.uint8)
    picture = draw.overlay(image, halves(), CLASSES)
    assert np.unique(picture[:, :19].reshape(-1, 3), axis=0).tolist() == [[40, 40, 160]]
    assert np.unique(picture[:, 21:].reshape(-1, 3), axis=0).tolist() == [[160, 40, 40]]
    assert picture[:, 19].tolist() == [[0, 0, 200]] * 30
    assert picture[:, 20].tolist() == [[200, 0, 0]] * 30


def test_below_a_class_the_image_is_grey_so_that_its_colour_is_the_class_s() -> None:
    red, green = np.full((2, 30, 40, 3), ((230, 80, 70),), np.uint8), np.full((30, 40, 3), (0, 211, 0), np.uint8)
    over_red, over_green = (draw.overlay(image, halves(), CLASSES, with_legend=True) for image in (red[0], green))
    grey = Image.fromarray(red[0]).convert("L").getpixel((0, 0))
    assert grey == Image.fromarray(green).convert("L").getpixel((0, 0)) == 124
    assert over_red[5, 5].tolist() == [50, 50, 170]
    assert np.array_equal(over_red, over_green)  # the legend's boxes too


def test_background_void_and_other_classes_show_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    labels = halves()
    labels[:5] = 255
    classes = ClassSet(("road", "_background_"))
    shown = draw.overlay(image, labels, classes)
    see_through = labels != 0
    assert np.array_equal(shown[see_through], image[see_through])
    assert not (shown[~see_through] == image[~see_through]).all(1).any()
    assert np.array_equal(draw.overlay(image, labels, CLASSES, only=[1])[labels == 0], image[labels == 0])
    assert np.array_equal(draw.overlay(image, labels, CLASSES, only=[]), image)
    asked = draw.overlay(image, labels, classes, only=[1])
    assert np.array_equal((asked != image).any(2), labels == 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_outlines_are_scipy_s_dilation_of_the_borders(height: int, width: int, line: int, seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 2, (height // 6 + 1, width // 6 + 1)).repeat(6, 0).repeat(6, 1)
    ids = ids[:height, :width]
    cross = ndimage.generate_binary_structure(2, 1)
    different = ndimage.maximum_filter(ids, footprint=cross, mode="nearest") != ndimage.minimum_filter(
        ids, footprint=cross, mode="nearest"
    )
    square = np.ones((2 * line - 1, 2 * line - 1), bool)
    assert np.array_equal(overlays.outlines(ids, line), ndimage.binary_dilation(different, square))


def test_strips_are_parts_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (61, 47, 4), dtype=np.uint8)
    labels = rng.integers(0, 3, (61, 47)).astype(np.uint8)
    whole = draw.overlay(image, labels, CLASSES, with_legend=True)
    monkeypatch.setattr(overlays, "STRIP_PIXELS", 100)
    monkeypatch.setattr(overlays, "LINE_SHARE", 10_000)
    assert np.array_equal(draw.overlay(image, labels, CLASSES, with_legend=True), whole)


@pytest.mark.parametrize("side", [64, 400, 3000])
def test_the_legend_names_the_classes_that_are_there_and_can_be_read(side: int) -> None:
    classes = ClassSet(("background", "road", "absent", "car"))
    labels = np.zeros((side, side), np.uint8)
    labels[: side // 2, : side // 2], labels[side // 2 :, side // 2 :] = 1, 3
    picture = draw.overlay(np.full((side, side, 3), 128, np.uint8), labels, classes, with_legend=True)
    below = picture[side:]
    assert len(below) >= 13  # pixels: one line of text
    assert len(below) / max(picture.shape[:2]) > 1 / 75  # and not lost when the picture is shrunk
    colours = {tuple(colour) for colour in below.reshape(-1, 3).tolist()}
    assert {classes.palette[1], classes.palette[3]} <= colours
    assert classes.palette[2] not in colours
    assert picture.shape[1] == max(side, legend.NARROWEST)


def test_only_what_is_painted_is_in_the_legend() -> None:
    both = draw.overlay(np.zeros((30, 40, 3), np.uint8), halves(), CLASSES, with_legend=True)[30:]
    one = draw.overlay(np.zeros((30, 40, 3), np.uint8), halves(), CLASSES, only=[1], with_legend=True)[30:]
    assert ((both == (0, 0, 200)).all(2).any(), (one == (0, 0, 200)).all(2).any()) == (True, False)
    assert (one == (200, 0, 0)).all(2).any()


def test_a_box_of_the_legend_looks_as_its_class_does_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (200, 300, 3), dtype=np.uint8)  # dark, and reddish on the right
    image[:, 150:, 0] += 120
    picture = draw.overlay(image, halves(200, 300), CLASSES, with_legend=True)
    colours, counts = np.unique(picture[200:].reshape(-1, 3), axis=0, return_counts=True)
    for index, half in ((0, picture[:200, 5:145]), (1, picture[:200, 155:295])):
        near = np.abs(colours - half.mean((0, 1))).max(1) <= 1
        full = (colours == CLASSES.palette[index]).all(1)
        assert counts[near].sum() > counts[full].sum() > 0  # within a frame of the colour itself


def test_long_names_are_cut_and_letters_no_font_has_give_way_to_the_id() -> None:
    short = np.asarray(legend.legend([legend.Entry("Straße, улица", (1, 2, 3))], 240, 0))
    long = np.asarray(legend.legend([legend.Entry("a" * 500, (1, 2, 3))], 240, 0))
    assert short.shape == long.shape
    unknown = legend.Entry("\U0010fffd", (1, 2, 3), "class 7")  # a private letter
    assert np.array_equal(
        np.asarray(legend.legend([unknown], 240, 0)),
        np.asarray(legend.legend([legend.Entry("class 7", (1, 2, 3))], 240, 0)),
    )


def test_a_picture_written_by_strips_is_the_picture(tmp_path: Path) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (50, 33, 3), dtype=np.uint8)
    write_picture(tmp_path / "a.png", (50, 33), np.array_split(picture, 7))
    with Image.open(tmp_path / "a.png") as file:
        assert np.array_equal(np.asarray(file), picture)
    for size, strips in (((51, 33), [picture]), ((50, 34), [picture])):
        with pytest.raises(ValueError, match="expected"):
            write_picture(tmp_path / "b.png", size, strips)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_overlay_takes_little_more_memory_than_its_picture_and_a_written_one_far_less(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 12, (30, 40), dtype=np.uint8).repeat(100, 0).repeat(100, 1)
    image = np.zeros((3000, 4000, 3), np.uint8)
    prediction = Prediction(labels, None, ClassSet(tuple(f"class {i}" for i in range(12))), image)
    prediction.overlay(), prediction.save_overlay(tmp_path / "a.png")  # what is loaded once
    tracemalloc.start()
    try:
        whole = prediction.overlay()
        assert tracemalloc.get_traced_memory()[1] < 1.2 * image.nbytes + 20e6  # a strip is as large for any picture
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        prediction.save_overlay(tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] - before < 30e6
    finally:
        tracemalloc.stop()
    with Image.open(tmp_path / "a.png") as file:
        assert np.array_equal(np.asarray(file), whole)
