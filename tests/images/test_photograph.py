"""A photograph in the place of a mask is called one, and makes no classes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fullconv.checking.check import check
from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.images.encoding import MaskEncoding
from fullconv.images.mask_file import LossyMask, MaskFile
from fullconv.images.mask_reading import read_mask
from fullconv.images.masks import labels_of
from fullconv.images.photograph import Photograph, is_photograph
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


SPOILT = {
    "half white": lambda p: Image.fromarray(np.where(np.arange(360)[:, None, None] < 180, 255, np.asarray(p))
                                            .astype(np.uint8)),
    "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(6)),
    "dark": lambda p: p.point(lambda value: value // 3),
    "enlarged": lambda p: p.resize((1440, 1080), Image.Resampling.BICUBIC),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
def test_a_photograph_among_masks_of_named_colours_is_told_however_it_looks(how: str, shared: Path) -> None:
    with Image.open(sorted((shared / "data" / "camvid" / "train").glob("*.png"))[0]) as picture:
        file = _file(SPOILT[how](picture.convert("RGB")))
    encoding = MaskEncoding(colours={(255, 0, 0): 0, (0, 255, 0): 1})
    with pytest.raises(Photograph, match=r"a photograph(,| does) .*; put the image's mask in its place"):
        labels_of(file, encoding, 2, 255)


def test_many_objects_are_no_photograph() -> None:
    assert not is_photograph(_file(Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20).repeat(8, 1))))


def test_a_mask_one_pixel_wide_is_no_photograph() -> None:
    assert not is_photograph(_file(Image.fromarray(np.arange(250, dtype=np.uint8)[:, None])))


def test_a_truncated_jpeg_is_not_to_be_copied_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    grey_values = np.random.default_rng(0).integers(0, 99, (64, 64), dtype=np.uint8)
    Image.fromarray(grey_values).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LossyMask, match=r"truncated, it ends too early, and a mask stored as JPEG, .* again as PNG$"):
        read_mask(path)


def test_a_colour_for_each_of_150_classes_is_no_photograph() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (150, 3), dtype=np.uint8)
    assert not is_photograph(_file(Image.fromarray(colours[rng.integers(0, 150, (64, 64))])))


def _many_classes(root: Path, count: int = 10, classes: int = 150) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (64, 64), (9, 9, number)).save(root / "images" / f"{number}.png")
        mask = Image.fromarray(rng.integers(0, classes, (64, 64), dtype=np.uint8))
        mask.save(root / "masks" / f"{number}.png")
    return root


@pytest.mark.parametrize("file", ["classes.txt", "dataset.yaml", "values"])
def test_masks_of_150_named_classes_are_no_photographs(file: str, tmp_path: Path) -> None:
    root, names = _many_classes(tmp_path / "data"), [f"class {number}" for number in range(150)]
    if file == "classes.txt":
        (root / file).write_text("\n".join(names))
    else:
        numbered = "values: {" + ", ".join(f"{n}: {name}" for n, name in enumerate(names)) + "}"
        (root / "dataset.yaml").write_text(numbered if file == "values" else f"classes: [{', '.join(names)}]")
    spec = open_dataset(root)
    assert len(spec.classes) == 150
    assert read_sample(spec, spec.split("val")[0]).labels.max() > 100
    labels = np.asarray(Image.open(root / "masks" / "3.png")).copy()
    labels[0, 0] = 200
    Image.fromarray(labels).save(root / "masks" / "3.png")
    (problem,) = check(root).problems
    assert "3.png: holds id 200 at row 0, column 0" in problem


@pytest.mark.parametrize("alone", [True, False])
def test_grey_values_that_nobody_named_are_asked_about(alone: bool, tmp_path: Path) -> None:
    root = _many_classes(tmp_path / "data")
    if not alone:
        for number in range(3, 10):
            labels = np.asarray(Image.open(root / "masks" / f"{number}.png"))
            Image.fromarray(labels % 4).save(root / "masks" / f"{number}.png")
    with pytest.raises(DataError, match=r"as in a photograph; .* so many classes\? If .*, one a line"):
        open_dataset(root)
    report = check(root)
    (problem,) = report.problems
    said = (
        "10 of 10 masks hold up to 150 values each (0.png,"
        if alone
        else "3 of 10 masks hold up to 150 values each (0.png,"
    )
    assert said in problem
    assert len(report.dataset.classes) == (150 if alone else 4)
    with pytest.raises(DataError, match="--fix cannot know"):
        check(root, fix=tmp_path / "fixed")


@pytest.mark.parametrize("spoil", [photograph, grey_photograph, jpeg_photograph])
@pytest.mark.parametrize("named", [False, True])
def test_it_is_the_only_problem_and_makes_no_class(
    spoil: object, named: bool, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    if named or spoil is grey_photograph:  # grey values without a name may be ids
        (root / "classes.txt").write_text("ground\ndisc\nsquare\ntriangle\nring\n")
    assert callable(spoil)
    spoil(root)
    found = checked(root, capsys, 3)
    assert len(found["classes"]) == 5
    (problem,) = found["problems"]
    file = problem.partition(":")[0]
    line = f"{file}: a photograph, not a mask; put the image's mask in its place, or leave the pair out"
    assert problem == line
    assert run(["train", str(root), "--out", str(root.parent / "run"), "--device", "cpu"]) == 3
    assert complaint(capsys) == f"fullconv: {line}"
    assert checked(root, capsys, 3, "--fix", str(root.parent / "fixed"))["printed"].count(
        "1 with a photograph for a mask"
    )
