from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullconv.data import Augmentation, EvalData, Sample, Shapes, TrainData
from fullconv.data.loader import EvalBatches, StepSampler, collate, generator, train_batches
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset, shapes_dataset

SPEC = shapes_dataset(Shapes(height=24, width=32, train=10, val=3))


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 5))
def test_an_epoch_shows_every_sample(count: int, batch: int, seed: int) -> None:
    steps = -(-count // batch)
    batches = list(StepSampler(count, batch, seed, 0, 2 * steps))
    assert all(len(entry) == batch for entry in batches)
    for epoch in (0, 1):
        seen = [key for entry in batches[epoch * steps : (epoch + 1) * steps] for key in entry]
        assert {index for _, index in seen} == set(range(count))
        assert {e for e, _ in seen} == {epoch}
        assert max(Counter(seen).values()) <= -(-steps * batch // count)


@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 30))
def test_a_later_start_continues_the_same_sequence(count: int, batch: int, start: int) -> None:
    assert list(StepSampler(count, batch, 7, 0, 40))[start:] == list(StepSampler(count, batch, 7, start, 40))


def test_ranks_share_each_batch() -> None:
    whole = list(StepSampler(10, 4, 0, 0, 6))
    parts = [list(StepSampler(10, 4, 0, 0, 6, rank, 2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert sorted(batch) == sorted(first + second)


def test_batches_do_not_depend_on_the_workers() -> None:
    augmentation = Augmentation((20, 20), (0.5, 2), True, 0.3)
    data = TrainData(SPEC, SPEC.split("train"), augmentation, 5)
    runs = [list(train_batches(data, StepSampler(10, 4, 5, 0, 5), workers)) for workers in (0, 1, 2)]
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            assert a.ids == b.ids
            assert torch.equal(a.pixels, b.pixels)
            assert torch.equal(a.labels, b.labels)
            assert torch.equal(a.inside, b.inside)
    assert runs[0][0].pixels.is_contiguous(memory_format=torch.channels_last)


def test_collate_pads_smaller_samples() -> None:
    small = Sample("a", np.full((2, 3, 3), 5, np.uint8), np.ones((2, 3), np.uint8))
    large = Sample("b", np.full((4, 3, 3), 6, np.uint8), np.ones((4, 3), np.uint8))
    batch = collate([small, large], (7, 8, 9))
    assert batch.pixels.shape == (2, 3, 4, 3)
    assert batch.pixels[0, :, 3, 0].tolist() == [7, 8, 9]
    assert batch.labels[0, 2:].unique().tolist() == [255]
    assert batch.labels[0, :2].unique().tolist() == [1]
    assert batch.inside.tolist() == [[0, 2, 0, 3], [0, 4, 0, 3]]


def test_an_item_known_as_a_whole_is_read_whole() -> None:
    spec = shapes_dataset(Shapes(40, 60, 2, 1))
    cut, whole = (dataclasses.replace(item, whole=i == 1) for i, item in enumerate(spec.split("train")))
    data = TrainData(spec, [cut, whole], Augmentation((32, 32), (2, 2), True), 0)
    for epoch in range(4):
        assert data[epoch, 0].inside == (0, 32, 0, 32)
        top, bottom, left, right = data[epoch, 1].inside
        assert (bottom - top, right - left) == (21, 32)
        assert (data[epoch, 1].labels[top:bottom, left:right] != 255).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_reads_everything_once_in_order(workers: int) -> None:
    loader = EvalBatches(EvalData(SPEC, SPEC.split("val")), 2, workers)
    batches = list(loader)
    assert [batch.ids for batch in batches] == [["shapes_000010", "shapes_000011"], ["shapes_000012"]]
    image, labels = SPEC.splits["val"][1].image.shapes.draw(11)
    assert np.array_equal(batches[0].pixels[1].permute(1, 2, 0), image)
    assert np.array_equal(batches[0].labels[1], labels)


def test_a_jpeg_decoded_smaller_gives_the_same_sample(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:203, :301]
    pixels = np.stack([rows * 250 // 203, columns * 250 // 301, 0 * rows + 90], 2).astype(np.uint8)
    labels = (rows // 20 * 15 + columns // 20).astype(np.uint8)
    for kind in ("jpg", "png"):
        root = tmp_path / kind
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True)
        for name in ("a", "b"):
            Image.fromarray(pixels).save(root / "images" / f"{name}.{kind}", quality=95)
            Image.fromarray(labels).save(root / "masks" / f"{name}.png")
        (root / "dataset.yaml").write_text(f"classes: [{', '.join(f'c{i}' for i in range(166))}]")
    for scale, shrink in ((0.5, 2), (0.3, 2), (0.2, 4), (0.1, 8), (0.7, 1)):
        augmentation = Augmentation((24, 40), (scale, scale), flip=True)
        assert augmentation.draw((203, 301), generator(0, 0, 0)).shrink == shrink
        jpeg, png = (
            TrainData(spec, spec.split("train"), augmentation, 0)
            for spec in (open_dataset(tmp_path / "jpg"), open_dataset(tmp_path / "png"))
        )
        for epoch in range(8):
            ours, whole = jpeg[epoch, 0], png[epoch, 0]
            assert isinstance(ours, Sample)
            assert isinstance(whole, Sample)
            assert np.array_equal(ours.labels, whole.labels)
            inside = whole.labels != 255
            assert np.abs(ours.image[inside].astype(int) - whole.image[inside]).mean() < 3


def test_a_mask_one_pixel_too_large_is_found_at_any_shrinking(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (99, 61)).save(tmp_path / "images" / f"{name}.jpg")
        Image.new("L", (100, 61)).save(tmp_path / "masks" / f"{name}.png")
    spec = open_dataset(tmp_path)
    sample = TrainData(spec, spec.split("train"), Augmentation((10, 10), (0.5, 0.5)), 0)[0, 0]
    assert isinstance(sample, DataError)
    assert "is 99x61, but its mask" in str(sample)
