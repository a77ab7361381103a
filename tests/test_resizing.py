from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import fullconv
from fullconv.resizing import middle_size, resize_note
from fullconv.spec import Preprocessing
from tests.builders.models import make, picture

SMALL = "shapes:train=4,val=2,height=32,width=48"
LEARNED: dict[str, Any] = {"image_size": [20, 40]}


def note(sizes: dict[tuple[int, int], int], provenance: dict[str, Any]) -> str:
    return resize_note(Preprocessing(resize=(40, 80)), provenance, Counter(sizes))


def test_shrunk_images_are_counted() -> None:
    assert note({(60, 110): 3, (20, 40): 6}, LEARNED) == (
        "3 of 9 images are brought to 40x80 (height x width), at less than half of the scale that the model learned "
        "from: small things are lost; cut such images into pieces of about 20x40, or train without --resize"
    )
    assert note({(20, 40): 6, (40, 80): 1}, LEARNED) == ""


def test_enlarged_images_are_counted_too() -> None:
    found = note({(9, 19): 1, (60, 110): 1}, LEARNED)
    assert "1 of 2 images is brought to 40x80 (height x width), at more than twice the scale" in found
    assert "1 of 2 images is brought to 40x80 (height x width), at less than half of the scale" in found


@pytest.mark.parametrize("provenance", [{}, {"image_size": "x"}, {"image_size": [0, 3]}])
def test_where_the_images_of_training_are_not_known_the_resize_stands_for_them(provenance: dict[str, Any]) -> None:
    assert note({(60, 110): 1}, provenance) == ""
    found = note({(100, 200): 1}, provenance)
    assert found.startswith("the image is brought to 40x80 (height x width), at less than half of the full scale: ")
    assert "pieces of about 40x80" in found


def test_nothing_is_said_without_resize() -> None:
    assert resize_note(Preprocessing(), LEARNED, Counter([(9000, 9000)])) == ""


def test_the_size_in_the_middle_goes_by_pixels() -> None:
    assert middle_size(Counter({(10, 10): 2, (5, 90): 3, (100, 100): 2})) == [5, 90]


def test_predict_says_it_once_of_all_images(tmp_path: Path) -> None:
    for name, size in {"a": (200, 300), "b": (40, 72), "c": (150, 300)}.items():
        Image.fromarray(picture(*size)).save(tmp_path / f"{name}.png")
    model = make(resize=(40, 72))
    found = fullconv.predict(model, tmp_path, tmp_path / "out")
    assert [line[:29] for line in found.notes] == ["2 of 3 images are brought to "]
    one = model.predict(picture(200, 300))
    assert one.note.startswith("the image is brought to 40x72")
    assert model.predict(picture(40, 72)).note == ""


def test_evaluate_says_so_and_a_run_keeps_the_size_of_its_images(tmp_path: Path) -> None:
    run = fullconv.train(
        SMALL, out=tmp_path / "run", model="fcn32s", encoder="mobilenetv2_035", encoder_weights="none",
        resize=(96, 128), crop=(64, 64), epochs=1, batch_size=2, workers=0, device="cpu", track="none",
    )  # fmt: skip
    assert run.segmenter().provenance["image_size"] == [32, 48]
    assert not any("brought to" in note for note in fullconv.evaluate(run.path, SMALL, workers=0).notes)
    notes = fullconv.evaluate(run.path, "shapes:train=4,val=2,height=96,width=128", workers=0).notes
    assert [note for note in notes if "are brought to 96x128" in note and "half of the scale" in note]
