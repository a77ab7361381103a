"""A few files unlike all other masks are named, and make no classes of the data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fullconv.checking.check import check
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from tests.builders.commands import checked

SIZE = (128, 96)
NAMES = ("background", "disc", "square")


def _folder(root: Path, names: tuple[str, ...] = ()) -> Path:
    """Ten pairs, grey masks of the ids 0 to 2."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(10):
        Image.fromarray(rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)).save(root / f"images/{number}.png")
        labels = np.zeros(SIZE[::-1], np.uint8)
        labels[10:40, 8 * number : 8 * number + 20] = 1
        labels[50:80, 5 * number : 5 * number + 30] = 2
        Image.fromarray(labels).save(root / f"masks/{number}.png")
    if names:
        (root / "classes.txt").write_text("\n".join(names))
    return root


def _dark() -> Image.Image:
    """As smooth as a blurred picture of a dark room."""
    noise = np.random.default_rng(1).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).point(lambda value: value // 2)


def _framed() -> Image.Image:
    """Two thirds of it black."""
    pixels = np.asarray(_dark()).copy()
    pixels[:64] = 0
    return Image.fromarray(pixels)


@pytest.mark.parametrize("names", [(), NAMES], ids=["counted", "named"])
@pytest.mark.parametrize("picture", [_dark, _framed])
def test_a_photograph_of_any_look_among_grey_masks_makes_no_class(
    picture: Callable[[], Image.Image], names: tuple[str, ...], tmp_path: Path
) -> None:
    root = _folder(tmp_path / "data", names)
    picture().save(root / "masks/7.png")
    report = check(root, fix=tmp_path / "fixed")
    assert report.dataset.classes.names == (names or ("class_0", "class_1", "class_2"))
    (problem,) = report.problems
    assert problem.startswith(f"{root / 'masks/7.png'}: holds ")
    assert "as a photograph does" in problem
    assert "left out: 1 with a photograph for a mask" in report.fixed
    assert not check(tmp_path / "fixed").problems
    if not names:
        with pytest.raises(DataError, match=r"masks/7.png: holds .* colours of no class, as a photograph does"):
            open_dataset(root)


def test_a_background_without_a_name_is_asked_about_beside_a_photograph(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data", NAMES[1:])
    _dark().save(root / "masks/7.png")
    assert [one.kind for one in check(root).findings if one.problem] == ["background", "photograph"]


@pytest.mark.parametrize("values", [60, 200])
def test_a_grey_photograph_is_told_by_its_many_ids_of_its_own(values: int, tmp_path: Path) -> None:
    root = _folder(tmp_path / "data")
    grey = np.asarray(_dark().convert("L")).astype(float)
    levels = (grey - grey.min()) / np.ptp(grey) * values
    Image.fromarray(levels.astype(np.uint8) + np.uint8(40)).save(root / "masks/7.png")
    report = check(root, fix=tmp_path / "fixed")
    (problem,) = report.problems
    assert problem.startswith(f"{root / 'masks/7.png'}: holds ")
    assert "different values of 10 masks, as a photograph does (if it is a mask, name the classes" in problem
    assert len(report.dataset.classes) == 3
    assert "left out: 1 with a photograph for a mask" in report.fixed
    with pytest.raises(DataError, match=r"masks/7.png: holds .* as a photograph does"):
        open_dataset(root)


def test_many_numbered_objects_of_one_mask_are_no_photograph(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data")
    Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12).repeat(12, 0).repeat(10, 1)).save(root / "masks/7.png")
    assert not [one for one in check(root).findings if one.kind == "photograph"]


def test_how_many_pairs_the_figures_leave_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, page = _folder(tmp_path / "data", NAMES), tmp_path / "page.html"
    line = "sizes, shares, weights, and notes on rare classes and equal images leave out "
    assert line not in checked(root, capsys)["printed"]
    _dark().save(root / "masks/7.png")
    assert f"{line}1 of 10 pairs, see the problems" in checked(root, capsys, 3, "--html", str(page))["printed"]
    assert "<dt>left out of the figures</dt><dd>1 of 10 pairs, see the problems</dd>" in page.read_text()


def test_an_rgb_mask_among_grey_ones_is_what_is_wrong(tmp_path: Path) -> None:
    root = _folder(tmp_path / "data")
    labels = np.asarray(Image.open(root / "masks/7.png"))
    Image.fromarray(np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], np.uint8)[labels]).save(root / "masks/7.png")
    report = check(root, fix=tmp_path / "fixed")
    (problem,) = report.problems
    assert problem.startswith(f"{root / 'masks/7.png'}: an RGB mask, but no colour is named")
    assert len(report.dataset.classes) == 3
    assert "left out: 1 with colours of no class" in report.fixed
