from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.checking import reading
from fullconv.checking.check import check
from fullconv.data import DatasetSpec, Item, Shapes
from fullconv.errors import DataError
from fullconv.formats.open import open_as_far_as_it_goes, open_dataset, shapes_dataset
from tests.builders.folders import Make
from tests.builders.images import save_mask


def test_counts_are_those_of_the_masks() -> None:
    shapes = Shapes(height=30, width=40, train=6, val=2)
    report = check(shapes_dataset(shapes))
    labels = [shapes.draw(i)[1] for i in range(6)]
    assert report.pixels["train"].tolist() == sum(np.bincount(m.ravel(), minlength=5) for m in labels).tolist()
    assert report.presence["train"].tolist() == [sum(int(k in m) for m in labels) for k in range(5)]
    assert report.sizes == {(30, 40): 8}
    assert report.problems == []
    # median frequency, by its definition
    present = [k for k in range(5) if report.presence["train"][k]]
    frequency = [sum((m == k).sum() for m in labels) / sum(m.size for m in labels if k in m) for k in present]
    expected = np.median(frequency) / frequency
    assert [w for w in report.median_frequency_weights() if w] == pytest.approx(list(expected))


def test_every_problem_is_reported_at_once(make_folder: Make) -> None:
    root = make_folder(6)
    (root / "dataset.yaml").write_text("classes: [ground, disc, square, triangle, ring]\n")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "masks" / "scene_0.png")
    save_mask(root / "masks" / "scene_1.png", np.full((48, 64), 9))
    (root / "images" / "scene_2.png").write_bytes(b"broken")
    report = check(open_dataset(root))
    assert len(report.problems) == 3
    with pytest.raises(DataError, match=r"and 2 more problems: fullconv check lists them"):
        report.raise_problems()
    with pytest.raises(DataError, match=r"and 2 more problems: fullconv check 'my data' lists them"):
        report.raise_problems("my data")


def test_masks_without_a_label_are_a_problem(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "dataset.yaml").write_text("classes: [only]\n")
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.full((48, 64), 255))
    assert any("no labelled pixel" in problem for problem in check(open_dataset(root)).problems)


def test_every_item_is_read_once_and_counted(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(6)
    (root / "train.txt").write_text("scene_0\nscene_1\nscene_2\n")
    (root / "val.txt").write_text("scene_2\nscene_3\n")
    spec, seen, lock = open_dataset(root), [], threading.Lock()
    decode = reading.read_with_values

    def counted(spec: DatasetSpec, item: Item) -> Any:
        with lock:
            seen.append(item.image.path.stem)
        return decode(spec, item)

    monkeypatch.setattr(reading, "read_with_values", counted)
    progress: list[tuple[int, int]] = []
    report = check(spec, progress=lambda done, total: progress.append((done, total)))
    assert sorted(seen) == ["scene_0", "scene_1", "scene_2", "scene_3"]
    assert report.images == {"train": 3, "val": 2}
    assert progress == [(number, 5) for number in range(1, 6)]
    assert [finding.kind for finding in report.findings if finding.pairs] == ["leak"]


def test_masks_that_stop_the_opening_are_all_named(make_folder: Make) -> None:
    """Without declared classes the masks are read to count them; a bad one must not hide the others."""
    root = make_folder(6)
    for index in (0, 1):
        (root / "masks" / f"scene_{index}.png").write_bytes(b"broken")
    (root / "masks" / "scene_2.png").unlink()
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "masks" / "scene_2.jpg")
    with pytest.raises(DataError):
        open_dataset(root)
    found = sorted(finding.kind for finding in check(root).findings)
    assert [kind for kind in found if kind in ("unreadable", "jpeg", "refused")] == ["jpeg", "unreadable", "unreadable"]


def test_the_folder_of_split_folders_is_opened_as_far_as_it_goes(make_folder: Make) -> None:
    for split in ("train", "val"):
        part = make_folder(3, name=f"set/{split}")
        (part / "masks" / "scene_1.png").unlink()
    root = part.parent
    spec, found = open_as_far_as_it_goes(root)
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["scene_0", "scene_2"], "val": ["scene_0", "scene_2"],
    }  # fmt: skip
    assert [finding.kind for finding in found] == ["unpaired", "unpaired"]
    with pytest.raises(DataError, match="no data set recognised"):
        open_as_far_as_it_goes(root / "train" / "images")


@pytest.mark.parametrize("name", ["camvid", "kitti_road", "voc_sample", "labelme"])
def test_real_data_are_fit_for_training(name: str, shared: Path) -> None:
    report = check(open_dataset(shared / "data" / name))
    assert report.problems == []
    assert not any(finding.kind in ("interpolated", "leak") for finding in report.findings)
    if name == "camvid":  # frames of one film, 15 a second
        assert any(line.startswith("79 images of val are nearly equal") for line in report.notes)
