"""``check --fix``: what is in the copy, what is left out, and that the data stay as they are."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.checking.check import check
from fullconv.checking.fixing import write_fixed
from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.palette import voc_palette
from tests.builders.faults import (
    NAMES,
    PALETTE,
    broken_image,
    colours,
    copy,
    describe,
    lists,
    lonely_mask,
    only_0_and_255,
    recolour,
    smoothed_values,
    truth,
)
from tests.builders.folders import Make, small_pair
from tests.builders.images import save_mask


def test_a_val_that_train_holds_whole_is_taken_out_of_train(tmp_path: Path) -> None:
    for i in range(5):
        small_pair(tmp_path / "data", str(i), i)
    (tmp_path / "data" / "train.txt").write_text("0\n1\n2\n3\n4\n")
    (tmp_path / "data" / "val.txt").write_text("3\n4\n")
    assert run(["check", str(tmp_path / "data"), "--fix", str(tmp_path / "out")]) == 0
    spec = open_dataset(tmp_path / "out")
    assert {split: sorted(item.id for item in spec.split(split)) for split in ("train", "val")} == {
        "train": ["0", "1", "2"],
        "val": ["3", "4"],
    }


def test_of_one_image_nothing_can_be_taken_out(tmp_path: Path) -> None:
    small_pair(tmp_path / "one", "a", 0)
    report = check(open_dataset(tmp_path / "one"))
    (leak,) = (finding for finding in report.findings if finding.kind == "leak")
    assert leak.fix == "add images: train holds no others"
    with pytest.raises(DataError, match=r"nothing of split train would be left .*; add images"):
        write_fixed(report, tmp_path / "fixed")


def tree(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_fix_repairs_what_can_be_fixed_and_never_touches_the_input(make_folder: Make, tmp_path: Path, capsys) -> None:
    root, out = make_folder(12), tmp_path / "fixed"
    recolour(root, 12)
    describe(root, classes=colours())
    lists(root, list(range(8)), [8, 9, 10, 11])
    broken_image(root)
    Image.fromarray(PALETTE[truth(2)][:24, :32]).save(root / "masks" / "scene_2.png")
    mask = PALETTE[truth(3)].copy()
    mask[5:25, 5:25] = (10, 250, 250)
    Image.fromarray(mask).save(root / "masks" / "scene_3.png")
    for kind in ("images", "masks"):
        copy(root, kind, 4, 9)
        copy(root, kind, 1, 10)  # the copy of a file that is left out itself is broken as well
    lonely_mask(root)
    before = tree(root)
    assert run(["check", str(root), "--fix", str(out)]) == 3
    said = capsys.readouterr().out
    assert tree(root) == before
    assert f"{out}: fixed copy, 5 train, 2 val pairs" in said
    for words in ("2 unreadable", "1 with a mask of another size", "1 with ids or colours of no class"):
        assert f"left out: {words}\n" in said
    assert "left out: 1 also in another split\n" in said
    assert "1 mask without an image (lonely.png)" in said
    spec = open_dataset(out)
    assert spec.classes.names == tuple(NAMES)
    assert spec.classes.palette == voc_palette(5)
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["scene_0", "scene_4", "scene_5", "scene_6", "scene_7"], "val": ["scene_8", "scene_11"],
    }  # fmt: skip
    for item in [*spec.split("train")[1:], *spec.split("val")]:
        index = int(item.id.removeprefix("scene_"))
        assert np.array_equal(read_sample(spec, item).labels, truth(index))
        assert item.image.path.read_bytes() == (root / "images" / item.image.path.name).read_bytes()
    smoothed = read_sample(spec, spec.split("train")[0]).labels
    assert (smoothed == truth(0)).mean() > 0.99
    with Image.open(root / "masks" / "scene_0.png") as raw:
        packed = np.asarray(raw).astype(int) @ [65536, 256, 1]
    unknown = int((~np.isin(packed, PALETTE.astype(int) @ [65536, 256, 1])).sum())
    assert f"smoothed edges: {unknown:,} pixels of 1 mask took the nearest colour" in said
    assert f"smoothed edges, {unknown} pixels changed: images/scene_0.png" in (out / "fixed.txt").read_text()
    capsys.readouterr()
    assert run(["check", str(out)]) == 0
    assert "fit for training" in capsys.readouterr().out


def test_fix_brings_values_to_ids(make_folder: Make, tmp_path: Path) -> None:
    root, out = make_folder(6), tmp_path / "fixed"
    smoothed_values(root)
    assert run(["check", str(root), "--fix", str(out)]) == 3
    spec = open_dataset(out)
    for split in ("train", "val"):
        for item in spec.split(split):
            labels = read_sample(spec, item).labels
            wrong = (labels != (truth(int(item.id[-1])) > 0)).mean()
            assert wrong == 0 if item.id != "scene_1" else wrong < 0.02
            with Image.open(item.annotation.path) as mask:
                assert set(np.unique(np.asarray(mask))) <= {0, 1}


def test_fix_keeps_ids_and_void_and_makes_names_safe(make_folder: Make, tmp_path: Path) -> None:
    root, out = make_folder(4), tmp_path / "deep" / "fixed"
    describe(root, ignore=[7])
    labels = truth(0)
    labels[:3] = 7
    save_mask(root / "masks" / "scene_0.png", labels)
    for kind in ("images", "masks"):
        (root / kind / "scene_0.png").rename(root / kind / "my scene, 0.png")
    assert run(["check", str(root), "--fix", str(out)]) == 0
    spec = open_dataset(out)
    items = {item.id: item for items in spec.splits.values() for item in items}
    expected = np.where(labels == 7, 255, labels)
    assert np.array_equal(read_sample(spec, items["my_scene_0"]).labels, expected)
    assert not [path for path in out.parent.iterdir() if path != out]


def test_fix_of_a_folder_where_only_the_owner_knows(make_folder: Make, tmp_path: Path, capsys) -> None:
    root, out = make_folder(6), tmp_path / "fixed"
    describe(root)
    only_0_and_255(root)
    assert run(["check", str(root), "--fix", str(out)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("fullconv: ")
    assert "is 255 a class or unlabelled? --fix cannot know; write one of these lines" in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_fix_refuses_what_exists_what_lies_inside_and_an_empty_split(make_folder: Make, tmp_path: Path, capsys) -> None:
    root = make_folder(4)
    describe(root)
    lists(root, [0, 1, 2], [3])
    for out, words in ((tmp_path, "exists; --fix writes a new folder"), (root / "new", "lies in the data set itself")):
        assert run(["check", str(root), "--fix", str(out)]) == 2
        said = capsys.readouterr()
        assert words in said.err
        assert said.out == ""  # refused before anything is read
    (root / "images" / "scene_3.png").write_bytes(b"broken")
    assert run(["check", str(root), "--fix", str(tmp_path / "out")]) == 3
    assert "nothing of split val would be left (1 unreadable)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [root.name]


def test_fix_leaves_nothing_half_written(make_folder: Make, tmp_path: Path, capsys, monkeypatch) -> None:
    root = make_folder(4)
    describe(root)
    calls = []

    def full(*args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fullconv.formats.write.folder.write_mask", full)
    assert run(["check", str(root), "--fix", str(tmp_path / "out")]) == 1
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [root.name]


def test_fix_draws_outlines_as_masks(shared: Path, tmp_path: Path) -> None:
    source, out = shared / "data" / "labelme", tmp_path / "fixed"
    assert run(["check", str(source), "--fix", str(out)]) == 0
    before, after = open_dataset(source), open_dataset(out)
    assert before.classes.names == after.classes.names
    for split, items in before.splits.items():
        for old, new in zip(items, after.splits[split], strict=True):
            assert np.array_equal(read_sample(before, old).labels, read_sample(after, new).labels)
