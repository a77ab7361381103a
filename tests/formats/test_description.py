"""``dataset.yaml``: what it renames, names, lists and may not say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from fullconv.data import read_sample
from fullconv.data.grouping import regrouped
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make, describe
from tests.builders.labelme import one_box


def test_names_in_dataset_yaml_rename_and_never_reorder(tmp_path: Path) -> None:
    root = tmp_path / "data"
    one_box(root, "a", "cat")
    one_box(root, "b", "dog")
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["_background_", "dog", "cat"]}))
    with pytest.raises(DataError, match=r"'dog' at another place; this layout \(labelme\) has the 3 classes"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["_background_", "dog"]}))
    with pytest.raises(DataError, match="classes gives 2 names"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "Katze", "Hund"]}))
    spec = open_dataset(root)
    first = next(item for split in spec.splits.values() for item in split if item.id == "a")
    assert spec.classes.names[read_sample(spec, first).labels[10, 10]] == "Katze"


def test_a_description_above_the_data_is_not_passed_over(make_folder: Make) -> None:
    root = make_folder(2, name="above/data")
    (root.parent / "dataset.yaml").write_text("ignore: [0]")
    with pytest.raises(DataError, match="describes this folder, but the data lie in"):
        open_dataset(root.parent)


def test_what_contradicts_itself_is_refused(make_folder: Make) -> None:
    root = make_folder(3)
    for content, words in (
        ("values: {0: a, 1: b, 2: c, 3: d, 4: e}\nignore: [1]", "1 is both a class and ignored"),
        ("classes: {a: [1, 2, 3], b: [4, 5, 6]}\nignore: [[4, 5, 6]]", "is both a class and ignored"),
    ):
        (root / "dataset.yaml").write_text(content)
        with pytest.raises(DataError, match=words):
            open_dataset(root)
    (root / "dataset.yaml").unlink()
    for content, words in (("a\na\nb\nc\nd\n", "names 'a' twice"), ("a\n\nb\nc\nd\n", "line 2 is empty")):
        (root / "classes.txt").write_text(content)
        with pytest.raises(DataError, match=words):
            open_dataset(root)
    (root / "classes.txt").write_text("Car\ncar\nb\nc\nd\n")
    assert regrouped(open_dataset(root), "car, rest=*").classes.names == ("car", "rest")
    with pytest.raises(DataError, match="differ in case only"):
        open_dataset(f"{root}+{root}")


def test_paths_that_lead_outside_are_refused(make_folder: Make) -> None:
    root = make_folder(4)
    for content in ("images: /tmp", "masks: ../masks", "splits: {train: ../../../etc/passwd}", "images: 'C:\\x'"):
        (root / "dataset.yaml").write_text(content)
        with pytest.raises(DataError, match="leads outside the data's folder"):
            open_dataset(root)
    (root / "dataset.yaml").unlink()
    for entry in ("../../ok/images/scene_0", "/elsewhere/images/scene_0.png", "C:\\x\\scene_0.png"):
        (root / "train.txt").write_text(f"{entry}\n")
        with pytest.raises(DataError, match="leads outside the data's folder; refused"):
            open_dataset(root)


def test_dataset_yaml_overrides(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "images").rename(root / "pictures")
    (root / "masks").rename(root / "truth")
    names = ["ground", "disc", "square", "triangle", "ring"]
    describe(root, images="pictures", masks="truth", classes=names, val_fraction=0.5, ignore=[0])
    spec = open_dataset(root)
    assert spec.classes.names == tuple(names)
    assert len(spec.split("val")) == 2
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert 0 not in labels
    assert 255 in labels
    describe(root, pictures="x")
    with pytest.raises(DataError, match="field pictures"):
        open_dataset(root)
    (root / "dataset.yaml").write_text("a: [")
    with pytest.raises(DataError, match="not valid YAML"):
        open_dataset(root)


@pytest.mark.parametrize("field", ["values: {1: road}", "ignore: [3]"])
def test_raw_values_are_refused_where_labels_are_outlines(field: str, shared: Path, tmp_path: Path) -> None:
    root = tmp_path / "labelme"
    shutil.copytree(shared / "data" / "labelme", root)
    layout = open_dataset(root).layout
    (root / "dataset.yaml").write_text(field + "\n")
    with pytest.raises(DataError, match=rf"{field.split(':')[0]} has no effect here.*\({layout}\)"):
        open_dataset(root)
