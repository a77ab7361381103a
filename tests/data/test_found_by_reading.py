"""Wrong readings of folders that a hostile reading found."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.data.grouping import regrouped
from fullconv.errors import DataError, UsageError
from fullconv.formats.open import open_dataset
from tests.builders import cityscapes, coco, coco_panoptic
from tests.builders.folders import side_by_side

Make = Callable[..., Path]


def test_a_folder_above_side_by_side_data_is_not_the_data(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        side_by_side(tmp_path / "above" / "export" / split)
    spec = open_dataset(tmp_path / "above")
    assert (spec.root.name, {split: len(items) for split, items in spec.splits.items()}) == (
        "export", {"train": 6, "val": 6},
    )  # fmt: skip
    side_by_side(tmp_path / "two" / "a")
    side_by_side(tmp_path / "two" / "b")
    with pytest.raises(DataError, match="holds several data sets"):
        open_dataset(tmp_path / "two")
    side_by_side(tmp_path / "only" / "val")
    assert list(open_dataset(tmp_path / "only").splits) == ["val"]


def test_what_has_no_mask_or_no_image_side_by_side_is_named(tmp_path: Path) -> None:
    root = side_by_side(tmp_path / "faces", [*"abcdefg", "face_mask"])  # type: ignore[arg-type]
    assert {item.image.stem for split in open_dataset(root).splits.values() for item in split} == {
        *"abcdefg", "face_mask",
    }  # fmt: skip
    (root / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"1 masks have no image \(a_mask\.png\)"):
        open_dataset(root)
    shutil.copy(root / "b.jpg", root / "a.jpg")
    shutil.copy(root / "c_mask.png", root / "c.png")
    with pytest.raises(DataError, match=r"c\.png have one name with others"):
        open_dataset(root)
    (root / "c.png").unlink()
    (root / "d_mask.png").unlink()
    with pytest.raises(DataError, match=r"1 of 8 images have no mask \(d\.jpg"):
        open_dataset(root)
    for split in ("train", "val"):
        side_by_side(tmp_path / "parts" / split)
    for path in (tmp_path / "parts" / "val").glob("*_mask.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"val: holds images, but no masks, unlike the other split"):
        open_dataset(tmp_path / "parts")
    lists = side_by_side(tmp_path / "lists")
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "Valid.TXT").write_text("c\n")  # whatever its case
    assert {split: len(items) for split, items in open_dataset(lists).splits.items()} == {"train": 2, "val": 1}


def test_a_layout_with_train_goes_before_one_with_val_only(tmp_path: Path) -> None:
    root = tmp_path / "coco"
    coco.build(root)
    coco_panoptic.write(root, "val2017", ["000000000139"])
    assert open_dataset(root).layout == "coco"
    city = tmp_path / "city"
    for part in ("train", "val"):
        cityscapes.save_image(city, part, "aa_000000_000000")
        for kind in ("gtCoarse", "gtFine") if part == "val" else ("gtCoarse",):
            cityscapes.save_masks(city, kind, part, "aa_000000_000000", "labelIds", cityscapes.LABELS)
    spec = open_dataset(city)
    assert list(spec.splits) == ["train", "val"]
    assert any(reason.startswith("gtFine lies beside and is not used") for reason in spec.reasons)


def test_class_dict_names_colours_whatever_the_palette_s_order(make_folder: Make) -> None:
    root = make_folder(5)
    colours = {"ring": (9, 9, 9), "ground": (0, 0, 1), "disc": (0, 0, 2), "square": (0, 0, 3), "triangle": (0, 0, 4)}
    (root / "class_dict.csv").write_text("".join(f"{n},{r},{g},{b}\n" for n, (r, g, b) in colours.items()))
    raw = {}
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            values = np.asarray(picture)
        raw[path.stem] = values
        palette = Image.fromarray(values, "P")
        palette.putpalette([0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 9, 9, 9])
        palette.save(path)
    spec = open_dataset(root)
    assert spec.classes.names[0] == "ring"  # no heading: the first line counts
    item = spec.split("train")[0]
    np.testing.assert_array_equal(read_sample(spec, item).labels, np.array([1, 2, 3, 4, 0])[raw[item.id]])
    (root / "dataset.yaml").write_text("ignore: [[0, 0, 2]]")
    spec = open_dataset(root)
    item = spec.split("train")[0]
    np.testing.assert_array_equal(read_sample(spec, item).labels == 255, raw[item.id] == 1)
    for text, words in (
        (b"name,r,g,b\nroad,1,2,300\n", "expected 0 to 255"),
        ("name,r,g,b\nstra\u00dfe,1,2,3\n".encode("latin-1"), r"likely cp1252, .* 'straße,1,2,3'"),
    ):
        (root / "class_dict.csv").write_bytes(text)
        with pytest.raises(DataError, match=words):
            open_dataset(root)


def test_check_reads_class_dict_where_something_else_is_wrong(
    make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(4)
    colours = np.array([(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4), (0, 0, 5)], np.uint8)
    (root / "class_dict.csv").write_text("name,r,g,b\n" + "".join(f"c{b},{r},{g},{b}\n" for r, g, b in colours))
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray(colours[np.asarray(picture)]).save(path)
    (root / "masks" / "scene_1.png").unlink()
    (root / "masks" / "scene_2.png").write_bytes(b"no picture")
    assert run(["check", str(root)]) == 3
    said = capsys.readouterr().out
    assert "1 of 4 images have no mask" in said
    assert "scene_2.png" in said
    assert "no colour is named" not in said


def test_255_may_be_a_class_of_roboflow(tmp_path: Path) -> None:
    root = side_by_side(tmp_path / "train")
    with Image.open(root / "a_mask.png") as picture:
        values = np.asarray(picture)
    Image.fromarray(np.where(values == 2, 255, values).astype(np.uint8)).save(root / "a_mask.png")
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n1, leaf\n2, root\n255, stem\n")
    spec = open_dataset(tmp_path)
    item = next(item for split in spec.splits.values() for item in split if item.id == "a")
    np.testing.assert_array_equal(read_sample(spec, item).labels == 3, values == 2)
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n300, stem\n")
    with pytest.raises(DataError, match="values from 0 to 300; expected 0 to 255"):
        open_dataset(tmp_path)


def test_parts_that_label_none_of_the_chosen_classes_are_left_out(make_folder: Make, tmp_path: Path) -> None:
    first, second = make_folder(5, name="a"), make_folder(5, name="b")
    (first / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "car", "kite", "boat", "ring"]}))
    (second / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "disc", "tree", "house", "ring"]}))
    mixed = open_dataset(f"{first}+{second}")
    assert run(["convert", f"{first}+{second}", str(tmp_path / "copy"), "--classes", "car"]) == 0
    assert sum(len(items) for items in open_dataset(tmp_path / "copy").splits.values()) == 5
    assert "5 images of parts that label none of them are left out" in regrouped(mixed, "car").reasons[-1]
    with pytest.raises(UsageError, match=r"write rest=\*"):
        regrouped(mixed, "car, *")


def test_voc_with_trainval_alone_is_divided_and_empty_lists_are_refused(make_folder: Make, tmp_path: Path) -> None:
    source, root = make_folder(5), tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index in range(5):
        shutil.copy(source / "images" / f"scene_{index}.png", root / "JPEGImages" / f"2007_00000{index}.png")
        shutil.copy(source / "masks" / f"scene_{index}.png", root / "SegmentationClass" / f"2007_00000{index}.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "trainval.txt").write_text("".join(f"2007_00000{index}\n" for index in range(5)))
    (root / "SegmentationClass" / "2007_000002.png").write_bytes(b"no picture")
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"train": 4, "val": 1}
    for split in ("train", "val", "test"):
        (lists / f"{split}.txt").write_text("")
    with pytest.raises(DataError, match="no image is in any split"):
        open_dataset(root)


def test_what_lies_beside_counts_only_if_it_opens(make_folder: Make, tmp_path: Path) -> None:
    data = make_folder(4, name="above/data")
    photos = side_by_side(data.parent / "aa_photos", ending="_gt")
    for path in photos.glob("*_gt.png"):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".jpg"))  # JPEG masks never open
        path.unlink()
    shutil.rmtree(make_folder(2, name="above/ab") / "masks")
    (data.parent / "ab" / "masks").mkdir()
    spec = open_dataset(data.parent)
    assert spec.root == data
    assert sum("beside it is left out" in reason for reason in spec.reasons) == 2
    shutil.rmtree(data)
    with pytest.raises(DataError, match=r"JPEG|no masks"):
        open_dataset(photos.parent)


def test_val_alone_in_a_folder_is_val(make_folder: Make) -> None:
    root = make_folder(4, name="data/val").parent
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"val": 4}
    make_folder(2, name="data/test")
    assert {split: len(items) for split, items in open_dataset(root).splits.items()} == {"val": 4, "test": 2}


def test_lists_in_dataset_yaml_count_where_there_are_split_folders(make_folder: Make, tmp_path: Path) -> None:
    source, root = make_folder(4), tmp_path / "data"
    for kind in ("images", "masks"):
        for split, indices in (("train", (0, 1)), ("extra", (2, 3))):
            (root / kind / split).mkdir(parents=True)
            for index in indices:
                shutil.copy(source / kind / f"scene_{index}.png", root / kind / split)
    spec = open_dataset(root)
    assert sum(len(items) for items in spec.splits.values()) == 2
    assert any("in no split and left out: extra" in reason for reason in spec.reasons)
    (root / "dataset.yaml").write_text("splits: {train: a.txt, val: b.txt}")
    with pytest.raises(DataError, match=r"a\.txt: split 'train' is said to be listed there"):
        open_dataset(root)
    (root / "a.txt").write_text("train/scene_0.png\nscene_2\n")
    (root / "b.txt").write_text("extra/scene_3\n")
    assert [item.id for item in open_dataset(root).split("train")] == ["train/scene_0", "extra/scene_2"]
    (root / "b.txt").write_text("elsewhere/scene_3\n")
    with pytest.raises(DataError, match="name no image"):
        open_dataset(root)
    shutil.copytree(make_folder(2, name="more"), tmp_path / "parts" / "train")
    (tmp_path / "parts" / "dataset.yaml").write_text("splits: {train: a.txt}")
    with pytest.raises(DataError, match="are folders of their own; take splits away"):
        open_dataset(tmp_path / "parts")


def test_lists_name_exactly_what_they_say(make_folder: Make) -> None:
    root = make_folder(3)
    for kind in ("images", "masks"):
        for old, new in (("scene_0", "scan"), ("scene_1", "scan.jpg"), ("scene_2", "my photo")):
            (root / kind / f"{old}.png").rename(root / kind / f"{new}.png")
        shutil.copy(root / kind / "scan.png", root / kind / "my.png")
    (root / "train.txt").write_text("scan.jpg\nmy photo.png\nphotos/images/my.png\n")
    (root / "val.txt").write_text("scan 0.5\n")
    spec = open_dataset(root)
    assert [item.id for item in spec.split("train")] == ["scan.jpg", "my photo", "my"]
    assert [item.id for item in spec.split("val")] == ["scan"]
    for kind in ("images", "masks"):
        for site in ("a", "b"):
            (root / kind / site).mkdir()
            shutil.copy(root / kind / "my.png", root / kind / site / "twice.png")
    (root / "val.txt").write_text("twice\n")
    with pytest.raises(DataError, match="twice names several images"):
        open_dataset(root)


def test_a_description_above_the_data_is_not_passed_over(make_folder: Make) -> None:
    root = make_folder(2, name="above/data")
    (root.parent / "dataset.yaml").write_text("ignore: [0]")
    with pytest.raises(DataError, match="describes this folder, but the data lie in"):
        open_dataset(root.parent)


def test_a_list_of_classes_above_the_data_is_named(make_folder: Make) -> None:
    root = make_folder(2, name="above/middle/data")
    for name in ("classes.txt", "class_dict.csv"):
        (root.parents[1] / name).write_text("a")
    said = [reason for reason in open_dataset(root.parents[1]).reasons if "lies above the data" in reason]
    assert [line.split()[0] for line in said] == [
        str(root.parents[1] / name) for name in ("classes.txt", "class_dict.csv")
    ]
    assert not any("lies above" in reason for reason in open_dataset(root).reasons)


def test_linked_folders_are_read(make_folder: Make, tmp_path: Path) -> None:
    source = make_folder(3)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        (tmp_path / "data" / kind / "b").symlink_to(source / kind)
        (source / kind / "loop").symlink_to(source / kind)
    assert sum(len(items) for items in open_dataset(tmp_path / "data").splits.values()) == 3


def test_grey_masks_of_class_dict(make_folder: Make) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray((np.asarray(picture) > 0).astype(np.uint8) * 255).save(path)
    (root / "class_dict.csv").write_text("name,r,g,b\nroad,255,255,255\nbackground,0,0,0\n")
    spec = open_dataset(root)
    item = spec.split("train")[0]
    with Image.open(item.mask) as picture:
        road = np.asarray(picture) == 255
    np.testing.assert_array_equal(read_sample(spec, item).labels == 0, road)
    Image.fromarray(road).save(item.mask)  # one bit
    np.testing.assert_array_equal(read_sample(open_dataset(root), item).labels == 0, road)
    Image.fromarray(road.astype(np.uint8) * 255).save(item.mask)
    (root / "class_dict.csv").write_text("name,r,g,b\nroad,255,0,255\nbackground,0,0,0\n")
    with pytest.raises(DataError, match="is 255 a class or unlabelled"):
        open_dataset(root)


def test_the_same_image_with_other_labels_is_written_twice(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "coco"
    other = [coco.annotation(5, 90, [coco.box(0, 0, 4, 4)])]
    coco.write(root / "annotations" / "instances_train2017.json", root / "train2017", (5,))
    coco.write(root / "annotations" / "instances_val2017.json", root / "train2017", (5,), annotations=other)
    shutil.copytree(root / "train2017", root / "val2017")
    spec = open_dataset(root)
    assert run(["convert", str(root), str(tmp_path / "copy")]) == 0
    copy = open_dataset(tmp_path / "copy")
    for split in ("train", "val"):
        before, after = (read_sample(one, one.split(split)[0]).labels for one in (spec, copy))
        np.testing.assert_array_equal(before, after)


def test_what_contradicts_itself_is_refused(make_folder: Make) -> None:
    root = make_folder(3)
    for content, words in (
        ("values: {0: a, 1: b, 2: c, 3: d, 4: e}\nignore: [1]", "1 is both a class and ignored"),
        ("classes: {a: [1, 2, 3], b: [4, 5, 6]}\nignore: [[4, 5, 6]]", "is both a class and ignored"),
    ):
        (root / "dataset.yaml").write_text(content)
        with pytest.raises(DataError, match=words):
            open_dataset(root)
    (root / "dataset.yaml").unlink()
    for content, words in (("a\na\nb\nc\nd\n", "names 'a' twice"), ("a\n\nb\nc\nd\n", "line 2 is empty")):
        (root / "classes.txt").write_text(content)
        with pytest.raises(DataError, match=words):
            open_dataset(root)
    (root / "classes.txt").write_text("Car\ncar\nb\nc\nd\n")
    assert regrouped(open_dataset(root), "car, rest=*").classes.names == ("car", "rest")
    with pytest.raises(DataError, match="differ in case only"):
        open_dataset(f"{root}+{root}")


@pytest.mark.parametrize(
    ("to", "content", "words"),
    [
        ("coco", "classes: [background, _background_, c, d, e]", "would be one class"),
        ("voc", "classes: [' a', b, c, d, e]", "cannot hold a class called"),
        ("voc", "channels: 4", "its images have 4 channels, which only --to folder"),
    ],
)
def test_targets_refuse_what_they_cannot_hold(
    to: str, content: str, words: str, make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(3)
    (root / "dataset.yaml").write_text(content)
    assert run(["convert", str(root), str(tmp_path / "copy"), "--to", to]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_labels_that_labelled_does_not_name_are_refused(
    make_folder: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = make_folder(6)
    names = ["ground", "disc", "square", "triangle", "ring"]
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": names, "labelled": {"scene_2": ["ground"]}}))
    assert run(["check", str(root)]) == 3
    assert "which 'labelled' in dataset.yaml does not name for this image" in capsys.readouterr().out.replace("\n", " ")
    out = tmp_path / "run"
    options = ["--encoder", "resnet10t", "--epochs", "1", "--workers", "0", "--crop", "32", "32"]
    assert run(["train", str(root), "--out", str(out), *options]) == 3
    assert not out.exists()


@pytest.mark.parametrize("where", ["dataset.yaml", "classes.txt"])
def test_ids_from_1_are_explained(where: str, make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        with Image.open(path) as picture:
            Image.fromarray(np.asarray(picture) + np.uint8(1)).save(path)
    names = ["ground", "disc", "square", "triangle", "ring"]
    (root / where).write_text(yaml.safe_dump({"classes": names}) if where == "dataset.yaml" else "\n".join(names))
    assert run(["check", str(root)]) == 3
    said = " ".join(capsys.readouterr().out.split())
    line = "values: {1: ground, 2: disc, 3: square, 4: triangle, 5: ring}"
    assert "ids up to 5 and no 0, but the 5 classes are 0 to 4" in said
    assert f"write '{line}' into" in said
    with pytest.raises(DataError, match="ids up to 5 and no 0"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(line)
    assert open_dataset(root).classes.names == tuple(names)


def test_paths_that_lead_outside_are_refused(make_folder: Make) -> None:
    root = make_folder(4)
    for content in ("images: /tmp", "masks: ../masks", "splits: {train: ../../../etc/passwd}", "images: 'C:\\x'"):
        (root / "dataset.yaml").write_text(content)
        with pytest.raises(DataError, match="leads outside the data's folder"):
            open_dataset(root)
    (root / "dataset.yaml").unlink()
    for entry in ("../../ok/images/scene_0", "/elsewhere/images/scene_0.png", "C:\\x\\scene_0.png"):
        (root / "train.txt").write_text(f"{entry}\n")
        with pytest.raises(DataError, match="leads outside the data's folder; refused"):
            open_dataset(root)


def test_links_and_bombs_in_zip_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"link\.zip: member link is a link"):
        open_dataset(tmp_path / "link.zip")
    monkeypatch.setattr("fullconv.formats.archive.LARGE", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(20 << 20))
    with pytest.raises(DataError, match=r"0 MiB would become 0\.0 GiB; refused"):
        open_dataset(tmp_path / "bomb.zip")
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as packed:
        member = tarfile.TarInfo("zeros.png")
        member.size = 20 << 20
        packed.addfile(member, io.BytesIO(bytes(20 << 20)))
    with pytest.raises(DataError, match="would become"):
        open_dataset(tmp_path / "bomb.tar.gz")
    assert not any((tmp_path / "cache").iterdir())


def test_names_are_printed_as_they_are(make_folder: Make, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(3)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["b:x:", "disc", "square", "triangle", "ring"]}))
    (root / "masks" / "scene_1.png").rename(root / "masks" / ":x:1.png")
    (root / "images" / "scene_1.png").rename(root / "images" / ":x:1.png")
    (root / "masks" / ":x:1.png").write_bytes(b"")
    run(["check", str(root)])
    said = capsys.readouterr().out
    assert "b:x:" in said
    assert ":x:1.png" in said
