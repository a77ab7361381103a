"""Annotations that cannot teach: said in a line each, or refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fullconv.checking.check import check
from fullconv.data.annotations import IGNORED, Annotation, box_ring
from fullconv.data.dataset import AnnotationSource
from fullconv.data.drawing import Annotations
from fullconv.errors import DataError
from fullconv.spec import ClassSet
from fullconv.weak import supervise
from tests.builders.weak import BOX, LINES, OUTLINE, TAG, VOID, dense, drawn, labels_of, mask, spec


def test_outside_of_boxes_is_void_without_a_background(tmp_path: Path) -> None:
    classes = ClassSet(("sky", "cat"))
    found = supervise(spec(tmp_path, {"a": drawn(BOX, background=IGNORED)}, {"v": drawn(OUTLINE)}, classes), "auto")
    assert found.lines[1] == "  outside of all boxes nothing is known: there is no class for the background"
    labels = labels_of(found, "a")
    assert (labels == 1).sum() == 80
    assert (labels == VOID).sum() == labels.size - 80


@pytest.mark.parametrize(
    ("train", "val", "labels", "words"),
    [
        (
            drawn(has_label_map=False),
            drawn(OUTLINE),
            "auto",
            "the train images have no annotation: nothing to teach with; annotate some",
        ),
        (
            drawn(TAG, has_label_map=False),
            drawn(OUTLINE),
            "boxes",
            "the train images have no boxes, and no mask to derive them from",
        ),
        (
            drawn(BOX),
            drawn(has_label_map=False),
            "auto",
            "the val images have no annotation: nothing to be scored against",
        ),
        (drawn(TAG, has_label_map=False), drawn(OUTLINE), "masks", "1 of 2 images have no mask: found 1 tag"),
    ],
)
def test_data_that_cannot_teach_so_is_refused(
    train: Annotations, val: Annotations, labels: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        supervise(spec(tmp_path, {"a": train}, {"v": val}), labels)


def test_what_is_wrong_is_said_in_a_line_each(tmp_path: Path) -> None:
    def box(*sides: float, label: int = 1, name: str = "cat") -> Annotation:
        return Annotation(label, "box", (box_ring(*sides),), name=name)

    cross = Annotation(1, "line", (np.array([(18.0, 10.0), (24.0, 10.0)]),), name="cat")
    train: dict[str, AnnotationSource] = {
        "a": drawn(
            box(4, 5, 12, 15), box(50, 5, 60, 9), box(-9, 2, 5, 9), box(9, 2, 5, 9),
            box(3, 2, 5, 9, label=IGNORED, name="cow"),
        ),
        "b": drawn(box(60, 5, 70, 9)),
        "c": drawn(*LINES, cross),
        "d": drawn(TAG, Annotation(IGNORED, "tag", name="sunny"), has_label_map=False),
        "e": drawn(has_label_map=False),
    }  # fmt: skip
    found = supervise(spec(tmp_path, train, {"v": drawn(box(2, 2, 2, 5)), "w": drawn(BOX)}), "auto")
    lines = [fault.text.removeprefix(f"{tmp_path}: ") for fault in found.faults]
    assert lines == [
        "1 of 5 train images have no annotation, left out (e)",
        "boxes outside of their image, left out: 2 (here: cat, here: cat)",
        "boxes that reach beyond their image, cut off at its border: 1 (here: cat)",
        "boxes that are empty or inverted (end before they begin), left out: 2 (here: cat, here: cat)",
        "boxes of no class, within which nothing is learned: 1 (here: cow)",
        "images where strokes of different classes lie over each other, which teach nothing there: 1 (here: 9 pixels)",
        "tags of no class, left out: 1 (here: sunny)",
        "1 of 5 train images have nothing else and are left out (b)",
    ]
    assert [item.id for item in found.spec.split("train")] == ["a", "c", "d"]
    assert found.faults[1].line == f"{tmp_path}: {lines[1]}; correct or remove them"
    never = supervise(spec(tmp_path, {"c": drawn(LINES[0])}, {"v": drawn(OUTLINE)}), "auto")
    assert [fault.text for fault in never.faults] == [
        f"{tmp_path}: never annotated in train, so never learned: background, dog"
    ]


def test_a_class_that_only_boxes_show_is_not_called_absent(tmp_path: Path) -> None:
    dog = dataclasses.replace(BOX, label=2, name="dog")
    labels = np.where(dense() == 2, 0, dense()).astype(np.uint8)
    images = {"m": mask(tmp_path, "m", labels), "n": mask(tmp_path, "n", np.flipud(labels))}
    val: dict[str, AnnotationSource] = {"v": mask(tmp_path, "v", dense())}
    without = check(spec(tmp_path, {**images}, val)).notes
    beside = check(spec(tmp_path, {**images, "b": drawn(dog, has_label_map=False)}, val)).notes
    assert sum("absent from train: dog" in note or "never learned: dog" in note for note in without) == 2
    assert not any("dog" in note for note in beside)
