"""Data as people bring them, through the commands they type: rebuilt from public bug reports, with what is right."""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fullconv.cli.main import run
from tests.builders.coco import ROOF, roofs
from tests.builders.commands import checked, converted
from tests.builders.folders import MASK, THREE, mask, pairs, picture

GERMAN = ["Boden", "Straße", "Gebäude"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_class_names_in_marked_encodings(tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    pairs(root)
    (root / "classes.txt").write_bytes("\n".join(GERMAN).encode(encoding))
    assert checked(root, capsys)["classes"] == GERMAN
    assert converted(root, capsys)[:2] == (GERMAN, [THREE] * 6)


def test_class_names_in_cp1252_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    pairs(root)
    (root / "classes.txt").write_bytes("\n".join(GERMAN).encode("cp1252"))
    said = str(checked(root, capsys, code=3)["printed"])
    assert "it is likely cp1252, in which the line is 'Straße'" in said
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 3
    assert not (tmp_path / "copy").exists()


def test_names_from_macos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / unicodedata.normalize("NFC", f"été{number}.png"), number)
        mask(root / "masks" / unicodedata.normalize("NFD", f"été{number}.png"))
    (root / "train.txt").write_text(unicodedata.normalize("NFC", "été0\nété1\nété2\nété3\n"), encoding="utf-8")
    (root / "val.txt").write_text(unicodedata.normalize("NFD", "été4\nété5\n"), encoding="utf-8")
    assert checked(root, capsys)["images"] == {"train": 4, "val": 2}
    assert converted(root, capsys)[1] == [THREE] * 6


def test_satellite_images_and_masks_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "train" / f"{number}_sat.jpg", number)
        mask(root / "train" / f"{number}_mask.png")
    assert "masks are known by the word 'mask' in their names" in str(checked(root, capsys)["printed"])
    assert converted(root, capsys)[1] == [THREE] * 6


def test_a_prefix_on_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"img_{number}.png", number)
        mask(root / "masks" / f"mask_{number}.png")
    assert "masks are known by the word 'mask' in their names" in str(checked(root, capsys)["printed"])
    assert converted(root, capsys)[1] == [THREE] * 6
    (root / "masks" / "mask_5.png").unlink()
    assert "1 of 6 images have no mask (img_5.png)" in str(checked(root, capsys, code=3)["printed"])


@pytest.mark.parametrize("lists", [True, False])
def test_own_data_in_voc_form(tmp_path: Path, lists: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "JPEGImages" / f"00000{number}.jpg", number)
        palette = Image.fromarray((MASK > 0).astype(np.uint8))
        palette.putpalette([0, 0, 0, 128, 0, 0])
        (root / "SegmentationClass").mkdir(exist_ok=True)
        palette.save(root / "SegmentationClass" / f"00000{number}.png")
    (root / "class_names.txt").write_text("_background_\nemergency_light\n")
    if lists:  # without them, as labelme2voc writes it
        (root / "ImageSets" / "Segmentation").mkdir(parents=True)
        for split, numbers in (("train", range(4)), ("val", range(4, 6))):
            listing = root / "ImageSets" / "Segmentation" / f"{split}.txt"
            listing.write_text("".join(f"00000{number}\n" for number in numbers))
    found = checked(root, capsys)
    assert found["classes"] == ["_background_", "emergency_light"]
    assert found["licence"] == ""
    assert found["images"] == ({"train": 4, "val": 2} if lists else {"train": 5, "val": 1})
    assert converted(root, capsys)[:2] == (["_background_", "emergency_light"], [[616, 408]] * 6)


def test_coco_under_the_name_of_label_studio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
    roofs(root / "result.json", [f"images/{number}.png" for number in range(6)])
    found = checked(root, capsys)
    assert (found["layout"], found["classes"], found["licence"]) == ("coco", ["background", "roof"], "")
    names, counts, _ = converted(root, capsys)
    assert names == ["background", "roof"]
    assert {tuple(row) for row in counts} == {(1024 - ROOF, ROOF)}


def test_coco_of_two_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
    roofs(root / "annotations" / "train.json", [f"{number}.png" for number in range(4)])
    roofs(root / "annotations" / "valid.json", [f"{number}.png" for number in (4, 5)])
    assert checked(root, capsys)["images"] == {"train": 4, "val": 2}
    assert {tuple(row) for row in converted(root, capsys)[1]} == {(1024 - ROOF, ROOF)}


@pytest.mark.parametrize("folder", ["labels", "annotations"])
def test_labelme_files_beside_images(tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    shape = {
        "label": "car",
        "points": [[2, 2], [20, 2], [20, 20]],
        "group_id": None,
        "shape_type": "polygon",
        "flags": {},
    }
    size = {"imageHeight": 32, "imageWidth": 32, "imageData": None}
    (root / folder).mkdir(parents=True)
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
        content = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imagePath": f"..\\images\\{number}.png", **size}
        (root / folder / f"{number}.json").write_text(json.dumps(content))
    assert checked(root, capsys)["layout"] == "labelme"
    drawn = Image.new("1", (32, 32))
    ImageDraw.Draw(drawn).polygon([(2, 2), (20, 2), (20, 20)], fill=1, outline=1)
    car = int(np.asarray(drawn).sum())
    assert converted(root, capsys)[:2] == (["_background_", "car"], [[1024 - car, car]] * 6)


@pytest.mark.parametrize("marked", [True, False])
def test_two_annotators(tmp_path: Path, marked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"

    def annotation(side: int, truth: bool) -> dict[str, object]:
        value = {"points": [[0, 0], [side, 0], [side, side], [0, side]], "polygonlabels": ["car"]}
        sizes = {"original_width": 32, "original_height": 32, "image_rotation": 0}
        return {"ground_truth": truth, "result": [{"type": "polygonlabels", **sizes, "value": value}]}

    tasks = []
    for number in range(6):
        picture(root / "images" / f"{number}.png", number)
        both = [annotation(50, False), annotation(25, marked)]
        tasks.append({"id": number, "data": {"image": f"images/{number}.png"}, "annotations": both})
    (root / "tasks.json").write_text(json.dumps(tasks))
    said = "the one marked as ground truth" if marked else "the first that is not cancelled (none is marked"
    assert f"6 tasks have several annotations, of which one counts: 6 {said}" in str(checked(root, capsys)["printed"])
    car = 9 * 9 if marked else 17 * 17  # a quarter or half of the sides and the outline, as Pillow draws it
    assert converted(root, capsys)[:2] == (["background", "car"], [[1024 - car, car]] * 6)


def test_an_archive_whose_names_are_utf_8_without_saying_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        picture(root / "images" / f"été{number}.png", number)
        mask(root / "masks" / f"été{number}.png")
    (root / "train.txt").write_text("été0\nété1\nété2\n", encoding="utf-8")
    (root / "val.txt").write_text("été3\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    content = (tmp_path / "data.zip").read_bytes()
    heads = rb"(PK\x03\x04..|PK\x01\x02....).\x08"  # the bit that names are UTF-8, which macOS leaves out
    unsaid = re.sub(heads, lambda head: head.group(1) + b"\0\0", content, flags=re.DOTALL)
    assert unsaid != content
    (tmp_path / "data.zip").write_bytes(unsaid)
    found = checked(tmp_path / "data.zip", capsys)
    assert found["images"] == {"train": 3, "val": 1}
    assert "not used: 2 .png in images (été4.png, été5.png)" in str(found["printed"])
