from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.cityscapes import LABELS, save_image, save_masks

TRAINING = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip
IDS = np.vectorize(lambda label: TRAINING.get(label, 255))(LABELS)
STEMS = {"train": ("aachen_000000_000019", "bochum_000001_000019"), "val": ("munster_000000_000019",)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "cityscapes"
    for part, stems in STEMS.items():
        for stem in stems:
            save_image(root, part, stem)
            save_masks(root, "gtFine", part, stem, "labelIds", LABELS)
            save_masks(root, "gtFine", part, stem, "instanceIds", LABELS)
            save_masks(root, "gtFine", part, stem, "color", LABELS)
    return root


def stems(root: Path) -> dict[str, list[str]]:
    return {
        name: [item.image.path.name.removesuffix("_leftImg8bit.png") for item in items]
        for name, items in open_dataset(root).splits.items()
    }


def test_label_ids(root: Path) -> None:
    save_image(root, "test", "berlin_000000_000019")
    save_masks(root, "gtFine", "test", "berlin_000000_000019", "labelIds", LABELS * 0)
    spec = open_dataset(root)
    assert spec.layout == "cityscapes"
    assert stems(root) == {name: list(values) for name, values in STEMS.items()}
    for split in spec.splits:
        for item in spec.split(split):
            np.testing.assert_array_equal(read_sample(spec, item).labels, IDS)
    assert len(spec.classes) == 19
    assert (spec.classes.names[0], spec.classes.names[6], spec.classes.names[18]) == (
        "road",
        "traffic light",
        "bicycle",
    )
    assert (spec.classes.palette[0], spec.classes.palette[13]) == ((128, 64, 128), (0, 0, 142))
    assert "test is left out: its masks are not public" in spec.reasons
    assert any("_labelIds.png: 19 of the 34 ids" in reason for reason in spec.reasons)


def test_training_ids_are_read_where_label_ids_are_missing(root: Path) -> None:
    ids = np.where(IDS == 255, 255, (IDS + 3) % 19)
    for part, names in STEMS.items():
        for stem in names:
            save_masks(root, "gtFine", part, stem, "labelTrainIds", ids)
    spec = open_dataset(root)  # both are there: label ids win
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, IDS)
    next(root.glob("gtFine/val/*/*_labelIds.png")).unlink()  # one kind for all splits
    spec = open_dataset(root)
    for split in spec.splits:
        np.testing.assert_array_equal(read_sample(spec, spec.split(split)[0]).labels, ids)
    assert any("_labelTrainIds.png: training ids 0 to 18" in reason for reason in spec.reasons)


def test_coarse_masks(root: Path) -> None:
    for part, names in {**STEMS, "train_extra": ("augsburg_000000_000001",)}.items():
        for stem in names:
            save_image(root, part, stem)
            save_masks(root, "gtCoarse", part, stem, "labelIds", LABELS[:, ::-1])
    spec = open_dataset(root)
    assert any("gtCoarse is also there and not used" in reason for reason in spec.reasons)
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, IDS)
    (root / "gtFine").rename(root / "fine")
    assert stems(root) == {"train": [*STEMS["train"], "augsburg_000000_000001"], "val": list(STEMS["val"])}
    spec = open_dataset(root)
    assert "train_extra joins training" in spec.reasons
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[-1]).labels, IDS[:, ::-1])


def test_what_is_missing_or_strange_is_named(root: Path) -> None:
    save_masks(root, "gtFine", "train", STEMS["train"][0], "labelIds", LABELS + 1)
    spec = open_dataset(root)
    with pytest.raises(DataError, match=r"aachen_000000_000019_gtFine_labelIds.png: holds id 34 .* expected 0 to 33"):
        read_sample(spec, spec.split("train")[0])
    next(root.glob("gtFine/train/bochum/*_labelIds.png")).unlink()
    expected = r"1 of 3 images have no mask \*_gtFine_labelIds.png \(bochum/bochum_000001_000019\)"
    with pytest.raises(DataError, match=expected):
        open_dataset(root)
    for path in root.glob("leftImg8bit/val/*/*.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"val: holds no <city>/\*_leftImg8bit.png; unpack the images"):
        open_dataset(root)
