"""Images with tags alone: ``tags.csv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.errors import DataError
from fullconv.formats.open import open_as_far_as_it_goes, open_dataset
from tests.builders.runs import FEW_STEPS


def folder(root: Path, table: str, names: tuple[str, ...] = ("a", "b", "c", "d"), below: str = "images") -> Path:
    for number, name in enumerate(names):
        path = root / below / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    (root / "tags.csv").write_text(table)
    return root


def tags(root: Path) -> dict[str, list[str]]:
    spec = open_dataset(root)
    assert spec.layout == "image_tags"
    items = [item for split in ("train", "val") for item in spec.splits[split]]
    assert not any(item.annotation.has_label_map for item in items)
    assert all(one.kind == "tag" for item in items for one in item.annotation.annotations())
    names = spec.classes.names
    return {item.id: [names[one.label] for one in item.annotation.annotations()] for item in sorted(items, key=str)}


@pytest.mark.parametrize("table", [
    "a.png,cat;dog\nb,dog\nc.png,\nimages/d.png,cat\n",
    "image,tags\na.png,cat,dog\nb.png,dog\nc.png,\nd.png,cat\n",
    "filename,cat,dog\na.png,1,1\nb.png,0,1\nc.png,0,0\nd.png,1,0\n",
])  # fmt: skip
def test_its_forms(table: str, tmp_path: Path) -> None:
    root = folder(tmp_path, table)
    expected = {"a": ["cat", "dog"], "b": ["dog"], "c": ["background"], "d": ["cat"]}
    assert {key: sorted(found) for key, found in tags(root).items()} == expected
    spec = open_dataset(root)
    assert spec.classes.names == ("background", "cat", "dog")
    assert any("1 image has no tag: only background there" in line for line in spec.reasons)


def test_classes_that_are_given_and_splits_by_folder(tmp_path: Path) -> None:
    names = ("train/a", "train/b", "val/a", "val/c")
    root = folder(tmp_path, "train/a,dog\ntrain/b,cat\nval/a.png,cat\nc,\n", names)
    (root / "classes.txt").write_text("dog\ncow\ncat\n")
    spec = open_dataset(root)
    assert spec.classes.names == ("dog", "cow", "cat")
    assert [item.id for item in spec.split("train")] == ["train/a", "train/b"]
    assert [one.label for item in spec.split("val") for one in item.annotation.annotations()] == [2]


def test_images_without_a_line_are_left_out_and_counted(tmp_path: Path) -> None:
    spec = open_dataset(folder(tmp_path, "a,cat\nb,cat\n"))
    assert sum(map(len, spec.splits.values())) == 2
    left_out = "2 of 4 images are not in tags.csv and are left out: "
    assert any(line.startswith(left_out) for line in spec.reasons)


@pytest.mark.parametrize(("table", "words"), [
    ("a,cat\nx,cat\n", r"1 of 2 lines name no image \(x\); add the images, or take the lines away"),
    ("a,cat\na.png,dog\na,cow\n", r"1 image has more than one line \(a\); keep one, with all tags"),
    ("a,cat\na.png,dog\n", r"a, a.png name images that other lines name too; keep one line for each"),
    ("a,\nb,\n", r"tags no image; expected lines such as a.jpg,cat;dog"),
    (",cat\na,cat\n", "1 line begins with no image; expected image,class;class"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(table: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words) as caught:
        open_dataset(folder(tmp_path, table))
    assert "\n" not in str(caught.value)


def test_a_check_goes_on_with_what_is_right(tmp_path: Path) -> None:
    spec, problems = open_as_far_as_it_goes(folder(tmp_path, "a,cat\nx,cat\nb,dog\n"))
    assert [problem.kind for problem in problems] == ["unpaired"]
    assert sum(map(len, spec.splits.values())) == 2


def test_unknown_tags_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, "a,cat\nb,dgo\n")
    (root / "classes.txt").write_text("background\ncat\ndog\n")
    with pytest.raises(DataError, match=r"1 tags are none of the classes of classes.txt \(dgo\); correct them"):
        open_dataset(root)


def test_masks_are_the_data_where_there_are_some(tmp_path: Path) -> None:
    root = folder(tmp_path, "a,cat\nb,dog\n")
    (root / "masks").mkdir()
    for name in "abcd":
        Image.fromarray(np.zeros((16, 20), np.uint8)).save(root / "masks" / f"{name}.png")
    spec = open_dataset(root)
    assert spec.layout == "folder"
    assert any(line.startswith("not used") and "tags.csv" in line for line in spec.reasons)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "data", "a,cat;dog\nb,dog\nc,\nd,cat\n")
    assert run(["check", str(root)]) == 0
    assert "tag" in capsys.readouterr().out
    trained = fullconv.train(root, tmp_path / "run", **{**FEW_STEPS, "epochs": 1, "quiet": False})
    said = capsys.readouterr().out
    assert "images teach with tags" in said
    prediction = trained.segmenter("cpu").predict(root / "images" / "a.png", image_prior=True)
    assert prediction.labels.shape == (16, 20)
