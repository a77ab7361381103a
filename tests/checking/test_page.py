"""The page that ``check --html`` writes."""

from __future__ import annotations

import re
from pathlib import Path

from fullconv.cli.main import run
from tests.builders.faults import (
    copy,
    describe,
    lists,
    strange_id,
)
from tests.builders.folders import Make


def test_the_page_needs_no_other_file(make_folder: Make, tmp_path: Path) -> None:
    root, page = make_folder(8), tmp_path / "page.html"
    describe(root, classes=["ground", "<b>disc</b>", "square", "triangle", "ring"])
    lists(root, [0, 1, 2, 3], [4, 5, 6, 7])
    for kind in ("images", "masks"):
        copy(root, kind, 2, 6)
    strange_id(root)
    assert run(["check", str(root), "--html", str(page)]) == 3
    text = page.read_text()
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', text))
    assert not re.search(r"<script|<link|@import|url\(|https?://", text)
    assert "&lt;b&gt;disc&lt;/b&gt;" in text
    assert "<b>disc</b>" not in text
    for words in (
        "1 problem: training would go wrong", "<svg", "Samples of train", "Samples of val", "Images with problems",
        "train: images/scene_1.png (ids)", "holds id 9", "leak: 1 image of val is also in train",
        "train: images/scene_2",
    ):  # fmt: skip
        assert words in text, words
    # 3 sound pictures of train and 4 of val with their labels, the leak's pair, the faulty image and its mask
    assert text.count("<img ") == 2 * (3 + 4) + 2 + 2


def test_a_page_of_the_built_in_scenes(tmp_path: Path) -> None:
    assert run(["check", "shapes:train=4,val=2", "--html", str(tmp_path / "p.html")]) == 0
    assert (tmp_path / "p.html").read_text().count("<img ") == 2 * 6
