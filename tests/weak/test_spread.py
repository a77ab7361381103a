"""Points spread over superpixels, beside a loop over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv import open_dataset
from fullconv.errors import DataError, UsageError
from fullconv.weak import spread, supervise

pytest.importorskip("skimage")
VOID = 255


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Marks, and an image whose superpixels are of many sizes."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (10, 12, 3)).repeat(7, 0).repeat(6, 1)
    image[20:, 30:] = 90
    image = np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    marks = np.full(image.shape[:2], VOID, np.uint8)
    for _ in range(12):
        row, column = random.integers(0, [image.shape[0] - 3, image.shape[1] - 3])
        marks[row : row + 3, column : column + 3] = random.integers(0, 4)
    marks[20:, 30:] = VOID
    marks[40:43, 44:47] = 2
    return marks, image


@pytest.mark.parametrize("seed", range(5))
def test_a_superpixel_takes_the_class_of_its_marks_and_64_pixels_at_most(seed: int) -> None:
    marks, image = scene(seed)
    found, segments = spread.spread(marks, image, VOID), spread.SUPERPIXELS.of(image)
    assert found.dtype == marks.dtype
    np.testing.assert_array_equal(found[marks != VOID], marks[marks != VOID])
    sizes = set()
    for number in range(segments.max() + 1):
        inside = segments == number
        classes = set(marks[inside].tolist()) - {VOID}
        new = found[inside & (marks == VOID)]
        if len(classes) != 1:
            assert (new == VOID).all()
            continue
        assert set(new.tolist()) <= {VOID, *classes}
        least = min(inside.sum(), spread.MOST)
        assert least <= (found[inside] != VOID).sum() <= least + (marks[inside] != VOID).sum()
        sizes.add(bool(inside.sum() > spread.MOST))
    assert sizes == {False, True}


def test_labelled_pixels_lie_all_over_a_superpixel() -> None:
    marks = np.full((60, 80), VOID, np.uint8)
    marks[30:33, 40:43] = 2
    found = spread.spread(marks, np.full((60, 80, 3), 100, np.uint8), VOID)
    rows, columns = np.nonzero((found == 2) & (marks == VOID))
    assert 55 <= len(rows) <= 64
    assert min(np.ptp(rows), np.ptp(columns)) > 50


def test_no_void_and_no_marks() -> None:
    image = scene(0)[1]
    empty = np.full(image.shape[:2], VOID, np.uint8)
    np.testing.assert_array_equal(spread.spread(empty, image, VOID), empty)
    full = np.ones(image.shape[:2], np.uint8)
    np.testing.assert_array_equal(spread.spread(full, image, VOID), full)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_of_other_channels_are_spread_without_a_warning(channels: int) -> None:
    marks, image = scene(0)
    wide = np.concatenate([image, image[..., ::-1]], 2)[..., :channels]
    seen = image if channels >= 3 else image[..., :1].repeat(3, 2)
    np.testing.assert_array_equal(spread.spread(marks, wide, VOID), spread.spread(marks, seen, VOID))


def test_train_points_are_spread_and_those_that_score_are_not() -> None:
    scenes = open_dataset("shapes:height=96,width=96,train=4,val=4")
    dots, spreads = supervise(scenes, "points"), supervise(scenes, "points", spread=True)
    more, right = [], []
    for one, other in zip(dots.spec.split("train"), spreads.spec.split("train"), strict=True):
        mark, wide = (item.annotation.label_map(len(scenes.classes), VOID) for item in (one, other))
        np.testing.assert_array_equal(wide[mark != VOID], mark[mark != VOID])
        new = (wide != VOID) & (mark == VOID)
        more.append(new.sum())
        right.append((wide == one.annotation.mask())[new].mean())
    assert min(more) > 100
    assert np.mean(right) > 0.95
    for one, other in zip(dots.spec.split("val"), spreads.spec.split("val"), strict=True):
        assert one.annotation == other.annotation
    said = ["superpixels" in " ".join(found.lines) for found in (dots, spreads)]
    assert said == [False, True]


def test_a_mask_of_another_size_is_refused_as_ever(tmp_path: Path) -> None:
    for folder, size in (("images", (50, 40)), ("masks", (60, 40))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB" if folder == "images" else "L", size, 1).save(tmp_path / "data" / folder / f"{number}.png")
    options: dict[str, Any] = {"epochs": 1, "encoder": "mobilenetv2_050", "encoder_weights": "none", "quiet": True}
    with pytest.raises(DataError, match=r"is 50x40, but its mask 1\.png is 60x40; export the mask at the image's size"):
        fullconv.train(tmp_path / "data", tmp_path / "run", labels="points", check=False, workers=0, **options)


def test_without_scikit_image_dots_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "installed", lambda name: False)
    with pytest.raises(UsageError, match=r"needs the package scikit-image.*fullconv\[weak\].*--point-labels dots"):
        spread.refuse_without_library()


CAMVID = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
def test_most_of_what_camvids_points_are_spread_over_is_right() -> None:
    right = pixels = marked = size = 0
    for item in supervise(open_dataset(CAMVID), "points", spread=True).spec.split("train")[::40]:
        labels, truth = item.annotation.label_map(11, VOID), item.annotation.mask()
        known = (labels != VOID) & (truth != VOID)
        right, pixels = right + (labels == truth)[known].sum(), pixels + known.sum()
        marked, size = marked + (labels != VOID).sum(), size + labels.size
    assert right / pixels > 0.8
    assert 0.003 < marked / size < 0.03
