from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.coco_stuff import NAMES, RAW, build


@pytest.mark.parametrize(("images", "masks"), [(".", "stuffthingmaps"), ("images", "annotations")])
def test_values_are_ids(tmp_path: Path, images: str, masks: str) -> None:
    root = build(tmp_path / "coco", images, masks)
    Image.fromarray(RAW).save(root / masks / "train2017" / "000000000009_labelTrainIds.png")  # mmsegmentation's
    Image.new("RGB", (3, 2)).save(root / images / "train2017" / "000000000099.jpg")
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / "instances_train2017.json").write_text("not read")
    spec = open_dataset(root)
    assert spec.layout == "coco_stuff"
    assert any(reason.startswith("instances files are also there and not used") for reason in spec.reasons)
    assert {name: [item.id for item in items] for name, items in spec.splits.items()} == {
        "train": list(NAMES["train2017"]),
        "val": list(NAMES["val2017"]),
    }
    for split in spec.splits:
        for item in spec.split(split):
            np.testing.assert_array_equal(read_sample(spec, item).labels, RAW)
    names = spec.classes.names
    assert len(names) == 182
    assert (names[0], names[11], names[90], names[91], names[181]) == (
        "person", "street sign", "hair brush", "banner", "wood",
    )  # fmt: skip
    assert any("11 of the 182 ids" in reason for reason in spec.reasons)


def test_what_is_missing_or_strange_is_named(tmp_path: Path) -> None:
    root = build(tmp_path / "coco", ".", "stuffthingmaps")
    Image.fromarray(np.full((2, 3), 182, np.uint8)).save(root / "stuffthingmaps" / "val2017" / "000000000139.png")
    spec = open_dataset(root)
    with pytest.raises(DataError, match=r"000000000139.png: holds id 182 .* expected 0 to 181, 255"):
        read_sample(spec, spec.split("val")[0])
    (root / "train2017" / "000000000025.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 2 listed files are missing \(000000000025.jpg\)"):
        open_dataset(root)
    (root / "val2017").rename(root / "elsewhere")
    (root / "train2017").rename(root / "elsewhere" / "train")
    with pytest.raises(
        DataError, match=r"image 000000000009.jpg is in none of the folders train2017, images/train2017"
    ):
        open_dataset(root)
    for path in root.glob("stuffthingmaps/train2017/*"):
        path.unlink()
    with pytest.raises(DataError, match=r"train2017: holds no maps such as 000000000009.png"):
        open_dataset(root)


def test_a_plain_folder_of_such_a_name_is_not_taken_for_it(tmp_path: Path) -> None:
    root = build(tmp_path / "coco", "images", "annotations")
    for path in [*root.glob("images/*/*"), *root.glob("annotations/*/*")]:
        path.rename(path.with_name(f"scene{path.name}"))
    for path in root.glob("annotations/*/*"):
        Image.fromarray(RAW % 3).save(path)
    assert open_dataset(root).layout == "folder"
