from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read.sbd import SbdLabels
from tests.builders.sbd import write_sbd


@pytest.mark.parametrize("below", ["", "dataset", "benchmark_RELEASE/dataset"])
def test_labels_are_those_of_the_mat_files(below: str, tmp_path: Path) -> None:
    expected = write_sbd(tmp_path / "sbd" / below, range(3), range(3, 5))
    spec = open_dataset(tmp_path / "sbd")
    assert (spec.layout, len(spec.classes), spec.classes.names[20]) == ("sbd", 21, "tvmonitor")
    assert [item.id for item in spec.split("train")] == ["p0", "p1", "p2"]
    assert [item.id for item in spec.split("val")] == ["p3", "p4"]
    for item in (*spec.split("train"), *spec.split("val")):
        np.testing.assert_array_equal(read_sample(spec, pickle.loads(pickle.dumps(item))).labels, expected[item.id])
    assert any("no pixel is void" in reason for reason in spec.reasons)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    write_sbd(tmp_path, range(3), range(3, 5))
    (tmp_path / "val.txt").rename(tmp_path / "val.bak")
    with pytest.raises(DataError, match=r"val\.txt: no such file; SBD's lists"):
        open_dataset(tmp_path)
    (tmp_path / "val.txt").write_text("p3\np9\n")
    with pytest.raises(DataError, match=r"1 of 2 listed files are missing \(p9\.jpg\)"):
        open_dataset(tmp_path)


def test_bad_mat_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    labels = SbdLabels(path)
    with pytest.raises(DataError, match="no such file"):
        labels.label_map(21, 255)
    path.write_bytes(b"not a mat file" * 100)
    with pytest.raises(DataError, match=r"damaged or not a \.mat file"):
        labels.label_map(21, 255)
    savemat(path, {"GTcls": {"Segmentation": np.arange(4000).reshape(40, 100)}}, do_compression=True)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"damaged or not a \.mat file"):
        labels.label_map(21, 255)
    savemat(path, {"GTinst": {"Segmentation": np.zeros((4, 4))}})
    with pytest.raises(DataError, match="holds no variable GTcls"):
        labels.label_map(21, 255)
    savemat(path, {"GTcls": {"Boundaries": np.zeros((4, 4))}})
    with pytest.raises(DataError, match="GTcls has no field Segmentation"):
        labels.label_map(21, 255)
    ids = np.zeros((4, 5), np.uint8)
    ids[2, 3] = 255
    savemat(path, {"GTcls": {"Segmentation": ids}})
    with pytest.raises(DataError, match="class 255 at row 2, column 3; expected 0 to 20"):
        labels.label_map(21, 255)
    savemat(path, {"GTcls": {"Segmentation": ids / 2}})
    with pytest.raises(DataError, match=r"holds float64 \[4, 5\]; expected class numbers"):
        labels.label_map(21, 255)
