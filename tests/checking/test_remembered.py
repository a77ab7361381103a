"""A check is not repeated while nothing has changed, and is repeated whenever anything has."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv.checking.remembered as module
from fullconv.checking.check import check
from fullconv.checking.remembered import check_once
from fullconv.data.dataset import Item
from fullconv.data.sources import FileImage
from fullconv.formats.open import open_dataset
from fullconv.formats.read.sbd import SbdLabels
from fullconv.spec import Values
from tests.builders.folders import Make

SPLITS = ("train", "val")


@pytest.fixture
def root(make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are old enough to be trusted."""
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    made: Path = make_folder(6)
    (made / "dataset.yaml").write_text("classes: [a, b, c, d, e]\n")
    age(made)
    return made


def age(root: Path) -> None:
    past = time.time() - 100
    for path in (*root.rglob("*"), root):
        os.utime(path, (past, past))


def test_the_second_time_nothing_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, when = check_once(open_dataset(root), SPLITS)
    assert when == ""
    monkeypatch.setattr(module, "check", lambda *given, **_: pytest.fail("read again"))
    second, when = check_once(open_dataset(root), SPLITS)
    assert when
    for report in (first, second):
        assert report.median_frequency_weights() == check(open_dataset(root), SPLITS).median_frequency_weights()
    assert second.sizes == first.sizes
    assert second.images == first.images
    assert second.void == first.void
    assert second.notes == first.notes
    assert second.encodings == first.encodings


def change_a_mask(root: Path) -> None:
    mask = root / "masks" / "scene_1.png"
    time_before = mask.stat()
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    os.utime(mask, ns=(time_before.st_atime_ns, time_before.st_mtime_ns + 1_000_000_000))


def same_size_other_time(root: Path) -> None:
    mask = root / "masks" / "scene_1.png"
    content = bytearray(mask.read_bytes())
    content[-20] ^= 1
    mask.write_bytes(bytes(content))


def add_a_file(root: Path) -> None:
    (root / "images" / "unlisted.png").write_bytes((root / "images" / "scene_0.png").read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        change_a_mask,
        same_size_other_time,
        add_a_file,
        lambda root: (root / "masks" / "scene_2.png").unlink(),
        lambda root: (root / "dataset.yaml").write_text("classes: [a, b, c, d, other]\n"),
        lambda root: (root / "dataset.yaml").write_text("classes: [a, b, c, d, e]\nignore: [4]\n"),
        lambda root: (root / "dataset.yaml").write_text("classes: [a, b, c, d, e]\nsplit_seed: 7\n"),
    ],
)
def test_whatever_changes_it_is_read_again(
    change: Callable[[Path], object], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_once(open_dataset(root), SPLITS)
    change(root)
    read: list[object] = []
    monkeypatch.setattr(module, "check", lambda *given, **more: read.append(given) or check(*given, **more))
    try:
        spec = open_dataset(root)
    except ValueError:  # a missing mask is refused when it is opened
        return
    _, when = check_once(spec, SPLITS)
    assert read
    assert when == ""


def test_another_program_or_split_reads_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = open_dataset(root)
    check_once(spec, SPLITS)
    assert check_once(spec, ("train",))[1] == ""
    assert check_once(spec, ("train",))[1]
    for other in ({"channels": 1}, {"values": Values(((0.0, 100.0),))}, {"licence": "other"}):
        assert check_once(dataclasses.replace(spec, **other), ("train",))[1] == ""
    check_once(spec, ("train",))
    monkeypatch.setattr(module, "_program", lambda: "fullconv 99")
    assert check_once(spec, ("train",))[1] == ""


def test_files_that_have_just_been_written_are_not_trusted(root: Path) -> None:
    (root / "masks" / "scene_0.png").touch()
    spec = open_dataset(root)
    check_once(spec, SPLITS)
    assert check_once(spec, SPLITS)[1] == ""


def test_problems_and_damaged_records_are_read_again(root: Path, tmp_path: Path) -> None:
    spec = open_dataset(root)
    check_once(spec, SPLITS)
    (record,) = (tmp_path / "cache" / "checked").iterdir()
    content = json.loads(record.read_text())
    record.write_text("{")
    assert check_once(spec, SPLITS)[1] == ""
    assert json.loads(record.read_text()).keys() == content.keys()
    record.unlink()
    (root / "masks" / "scene_0.png").write_bytes(b"no picture")
    age(root)
    for _ in range(2):
        report, when = check_once(spec, SPLITS)
        assert report.problems
        assert when == ""
    assert not record.exists()


def test_labels_in_other_files_count_too(tmp_path: Path) -> None:
    """An annotation may lie in a file that is no mask."""
    item = Item("a", FileImage(tmp_path / "img" / "a.jpg"), SbdLabels(tmp_path / "cls" / "a.mat"))
    files = {tmp_path / "img" / "a.jpg", tmp_path / "img", tmp_path / "cls" / "a.mat", tmp_path / "cls"}
    assert set(module._files(item)) == files
