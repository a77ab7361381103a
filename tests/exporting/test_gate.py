"""What the gate makes of a runner that fails, or that depends on the batch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from fullconv.errors import GateError
from fullconv.exported.geometry import Places
from fullconv.exported.runners import ExportedRunner
from fullconv.exporting.gate import compare, generated_images, pass_gate
from fullconv.models.context import Context
from tests.builders.exports import tiny

PLACES = Places(8, 8, Fraction(0), False, 8, Context(8, True))
MODEL = tiny()


def labelled(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
    return [np.stack([MODEL.predict(image).labels for image in images])]


def test_right_labels_pass_and_the_pixels_are_counted() -> None:
    rows = pass_gate(MODEL, ExportedRunner(labelled, PLACES, "ours", "fp32"), generated_images(3))
    assert [row.pixels for row in rows] == [1, 80, 33 * 65, 64 * 96, 200 * 131]
    assert all(0.9 * row.pixels <= row.sure <= row.pixels and not row.differ for row in rows)


def test_the_worst_image_is_named() -> None:
    def one_class_off(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        (right,) = labelled(images, outputs)
        rows = right.shape[1] // 2 if right.shape[2] == 131 else 1 if right.shape[2] == 65 else 0
        right[:, :rows] = (right[:, :rows] + 1) % 6
        return [right]

    with pytest.raises(GateError, match=r"in 2 of 5 images, worst in a generated image of 200x131 \(1[23],\d+ of 26,"):
        pass_gate(MODEL, ExportedRunner(one_class_off, PLACES, "ours", "fp32"), generated_images(3))


def test_a_size_that_cannot_be_computed() -> None:
    def refuses(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        raise RuntimeError("Kernel larger\nthan the data")

    runner = ExportedRunner(refuses, PLACES, "ours", "fp32")
    with pytest.raises(GateError, match=r"^ours: cannot compute tiny \(Kernel larger than the data\); nothing was"):
        compare(MODEL, runner, "tiny", np.zeros((3, 3, 3), np.uint8))


def test_labels_of_another_size() -> None:
    runner = ExportedRunner(lambda images, _: [np.zeros((1, 4, 5), np.uint8)], PLACES, "ours", "fp32")
    with pytest.raises(GateError, match="labels of 4x5 for an image of 3x3"):
        compare(MODEL, runner, "tiny", np.zeros((3, 3, 3), np.uint8))


def test_a_batch_of_which_one_image_changes_another() -> None:
    def mixed(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        (right,) = labelled(images, outputs)
        return [right[::-1]]

    with pytest.raises(GateError, match="of a batch has other labels than alone"):
        pass_gate(MODEL, ExportedRunner(mixed, PLACES, "ours", "fp32"), generated_images(3))
