from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset
from fullconv.formats.read.coco_json import read_json
from fullconv.formats.read.coco_regions import CocoLabels, runs
from tests.builders.bombs import little_memory
from tests.builders.coco import (
    ANNOTATIONS,
    CATEGORIES,
    ROOF,
    SIZE,
    annotation,
    box,
    build,
    compressed,
    roofs,
    write,
)
from tests.builders.commands import checked, converted
from tests.builders.folders import picture

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
"""pycocotools 2.0 under numpy 2."""


FIRST = np.zeros(SIZE, int)
FIRST[:, :8] = 1
FIRST[4:, 4:] = 3
FIRST[1:3, 1:3] = FIRST[6:, :2] = FIRST[:2, 9] = 2
SECOND = np.zeros(SIZE, int)
SECOND[6:] = 3


@pytest.mark.parametrize("place", [".", "images"])
def test_ids_pixel_by_pixel(tmp_path: Path, place: str) -> None:
    spec = open_dataset(build(tmp_path / "coco", place))
    assert (spec.layout, spec.declared) == ("coco", True)
    assert spec.classes.names == ("background", "person", "stop sign", "toothbrush")
    assert {name: [item.id for item in items] for name, items in spec.splits.items()} == {
        "train": ["000000000005", "000000000008", "000000000009"],
        "val": ["000000000008"],
    }
    for item, expected in zip(spec.split("train"), (FIRST, SECOND, 0 * FIRST), strict=True):
        np.testing.assert_array_equal(read_sample(spec, pickle.loads(pickle.dumps(item))).labels, expected)
    np.testing.assert_array_equal(read_sample(spec, spec.split("val")[0]).labels, SECOND)
    said = "\n".join(spec.reasons)
    for words in (
        "instances_train2017.json, instances_val2017.json: COCO instances, 4 classes",
        "not a category: added",
        "smaller regions over larger",
        "1 crowd regions (iscrowd) belong to their class",
        "1 images without a region are all background",
        "1 annotations without an outline of three points or a mask are left out",
    ):
        assert words in said


@pytest.mark.parametrize("name", ["_background_", "background", "Background"])
def test_a_background_category_becomes_the_background(tmp_path: Path, name: str) -> None:
    root = tmp_path / "photos"
    notes = [*ANNOTATIONS[:2], annotation(5, 200, [box(3, 3, 4, 4)])]
    write(root / "annotations.json", root, (5,), annotations=notes, categories=[*CATEGORIES, {"id": 200, "name": name}])
    spec = open_dataset(root)
    assert spec.classes.names == (name, "person", "stop sign", "toothbrush")
    expected = np.zeros(SIZE, int)
    expected[:, :8] = 1
    expected[1:3, 1:3] = expected[6:, :2] = 2
    expected[3, 3] = 0  # drawn, as the smallest
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, expected)


@pytest.mark.parametrize("project", ["thing", "stop sign"])
def test_roboflow_s_project_category_is_no_class(tmp_path: Path, project: str) -> None:
    groups = [{**entry, "supercategory": project} for entry in CATEGORIES]
    listed = [{"id": 0, "name": project, "supercategory": "none"}, *groups]
    for split in ("train", "valid"):
        write(tmp_path / split / "_annotations.coco.json", tmp_path / split, categories=listed)
    spec = open_dataset(tmp_path)
    assert spec.classes.names == ("background", "person", "stop sign", "toothbrush")
    assert f"category {project} groups the others and is on no image: left out" in spec.reasons
    assert spec.licence == ""  # COCO's form, not COCO's files
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, FIRST)
    used = [*ANNOTATIONS, annotation(9, 0, [box(0, 0, 2, 2)])]
    write(tmp_path / "valid" / "_annotations.coco.json", tmp_path / "valid", annotations=used, categories=listed)
    if project == "thing":
        assert open_dataset(tmp_path).classes.names[1] == "thing"
    else:
        with pytest.raises(DataError, match="two categories are named 'stop sign'"):
            open_dataset(tmp_path)


def test_one_file_in_each_split_folder(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for part, ids in (("train", (5, 9)), ("valid", (8,)), ("test", (5,))):
        write(root / part / "_annotations.coco.json", root / part, ids)
    spec = open_dataset(root)
    assert {name: len(items) for name, items in spec.splits.items()} == {"train": 2, "val": 1, "test": 1}
    np.testing.assert_array_equal(read_sample(spec, spec.split("val")[0]).labels, SECOND)


def test_paths_of_another_machine_and_images_without_a_size(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    images = [{"id": 5, "file_name": "C:\\data\\000000000005.jpg"}, {"id": 8, "file_name": "/data/000000000008.jpg"}]
    write(root / "annotations.json", root / "images", (5, 8), images=images)
    spec = open_dataset(root)
    items = {item.image.stem: item for split in spec.splits for item in spec.split(split)}
    np.testing.assert_array_equal(read_sample(spec, items["000000000005"]).labels, FIRST)
    np.testing.assert_array_equal(read_sample(spec, items["000000000008"]).labels, SECOND)


def test_other_json_files_are_not_taken_for_it(tmp_path: Path) -> None:
    root = build(tmp_path / "photos")
    (root / "annotations" / "instances_train2017.json").unlink()
    (root / "annotations" / "instances_val2017.json").unlink()
    for text in ("[1, 2]", '{"images": [], "regions": {"a": [{}]}}'):
        (root / "annotations.json").write_text(text)
        with pytest.raises(DataError, match="no data set recognised"):
            open_dataset(root)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotations": [annotation(77, 1, [box(0, 0, 3, 3)])]}, r"annotations of 1 images .* \(image_id 77\)"),
        ({"annotations": [annotation(5, 2, [box(0, 0, 3, 3)])]}, "000000000005.jpg has annotations of category_id 2"),
        (
            {"annotations": [annotation(5, 1, [[1, 2, 3, 4, 5, 6, 7]])]},
            "annotation 7 has a segmentation that is neither",
        ),
        ({"annotations": [annotation(5, 1, [1, 2, 3, 4, 5, 6])]}, "annotation 7 has a segmentation that is neither"),
        (
            {"annotations": [annotation(5, 1, [[1, 2, 3, "4", 5, 6]])]},
            "annotation 7 has a segmentation that is neither",
        ),
        ({"annotations": [annotation(5, 1, {"size": [8, 10]})]}, "annotation 7 has a segmentation that is neither"),
        (
            {"annotations": [annotation(5, 1, [[0, 0, 9e9, 0, 9, 9]])]},
            "coordinate that is no number, or beyond 1000000",
        ),
        ({"annotations": [annotation(5, 1, [[0, 0, float("nan"), 0, 9, 9]])]}, "coordinate that is no number"),
        (
            {"annotations": [annotation(5, 1, {"size": [4, 4], "counts": [3, 13]})]},
            "000000000005.jpg of 10x8 has a mask of 4x4",
        ),
        ({"annotations": [annotation(5, 1, [])]}, "no annotation has an outline or a mask, only boxes"),
        ({"annotations": [{"image_id": 5}]}, "annotation 1 has no image_id or category_id"),
        ({"images": [{"id": 5, "file_name": "a.jpg"}] * 2}, "two images have id 5"),
        ({"images": [{"id": 5}]}, "an image without id or file_name"),
        ({"images": []}, "names no image"),
        ({"categories": []}, "has no list 'categories'"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "two categories have id 1"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "two categories are named 'a'"),
        ({"categories": [{"name": "a"}]}, "a category without a whole number as id"),
        ({"categories": [*CATEGORIES, {"id": 2, "name": "car"}]}, r"than instances_train2017.json \(2 car\)"),
    ],
)
def test_inconsistent_files_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    root = build(tmp_path / "coco", **changes)
    with pytest.raises(DataError, match=words) as error:
        open_dataset(root)
    assert "\n" not in str(error.value)
    assert "instances_" in str(error.value)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([3, 4], "a run-length mask of 7 pixels for 10x8"),
        ([-1, 81], "a run-length mask of 80 pixels for 10x8"),
        ("0", "a run-length mask of 0 pixels for 10x8"),
        (compressed(np.ones((20, 20), np.uint8))["counts"], "a run-length mask of 400 pixels for 10x8"),
        ("\x7f" * 20, "a run-length mask of 0 pixels for 10x8"),
        ("o" * 20, "a run-length mask of 0 pixels for 10x8"),
    ],
)
def test_damaged_masks_are_refused(tmp_path: Path, counts: str | list[int], words: str) -> None:
    shape = {"size": list(SIZE), "counts": counts}
    spec = open_dataset(build(tmp_path / "coco", annotations=[annotation(5, 1, shape)]))
    with pytest.raises(DataError, match=words) as error:
        read_sample(spec, spec.split("train")[0])
    assert "instances_train2017.json: image 000000000005.jpg" in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 1.0])
def test_compressed_masks_are_decoded_as_pycocotools_does(share: float) -> None:
    random = np.random.default_rng(7)
    for size in ((1, 1), (7, 5), (300, 400)):
        mask = (random.random(size) < share).astype(np.uint8)
        packed = coco.encode(np.asfortranarray(mask))["counts"]
        lengths = runs(packed)
        values = np.repeat(np.arange(len(lengths)) % 2, lengths)
        np.testing.assert_array_equal(values.reshape(size[::-1]).T, mask)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    root = build(tmp_path / "coco")
    (root / "train2017" / "000000000009.jpg").unlink()
    with pytest.raises(DataError, match=r"train2017.json: 1 of 3 images are not in .*train2017 \(000000000009.jpg\)"):
        open_dataset(root)
    (root / "train2017").rename(root / "elsewhere")
    with pytest.raises(
        DataError, match=r"image 000000000005.jpg is in none of the folders train2017, images/train2017"
    ):
        open_dataset(root)
    path = root / "annotations" / "instances_train2017.json"
    text = path.read_text()
    for damaged in (text[: len(text) // 2], text[:-1], text.replace(":", " ", 1), "", text.replace("}, {", "} {", 1)):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"instances_train2017.json: not readable JSON .*; save it again"):
            open_dataset(root)
    path.write_text(json.dumps({"images": [], "categories": []}))
    with pytest.raises(DataError, match=r"has no annotations; expected COCO's instance annotations"):
        open_dataset(root)
    write(root / "annotations" / "instances_train2014.json", root / "train2014")
    with pytest.raises(
        DataError, match=r"instances_train2014.json and annotations/instances_train2017.json are of one split"
    ):
        open_dataset(root)


def test_a_file_is_read_an_element_at_a_time(tmp_path: Path) -> None:
    content = {"a": [1, {"b": [2]}, []], "c": {"a": [3]}, "d": [], "e": None, "f": "x"}
    for indent in (None, 2):
        (tmp_path / "x.json").write_text(json.dumps(content, indent=indent))
        seen: list[Any] = []
        entries = read_json(tmp_path / "x.json", {"a": seen.append, "d": seen.append, "e": seen.append})
        assert seen == content["a"]
        assert entries == content | {"a": 3, "d": 0}


def test_every_region_is_as_pycocotools_draws_it(shared: Path) -> None:
    source = shared / "data" / "coco_polygons"
    theirs = COCO(str(source / "annotations.json"))
    spec = open_dataset(source)
    items = {item.image.name: item for split in spec.splits for item in spec.split(split)}
    assert len(items) == 3
    regions = 0
    for image in theirs.dataset["images"]:
        labels = items[Path(image["file_name"]).name].labels
        assert isinstance(labels, CocoLabels)
        drawing = labels.drawing()
        notes = theirs.imgToAnns[image["id"]]
        assert [region.label for region in drawing.regions] == [note["category_id"] for note in notes]
        for region, note in zip(drawing.regions, notes, strict=True):
            np.testing.assert_array_equal(drawing.mask(region), theirs.annToMask(note))
            regions += 1
    assert regions == 12


def test_the_real_sample_agrees_with_voc_s_masks(shared: Path) -> None:
    spec = open_dataset(shared / "data" / "coco_polygons")
    assert (len(spec.classes), spec.classes.names[0], spec.classes.names[15]) == (21, "_background_", "person")
    masks = shared / "data" / "voc_sample" / "VOCdevkit" / "VOC2012" / "SegmentationClass"
    agreement = {}
    for split in spec.splits:
        for item in spec.split(split):
            voc = np.array(Image.open(masks / f"{item.image.stem}.png"))
            agreement[item.image.stem] = (read_sample(spec, item).labels == voc)[voc != 255].mean()
    assert agreement["2011_000003"] > 0.999
    assert agreement["2011_000025"] > 0.979  # a bus whose outline was drawn a little larger
    assert agreement["2011_000006"] > 0.984


@pytest.mark.parametrize("name", ["result.json", "my roofs.json", "annotations/labels.json"])
def test_one_file_of_any_name(tmp_path: Path, name: str) -> None:
    root = tmp_path / "photos"
    (root / name).parent.mkdir(parents=True)
    write(root / name, root / "images", (5, 8))
    (root / "notes.json").write_text(json.dumps({"images": ["a", "b"], "info": "another program's"}))
    spec = open_dataset(root)
    assert (spec.layout, {split: len(items) for split, items in spec.splits.items()}) == (
        "coco",
        {"train": 1, "val": 1},
    )
    assert spec.licence == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("annotations/train.json", "annotations/valid.json"),
        ("annotations/instances_train.json", "annotations/instances_Validation.json"),
        ("Annotations/Instances_TRAIN.json", "Annotations/instances_Val2017.JSON"),
        ("annotations/instances_train.json", "annotations/my_val.json"),
        ("train_coco.json", "val_coco.json"),
        ("train/labels.json", "valid/labels.json"),
        ("Train2024.json", "val2024.json"),
    ],
)
def test_names_and_folders_say_the_split(tmp_path: Path, first: str, second: str) -> None:
    root = tmp_path / "photos"
    for name, ids in ((first, (5, 9)), (second, (8,))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(root / name, root / "images", ids)
    spec = open_dataset(root)
    assert {split: [item.id[-1] for item in items] for split, items in spec.splits.items()} == {
        "train": ["5", "9"], "val": ["8"],
    }  # fmt: skip


def test_a_file_of_no_split_is_said_or_used(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    notes = root / "annotations"
    notes.mkdir(parents=True)
    write(notes / "instances_train.json", root / "images", (5,))
    write(notes / "instances_default.json", root / "images", (8, 9))
    spec = open_dataset(root)
    said = "instances_default.json: of no split by its name, 2 images left out: another file is named train"
    assert said in spec.reasons
    assert sum(len(items) for items in spec.splits.values()) == 2  # the one of train is both train and val
    (notes / "instances_train.json").rename(notes / "instances_val.json")
    spec = open_dataset(root)
    assert {split: len(items) for split, items in spec.splits.items()} == {"val": 1, "train": 2}
    assert any("no subset is named train" in reason for reason in spec.reasons)


def test_files_of_parts_are_joined_and_copies_refused(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    write(root / "north.json", root / "images", (5,))
    write(root / "south.json", root / "images", (8, 9))
    assert sum(len(items) for items in open_dataset(root).splits.values()) == 3
    write(root / "backup.json", root / "images", (5,))
    with pytest.raises(DataError, match="1 images are named twice, in one JSON file or in two"):
        open_dataset(root)


def test_masks_beside_the_images_win(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    write(root / "result.json", root / "images", (5, 8))
    (root / "masks").mkdir()
    for name in (5, 8):
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "masks" / f"{name:012d}.png")
    assert open_dataset(root).layout == "folder"


def test_a_size_that_a_list_of_annotations_states_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "images" / "a.png")
    side = 10**9
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": side, "width": side}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 9, 9, 0, 9]]}],
    }
    (tmp_path / "result.json").write_text(json.dumps(content))
    labels = open_dataset(tmp_path).split("train")[0].labels
    assert labels is not None
    with little_memory(), pytest.raises(DataError, match=r"result\.json: image a\.png.*1000000000x1000000000"):
        labels.read(2, 255)


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
