"""The classes of masks: from a list of names, or counted from the masks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked, complaint, converted
from tests.builders.folders import THREE, Make, describe, pairs
from tests.builders.images import save_mask


@pytest.mark.parametrize("where", ["dataset.yaml", "classes.txt"])
def test_ids_from_1_are_explained(where: str, make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray(np.asarray(picture) + np.uint8(1)).save(path)
    names = ["ground", "disc", "square", "triangle", "ring"]
    (root / where).write_text(yaml.safe_dump({"classes": names}) if where == "dataset.yaml" else "\n".join(names))
    assert run(["check", str(root)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    line = "values: {1: ground, 2: disc, 3: square, 4: triangle, 5: ring}"
    assert f"ids up to 5 and no 0, but the 5 classes of {where} are 0 to 4" in said
    assert f"write '{line}' into" in said
    with pytest.raises(DataError, match="ids up to 5 and no 0"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(line)
    assert open_dataset(root).classes.names == tuple(names)


def test_the_file_that_names_other_classes_is_named(make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root, file = make_folder(4), "class_dict.csv"
    (root / file).write_text("name,r,g,b\nground,0,0,0\ndisc,255,0,0\n")
    assert run(["check", str(root)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert f", as {file} names 2 classes" in said
    assert "smoothed" not in said
    assert f"add the missing names to {file}" in said
    with pytest.raises(DataError, match=f"as {file} names 2 classes; .*dataset.yaml"):
        read_sample(spec := open_dataset(root), spec.split("train")[0])


TOO_FEW = {
    "classes.txt": ("ground\ndisc\n", ", a line each"),
    "labels.txt": ("ground\ndisc\n", ", a line each"),
    "dataset.yaml": ("classes: [ground, disc]\n", " to classes"),
}


@pytest.mark.parametrize("file", TOO_FEW)
def test_names_that_are_missing_are_one_problem_of_every_verb(
    file: str, make_folder: Make, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    root = make_folder(4)
    (root / file).write_text(TOO_FEW[file][0])
    text = (
        f"{root / file}: names 2 classes, for values from 0 to 1: 3 names are missing, values 2 to 4 have none "
        "(in 4 of 4 masks, such as scene_0.png)"
    )
    fix = (
        f"add them{TOO_FEW[file][1]}, or, where such pixels have no label, write 'ignore: [2, 3, 4]' into "
        f"{root / 'dataset.yaml'}"
    )
    found = checked(root, capsys, 3)
    assert found["problems"] == [text]
    assert f"problem: {text} fix: {fix} (--fix leaves these pairs out)" in str(found["printed"])
    assert run(["train", str(root), "--out", str(root.parent / "run"), "--device", "cpu"]) == 3
    assert complaint(capsys) == f"fullconv: {text}; {fix}"
    assert run(["evaluate", str(model), str(root)]) == 3
    assert complaint(capsys) == f"fullconv: {text}; {fix}"


@pytest.mark.parametrize("file", TOO_FEW)
def test_one_missing_name_may_be_that_of_the_background(
    file: str, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name too few is no fact about the last value: written behind the others, it would shift all classes by one."""
    root = make_folder(4)
    names = ["disc", "square", "triangle", "ring"]
    yaml_file = file == "dataset.yaml"
    (root / file).write_text(f"classes: [{', '.join(names)}]\n" if yaml_file else "\n".join(names))
    found = checked(root, capsys, 3)
    (problem,) = found["problems"]
    assert problem.startswith(f"{root / file}: names 4 classes, and the masks hold values from 0 to 4 (4 in ")
    assert problem.endswith("; is 0 a background that has no name?")
    entry = "entry of classes" if yaml_file else "line"
    last, ignore = "else the name of 4 as the last", f"write 'ignore: [4]' into {root / 'dataset.yaml'}"
    fix = f"then write its name as the first {entry}, {last}, or, where such pixels have no label, {ignore}"
    assert f"fix: {fix}" in str(found["printed"])
    assert "leaves these pairs out" not in str(found["printed"])
    assert run(["check", str(root), "--fix", str(root.parent / "fixed")]) == 3
    assert "--fix cannot know" in complaint(capsys)
    assert not (root.parent / "fixed").exists()
    with pytest.raises(DataError, match=r"no name\? Then write its name as the first"):
        open_dataset(root)


def test_what_is_void_already_stays_so_by_the_line_to_write(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "classes.txt").write_text("background\ndisc\nsquare\ntriangle\n")
    for mask in (root / "masks").iterdir():
        with Image.open(mask) as picture:
            values = np.array(picture)
        values[:4, :4] = 255
        save_mask(mask, values)
    with pytest.raises(
        DataError, match=r"1 name is missing, value 4 has none .*; add it, or, .* write 'ignore: \[4, 255\]' into"
    ):
        open_dataset(root)
    (root / "dataset.yaml").write_text("ignore: [4, 255]")
    spec = open_dataset(root)
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) <= {0, 1, 2, 3, 255}


def test_ids_of_no_name_in_some_masks_are_left_out_by_fix(
    make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values that do not follow the last name are no class without a name: their mask is named, as ever."""
    root = make_folder(6)
    (root / "classes.txt").write_text("background\ndisc\nsquare\ntriangle\nring\n")
    for name, value in (("scene_1", 5), ("scene_2", 77)):
        with Image.open(root / "masks" / f"{name}.png") as picture:
            values = np.array(picture)
        values[:4, :4] = value
        save_mask(root / "masks" / f"{name}.png", values)
    missing, stray = checked(root, capsys, 3)["problems"]
    assert missing.endswith("1 name is missing, value 5 has none (in 1 of 6 masks, such as scene_1.png)")
    assert stray.startswith(f"{root / 'masks' / 'scene_2.png'}: holds id 77 at row 0, column 0")
    save_mask(root / "masks" / "scene_2.png", values * (values < 5))
    assert checked(root, capsys, 3, "--fix", str(root.parent / "fixed"))["problems"] == [missing]
    assert "left out, with ids of no name: train: images/scene_1.png" in (root.parent / "fixed/fixed.txt").read_text()


def test_the_file_that_names_too_many_classes_is_named(make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(4)
    (root / "labels.txt").write_text("\n".join("abcdefgh"))
    assert run(["check", str(root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "labels.txt names 8 classes, and 3 of them are in no mask: f, g, h" in said
    assert re.search(r"absent from [^;]*\b[fgh]\b", said) is None


def test_names_without_colours_are_not_those_of_coloured_masks(
    make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        Image.fromarray(np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)[
            np.array(Image.open(mask))]).save(mask)  # fmt: skip
    (root / "classes.txt").write_text("a\nb\nc\n")
    assert run(["check", str(root)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "no colour is named; classes.txt names 3 without colours, and the masks hold" in said
    assert "(guessed, see the problem)" in said


GERMAN = ["Boden", "Straße", "Gebäude"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_class_names_in_marked_encodings(tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    pairs(root)
    (root / "classes.txt").write_bytes("\n".join(GERMAN).encode(encoding))
    assert checked(root, capsys)["classes"] == GERMAN
    assert converted(root, capsys)[:2] == (GERMAN, [THREE] * 6)


def test_class_names_in_cp1252_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    pairs(root)
    (root / "classes.txt").write_bytes("\n".join(GERMAN).encode("cp1252"))
    said = str(checked(root, capsys, code=3)["printed"])
    assert "it is likely cp1252, in which the line is 'Straße'" in said
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 3
    assert not (tmp_path / "copy").exists()


def test_rgb_masks_by_named_colours(make_folder: Make) -> None:
    root = make_folder(3)
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], dtype=np.uint8)
    ids = {}
    for mask in (root / "masks").iterdir():
        ids[mask.stem] = np.array(Image.open(mask))
        Image.fromarray(colours[ids[mask.stem]]).save(mask)
    with pytest.raises(DataError, match="no colour is named"):
        open_dataset(root)
    describe(root, classes={name: c.tolist() for name, c in zip("abcde", colours, strict=True)})
    spec = open_dataset(root)
    assert spec.classes.palette[1] == (255, 0, 0)
    for item in spec.split("train"):
        assert np.array_equal(read_sample(spec, item).labels, ids[item.id])


def test_binary_masks_ask_and_both_answers_work(make_folder: Make) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        save_mask(mask, (np.array(Image.open(mask)) > 0) * 255)
    with pytest.raises(DataError, match="only 0 and 255; is 255 a class or unlabelled") as error:
        open_dataset(root)
    assert "values: {0: background, 255: foreground}" in str(error.value)
    (root / "dataset.yaml").write_text("values: {0: background, 255: foreground}\n")
    spec = open_dataset(root)
    assert spec.classes.names == ("background", "foreground")
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) == {0, 1}
    (root / "dataset.yaml").write_text("ignore: [255]\n")
    spec = open_dataset(root)
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) == {0, 255}


def test_named_classes_do_not_hide_the_question_about_255(make_folder: Make) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        save_mask(mask, (np.array(Image.open(mask)) > 0) * 255)
    for name, text in (("classes.txt", "background\nperson\n"), ("dataset.yaml", "classes: [background, person]\n")):
        (root / name).write_text(text)
        with pytest.raises(DataError, match="is 255 a class or unlabelled"):
            open_dataset(root)
        (root / name).unlink()


def test_implausible_ids_and_impossible_values_are_refused(make_folder: Make) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.array(Image.open(mask)) * 60)
    with pytest.raises(DataError, match="different ids up to 240"):
        open_dataset(root)
    describe(root, ignore=["road"])
    with pytest.raises(DataError, match=r"field ignore: found \['road'\]; expected raw values or RGB colours"):
        open_dataset(root)
    describe(root, classes={"a": [0, 0], "b": [1, 1, 1]})
    with pytest.raises(
        DataError, match=r"field classes: found \{'a': .*; expected class names in id order, or names with"
    ):
        open_dataset(root)
    describe(root, images="photographs")
    with pytest.raises(DataError, match="not both there; correct the names"):
        open_dataset(root)
    (root / "dataset.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="begins as utf-16, but is damaged"):
        open_dataset(root)


def test_undeclared_16_bit_masks_with_their_own_void(make_folder) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        labels = np.asarray(Image.open(path)).astype(np.uint16)
        labels[:5] = 65535
        Image.fromarray(labels).save(path)
    spec = open_dataset(root)
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert (labels[:5] == spec.classes.ignore_index).all()
    assert labels[5:].max() < len(spec.classes)
