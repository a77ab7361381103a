"""The commands as a user types them, with their exit codes and their one line of complaint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.cli.main import run
from tests.builders.folders import Make
from tests.builders.models import make, picture

TINY = ["--encoder", "resnet10t", "--model", "fcn16s", "--epochs", "1", "--batch-size", "4", "--workers", "0"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    make().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fullconv: ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_help_starts_without_torch() -> None:
    script = "import sys; from fullconv.cli.main import run; run(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for verb in ("train", "evaluate", "predict", "check", "info", "demo"):
        assert verb in done.stdout


def test_every_training_option_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    from fullconv.training.config import TrainConfig

    assert run(["train", "--help"]) == 0
    text = capsys.readouterr().out
    missing = [name for name in TrainConfig.model_fields if f"--{name.replace('_', '-')}" not in text]
    assert missing == []


def test_flags_become_values() -> None:
    from fullconv.cli.main import app

    words = ["--model-args.head-channels", "8", "--encoder-args.pad-type", "same", "--class-weights", "1,2,0.5"]
    _, bound, _ = app.parse_args(["train", "shapes", *words, "--crop", "32", "64", "--no-flip"])
    assert bound.arguments["config"].model_dump(exclude_unset=True) == {
        "model_args": {"head_channels": 8}, "encoder_args": {"pad_type": "same"}, "class_weights": [1.0, 2.0, 0.5],
        "crop": (32, 64), "flip": False,
    }  # fmt: skip


def test_the_whole_way(make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = make_folder(6), tmp_path / "run"
    assert (
        run(["train", str(data), "--out", str(out), *TINY, "--crop", "32", "64", "--model-args.head-channels", "8"])
        == 0
    )
    assert run(["evaluate", str(out), str(data), "--json", str(tmp_path / "s.json"), "--workers", "0"]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["mean_iou"] == pytest.approx(json.loads((out / "scores.json").read_text())["mean_iou"])
    capsys.readouterr()
    images = str(data / "images" / "*.png")
    assert run(["predict", str(out), images, "--out", str(tmp_path / "m"), "--overlay", "--probabilities"]) == 0
    written = sorted(p.name for p in (tmp_path / "m").iterdir())
    assert written[:3] == ["scene_0.npz", "scene_0.overlay.png", "scene_0.png"]
    assert len(written) == 18
    with Image.open(tmp_path / "m" / "scene_0.png") as mask:
        assert (mask.mode, mask.size) == ("P", (64, 48))
    with np.load(tmp_path / "m" / "scene_0.npz") as file:
        chances = file["probabilities"]
    assert (chances.dtype, chances.shape) == (np.float16, (5, 48, 64))
    assert run(["info", str(out)]) == 0
    assert "fcn16s on resnet10t" in capsys.readouterr().out


def test_check_says_what_it_found(make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_folder(6)
    assert run(["check", str(data), "--json", str(tmp_path / "c.json")]) == 0
    assert "fit for training" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["images"] == {"train": 5, "val": 1}
    (data / "images" / "scene_0.png").write_bytes((data / "images" / "scene_0.png").read_bytes()[:300])
    assert run(["check", str(data)]) == 3
    assert "damaged or truncated" in capsys.readouterr().out
    assert run(["train", str(data), "--out", str(tmp_path / "run"), *TINY]) == 3
    assert "damaged or truncated" in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_one_unreadable_image_does_not_stop_the_others(model: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(picture(20, 30)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"broken")
    assert run(["predict", str(model), str(folder), "--out", str(tmp_path / "m")]) == 1
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["a.png", "c.png"]
    errors = capsys.readouterr().err
    assert "b.png: not an image" in errors
    assert "1 of 3 images have no mask" in errors


def test_tiles(model: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(90, 130)).save(tmp_path / "big.png")
    command = ["predict", str(model), str(tmp_path / "big.png"), "--out", str(tmp_path / "m"), "--tile", "64"]
    assert run([*command, "--overlap", "32"]) == 0
    with Image.open(tmp_path / "m" / "big.png") as mask:
        assert mask.size == (130, 90)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "nowhere"], 2, "no such folder or archive"),
        (["train", "shapes", "--epochs", "0"], 2, "greater than or equal to 1"),
        (["train", "shapes", "--epoch", "3"], 2, "--epoch"),
        (["train", "shapes", "--recipe", "nowhere.yaml"], 2, "no such file; give a YAML file"),
        (["train", "shapes", "--encoder", "resnet35"], 2, "did you mean"),
        (["train", "shapes", "--resume", "--out", "nowhere"], 2, "no run to resume"),
        (["train", "EMPTY"], 3, "no data set recognised"),
        (["check", "nowhere"], 2, "no such folder"),
        (["evaluate", "nowhere.safetensors", "shapes"], 2, "no such model"),
        (["evaluate", "MODEL", "shapes"], 3, "has 5 classes"),
        (["predict", "MODEL", "nowhere.png", "--out", "OUT"], 2, "no such file, folder or glob"),
        (["predict", "MODEL", "EMPTY", "--out", "OUT"], 2, "no images in this folder"),
        (["predict", "MODEL", "--out", "OUT"], 2, "no images given"),
        (["predict", "MODEL", "MODEL"], 2, "--out"),
        (["predict", "MODEL", "MODEL", "--out", "OUT", "--tile", "8"], 2, "tile must be a whole number"),
        (
            ["predict", "MODEL", "MODEL", "--out", "OUT", "--tile", "64", "--overlap", "64"],
            2,
            "0 to 32 with tiles of 64",
        ),
        (["predict", "MODEL", "MODEL", "--out", "OUT", "--device", "abacus"], 2, "not available"),
        (["info", "TEXT"], 2, "not a readable safetensors"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_the_right_code(
    arguments: list[str], code: int, words: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("hello, this is not a model")
    places = {
        "MODEL": model,
        "EMPTY": tmp_path / "empty",
        "OUT": tmp_path / "out",
        "TEXT": tmp_path / "text.safetensors",
    }
    assert run([str(places.get(argument, argument)) for argument in arguments]) == code
    assert words in complaint(capsys)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "runs").exists()


def test_two_images_of_one_name_are_not_written_over(model: Path, tmp_path: Path, capsys) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture(9, 9)).save(tmp_path / folder / "same.png")
    out = tmp_path / "out"
    assert run(["predict", str(model), str(tmp_path / "x"), str(tmp_path / "y"), "--out", str(out)]) == 2
    assert "would write the same file" in complaint(capsys)
    assert not out.exists()


def test_a_full_disk_is_said_and_leaves_nothing(model: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    import errno

    def full(self: Image.Image, *args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Image.fromarray(picture(9, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "save", full)
    assert run(["predict", str(model), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 1
    assert "the disk is full" in complaint(capsys)
    assert list((tmp_path / "out").iterdir()) == []


def test_predict_never_overwrites_an_image(model: Path, tmp_path: Path, capsys) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(picture(9, 9)).save(photo)
    before = photo.read_bytes()
    assert run(["predict", str(model), str(photo), "--out", str(tmp_path)]) == 2
    assert "would overwrite the image" in complaint(capsys)
    assert photo.read_bytes() == before


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_bad_file_is_one_line_from_workers_too(workers: str, make_folder: Make, tmp_path: Path, capsys) -> None:
    data, model = make_folder(6), tmp_path / "m.safetensors"
    (data / "classes.txt").write_text("ground\ndisc\nring\nd\ne\n")
    built = fullconv.build_model("fcn32s", 5, "resnet10t")
    fullconv.Segmenter(built, fullconv.open_dataset(data).classes, fullconv.Preprocessing()).save(model)
    item = fullconv.open_dataset(data).split("val")[0]
    item.image.write_bytes(item.image.read_bytes()[:300])
    assert run(["evaluate", str(model), str(data), "--workers", workers]) == 3
    assert "damaged or truncated" in complaint(capsys)


def test_real_images_of_every_folder(shared: Path, model: Path, tmp_path: Path) -> None:
    images = [
        str(shared / "data" / "heatmap" / "twocats.jpg"),
        str(shared / "data" / "kitti_road" / "data_road" / "testing"),
    ]
    assert run(["predict", str(model), *images, "--out", str(tmp_path / "m")]) == 0
    assert len(list((tmp_path / "m").iterdir())) == 5


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--loss", "focl"], "loss: Input should be 'cross-entropy', 'focal'"),
        (["--epochs", "0"], "epochs: Input should be greater"),
        (["--scale", "2", "1"], "low then high"),
    ],
)
def test_a_bad_option_is_one_plain_line(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "shapes", *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert "validation error" not in error


def test_an_overlay_of_some_classes(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(picture(40, 60)).save(tmp_path / "a.png")
    segmenter = fullconv.load(model)
    labels = segmenter.predict(tmp_path / "a.png").labels
    name = segmenter.classes.names[labels[0, 0]]
    command = ["predict", str(model), str(tmp_path / "a.png"), "--out", str(tmp_path / "m"), "--overlay"]
    for shown, painted in ((name, labels == labels[0, 0]), (f"disc, {name}", (labels == labels[0, 0]) | (labels == 1))):
        assert run([*command, "--overlay-classes", shown]) == 0
        with Image.open(tmp_path / "m" / "a.overlay.png") as file:
            changed = (np.asarray(file) != picture(40, 60)).any(2)
        assert not changed[~painted].any()
        assert changed[painted].mean() > 0.9
    capsys.readouterr()
    assert run([*command, "--overlay-classes", "discs"]) == 2
    assert "no class is called 'discs'; did you mean disc?" in complaint(capsys)
    assert run([*command[:-1], "--overlay-classes", "disc"]) == 2
    assert "give --overlay too" in complaint(capsys)
