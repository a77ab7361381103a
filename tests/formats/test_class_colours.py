"""The colours that classes are shown in: named, those of the masks' own palettes, or ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.data import Shapes, read_sample
from fullconv.formats.open import open_dataset
from fullconv.palette import DISTINCT, distinct_palette
from fullconv.spec import ClassSet

Make = Callable[..., Path]
NAMES = ("sky", "disc", "square", "triangle", "ring")
COLOURS = ((70, 130, 180), (1, 2, 3), (220, 20, 60), (0, 0, 142), (107, 142, 35))
OTHERS = [10, 10, 10, 250, 0, 0, 0, 250, 0, 0, 0, 250, 250, 250, 0]


def describe(root: Path, **fields: object) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump(fields, sort_keys=False))


def rewrite(root: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    for path in (root / "masks").iterdir():
        with Image.open(path) as file:
            mask = file.copy()
        change(mask).save(path)


def as_palette(table: list[int]) -> Callable[[Image.Image], Image.Image]:
    def change(mask: Image.Image) -> Image.Image:
        mask.putpalette(table)
        return mask

    return change


def wide(mask: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(mask).astype(np.uint16))


@pytest.mark.parametrize(
    ("change", "said"),
    [(None, "grey masks"), (as_palette(OTHERS), "palette masks"), (wide, "grey masks")],
    ids=["grey", "palette", "16 bits"],
)
def test_named_colours_of_index_masks_are_for_pictures_and_the_order_of_names_says_the_ids(
    make_folder: Make, change: Callable[[Image.Image], Image.Image] | None, said: str
) -> None:
    root = make_folder()
    if change:
        rewrite(root, change)
    describe(root, classes={name: list(colour) for name, colour in zip(NAMES, COLOURS, strict=True)})
    spec = open_dataset(root)
    assert spec.classes == ClassSet(NAMES, COLOURS)
    for item in spec.split("train"):
        truth = Shapes(height=48, width=64).draw(int(item.id.removeprefix("scene_")))[1]
        np.testing.assert_array_equal(read_sample(spec, item).labels, truth)
    lines = [reason for reason in spec.reasons if reason.endswith("colours are used in pictures alone")]
    assert [line.partition(" are read as ids (")[0] for line in lines] == [said]


def test_a_palette_of_the_masks_gives_named_classes_their_colours(make_folder: Make) -> None:
    root = make_folder()
    rewrite(root, as_palette(OTHERS))
    expected = tuple(tuple(OTHERS[i : i + 3]) for i in range(0, 15, 3))
    assert open_dataset(root).classes.palette == expected
    describe(root, classes=list(NAMES))
    assert open_dataset(root).classes == ClassSet(NAMES, expected)
    moved = ("ring", *NAMES[:4])
    describe(root, classes=list(moved), values={4: "ring", **dict(enumerate(NAMES[:4]))})
    assert open_dataset(root).classes == ClassSet(moved, (expected[4], *expected[:4]))


@pytest.mark.parametrize("table", [[v for i in range(256) for v in (i, i, i)], [9, 9, 9] * 5, OTHERS[:9]])
def test_a_palette_that_tells_no_classes_apart_is_not_used(make_folder: Make, table: list[int]) -> None:
    root = make_folder()
    rewrite(root, as_palette(table + [0] * (768 - len(table))))
    describe(root, classes=list(NAMES))
    assert open_dataset(root).classes.palette == distinct_palette(NAMES)


def test_names_alone_get_colours_that_differ(make_folder: Make) -> None:
    root = make_folder()
    describe(root, classes=list(NAMES))
    assert open_dataset(root).classes.palette == DISTINCT[:5]
    (root / "dataset.yaml").unlink()
    (root / "classes.txt").write_text("\n".join(NAMES))
    assert open_dataset(root).classes.palette == DISTINCT[:5]
