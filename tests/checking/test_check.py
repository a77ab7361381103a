from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fullconv.checking import reading
from fullconv.checking.check import check
from fullconv.checking.duplicates import LEAST_CORRELATION, MOST_BITS, near_pairs
from fullconv.checking.opening import open_for_check
from fullconv.checking.smoothing import decode_strays, smoothed_share
from fullconv.data import DatasetSpec, Item, Shapes
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset, shapes_dataset
from fullconv.images.mask_file import MaskFile
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


def test_every_problem_is_reported_at_once(make_folder: Callable[..., Path]) -> None:
    root = make_folder(6)
    (root / "dataset.yaml").write_text("classes: [ground, disc, square, triangle, ring]\n")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "masks" / "scene_0.png")
    save_mask(root / "masks" / "scene_1.png", np.full((48, 64), 9))
    (root / "images" / "scene_2.png").write_bytes(b"broken")
    report = check(open_dataset(root))
    assert len(report.problems) == 3
    with pytest.raises(DataError, match=r"and 2 more problems: fullconv check lists them"):
        report.raise_problems()


def test_masks_without_a_label_are_a_problem(make_folder: Callable[..., Path]) -> None:
    root = make_folder(4)
    (root / "dataset.yaml").write_text("classes: [only]\n")
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.full((48, 64), 255))
    assert any("no labelled pixel" in problem for problem in check(open_dataset(root)).problems)


def kinds(root: Path) -> list[str]:
    return sorted(finding.kind for finding in check(root).findings)


def test_weights_where_nothing_is_labelled(make_folder: Callable[..., Path]) -> None:
    root = make_folder(4)
    (root / "dataset.yaml").write_text("classes: [a, b]\n")
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.full((48, 64), 255))
    assert check(open_dataset(root)).median_frequency_weights() == [0.0, 0.0]


def test_every_item_is_read_once_and_counted(make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(6)
    (root / "train.txt").write_text("scene_0\nscene_1\nscene_2\n")
    (root / "val.txt").write_text("scene_2\nscene_3\n")
    spec, seen, lock = open_dataset(root), [], threading.Lock()
    decode = reading.read_with_values

    def counted(spec: DatasetSpec, item: Item) -> Any:
        with lock:
            seen.append(item.image.stem)
        return decode(spec, item)

    monkeypatch.setattr(reading, "read_with_values", counted)
    progress: list[tuple[int, int]] = []
    report = check(spec, progress=lambda done, total: progress.append((done, total)))
    assert sorted(seen) == ["scene_0", "scene_1", "scene_2", "scene_3"]
    assert report.images == {"train": 3, "val": 2}
    assert progress == [(number, 5) for number in range(1, 6)]
    assert [finding.kind for finding in report.findings if finding.pairs] == ["leak"]


def test_masks_that_stop_the_opening_are_all_named(make_folder: Callable[..., Path]) -> None:
    """Without declared classes the masks are read to count them; a bad one must not hide the others."""
    root = make_folder(6)
    for index in (0, 1):
        (root / "masks" / f"scene_{index}.png").write_bytes(b"broken")
    (root / "masks" / "scene_2.png").unlink()
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "masks" / "scene_2.jpg")
    with pytest.raises(DataError):
        open_dataset(root)
    found = kinds(root)
    assert [kind for kind in found if kind in ("unreadable", "jpeg", "refused")] == ["jpeg", "unreadable", "unreadable"]


def test_the_folder_of_split_folders_is_opened_as_far_as_it_goes(make_folder: Callable[..., Path]) -> None:
    for split in ("train", "val"):
        part = make_folder(3, name=f"set/{split}")
        (part / "masks" / "scene_1.png").unlink()
    root = part.parent
    spec, found = open_for_check(root)
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["scene_0", "scene_2"], "val": ["scene_0", "scene_2"],
    }  # fmt: skip
    assert [finding.kind for finding in found] == ["unpaired", "unpaired"]
    with pytest.raises(DataError, match="no data set recognised"):
        open_for_check(root / "train" / "images")


def test_near_pairs_are_those_of_all_comparisons() -> None:
    random = np.random.default_rng(0)
    bases = random.integers(0, 1 << 64, 60, np.uint64)
    hashes, scenes = [], random.integers(0, 256, (60, 256))
    greys = []
    for base, scene in zip(bases.tolist(), scenes, strict=True):
        for bits in (0, 1, 3, 4, 5, 7):
            flips = random.choice(64, bits, replace=False)
            hashes.append(base ^ sum(1 << int(bit) for bit in flips))
            greys.append((scene + random.normal(0, 4 + 3 * bits, 256)).clip(0, 255))
    codes, small = np.array(hashes, np.uint64), np.array(greys).astype(np.uint8)
    expected = [
        [i, j]
        for i in range(len(codes))
        for j in range(i + 1, len(codes))
        if bin(hashes[i] ^ hashes[j]).count("1") <= MOST_BITS
        and np.corrcoef(small[i], small[j])[0, 1] >= LEAST_CORRELATION
    ]
    assert len(expected) > 60
    assert near_pairs(codes, small).tolist() == expected


def test_flat_pictures_are_not_compared() -> None:
    greys = np.full((50, 256), 90, np.uint8)
    assert near_pairs(np.zeros(50, np.uint64), greys).shape == (0, 2)


def test_nearest_colour_looks_around_first(make_folder: Callable[..., Path]) -> None:
    """A mixture of two neighbours that comes near a third, distant colour takes one of its neighbours."""
    root = make_folder(2)
    (root / "dataset.yaml").write_text("classes: {a: [0, 0, 0], b: [200, 0, 0], c: [110, 0, 0]}\n")
    mask = np.zeros((10, 30, 3), np.uint8)
    mask[:, 8:12] = (200, 0, 0)
    mask[:, 7], mask[:, 12] = (90, 0, 0), (120, 0, 0)
    mask[:, 25:] = (110, 0, 0)
    decoded = decode_strays(MaskFile(root, "colour", mask), open_dataset(root))
    assert decoded is not None
    assert decoded.smoothed()
    assert int(decoded.stray.sum()) == 20
    assert decoded.nearest()[3].tolist() == [0] * 8 + [1] * 5 + [0] * 12 + [2] * 5


def test_ids_between_others_are_told_from_classes_that_touch() -> None:
    scenes = [Shapes(height=96, width=128).draw(index)[1] for index in range(8)]
    sound = np.sum([smoothed_share(labels, 255) for labels in scenes], axis=0)
    blurred = [
        np.asarray(Image.fromarray(labels).resize((50, 40), Image.Resampling.BILINEAR).resize((128, 96)))
        for labels in scenes
    ]
    smoothed = np.sum([smoothed_share(labels, 255) for labels in blurred], axis=0)
    assert sound[0] / sound[1] < 0.05
    assert smoothed[0] / smoothed[1] > 0.2
    ring = np.zeros((9, 9), np.uint8)  # void between two classes says nothing
    ring[:, 4], ring[:, 5:] = 15, 20
    assert smoothed_share(ring, 15)[0] == 0


@pytest.mark.parametrize("name", ["camvid", "kitti_road", "voc_sample", "labelme"])
def test_real_data_are_fit_for_training(name: str, shared: Path) -> None:
    report = check(open_dataset(shared / "data" / name))
    assert report.problems == []
    assert not any(finding.kind in ("interpolated", "leak") for finding in report.findings)
    if name == "camvid":  # frames of one film, 15 a second
        assert any(line.startswith("79 images of val are nearly equal") for line in report.notes)
