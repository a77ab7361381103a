from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fullconv.checking.check import check
from fullconv.data import Shapes, read_sample
from fullconv.data.sources import EncodedImage
from fullconv.errors import DataError, UsageError
from fullconv.formats.containers.parquet import Cell
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from tests.builders.bands import folder, levels

SCENES = Shapes(height=40, width=56)
Pair = tuple[np.ndarray, np.ndarray]


def encoded(array: np.ndarray) -> dict[str, object]:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": "a.png"}


def write_shard(path: Path, pairs: list[Pair], columns: tuple[str, str] = ("image", "label")) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            columns[0]: [encoded(image) for image, _ in pairs],
            "scene": ["x"] * len(pairs),
            columns[1]: [encoded(labels) for _, labels in pairs],
        }
    )
    pq.write_table(table, path, row_group_size=2)


def scenes(first: int, count: int) -> list[Pair]:
    return [SCENES.draw(index) for index in range(first, first + count)]


@pytest.mark.parametrize("label", ["label", "mask", "annotation", "segmentation_mask"])
def test_rows_of_all_shards_and_groups(label: str, tmp_path: Path) -> None:
    pairs = scenes(0, 5)
    write_shard(tmp_path / "data" / "train-00000-of-00002.parquet", pairs[:3], ("image", label))
    write_shard(tmp_path / "data" / "train-00001-of-00002.parquet", pairs[3:], ("image", label))
    held = scenes(5, 2)
    write_shard(tmp_path / "data" / "validation-00000-of-00001.parquet", held, ("image", label))
    (tmp_path / "id2label.json").write_text(json.dumps({str(i): f"name {i}" for i in reversed(range(5))}))
    spec = open_dataset(tmp_path)
    assert (spec.layout, spec.root, spec.classes.names[4]) == ("hf_datasets", tmp_path, "name 4")
    for split, expected in (("train", pairs), ("val", held)):
        items = spec.split(split)
        assert len(items) == len(expected)
        for item, (image, labels) in zip(items, expected, strict=True):
            sample = read_sample(spec, pickle.loads(pickle.dumps(item)))
            np.testing.assert_array_equal(sample.image, image)
            np.testing.assert_array_equal(sample.labels, labels)
            assert item.image.size() == (40, 56)
    report = check(spec)
    assert report.problems == []
    assert not any("in train and in val" in note for note in report.notes)


@pytest.mark.parametrize(
    "name", ["train.parquet", "train-0000.parquet", "train/0000.parquet", "data/training_a.parquet"]
)
def test_other_names_of_shards_and_counted_classes(name: str, tmp_path: Path) -> None:
    write_shard(tmp_path / name, scenes(0, 5))
    spec = open_dataset(tmp_path)
    assert (spec.layout, len(spec.split("train")), len(spec.split("val"))) == ("hf_datasets", 4, 1)
    assert spec.classes.names == tuple(f"class_{i}" for i in range(5))
    assert any("5 classes counted from 5 of 5 masks" in reason for reason in spec.reasons)


def test_ids_that_are_not_consecutive_are_numbered(tmp_path: Path) -> None:
    labels = np.array([[3, 9], [9, 255]], np.uint8)
    image = np.zeros((2, 2, 3), np.uint8)
    write_shard(tmp_path / "train.parquet", [(image, labels)] * 2)
    (tmp_path / "id2label.json").write_text('{"9": "cow", "3": "pig"}')
    spec = open_dataset(tmp_path)
    assert spec.classes.names == ("pig", "cow")
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, [[0, 1], [1, 255]])


def test_0_and_255_is_a_question_that_dataset_yaml_answers(tmp_path: Path) -> None:
    labels = np.array([[0, 255]], np.uint8)
    write_shard(tmp_path / "train.parquet", [(np.zeros((1, 2, 3), np.uint8), labels)] * 2)
    with pytest.raises(DataError, match="only 0 and 255; is 255 a class or unlabelled"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.yaml").write_text("values: {0: background, 255: foreground}\n")
    spec = open_dataset(tmp_path)
    assert spec.classes.names == ("background", "foreground")
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, [[0, 1]])
    (tmp_path / "dataset.yaml").write_text("ignore: [255]\n")
    spec = open_dataset(tmp_path)
    assert spec.classes.names == ("class_0",)
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, [[0, 255]])


def test_rgb_masks_by_named_colours(tmp_path: Path) -> None:
    labels = np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)
    write_shard(tmp_path / "train.parquet", [(np.zeros((1, 2, 3), np.uint8), labels)] * 2)
    with pytest.raises(DataError, match="row 0 label: an RGB mask, but no colour is named"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.yaml").write_text("classes: {rest: [0, 0, 0], red: [255, 0, 0]}\n")
    spec = open_dataset(tmp_path)
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, [[1, 0]])


def test_instances_and_all_void_are_refused(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    write_shard(tmp_path / "train.parquet", [(image, np.array([[0, 180], [90, 7]], np.uint8))])
    with pytest.raises(DataError, match="4 different ids up to 180; are these classes, instances"):
        open_dataset(tmp_path)
    write_shard(tmp_path / "b" / "train.parquet", [(image, np.full((2, 2), 255, np.uint8))])
    with pytest.raises(DataError, match="every mask pixel is void"):
        open_dataset(tmp_path / "b")


def test_tables_without_images_are_not_ours_and_images_need_masks(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="no data set recognised"):
        open_dataset(tmp_path)
    image = encoded(np.zeros((2, 2, 3), np.uint8))
    pq.write_table(pa.table({"image": [image], "label": [1]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"has images but no masks; found columns .*label \(int64\)"):
        open_dataset(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data" / "train-00000-of-00002.parquet"
    write_shard(path, scenes(0, 2))
    with pytest.raises(DataError, match=r"1 of 2 shards like train-00000-of-00002\.parquet are there"):
        open_dataset(tmp_path)
    path = path.rename(path.with_name("train-00000-of-00001.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a complete parquet file"):
        open_dataset(tmp_path)
    path.write_bytes(content)
    for bad in ("[]", '{"a": "b"}', '{"0": "x", "1": "x"}', "{"):
        (tmp_path / "id2label.json").write_text(bad)
        with pytest.raises(DataError, match=r"id2label\.json: expected"):
            open_dataset(tmp_path)
    other = tmp_path / "data" / "test-00000-of-00001.parquet"
    write_shard(other, scenes(0, 1), ("image", "mask"))
    (tmp_path / "id2label.json").unlink()
    with pytest.raises(DataError, match="has no column label of images, unlike the first shard"):
        open_dataset(tmp_path)


def test_cells_without_bytes_or_with_damaged_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    good = encoded(np.zeros((2, 2, 3), np.uint8))
    cells = [good, {"bytes": None, "path": "b.png"}, {"bytes": b"no image", "path": "c.png"}]
    pq.write_table(pa.table({"image": cells, "label": [good] * 3}), path)
    assert EncodedImage(Cell(path, 0, 0, "image")).read(3).image.shape == (2, 2, 3)
    with pytest.raises(DataError, match=r"row group 0 row 1 image: holds no bytes"):
        EncodedImage(Cell(path, 0, 1, "image")).read(3)
    with pytest.raises(DataError, match=r"row group 0 row 2 image: not an image that can be read"):
        EncodedImage(Cell(path, 0, 2, "image")).read(3)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shard(tmp_path / "train.parquet", scenes(0, 2))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"pip install 'fullconv\[parquet\]'"):
        open_dataset(tmp_path)


def test_parquet_cells_of_16_bits(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    root = folder(tmp_path / "data", lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16))
    cells = [
        {
            name: {"bytes": (root / part / f"{k}{suffix}").read_bytes(), "path": None}
            for name, part, suffix in (("image", "images", ".tif"), ("label", "masks", ".png"))
        }
        for k in range(6)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(cells), tmp_path / "train.parquet")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    spec = open_dataset(tmp_path)
    assert spec.channels == 5
    assert levels(spec) == 256
    again = open_dataset(convert(spec, tmp_path / "copy", "folder").out)
    assert again.splits["train"][0].image.path.suffix == ".tif"
    assert np.array_equal(
        read_sample(spec, spec.splits["train"][0]).image, read_sample(again, again.splits["train"][0]).image
    )
