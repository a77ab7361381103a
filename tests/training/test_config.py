from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.training.config import TrainConfig
from fullconv.training.recipes import recipes, subject

RECIPES = sorted(recipes())


def test_every_option_says_what_it_means() -> None:
    assert [name for name, field in TrainConfig.model_fields.items() if not field.description] == []


def test_flags_override_the_recipe_overrides_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("epochs: 7\nrate: 0.5\n")
    config = TrainConfig.load(tmp_path / "r.yaml", {"rate": 0.25})
    assert (config.epochs, config.rate, config.batch_size) == (7, 0.25, 8)


def test_saved_options_are_a_recipe(tmp_path: Path) -> None:
    config = TrainConfig(crop=(3, 4), class_weights=[1.0, 2.0], model_args={"streams": [32]}, encoder_rate=0.0)
    config.save(tmp_path / "c.yaml")
    assert TrainConfig.load(tmp_path / "c.yaml", {}) == config
    assert (
        "# passes over the training data, unless epoch_steps says otherwise\nepochs: 30"
        in (tmp_path / "c.yaml").read_text()
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_shipped_recipes_are_valid_and_open_with_their_command(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name from anywhere."""
    monkeypatch.chdir(tmp_path)
    assert TrainConfig.load(recipe, {}) == TrainConfig(**yaml.safe_load(recipes()[recipe]))
    head = recipes()[recipe].split("model:")[0]
    assert f"--recipe {recipe}" in head
    assert len(subject(recipes()[recipe])) > 40


def test_recipes_are_listed_and_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in RECIPES)
    assert max(map(len, said.splitlines())) <= 80
    assert run(["recipes", RECIPES[0]]) == 0
    assert capsys.readouterr().out == recipes()[RECIPES[0]]
    (tmp_path / RECIPES[0]).write_text("epochs: 7")
    monkeypatch.chdir(tmp_path)
    assert TrainConfig.load(RECIPES[0], {}).epochs == 7  # a file of that name comes first
    with pytest.raises(UsageError, match=f"--recipe {RECIPES[1]}, without folder and suffix, is fullconv's own"):
        TrainConfig.load(f"recipes/{RECIPES[1]}.yaml", {})
    with pytest.raises(UsageError, match="or a name that fullconv recipes lists"):
        TrainConfig.load("nonsense", {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 3}, "no option 'epoch'; did you mean epochs"),
        ({"zzz": 3}, "--help lists them"),
        ({"lr": 3}, "no option 'lr'; did you mean rate?"),
        ({"patience": 3}, "no option 'patience'; did you mean early_stopping?"),
        ({"epochs": 0}, r"epochs: .*greater than or equal to 1 \(found 0\)"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"crop": (0, 5)}, "crop must be at least 1x1"),
        ({"scale": (2, 1)}, "low then high"),
        ({"class_weights": [float("nan"), 1]}, "finite"),
        ({"class_weights": "inf,1"}, "finite"),
        ({"rate": float("inf")}, "rate.*finite"),
        ({"clip_norm": float("inf")}, "clip_norm.*finite"),
        ({"loss": "focal", "label_smoothing": 0.1}, "belongs to the cross-entropy loss"),
        ({"loss": "dice", "reduction": "sum"}, "belongs to cross-entropy or focal"),
        ({"loss": "dice", "class_weights": "median-frequency"}, "counts every class alike"),
    ],
)
def test_refuses(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TrainConfig.load(None, options)


def test_files_with_the_old_name_of_device_are_read(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("accelerator: cpu\nepochs: 3\n")
    old = TrainConfig.load(tmp_path / "old.yaml", {})
    assert (old.device, old.epochs) == ("cpu", 3)
    assert TrainConfig.load(tmp_path / "old.yaml", {"device": "auto"}).device == "auto"
    with pytest.raises(UsageError, match="there is no option 'accelerator'; did you mean device"):
        TrainConfig.load(None, {"accelerator": "cpu"})


def test_recipes_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file; give a YAML file"):
        TrainConfig.load(tmp_path / "none.yaml", {})
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        TrainConfig.load(tmp_path / "bad.yaml", {})
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="utf-16, but is damaged"):
        TrainConfig.load(tmp_path / "bytes.yaml", {})
    for text in ("- 1", "1: 2"):
        (tmp_path / "odd.yaml").write_text(text)
        with pytest.raises(UsageError, match="expected training options"):
            TrainConfig.load(tmp_path / "odd.yaml", {})
