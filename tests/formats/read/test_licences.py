"""The terms of public data sets."""

from __future__ import annotations

from pathlib import Path

from fullconv.formats.open import open_dataset
from fullconv.formats.read.licences import LICENCES


def test_every_licence_belongs_to_a_layout_with_a_page(shared: Path) -> None:
    pages = {path.stem for path in (Path(__file__).parents[3] / "docs" / "layouts").glob("*.md")}
    assert set(LICENCES) <= pages
    assert open_dataset(shared / "data" / "kitti_road").licence == "KITTI: CC BY-NC-SA 3.0"
    mixed = open_dataset(f"{shared / 'data' / 'kitti_road'}+{shared / 'data' / 'camvid'}")
    assert mixed.licence == f"{LICENCES['kitti_road']}; {LICENCES['camvid']}"
