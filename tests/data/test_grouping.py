from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.data.grouping import regrouped
from fullconv.errors import UsageError
from fullconv.formats.open import open_dataset
from tests.builders.folders import Make

NAMES = ["ground", "disc", "square", "triangle", "ring"]


@pytest.fixture
def folder(make_folder: Make) -> Path:
    root = make_folder(6)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": NAMES}))
    return root


@pytest.mark.parametrize(
    ("text", "names", "table"),
    [
        ("ring, disc", ("ring", "disc"), (255, 1, 255, 255, 0)),
        ("ground, shape=*", ("ground", "shape"), (0, 1, 1, 1, 1)),
        ("flat=Square+TRIANGLE, rest=*, ring", ("flat", "rest", "ring"), (1, 1, 0, 0, 2)),
        ("any=ring+*", ("any",), (0, 0, 0, 0, 0)),
    ],
)
def test_groups_pixel_by_pixel(text: str, names: tuple[str, ...], table: tuple[int, ...], folder: Path) -> None:
    spec = open_dataset(folder)
    grouped = regrouped(spec, text)
    assert grouped.classes.names == names
    for split in ("train", "val"):
        for before, after in zip(spec.split(split), grouped.split(split), strict=True):
            assert before.id == after.id
            expected = np.array(table)[read_sample(spec, before).labels]
            np.testing.assert_array_equal(read_sample(grouped, after).labels, expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ring, boat", "there is no class 'boat'; the classes are ground, disc"),
        ("ring, ring", "'ring' is empty or named twice"),
        ("ring,", "there is no class ''"),
        ("a=ring+disc, b=disc", "'disc' is in two places"),
        ("a=*, b=*", "'[*]' is in two places"),
        ("a=ground+disc+square+triangle+ring, rest=*", "nothing is left for 'rest'"),
    ],
)
def test_what_cannot_be_grouped_is_named(text: str, words: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=words):
        regrouped(open_dataset(folder), text)


def test_by_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(folder), str(tmp_path / "copy"), "--classes", "ring, flat=square+triangle"]) == 0
    said = capsys.readouterr().out
    assert "classes by name: ring, flat (square+triangle); void now: ground, disc" in said
    assert open_dataset(tmp_path / "copy").classes.names == ("ring", "flat")
    assert run(["convert", str(folder), str(tmp_path / "other"), "--classes", "kite"]) == 2
    assert not (tmp_path / "other").exists()


def test_parts_of_a_mixture_keep_what_they_label(make_folder: Make) -> None:
    first, second = make_folder(4, name="a"), make_folder(4, name="b")
    (first / "dataset.yaml").write_text(yaml.safe_dump({"classes": NAMES}))
    (second / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "car", "kite", "boat", "ring"]}))
    mixed = open_dataset(f"{first}+{second}")
    grouped = regrouped(mixed, "shape=disc+square, ground, vehicle=car+boat")
    assert grouped.labelled == ((True, True, False), (False, True, True))
    with pytest.raises(UsageError, match="labels some members of 'both' only"):
        regrouped(mixed, "both=disc+car")


def test_parts_that_label_none_of_the_chosen_classes_are_left_out(make_folder: Make, tmp_path: Path) -> None:
    first, second = make_folder(5, name="a"), make_folder(5, name="b")
    (first / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "car", "kite", "boat", "ring"]}))
    (second / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "disc", "tree", "house", "ring"]}))
    mixed = open_dataset(f"{first}+{second}")
    assert run(["convert", f"{first}+{second}", str(tmp_path / "copy"), "--classes", "car"]) == 0
    assert sum(len(items) for items in open_dataset(tmp_path / "copy").splits.values()) == 5
    assert "5 images of parts that label none of them are left out" in regrouped(mixed, "car").reasons[-1]
    with pytest.raises(UsageError, match=r"write rest=\*"):
        regrouped(mixed, "car, *")
