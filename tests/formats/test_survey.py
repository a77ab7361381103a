"""What a pixel means does not depend on how the mask file stores it; through the commands that people type."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv.cli.main import run
from tests.builders.commands import checked, converted
from tests.builders.folders import MASK, THREE, pairs, picture

COLOURS = np.array([[10, 200, 30], [200, 10, 30], [30, 10, 200]], np.uint8)
NAMED = "classes: {grass: [10, 200, 30], roof: [200, 10, 30], water: [30, 10, 200]}\n"


def data(root: Path, masks: Sequence[Image.Image | np.ndarray], description: str = "", suffix: str = ".png") -> Path:
    (root / "masks").mkdir(parents=True)
    for number, mask in enumerate(masks):
        picture(root / "images" / f"{number}.png", number)
        path = root / "masks" / f"{number}{suffix}"
        if isinstance(mask, Image.Image):
            mask.save(path)
        else:
            tifffile.imwrite(path, mask, photometric="minisblack", metadata=None)
    if description:
        (root / "dataset.yaml").write_text(description)
    return root


def palette(order: Sequence[int]) -> Image.Image:
    """``MASK`` as a palette file whose value ``order[i]`` has the colour of class ``i``."""
    image = Image.fromarray(np.array(order, np.uint8)[MASK])
    table = np.zeros((256, 3), np.uint8)
    table[list(order)] = COLOURS
    image.putpalette(table.ravel().tolist())
    return image


def pixels(root: Path, capsys: pytest.CaptureFixture[str]) -> list[int]:
    """The pixels of each class, equal in all masks of the copy that ``convert`` writes."""
    counts = converted(root, capsys)[1]
    assert all(count == counts[0] for count in counts)
    return counts[0]


def test_colours_decide_for_rgb_rgba_and_palettes_in_any_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb = COLOURS[MASK]
    files = [
        Image.fromarray(rgb), Image.fromarray(np.dstack([rgb, np.full(MASK.shape, 255, np.uint8)])),
        palette([0, 1, 2]), palette([1, 2, 0]), palette([9, 1, 4]), Image.fromarray(rgb),
    ]  # fmt: skip
    root = data(tmp_path / "data", files, NAMED)
    found = checked(root, capsys)
    assert found["problems"] == []
    assert np.add(found["pixels"]["train"], found["pixels"]["val"]).tolist() == [6 * count for count in THREE]
    assert pixels(root, capsys) == THREE


def test_black_and_white_in_one_bit_and_in_eight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """White is paper, class 0: value 1 of a file of one bit is not class 1."""
    white = MASK == 0
    files = [Image.fromarray(white if i % 2 else white.astype(np.uint8) * 255) for i in range(6)]
    root = data(tmp_path / "data", files, "classes: {paper: [255, 255, 255], ink: [0, 0, 0]}\n")
    assert pixels(root, capsys) == [616, 408]


def test_grey_ids_beside_rgb_files_are_ids_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [Image.fromarray(MASK if i % 2 else COLOURS[MASK]) for i in range(6)]
    root = data(tmp_path / "data", files, NAMED)
    said = str(checked(root, capsys)["printed"])
    assert "grey masks are read as ids (1.png); the classes' colours are used in pictures alone" in said
    assert pixels(root, capsys) == THREE


def test_zero_and_one_that_may_be_ids_or_black_and_white_are_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [Image.fromarray((MASK == 0).astype(np.uint8)) for _ in range(4)]
    description = "classes: {paper: [255, 255, 255], ink: [0, 0, 0]}\n"
    root = data(tmp_path / "data", files, description)
    said = str(checked(root, capsys, code=3)["printed"])
    assert "holds 0 and 1; as ids 1 is ink, as black and white it is paper; write 'values: {0: ink, 1: paper}'" in said
    (root / "dataset.yaml").write_text(f"{description}values: {{0: ink, 1: paper}}\n")
    assert pixels(root, capsys) == [616, 408]


def test_palettes_that_contradict_each_other_are_refused_with_both_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = data(tmp_path / "data", [palette([0, 1, 2] if i < 4 else [1, 0, 2]) for i in range(6)])
    for verb in (["check", str(root)], ["train", str(root), "--no-check"], ["convert", str(root), str(tmp_path / "x")]):
        assert run(verb) == 3
        printed = capsys.readouterr()
        said = " ".join((printed.out + printed.err).split())
        assert "masks/5.png: its palette shows value 0 as (200, 10, 30), that of" in said
        assert "masks/0.png as (10, 200, 30); do the values count, or the colours?" in said
        assert "fit for training" not in said
    (root / "dataset.yaml").write_text("values: {0: a, 1: b, 2: c}\n")
    assert converted(root, capsys)[1][4] == [128, 616, 280]
    (root / "dataset.yaml").write_text(NAMED)
    assert converted(root.rename(tmp_path / "again"), capsys)[1] == [THREE] * 6


def test_transparent_pixels_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clear = np.dstack([COLOURS[MASK], np.where(MASK == 0, 0, 255).astype(np.uint8)])
    root = data(tmp_path / "data", [Image.fromarray(clear)] * 4, NAMED)
    said = str(checked(root, capsys, code=3)["printed"])
    assert "616 pixels are transparent, first at row 0, column 0; what are they?" in said
    (root / "dataset.yaml").write_text(f"{NAMED}transparent: ignore\n")
    found = checked(root, capsys)
    assert "transparent pixels are unlabelled" in str(found["printed"])
    assert found["void"] == {"train": 3 * 616, "val": 616}
    (root / "dataset.yaml").write_text(f"{NAMED}transparent: water\n")
    assert pixels(root, capsys) == [0, 128, 280 + 616]
    (root / "dataset.yaml").write_text(f"{NAMED}transparent: sea\n")
    assert "transparent names 'sea'" in str(checked(root, capsys, code=3)["printed"])


def test_a_page_or_band_for_each_class_and_pages_that_overlap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = np.stack([MASK == 1, MASK == 2]).astype(np.uint8)
    root = data(tmp_path / "pages", [two] * 4, "classes: [ground, roof, road]\n", ".tif")
    said = str(checked(root, capsys)["printed"])
    assert "2 pages, a 0/1 map for each class: page 1 is roof, the others follow in order; what none shows is" in said
    assert pixels(root, capsys) == THREE
    counted = data(tmp_path / "counted", [two * np.uint8(255)] * 4, suffix=".tif")
    assert pixels(counted, capsys) == THREE
    whole = data(tmp_path / "whole", [(np.arange(3)[:, None, None] == MASK).astype(np.uint8)] * 4, suffix=".tif")
    assert pixels(whole, capsys) == THREE
    overlapping = data(tmp_path / "over", [np.stack([MASK > 0, MASK == 2]).astype(np.uint8)] * 4, suffix=".tif")
    said = str(checked(overlapping, capsys, code=3)["printed"])
    assert "pages 1 and 2 of 2 overlap (280 pixels, first at row 20, column 2)" in said
    assert run(["train", str(overlapping), "--no-check"]) == 3
    assert "pages 1 and 2 of 2 overlap" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_no_data_below_0(kind: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = MASK.astype(kind)
    values[:, :3] = -9999
    root = data(tmp_path / "data", [values] * 6, "classes: [a, b, c]\nignore: [-9999]\n", ".tif")
    found = checked(root, capsys)
    assert found["void"] == {"train": 5 * 96, "val": 96}
    assert np.add(found["pixels"]["train"], found["pixels"]["val"]).tolist() == [6 * n for n in (530, 128, 270)]
    (root / "dataset.yaml").unlink()
    said = str(checked(root, capsys, code=3)["printed"])
    assert "the masks hold -9999; ids begin at 0 fix: write 'ignore: [-9999]' into" in said


def test_gdal_s_no_data_and_nan_are_unlabelled_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = data(tmp_path / "data", [], "classes: [a, b, c]\n")
    for number in range(4):
        picture(root / "images" / f"{number}.png", number)
        values = MASK.astype(np.float32)
        values[:, 0], values[:, 1] = -1, np.nan
        tifffile.imwrite(root / "masks" / f"{number}.tif", values, extratags=[(42113, "s", 0, "-1", True)])
    found = checked(root, capsys)
    assert "GDAL's no-data value (-1) is unlabelled" in str(found["printed"])
    assert "without a number (NaN, or outside GDAL's own mask) are unlabelled" in str(found["printed"])
    assert found["void"] == {"train": 3 * 64, "val": 64}


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_on_images_and_masks_turns_both(
    orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    root = tmp_path / "data"
    pairs(root)
    for number in range(6):
        Image.fromarray(COLOURS[MASK]).save(root / "images" / f"{number}.png", exif=exif)
        Image.fromarray(MASK).save(root / "masks" / f"{number}.png", exif=exif)
    checked(root, capsys)
    converted(root, capsys)
    for image in (root.parent / "data_copy" / "images").iterdir():
        with Image.open(image) as shown, Image.open(root.parent / "data_copy" / "masks" / image.name) as mask:
            assert np.array_equal(np.asarray(shown), COLOURS[np.asarray(mask)])


def test_one_palette_of_many_that_differs_is_found_by_check_and_where_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Opening looks at 50 masks of 60; the one that is permuted is none of these."""
    root = data(tmp_path / "data", [palette([0, 1, 2])] * 60)
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("".join(f"{i}\n" for i in range(50)))
    (root / "splits" / "val.txt").write_text("".join(f"{i}\n" for i in range(50, 60)))
    palette([1, 0, 2]).save(root / "masks" / "7.png")
    said = str(checked(root, capsys, code=3)["printed"])
    assert "masks/7.png: its palette shows value 0 as (200, 10, 30), that of" in said
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 3
    assert "masks/7.png: its palette shows value 0 as (200, 10, 30)" in capsys.readouterr().err


def test_palettes_in_containers_contradict_each_other_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "shards"
    root.mkdir()
    with tarfile.open(root / "train-000000.tar", "w") as shard:
        for number in range(4):
            picture(tmp_path / "image.png", number)
            palette([0, 1, 2] if number < 3 else [1, 0, 2]).save(tmp_path / "mask.png")
            shard.add(tmp_path / "image.png", f"{number}.png")
            shard.add(tmp_path / "mask.png", f"{number}.seg.png")
    assert run(["check", str(root)]) == 3
    assert "its palette shows value 0 as (200, 10, 30), that of" in " ".join(capsys.readouterr().out.split())
    (root / "dataset.yaml").write_text(NAMED)
    assert pixels(root, capsys) == THREE


def test_more_classes_than_bytes_keep_their_ids_and_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Grey of 16 bits: 257 is id 257, not the grey 1; and a mask of id 0 alone is not black's class."""
    ids = np.zeros(MASK.shape, np.uint16)
    files = [Image.fromarray(ids), *[Image.fromarray(ids + np.uint16(257 * (MASK == 1)))] * 3]
    root = data(tmp_path / "data", files, "classes: [" + ", ".join(f"c{i}" for i in range(300)) + "]\n")
    for source in (root, tmp_path / "data_copy"):
        assert run(["convert", str(source), str(tmp_path / f"{source.name}_copy")]) == 0
        copy = tmp_path / f"{source.name}_copy"
        assert sorted(int(np.asarray(Image.open(path)).max()) for path in (copy / "masks").iterdir()) == [0] + 3 * [257]


def test_channels_of_0_and_1_are_maps_not_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``tifffile.imwrite`` calls a stack of three maps RGB."""
    root = data(tmp_path / "data", [], "classes: [ground, roof, water]\n")
    for number in range(4):
        picture(root / "images" / f"{number}.png", number)
        maps = (np.arange(3)[:, None, None] == MASK).astype(np.uint8)
        tifffile.imwrite(root / "masks" / f"{number}.tif", maps, photometric="rgb", planarconfig="separate")
    said = str(checked(root, capsys)["printed"])
    assert "masks of 3 channels, a 0/1 map for each class: channel 1 is ground" in said
    assert pixels(root, capsys) == THREE


def test_no_data_that_is_an_id_is_asked_and_both_answers_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = data(tmp_path / "data", [], "classes: [a, b, c]\n")
    for number in range(4):
        picture(root / "images" / f"{number}.png", number)
        tifffile.imwrite(root / "masks" / f"{number}.tif", MASK, extratags=[(42113, "s", 0, "0", True)])
    said = str(checked(root, capsys, code=3)["printed"])
    assert "GDAL's no-data value is 0, which is class 0 too; write 'ignore: [0]'" in said
    assert "is unlabelled" not in said
    (root / "dataset.yaml").write_text("classes: [a, b, c]\nignore: [0]\n")
    assert checked(root, capsys)["void"] == {"train": 3 * 616, "val": 616}
    (root / "dataset.yaml").write_text("classes: [a, b, c]\nvalues: {0: a, 1: b, 2: c}\n")
    assert pixels(root, capsys) == THREE
