from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fullconv.data import Augmentation
from fullconv.data.loader import generator


def coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red and green say where a pixel comes from, and labels that say the same."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows * 4, columns * 4, np.full_like(rows, 7)], axis=2).astype(np.uint8)
    return image, (rows // 8 * 8 + columns // 8).astype(np.uint8)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(4, 60), st.integers(4, 60), st.integers(1, 70), st.integers(1, 70),
    st.floats(0.3, 3), st.booleans(), st.integers(0, 1000),
)  # fmt: skip
def test_image_and_labels_stay_together(
    height: int, width: int, crop_h: int, crop_w: int, scale: float, flip: bool, seed: int
) -> None:
    image, labels = coordinates(height, width)
    augment = Augmentation((crop_h, crop_w), (scale, scale), flip, 0.0, None, (9, 9, 9))
    out, out_labels = augment(image, labels, generator(seed, 0, 0), 255)
    assert out.shape == (crop_h, crop_w, 3)
    assert out_labels.shape == (crop_h, crop_w)
    assert set(np.unique(out_labels)) <= {*np.unique(labels), 255}  # never interpolated
    inside = out_labels != 255
    if not inside.any():
        return
    # the place that the colours tell has the label, up to the blur of the interpolation at a border of 8 pixels
    rows, columns = out[inside][:, 0] / 4, out[inside][:, 1] / 4
    reach = 1.5 + max(1 / scale, 0.5)
    for axis, values in (("row", rows), ("column", columns)):
        told = out_labels[inside] // 8 if axis == "row" else out_labels[inside] % 8
        distance = np.maximum(told * 8 - values, values - (told * 8 + 7)).clip(min=0)
        assert distance.max() <= reach
    # padding is the fill colour with ignored labels, and nothing else is
    assert (out[~inside] == 9).all()
    top, bottom, left, right = augment.draw((height, width), generator(seed, 0, 0)).inside
    assert inside.sum() == (bottom - top) * (right - left) == inside[top:bottom, left:right].sum()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(4, 300), st.integers(4, 300), st.integers(2, 90), st.integers(2, 90), st.floats(0.1, 3),
    st.booleans(), st.integers(0, 1000),
)  # fmt: skip
@example(4, 4, 70, 51, 1.0, True, 0)  # 51 pixels of a crop are 4.08 of the image: padded, not stretched
def test_whole_images_are_never_cut(
    height: int, width: int, crop_h: int, crop_w: int, scale: float, resized: bool, seed: int
) -> None:
    augment = Augmentation((crop_h, crop_w), (scale, scale), True, 0.0, (70, 50) if resized else None)
    free, whole = (augment.draw((height, width), generator(seed, 0, 0), whole) for whole in (False, True))
    assert (whole.rows.part(), whole.columns.part()) == (slice(0, height), slice(0, width))
    top, bottom, left, right = whole.inside
    assert 0 <= top < bottom <= crop_h
    assert 0 <= left < right <= crop_w
    if free.rows.part() == slice(0, height) and free.columns.part() == slice(0, width):
        fits = scale * (70 if resized else height) <= crop_h and scale * (50 if resized else width) <= crop_w
        assert whole == free or not fits  # what fits anyway is left alone


def test_unscaled_crop_is_a_plain_slice() -> None:
    image, labels = coordinates(40, 50)
    out, out_labels = Augmentation((16, 24))(image, labels, generator(3, 1, 2), 255)
    top, left = int(out[0, 0, 0]) // 4, int(out[0, 0, 1]) // 4
    assert np.array_equal(out, image[top : top + 16, left : left + 24])
    assert np.array_equal(out_labels, labels[top : top + 16, left : left + 24])


def test_it_is_a_function_of_seed_epoch_and_index() -> None:
    image, labels = coordinates(40, 50)
    augment = Augmentation((20, 20), (0.5, 2), True, 0.3)
    first = augment(image, labels, generator(1, 2, 3), 255)
    again = augment(image, labels, generator(1, 2, 3), 255)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not np.array_equal(first[0], augment(image, labels, generator(*other), 255)[0])


def test_every_crop_position_and_both_mirrors_occur() -> None:
    image, labels = coordinates(6, 6)
    augment = Augmentation((4, 4), flip=True)
    seen = set()
    for index in range(300):
        out, _ = augment(image, labels, generator(0, 0, index), 255)
        seen.add((int(out[0, 0, 0]) // 4, int(out[0, :, 1].min()) // 4, bool(out[0, 0, 1] > out[0, 1, 1])))
    assert len(seen) == 3 * 3 * 2


def test_colour_changes_pixels_not_labels_and_keeps_the_mean_within_its_range() -> None:
    image = np.full((8, 8, 3), (100, 120, 140), dtype=np.uint8)
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    means = []
    for index in range(100):
        out, out_labels = Augmentation(colour=0.2)(image, labels, generator(0, 0, index), 255)
        assert np.array_equal(out_labels, labels)
        means.append(out.mean())
    assert 95 <= min(means) < 100
    assert 140 < max(means) <= 145


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_channel_counts(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, channels), dtype=np.uint8)
    out, _ = Augmentation((12, 30), (0.7, 0.7), True, 0.2)(image, image[..., 0], generator(0, 0, 0), 255)
    assert out.shape == (12, 30, channels)


def test_brightness_and_contrast_change_in_all_bands_alike() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 5)).astype(np.uint8)
    image[..., 4] = image[..., 0]
    augmentation = Augmentation(colour=0.3)
    labels = np.zeros((8, 9), np.uint8)
    changed, _ = augmentation(image, labels, np.random.default_rng(3), 255)
    assert (changed != image).mean() > 0.5
    assert np.array_equal(changed[..., 4], changed[..., 0])
    order = np.argsort(image[..., 1].ravel(), kind="stable")
    assert (np.diff(changed[..., 1].ravel()[order].astype(int)) >= 0).all()  # a rising curve, as for grey
    grey, _ = augmentation(image[..., :1], labels, np.random.default_rng(3), 255)
    mean = image.mean() - image[..., 0].mean()
    assert np.abs(grey[..., 0].astype(int) - changed[..., 0]).max() <= 1 + abs(0.3 * 1.3 * mean)
