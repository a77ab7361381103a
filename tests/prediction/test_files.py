"""Masks of many images, written one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.cli.main import run
from tests.builders.commands import complaint
from tests.builders.models import make, picture


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of a tiny untrained model; elsewhere in this folder ``model`` is the model itself."""
    make().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_one_unreadable_image_does_not_stop_the_others(model: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(picture(20, 30)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"broken")
    assert run(["predict", str(model), str(folder), "--out", str(tmp_path / "m")]) == 3
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [".predicted.jsonl", "a.png", "c.png"]
    errors = capsys.readouterr().err
    assert "b.png: not an image" in errors
    assert "1 of 3 images have no mask" in errors


def test_tiles(model: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(90, 130)).save(tmp_path / "big.png")
    command = ["predict", str(model), str(tmp_path / "big.png"), "--out", str(tmp_path / "m"), "--tile", "64"]
    assert run([*command, "--overlap", "32"]) == 0
    with Image.open(tmp_path / "m" / "big.png") as mask:
        assert mask.size == (130, 90)


def test_two_images_of_one_name_are_not_written_over(model: Path, tmp_path: Path) -> None:
    for place in ("x/same.png", "x/same.bmp", "y/same.png", "y/deep/same.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(picture(9, 9)).save(tmp_path / place)
    out = tmp_path / "out"
    assert run(["predict", str(model), str(tmp_path / "x"), str(tmp_path / "y"), "--out", str(out)]) == 0
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert written == ["deep/same.png", "x/same.bmp.png", "x/same.png.png", "y/same.png"]


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


def test_an_overlay_of_some_classes(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(picture(40, 60)).save(tmp_path / "a.png")
    segmenter = fullconv.load(model)
    labels = segmenter.predict(tmp_path / "a.png").labels
    name = segmenter.classes.names[labels[0, 0]]
    command = ["predict", str(model), str(tmp_path / "a.png"), "--out", str(tmp_path / "m"), "--overlay"]
    for shown, painted in ((name, labels == labels[0, 0]), (f"disc, {name}", (labels == labels[0, 0]) | (labels == 1))):
        assert run([*command, "--overlay-classes", shown]) == 0
        with Image.open(tmp_path / "m" / "a.overlay.png") as file:
            changed = (np.asarray(file)[:40, :60] != picture(40, 60)).any(2)
        assert not changed[~painted].any()
        assert changed[painted].mean() > 0.9
    capsys.readouterr()
    assert run([*command, "--overlay-classes", "discs"]) == 2
    assert "no class is called 'discs'; did you mean disc?" in complaint(capsys)
    assert run([*command[:-1], "--overlay-classes", "disc"]) == 2
    assert "give --overlay too" in complaint(capsys)
