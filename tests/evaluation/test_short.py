"""What fails in a model that has hardly learned from random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fullconv
from fullconv.data import Shapes
from fullconv.evaluation.finding import Finding, by_advice, told
from fullconv.evaluation.short import LONGER, longer_first
from fullconv.formats.open import shapes_dataset

FOUND = [
    Finding("void", (), "void is 60% of all pixels", "name it"),
    Finding("never-predicted", ("a",), "a is never predicted", "--class-weights median-frequency"),
]
RANDOM: dict[str, Any] = {"options": {"encoder_weights": "none"}, "epoch": 2, "steps": 40, "of_steps": 100}


def test_training_longer_is_the_advice_and_the_only_one_of_classes() -> None:
    first, *others = longer_first(FOUND, RANDOM)
    assert first.kind == "short"
    assert "began with random weights and learned for 100 steps only" in first.text
    assert [one.advice for one in others] == ["name it", LONGER]
    assert by_advice((first, *others))[0] == ([first.text, "a is never predicted"], LONGER)
    assert "learned for 60 steps" in longer_first(FOUND, RANDOM, epochs=3)[0].text


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"encoder_weights": "imagenet"}},
        {"options": {"encoder_weights": "none", "init_from": "other"}},
        {"of_steps": 2000},  # the best epoch was early, and the run went on
        {"options": {}, "of_steps": 10},
    ],
)
def test_other_models_keep_their_advice(changes: dict[str, Any]) -> None:
    assert longer_first(FOUND, RANDOM | changes) == tuple(FOUND)
    assert longer_first(FOUND, {}) == tuple(FOUND)
    assert longer_first(FOUND[:1], RANDOM) == tuple(FOUND[:1])


def test_train_and_evaluate_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shapes_dataset(Shapes(height=32, width=32, train=4, val=2))
    run = fullconv.train(
        data, tmp_path / "run", model="fcn32s", encoder="resnet10t", encoder_weights="none", epochs=1, batch_size=2,
        workers=0, check=False, rate=1e-6,
    )  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "random weights and learned for 2 steps only" in said
    assert "try: train longer first" in said
    assert "--class-weights" not in said
    scores = fullconv.evaluate(run.path, data, device="cpu", workers=0)
    assert scores.findings[0].kind == "short"
    assert {one.advice for one in scores.findings if one.classes} <= {
        LONGER,
        "a split that shows every class, or fewer classes",
    }


def test_what_is_left_of_the_findings_is_counted_in_words() -> None:
    found = [Finding("thin", (name,), f"{name} is thin", "a finer network").to_dict() for name in "abc"]
    assert told(found, 3) == ["a is thin", "b is thin", "c is thin", "  try: a finer network"]
    assert told(found, 2)[-1] == "and 1 finding more: fullconv evaluate says it"
    assert told(found, 1)[-1] == "and 2 findings more: fullconv evaluate says them"
