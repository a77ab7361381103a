"""CamVid as SegNet published it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make


def test_camvid_lists_that_name_missing_files(make_folder: Make, tmp_path: Path) -> None:
    part = make_folder(2)
    root = tmp_path / "camvid"
    root.mkdir()
    (part / "images").rename(root / "train")
    (part / "masks").rename(root / "trainannot")
    assert open_dataset(root).layout == "folder"  # the same folders, other data
    for path in [*root.glob("*/scene_*.png")]:
        path.rename(path.with_name(path.name.replace("scene_", "0001TP_00669")))
    (root / "train.txt").write_text("/x/0001TP_006690.png /y/0001TP_006690.png\n/a/gone.png /b/gone.png\n")
    with pytest.raises(DataError, match=r"1 of 2 listed files are missing \(gone.png\)"):
        open_dataset(root)
    (root / "train.txt").write_text("/x/0001TP_006690.png\n")
    with pytest.raises(DataError, match="expected two paths a line"):
        open_dataset(root)
