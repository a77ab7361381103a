from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fullconv.data import Augmentation, DatasetSpec, TrainData, cache, read_sample
from fullconv.data.cache import decoded
from fullconv.errors import DataError, FullconvError
from fullconv.formats.open import open_dataset
from tests.builders.bands import folder, nodata_and_inf
from tests.builders.folders import Make, small_pair


@pytest.fixture
def data(make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    return make_folder(6)


def built(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("decoded/*/*/index.json"))


def same(spec: DatasetSpec, other: DatasetSpec) -> None:
    for split in spec.splits:
        for item, theirs in zip(spec.split(split), other.split(split), strict=True):
            ours, cached = read_sample(spec, item), read_sample(other, theirs)
            np.testing.assert_array_equal(ours.image, cached.image)
            np.testing.assert_array_equal(ours.labels, cached.labels)
            assert ours.labels.dtype == cached.labels.dtype


def test_samples_are_the_same_augmented_too(data: Path) -> None:
    spec = open_dataset(data)
    other = decoded(spec)
    same(spec, other)
    augmentation = Augmentation((20, 24), (0.6, 2), True, 0.2)
    ours, cached = (TrainData(s, s.split("train"), augmentation, seed=3) for s in (spec, other))
    for index in range(len(ours)):
        np.testing.assert_array_equal(ours[1, index].image, cached[1, index].image)
        np.testing.assert_array_equal(ours[1, index].labels, cached[1, index].labels)


def test_it_is_built_once_and_again_when_a_file_changes(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    spec = open_dataset(data)
    decoded(spec)
    first = built(tmp_path)
    monkeypatch.setattr(cache, "_build", lambda *_: pytest.fail("built twice"))
    decoded(spec)
    monkeypatch.undo()
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    image = spec.split("train")[0].image.path
    shutil.copyfile(spec.split("train")[1].image.path, image)
    os.utime(image, ns=(1, 1))
    same(spec, decoded(spec))
    assert len(built(tmp_path)) == 1
    assert built(tmp_path) != first


def test_processes_that_ask_at_once_build_one(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    spec = open_dataset(data)
    count, build = [], cache._build
    monkeypatch.setattr(cache, "_build", lambda *values: (count.append(1), build(*values)))
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(decoded, [spec] * 4):
            same(spec, other)
    assert len(count) == 1


def test_nothing_is_left_of_one_that_failed(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    spec = open_dataset(data)
    image = spec.split("train")[2].image.path
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    with pytest.raises(DataError, match=r"scene_3\.png: truncated, it ends too early; copy"):
        decoded(spec)
    assert not list((tmp_path / "cache").glob("decoded/*/*/*"))
    image.write_bytes(whole)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    monkeypatch.setattr(cache, "READ_AHEAD", 2)
    with pytest.raises(FullconvError, match=r"GB more, 0\.0 GB are free"):
        decoded(spec)
    assert not list((tmp_path / "cache").glob("decoded/*/*/*"))


def test_the_cache_tells_splits_of_equal_names_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    for i in range(3):
        small_pair(tmp_path / "data" / "train", str(i), i)
        small_pair(tmp_path / "data" / "val", str(i), 2 - i)
    spec = open_dataset(tmp_path / "data")
    cached = decoded(spec)
    for split in ("train", "val"):
        for item, other in zip(spec.split(split), cached.split(split), strict=True):
            ours, theirs = read_sample(spec, item), read_sample(cached, other)
            np.testing.assert_array_equal(ours.image, theirs.image)
            np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_cache_follows_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    root = folder(tmp_path / "data", nodata_and_inf)
    for line in ("range: [0, 0.4]\nnodata: -9999\n", "range: [0, 1]\n"):
        (root / "dataset.yaml").write_text(line)
        spec = open_dataset(root)
        kept = decoded(spec)
        for plain, cached in zip(spec.splits["train"], kept.splits["train"], strict=True):
            a, b = read_sample(spec, plain), read_sample(kept, cached)
            assert np.array_equal(a.image, b.image)
            assert np.array_equal(a.labels, b.labels)
