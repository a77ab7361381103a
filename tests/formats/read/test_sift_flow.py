from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read.sift_flow import SIFT_FLOW_NAMES

SET = "spatial_envelope_256x256_static_8outdoorcategories"
STEMS = ("coast_a1", "forest_b2", "street_c3", "tallbuilding_d4", "highway_bost181")


def write_sift_flow(root: Path) -> dict[str, np.ndarray]:
    """A small SIFT Flow; its numbers by name, 0 unlabelled."""
    random = np.random.default_rng(1)
    images, labels = root / "Images" / SET, root / "SemanticLabels" / SET
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    numbers = {}
    names = np.array(SIFT_FLOW_NAMES, dtype=object).reshape(-1, 1)
    for stem in STEMS:
        numbers[stem] = random.integers(0, 34, (32, 32)) * (stem != "highway_bost181")
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(images / f"{stem}.jpg")
        savemat(labels / f"{stem}.mat", {"S": numbers[stem].astype(float), "names": names})
    lines = rf"{SET}\forest_b2.jpg", "tallbuilding_d4.jpg", f"{SET}\\highway_bost181.jpg"
    (root / "TestSet1.txt").write_text("\r\n".join(lines))
    return numbers


def test_labels_classes_and_the_test_list(tmp_path: Path) -> None:
    numbers = write_sift_flow(tmp_path)
    spec = open_dataset(tmp_path)
    assert (spec.layout, spec.classes.names, len(spec.classes)) == ("sift_flow", SIFT_FLOW_NAMES, 33)
    assert (spec.classes.names[0], spec.classes.names[27], spec.classes.names[32]) == ("awning", "sky", "window")
    assert [item.id for item in spec.split("train")] == ["coast_a1", "street_c3"]
    assert [item.id for item in spec.split("val")] == ["forest_b2", "tallbuilding_d4"]
    for item in (*spec.split("train"), *spec.split("val")):
        expected = np.where(numbers[item.id] == 0, 255, numbers[item.id] - 1)
        np.testing.assert_array_equal(read_sample(spec, pickle.loads(pickle.dumps(item))).labels, expected)
    assert any("the test images are val" in reason for reason in spec.reasons)
    assert any("left out" in reason and "highway_bost181" in reason for reason in spec.reasons)


def test_without_a_list_the_seeded_rule_holds(tmp_path: Path) -> None:
    write_sift_flow(tmp_path)
    (tmp_path / "TestSet1.txt").unlink()
    spec = open_dataset(tmp_path)
    assert (len(spec.split("train")), len(spec.split("val"))) == (3, 1)
    assert any("TestSet1.txt is not there" in reason for reason in spec.reasons)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    write_sift_flow(tmp_path)
    (tmp_path / "TestSet1.txt").write_text("forest_b2\nnowhere_1\n")
    with pytest.raises(DataError, match=r"1 of 2 entries name no image \(nowhere_1\)"):
        open_dataset(tmp_path)
    (tmp_path / "SemanticLabels" / SET / "street_c3.mat").unlink()
    with pytest.raises(DataError, match=r"1 of 4 listed files are missing \(street_c3\.mat\)"):
        open_dataset(tmp_path)
    savemat(tmp_path / "SemanticLabels" / SET / "street_c3.mat", {"S": np.zeros((32, 32))})
    savemat(tmp_path / "SemanticLabels" / SET / "coast_a1.mat", {"S": np.zeros((32, 32))})
    with pytest.raises(DataError, match=r"coast_a1\.mat: holds no variable names"):
        open_dataset(tmp_path)
    (tmp_path / "Images" / "other").mkdir()
    (tmp_path / "SemanticLabels" / "other").mkdir()
    with pytest.raises(DataError, match="expected the one folder of SIFT Flow"):
        open_dataset(tmp_path)


def test_a_number_beyond_the_names_is_refused(tmp_path: Path) -> None:
    write_sift_flow(tmp_path)
    numbers = np.zeros((32, 32))
    numbers[4, 9] = 34
    savemat(tmp_path / "SemanticLabels" / SET / "street_c3.mat", {"S": numbers})
    spec = open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"street_c3\.mat: holds class 34 at row 4, column 9; expected 0 to 33"):
        read_sample(spec, spec.split("train")[1])
