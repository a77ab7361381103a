"""Oxford-IIIT Pet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make, describe
from tests.builders.images import save_mask


def test_oxford_pets(make_folder: Make, tmp_path: Path) -> None:
    source = make_folder(5)
    root = tmp_path / "oxford_pets"
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "images").mkdir()
    for index in range(5):
        name = f"Abyssinian_{index}"
        with Image.open(source / "images" / f"scene_{index}.png") as image:
            image.save(root / "images" / f"{name}.jpg")
        with Image.open(source / "masks" / f"scene_{index}.png") as mask:
            save_mask(root / "annotations" / "trimaps" / f"{name}.png", np.asarray(mask) % 3 + 1)
    (root / "annotations" / "trainval.txt").write_text(
        "#Image CLASS-ID SPECIES BREED ID\nAbyssinian_0 1 1 1\nAbyssinian_1 1 1 1\n"
    )
    (root / "annotations" / "test.txt").write_text("Abyssinian_2 1 1 1\n")
    spec = open_dataset(root)
    assert (spec.layout, spec.classes.names) == ("pets", ("pet", "background", "border"))
    assert [item.id for item in spec.split("train")] == ["Abyssinian_0", "Abyssinian_1"]
    assert [item.id for item in spec.split("val")] == ["Abyssinian_2"]
    with Image.open(source / "masks" / "scene_0.png") as mask:
        trimap = np.asarray(mask) % 3
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, trimap)
    for kind in ("images", "annotations/trimaps"):
        for path in (root / kind).glob("Abyssinian_[12].*"):
            path.rename(path.with_name(path.name.replace("Abyssinian", "american_bulldog")))
    (root / "annotations" / "trainval.txt").write_text("Abyssinian_0 1 1 1\namerican_bulldog_1 2 2 1\n")
    (root / "annotations" / "test.txt").write_text("american_bulldog_2 2 2 1\n")
    for names, animals in (
        (["background", "cat", "dog"], (1, 2)),
        (["American Bulldog", "background", "abyssinian"], (2, 0)),
        (["background", "Abyssinian"], (1, 255)),
    ):
        describe(root, classes=names)
        by_kind = open_dataset(root)
        assert by_kind.classes.names == tuple(names)
        background = names.index("background")
        for item, animal in zip(by_kind.split("train"), animals, strict=True):
            with Image.open(item.annotation.path) as mask:
                trimap = np.asarray(mask) - 1
            expected = np.select([trimap == 0, trimap == 1], [animal, background], 255)
            np.testing.assert_array_equal(read_sample(by_kind, item).labels, expected)
    describe(root, classes=["background", "cat", "hamster"])
    with pytest.raises(DataError, match="classes names hamster, neither a breed"):
        open_dataset(root)
    describe(root, classes=["animal", "ground", "edge"])
    assert open_dataset(root).classes.names == ("animal", "ground", "edge")
