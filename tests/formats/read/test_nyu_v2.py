from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from fullconv.checking.check import check
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset

NAMES = tuple(f"thing {i}" for i in range(894))


def write_nyu(root: Path, count: int = 5, names: tuple[str, ...] = NAMES) -> tuple[np.ndarray, np.ndarray]:
    """A small file of MATLAB's form; its images ``[n, h, w, 3]`` and labels ``[n, h, w]``, 0 unlabelled."""
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (count, 24, 32, 3), dtype=np.uint8)
    labels = random.integers(0, len(names) + 1, (count, 24, 32)).astype(np.uint16)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["labels"] = labels.transpose(0, 2, 1)
        cells = file.create_dataset("names", (1, len(names)), h5py.ref_dtype)
        for index, name in enumerate(names):
            codes = file.create_dataset(f"#refs#/{index}", data=np.array([[ord(c)] for c in name], np.uint16))
            cells[0, index] = codes.ref
    return images, labels


def test_images_labels_and_names(tmp_path: Path) -> None:
    images, labels = write_nyu(tmp_path)
    savemat(tmp_path / "splits.mat", {"trainNdxs": np.array([[2], [3], [5]]), "testNdxs": np.array([[1], [4]])})
    spec = open_dataset(tmp_path)
    assert (spec.layout, spec.classes.names, spec.classes.ignore_index) == ("nyu_v2", NAMES, 65535)
    assert [item.id for item in spec.split("train")] == ["0002", "0003", "0005"]
    assert [item.id for item in spec.split("val")] == ["0001", "0004"]
    for item in (*spec.split("train"), *spec.split("val")):
        index = int(item.id) - 1
        sample = read_sample(spec, pickle.loads(pickle.dumps(item)))
        np.testing.assert_array_equal(sample.image, images[index])
        expected = np.where(labels[index] == 0, 65535, labels[index].astype(int) - 1)
        np.testing.assert_array_equal(sample.labels, expected)
        assert item.image.size() == (24, 32)
    assert any("test images are val" in reason for reason in spec.reasons)
    report = check(spec)
    assert report.problems == []
    assert not any("in train and in val" in note for note in report.notes)


def test_the_mapping_file_merges_the_classes(tmp_path: Path) -> None:
    _, labels = write_nyu(tmp_path)
    cells = np.array(NAMES, object)[None]
    numbers = np.random.default_rng(5).integers(1, 41, (1, 894))
    few = np.array([f"group {i}" for i in range(40)], object)[None]
    savemat(tmp_path / "classMapping40.mat", {"allClassName": cells, "className": few, "mapClass": numbers})
    spec = open_dataset(tmp_path)
    assert spec.classes.names == tuple(few[0])
    item = spec.split("train")[0]
    own = labels[item.image.index].astype(int)
    expected = np.full(own.shape, 255)
    for row, column in np.argwhere(own > 0):
        expected[row, column] = numbers[0, own[row, column] - 1] - 1
    np.testing.assert_array_equal(read_sample(spec, item).labels, expected)
    numbers[0, 7] = 41
    savemat(tmp_path / "classMapping40.mat", {"allClassName": cells, "className": few, "mapClass": numbers})
    with pytest.raises(
        DataError, match=r"expected the 894 of nyu_depth_v2_labeled\.mat in its order, each with a number"
    ):
        open_dataset(tmp_path)


def test_without_splits_the_seeded_rule_holds(tmp_path: Path) -> None:
    write_nyu(tmp_path, names=NAMES[:3])
    spec = open_dataset(tmp_path)
    assert (len(spec.split("train")), len(spec.split("val")), spec.classes.ignore_index) == (4, 1, 255)
    assert any("splits.mat is not there" in reason for reason in spec.reasons)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"MATLAB 7.3 MAT-file" * 100)
    with pytest.raises(DataError, match=r"not a file of MATLAB 7\.3, or cut short"):
        open_dataset(tmp_path)


def test_missing_and_wrong_variables_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros((2, 3, 8, 6), np.uint8)
    with pytest.raises(DataError, match="holds no labels; expected images, labels and names"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((2, 8, 6, 3), np.uint8), np.zeros((2, 8, 6)), r"expected uint8 \[N, 3, width, height\]"),
        (np.zeros((2, 3, 8, 6), np.uint8), np.zeros((1, 8, 6)), r"labels are \[1, 8, 6\] for images of"),
    ],
)
def test_shapes_that_do_not_fit(images: np.ndarray, labels: np.ndarray, words: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"], file["labels"] = images, labels
    with pytest.raises(DataError, match=words):
        open_dataset(tmp_path)


def test_splits_of_another_file_and_numbers_without_a_class(tmp_path: Path) -> None:
    write_nyu(tmp_path)
    savemat(tmp_path / "splits.mat", {"trainNdxs": np.array([[2], [6]]), "testNdxs": np.array([[1]])})
    with pytest.raises(DataError, match=r"trainNdxs names image 6, but nyu_depth_v2_labeled\.mat holds 1 to 5"):
        open_dataset(tmp_path)


def test_a_number_beyond_the_names_is_refused(tmp_path: Path) -> None:
    write_nyu(tmp_path)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][1, 7, 5] = 900
    savemat(tmp_path / "splits.mat", {"trainNdxs": np.array([[2]]), "testNdxs": np.array([[1]])})
    spec = open_dataset(tmp_path)
    with pytest.raises(DataError, match="image 2: holds class 900 at row 5, column 7; expected 0 to 894"):
        read_sample(spec, spec.split("train")[0])
