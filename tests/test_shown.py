"""What our objects show at a prompt and in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

import fullconv
from fullconv.cli.models import info
from fullconv.errors import DataError
from fullconv.evaluation.finding import Finding
from fullconv.evaluation.metrics import ImageScore, Scores
from fullconv.spec import ClassSet
from tests.builders.folders import Make
from tests.builders.models import make


def test_recipes_are_shown_by_what_they_are_for() -> None:
    first, *lines = repr(fullconv.recipes()).splitlines()
    assert first == "Recipes"
    assert len(lines) == len(fullconv.recipes())
    assert any(line.startswith("  fcn8s_atonce: FCN-8s on VGG16 trained at once") for line in lines)


def test_info_is_shown_as_what_people_ask_for_first(tmp_path: Path) -> None:
    make().save(tmp_path / "m.safetensors")
    said = info(tmp_path / "m.safetensors")
    assert len(said["classes"]["names"]) == 3
    text = repr(said)
    assert text.startswith(f"{tmp_path / 'm.safetensors'}\n  network: fcn8s on ")
    assert "\n  classes: 3: " in text
    assert "{" not in text


def test_items_and_a_check(make_folder: Make) -> None:
    root = make_folder(6)
    (root / "images" / "scene_0.png").write_bytes(b"broken")
    report = fullconv.check(root)
    item = report.dataset.split("val")[0]
    assert repr(item) == f"Item({item.id}: {root}/images/{item.id}.png, {root}/masks/{item.id}.png)"
    first, *found = repr(report).splitlines()
    assert first.startswith(f"CheckReport({root.name}: 6 images, 1 problem, ")
    assert found[0].startswith(f"  problem: {root}/images/scene_0.png: not an image")
    page = report._repr_html_()
    assert "train, pixels" in page
    assert "not an image that can be read" in page


def test_each_failing_class_is_heard_before_a_second_cause_of_one() -> None:
    causes = [("thin", "a"), ("rare", "a"), ("confused", "a"), ("never-predicted", "b"), ("thin", "c")]
    found = tuple(Finding(kind, (name,), f"{name} is {kind}", "more of it") for kind, name in causes)
    scores = Scores(
        0.5, 0.5, 0.4, 0.5, (0.1, 0.2, 0.9), (1, 1, 1), (1, 1, 1), ClassSet(("a", "b", "c")), findings=found,
        worst=(ImageScore("one", "one.png", 0.25),),
    )  # fmt: skip
    lines = repr(scores).splitlines()
    assert lines[-4:] == ["  a is thin", "  b is never-predicted", "  c is thin", "  and 2 findings more"]
    assert repr(scores.worst) == "(ImageScore(one: mean IoU 0.2500),)"
    assert repr(found[0]) == "Finding(a is thin)"


def test_an_image_that_is_not_there_is_said_with_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^{tmp_path / 'none.jpg'}: no such file$"):
        make().predict(tmp_path / "none.jpg")
