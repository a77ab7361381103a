"""A photograph in the place of a mask is called one, and makes no classes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.images.mask_file import MaskFile
from fullconv.images.photograph import is_photograph
from tests.builders.commands import checked, complaint
from tests.builders.faults import grey_photograph, jpeg_photograph, photograph
from tests.builders.folders import Make

SIZES = [(480, 360), (120, 90), (64, 48)]


def _file(picture: Image.Image) -> MaskFile:
    kind = "colour" if picture.mode == "RGB" else "grey"
    return MaskFile(Path("a.png"), kind, np.asarray(picture), white=0 if kind == "colour" else 255)


def _jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75)
    return Image.open(file)


@pytest.mark.parametrize("size", SIZES)
def test_real_photographs_are_told_from_spoilt_masks(size: tuple[int, int], shared: Path) -> None:
    data, colours = shared / "data" / "camvid", np.random.default_rng(0).integers(0, 256, (12, 3), dtype=np.uint8)
    for path in sorted((data / "train").glob("*.png"))[::60]:
        with Image.open(path) as picture:
            image = picture.convert("RGB").resize(size)
        assert is_photograph(_file(image)), path.name
        assert is_photograph(_file(image.convert("L"))), path.name
        with Image.open(data / "trainannot" / path.name) as picture:
            labels = np.asarray(picture.resize(size, Image.Resampling.NEAREST))
        smaller = (size[0] * 3 // 4, size[1] * 3 // 4)
        for mask in (Image.fromarray(labels * np.uint8(20)), Image.fromarray(colours[labels])):
            for spoilt in (mask, _jpeg(mask), mask.resize(smaller, Image.Resampling.LANCZOS)):
                assert not is_photograph(_file(spoilt)), path.name


def test_many_objects_are_no_photograph() -> None:
    assert not is_photograph(_file(Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20).repeat(8, 1))))


@pytest.mark.parametrize("spoil", [photograph, grey_photograph, jpeg_photograph])
@pytest.mark.parametrize("named", [False, True])
def test_it_is_the_only_problem_and_makes_no_class(
    spoil: object, named: bool, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    if named:
        (root / "classes.txt").write_text("ground\ndisc\nsquare\ntriangle\nring\n")
    assert callable(spoil)
    spoil(root)
    found = checked(root, capsys, 3)
    assert len(found["classes"]) == 5  # type: ignore[arg-type]
    (problem,) = found["problems"]  # type: ignore[misc]
    file = problem.partition(":")[0]
    line = f"{file}: a photograph, not a mask; put the image's mask in its place, or leave the pair out"
    assert problem == line
    assert run(["train", str(root), "--out", str(root.parent / "run"), "--device", "cpu"]) == 3
    assert complaint(capsys) == f"fullconv: {line}"
    assert checked(root, capsys, 3, "--fix", str(root.parent / "fixed"))["printed"].count(  # type: ignore[attr-defined]
        "1 with a photograph for a mask"
    )
