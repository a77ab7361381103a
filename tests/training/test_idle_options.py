"""Options that change nothing in a run are said, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import fullconv
from fullconv.training.config import TrainConfig
from fullconv.training.objectives import idle
from fullconv.weak import Supervision
from tests.builders.runs import FEW_STEPS, FOUR_SCENES

BOXES = "--box-labels, --rounds without effect: no train image teaches with boxes"
TAGS = "--tag-pooling, --tag-pooling-sharpness without effect: no train image teaches with tags"
CRF = "--crf-loss-start, --crf-loss-deviations without effect: there is no CRF loss; --crf-loss WEIGHT adds it"
OF_BOXES = {"box_labels": "filled", "rounds": 2}
OF_TAGS = {"tag_pooling": "max", "tag_pooling_sharpness": 3.0}
OF_CRF = {"crf_loss_start": 0.1, "crf_loss_deviations": (25, 10)}


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("masks", {}, []),
        ("masks", {**OF_BOXES, **OF_TAGS, **OF_CRF, "early_stopping": 3}, [BOXES, TAGS, CRF]),
        ("boxes", OF_BOXES, []),
        ("boxes", OF_TAGS, [TAGS]),
        ("tags", OF_TAGS, ["--tag-pooling-sharpness without effect: --tag-pooling max has no sharpness"]),
        ("tags", {"tag_pooling_sharpness": 3.0}, []),
        ("tags", {"rounds": 3}, ["--rounds without effect: no train image teaches with boxes"]),
        ("tags", {"loss": "focal", "reduction": "sum"}, ["--loss, --reduction without effect: tags label no pixel"]),
        ("points", {"loss": "focal", "reduction": "sum"}, []),
        ("scribbles", {**OF_CRF, "crf_loss": 0.1}, []),
    ],
)
def test_what_has_no_effect_is_said(kind: str, options: dict[str, object], expected: list[str]) -> None:
    assert idle(TrainConfig(**options), Supervision(FOUR_SCENES, {(0, "a"): kind})) == expected


def test_without_val_scores_nothing_stops_early() -> None:
    supervision = Supervision(FOUR_SCENES, {(0, "a"): "tags"}, against="tags")
    assert idle(TrainConfig(early_stopping=2), supervision) == [
        "--early-stopping without effect: val has tags alone, so no scores"
    ]


def test_a_run_says_it_and_one_class_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**FEW_STEPS, "epochs": 1, "quiet": False}
    fullconv.train(FOUR_SCENES, tmp_path / "a", **{**options, "rounds": 5})
    assert "--rounds without effect: no train image teaches with boxes\n" in capsys.readouterr().out
    for folder in ("images", "masks"):
        (tmp_path / "one" / folder).mkdir(parents=True)
        for name in "abcde":
            Image.new("L" if folder == "masks" else "RGB", (32, 32)).save(tmp_path / "one" / folder / f"{name}.png")
    (tmp_path / "one" / "dataset.yaml").write_text("classes: [ground]\n")
    fullconv.train(tmp_path / "one", tmp_path / "b", **options)
    assert "ground is the only class: every pixel is predicted as it" in capsys.readouterr().out
