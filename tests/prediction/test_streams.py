"""Batches side by side: in order, as many as there is room for, and the same labels as one by one."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fullconv
from fullconv import streams
from fullconv.device import computing_threads
from fullconv.names import RUNNERS
from fullconv.prediction.files import Predicted, predict
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size
from fullconv.segmenter import Segmenter
from fullconv.streams import count, in_streams
from fullconv.views import Views


@pytest.fixture
def two_threads() -> Iterator[None]:
    with computing_threads(2):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(24):
        height, width = [(96, 120), (40, 40), (130, 90)][number % 3]
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(
            tmp_path / "in" / f"{number}.png"
        )
    return tmp_path / "in"


def masks(out: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(out.glob("*.png"))}


def computed_by(model: Segmenter, monkeypatch) -> list[tuple[str, int]]:
    """Which threads compute, with how many of PyTorch's threads; filled as it happens."""
    seen = []
    compute = model.runner.coarse_logits

    def watched(pixels: torch.Tensor) -> object:
        seen.append((threading.current_thread().name.split("_")[0], torch.get_num_threads()))
        return compute(pixels)

    monkeypatch.setattr(model.runner, "coarse_logits", watched)
    return seen


@pytest.mark.parametrize("resize", [None, (64, 96)])
def test_labels_are_those_of_one_thread_bit_for_bit(
    resize: tuple[int, int] | None, model: Segmenter, folder: Path, tmp_path: Path, monkeypatch, two_threads
) -> None:
    monkeypatch.setattr(model, "preprocessing", dataclasses.replace(model.preprocessing, resize=resize))
    seen = computed_by(model, monkeypatch)
    result = predict(model, folder, tmp_path / "many")
    assert set(seen) == {("stream", 1)}
    assert torch.get_num_threads() == 2
    with computing_threads(1):
        alone = predict(model, folder, tmp_path / "one")
    assert seen[-1] == ("MainThread", 1)
    assert [path.name for path in result.written] == [path.name for path in alone.written]
    found = masks(tmp_path / "many")
    assert len(found) == 24
    for name, labels in masks(tmp_path / "one").items():
        assert np.array_equal(labels, found[name]), name


def test_images_that_are_large_or_need_more_than_scores_are_computed_by_all_threads(
    model: Segmenter, folder: Path, tmp_path: Path, monkeypatch, two_threads
) -> None:
    monkeypatch.setattr("fullconv.prediction.together.SMALL", 1)
    seen = computed_by(model, monkeypatch)
    monkeypatch.setattr(streams, "ROOM", 2 * 130 * 90 - 1)
    predict(model, folder, tmp_path / "some")
    assert (seen.count(("stream", 1)), seen.count(("MainThread", 2))) == (16, 8)
    seen.clear()
    predict(model, [folder / "1.png", folder / "4.png"], tmp_path / "mirrored", views=Views(flip=True))
    assert seen == [("MainThread", 2)] * 4
    seen.clear()
    predict(model, [folder / "0.png"], tmp_path / "single")
    assert seen == [("MainThread", 2)]


def test_a_bad_image_and_bad_scores_spoil_none_beside_them(
    model: Segmenter, folder: Path, tmp_path: Path, monkeypatch, two_threads
) -> None:
    compute = model.runner.coarse_logits
    bad = np.asarray(Image.open(folder / "6.png")).transpose(2, 0, 1)

    def spoiled(pixels: torch.Tensor) -> object:
        logits, window = compute(pixels)
        for image, scores in zip(pixels, logits, strict=True):
            if image.shape == bad.shape and np.array_equal(image.numpy(), bad):
                scores[0, 0, 0] = torch.nan
        return logits, window

    monkeypatch.setattr(model.runner, "coarse_logits", spoiled)
    whole = (folder / "9.png").read_bytes()
    (folder / "9.png").write_bytes(whole[: len(whole) // 2])
    told: list[tuple[str, bool]] = []
    result: Predicted = predict(
        model, folder, tmp_path / "out", progress=lambda path, error, some, every: told.append((path.name, bool(error)))
    )
    names = [f"{number}.png" for number in sorted(range(24), key=lambda number: str(number) + ".png")]
    assert sorted(told) == sorted((name, name in ("6.png", "9.png")) for name in names)
    assert len(result.written) == 22
    assert sorted(line.split(":")[0].rsplit("/", 1)[-1] for line in result.failed) == ["6.png", "9.png"]
    assert result.exit_code == 3


def test_a_run_that_stops_leaves_no_stream_and_the_number_of_threads(two_threads) -> None:
    started = []

    def compute(batch: int) -> int:
        started.append(batch)
        if batch == 5:
            raise OSError("disk")
        return batch

    with closing(in_streams(range(100), 2, lambda batch, room: True, compute)) as found, pytest.raises(OSError):
        assert list(found) == []
    assert len(started) <= 10
    assert torch.get_num_threads() == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stream")]


def test_results_come_in_order_and_what_is_left_to_the_caller_is_alone() -> None:
    running, most = set[int](), [0]
    lock = threading.Lock()

    def compute(batch: int) -> int | None:
        with lock:
            running.add(batch)
            most[0] = max(most[0], len(running))
        threading.Event().wait(0.001 * (batch % 3))
        with lock:
            running.remove(batch)
        return None if batch % 7 == 0 else -batch

    order = []
    for batch, found in in_streams(range(40), 3, lambda batch, room: batch % 5 > 0, compute):
        order.append(batch)
        left = batch % 5 == 0 or batch % 7 == 0
        assert found == (None if left else -batch)
        assert not (left and running)
    assert order == list(range(40))
    assert most[0] <= 3


def test_streams_are_for_runners_that_compute_side_by_side(model: Segmenter, two_threads) -> None:
    assert count(model.runner, 2) == 2
    assert count(model.runner, 1) == 1
    assert count(model.with_views(Views((1.0,), True)).runner, 100) == 1


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_exported_network_goes_in_streams_to_the_labels_of_one_by_one(
    runner: str, model: Segmenter, folder: Path, tmp_path: Path, two_threads, monkeypatch
) -> None:
    file = tmp_path / "model.onnx"
    fullconv.export(model, "onnx", file)
    exported = fullconv.load(file, runner=runner)
    seen = computed_by(exported, monkeypatch)
    predict(exported, folder, tmp_path / "streams")
    assert set(seen) == {("stream", 1)}
    found = masks(tmp_path / "streams")
    assert len(found) == 24
    for name, labels in found.items():
        assert np.array_equal(labels, exported.predict(folder / name).labels)


def test_what_the_network_sees_counts(model: Segmenter, monkeypatch) -> None:
    """Of images that are brought to another size: as many go together as of that size, if it is larger."""
    asked = Settings()
    assert [batch_size(model, asked, size) for size in ((64, 64), (512, 512), (1000, 1000))] == [8, 1, 1]
    monkeypatch.setattr(model, "preprocessing", dataclasses.replace(model.preprocessing, resize=(256, 512)))
    assert [batch_size(model, asked, size) for size in ((64, 64), (512, 512), (1000, 1000))] == [2, 1, 1]
