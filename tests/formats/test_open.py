from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.checking.check import check
from fullconv.data import read_sample
from fullconv.errors import DataError, UsageError
from fullconv.formats.open import open_dataset
from fullconv.formats.read.licences import LICENCES
from fullconv.palette import voc_palette
from fullconv.spec import ClassSet
from tests.builders import cityscapes, coco, coco_panoptic
from tests.builders.folders import Make, side_by_side
from tests.builders.images import save_mask


def describe(root: Path, **fields: object) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump(fields))


def test_plain_folders_are_paired_by_name_and_split_by_a_rule(make_folder: Make) -> None:
    root = make_folder(10)
    spec = open_dataset(root)
    assert (spec.layout, len(spec.split("train")), len(spec.split("val"))) == ("folder", 8, 2)
    assert any("SHA-256" in reason for reason in spec.reasons)
    assert spec.classes.names == tuple(f"class_{i}" for i in range(5))
    assert not spec.declared
    # a file more does not move the others between train and val, but for the count itself
    before = {item.id for item in spec.split("val")}
    shutil.copy(root / "images" / "scene_0.png", root / "images" / "zzz.png")
    shutil.copy(root / "masks" / "scene_0.png", root / "masks" / "zzz.png")
    after = {item.id for item in open_dataset(root).split("val")}
    assert len(after - before) <= 1


def test_suffixes_split_folders_and_class_files(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for split in ("train", "valid"):
        part = make_folder(3, name=f"split/{split}")
        for mask in (part / "masks").iterdir():
            mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    (root / "classes.txt").write_text("ground\ndisc\nsquare\ntriangle\nring\n")
    spec = open_dataset(root)
    assert {name: len(items) for name, items in spec.splits.items()} == {"train": 3, "val": 3}
    assert spec.classes.names[1] == "disc"


def test_images_train_masks_train(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "nested"
    for split in ("train", "val"):
        part = make_folder(2, name=f"part_{split}")
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            (part / kind).rename(root / kind / split)
    spec = open_dataset(root)
    assert {name: len(items) for name, items in spec.splits.items()} == {"train": 2, "val": 2}


def test_split_lists(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "train.txt").write_text("scene_0\nimages/scene_1.png masks/scene_1.png\n")
    (root / "val.txt").write_text("scene_2.png\n")
    spec = open_dataset(root)
    assert [item.id for item in spec.split("train")] == ["scene_0", "scene_1"]
    assert [item.id for item in spec.split("val")] == ["scene_2"]
    (root / "val.txt").write_text("scene_9\n")
    with pytest.raises(DataError, match=r"1 of 1 entries name no image \(scene_9\)"):
        open_dataset(root)
    (root / "val.txt").write_text("")
    with pytest.raises(DataError, match="split 'val' is empty"):
        open_dataset(root).split("val")


def test_dataset_yaml_overrides(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "images").rename(root / "pictures")
    (root / "masks").rename(root / "truth")
    names = ["ground", "disc", "square", "triangle", "ring"]
    describe(root, images="pictures", masks="truth", classes=names, val_fraction=0.5, ignore=[0])
    spec = open_dataset(root)
    assert spec.classes.names == tuple(names)
    assert len(spec.split("val")) == 2
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert 0 not in labels
    assert 255 in labels
    describe(root, pictures="x")
    with pytest.raises(DataError, match="field pictures"):
        open_dataset(root)
    (root / "dataset.yaml").write_text("a: [")
    with pytest.raises(DataError, match="not valid YAML"):
        open_dataset(root)


def test_rgb_masks_by_named_colours(make_folder: Make) -> None:
    root = make_folder(3)
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], dtype=np.uint8)
    ids = {}
    for mask in (root / "masks").iterdir():
        ids[mask.stem] = np.array(Image.open(mask))
        Image.fromarray(colours[ids[mask.stem]]).save(mask)
    with pytest.raises(DataError, match="no colour is named"):
        open_dataset(root)
    describe(root, classes={name: c.tolist() for name, c in zip("abcde", colours, strict=True)})
    spec = open_dataset(root)
    assert spec.classes.palette[1] == (255, 0, 0)
    for item in spec.split("train"):
        assert np.array_equal(read_sample(spec, item).labels, ids[item.id])


def test_binary_masks_ask_and_both_answers_work(make_folder: Make) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        save_mask(mask, (np.array(Image.open(mask)) > 0) * 255)
    with pytest.raises(DataError, match="only 0 and 255; is 255 a class or unlabelled") as error:
        open_dataset(root)
    assert "values: {0: background, 255: foreground}" in str(error.value)
    (root / "dataset.yaml").write_text("values: {0: background, 255: foreground}\n")
    spec = open_dataset(root)
    assert spec.classes.names == ("background", "foreground")
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) == {0, 1}
    (root / "dataset.yaml").write_text("ignore: [255]\n")
    spec = open_dataset(root)
    assert set(np.unique(read_sample(spec, spec.split("train")[0]).labels)) == {0, 255}


def test_what_is_missing_is_named(make_folder: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or archive"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(UsageError, match="neither a folder nor"):
        open_dataset(tmp_path / "file.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no data set recognised"):
        open_dataset(tmp_path / "empty")
    root = make_folder(3)
    (root / "masks" / "scene_1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images have no mask \(scene_1.png\)"):
        open_dataset(root)
    for mask in (root / "masks").iterdir():
        mask.rename(mask.with_name(f"other_{mask.name}"))
    with pytest.raises(DataError, match="no image has a mask"):
        open_dataset(root)
    shutil.rmtree(root / "masks")
    (root / "masks").mkdir()
    with pytest.raises(DataError, match="no masks found"):
        open_dataset(root)


def test_image_and_mask_of_different_sizes(make_folder: Make) -> None:
    root = make_folder(2)
    save_mask(root / "masks" / "scene_0.png", np.zeros((5, 6)))
    spec = open_dataset(root)
    item = next(item for split in spec.splits.values() for item in split if item.id == "scene_0")
    with pytest.raises(DataError, match=r"is 64x48, but its mask scene_0\.png is 6x5"):
        read_sample(spec, item)


def pack_zip(root: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, Path("top") / file.relative_to(root))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_stand_for_folders(kind: str, make_folder: Make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    root, path = make_folder(3), tmp_path / f"data.{kind}"
    if kind == "zip":
        pack_zip(root, path)
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, "top")
    spec = open_dataset(path)
    assert len(spec.split("train")) == 2
    assert open_dataset(path).root == spec.root


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "C:/evil.png"])
def test_archives_that_reach_outside_are_refused(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(DataError, match="outside its folder"):
        open_dataset(tmp_path / "evil.zip")
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "evil.png").exists()


def test_links_in_tar_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    with pytest.raises(DataError, match="link or device"):
        open_dataset(tmp_path / "evil.tar")


def test_real_layouts(shared: Path) -> None:
    camvid = open_dataset(shared / "data" / "camvid")
    assert (camvid.layout, len(camvid.split("train")), len(camvid.split("val"))) == ("camvid", 367, 101)
    sample = read_sample(camvid, camvid.split("val")[0])
    assert sample.image.shape == (360, 480, 3)
    assert set(np.unique(sample.labels)) <= {*range(11), 255}
    voc = open_dataset(shared / "data" / "voc_sample")
    assert (voc.layout, len(voc.split("train")), len(voc.split("val"))) == ("voc", 3, 1)
    labels = read_sample(voc, voc.split("val")[0]).labels
    assert set(np.unique(labels)) == {0, 2, 15, 255}  # background, bicycle, person, void
    kitti = open_dataset(shared / "data" / "kitti_road")
    assert (kitti.layout, len(kitti.split("train")), len(kitti.split("val"))) == ("kitti_road", 9, 2)
    assert kitti.classes.names == ("background", "lane")
    labels = read_sample(kitti, kitti.split("train")[0]).labels
    assert set(np.unique(labels)) <= {0, 1, 255}


def test_camvid_lists_that_name_missing_files(make_folder: Make, tmp_path: Path) -> None:
    part = make_folder(2)
    root = tmp_path / "camvid"
    root.mkdir()
    (part / "images").rename(root / "train")
    (part / "masks").rename(root / "trainannot")
    assert open_dataset(root).layout == "folder"  # the same folders, other data
    for path in [*root.glob("*/scene_*.png")]:
        path.rename(path.with_name(path.name.replace("scene_", "0001TP_00669")))
    (root / "train.txt").write_text("/x/0001TP_006690.png /y/0001TP_006690.png\n/a/gone.png /b/gone.png\n")
    with pytest.raises(DataError, match=r"1 of 2 listed files are missing \(gone.png\)"):
        open_dataset(root)
    (root / "train.txt").write_text("/x/0001TP_006690.png\n")
    with pytest.raises(DataError, match="expected two paths a line"):
        open_dataset(root)


def test_splits_may_use_the_same_names_for_other_images(make_folder: Make, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for split, largest in (("train", 4), ("val", 1)):
        part = make_folder(2, name=f"split/{split}")
        for mask in (part / "masks").iterdir():
            save_mask(mask, np.full((48, 64), largest))
    spec = open_dataset(root)
    assert len(spec.classes) == 5
    assert not any("in train and in val" in note for note in check(spec).notes)


def test_named_classes_do_not_hide_the_question_about_255(make_folder: Make) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        save_mask(mask, (np.array(Image.open(mask)) > 0) * 255)
    for name, text in (("classes.txt", "background\nperson\n"), ("dataset.yaml", "classes: [background, person]\n")):
        (root / name).write_text(text)
        with pytest.raises(DataError, match="is 255 a class or unlabelled"):
            open_dataset(root)
        (root / name).unlink()


def test_implausible_ids_and_impossible_values_are_refused(make_folder: Make) -> None:
    root = make_folder(3)
    for mask in (root / "masks").iterdir():
        save_mask(mask, np.array(Image.open(mask)) * 60)
    with pytest.raises(DataError, match="different ids up to 240"):
        open_dataset(root)
    describe(root, ignore=["road"])
    with pytest.raises(DataError, match=r"field ignore: found \['road'\]; expected raw values or RGB colours"):
        open_dataset(root)
    describe(root, classes={"a": [0, 0], "b": [1, 1, 1]})
    with pytest.raises(
        DataError, match=r"field classes: found \{'a': .*; expected class names in id order, or names with"
    ):
        open_dataset(root)
    describe(root, images="photographs")
    with pytest.raises(DataError, match="not both there; correct the names"):
        open_dataset(root)
    (root / "dataset.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="begins as utf-16, but is damaged"):
        open_dataset(root)


def test_undeclared_16_bit_masks_with_their_own_void(make_folder) -> None:
    root = make_folder(4)
    for path in (root / "masks").iterdir():
        labels = np.asarray(Image.open(path)).astype(np.uint16)
        labels[:5] = 65535
        Image.fromarray(labels).save(path)
    spec = open_dataset(root)
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert (labels[:5] == spec.classes.ignore_index).all()
    assert labels[5:].max() < len(spec.classes)


def test_oxford_pets(make_folder: Make, tmp_path: Path) -> None:
    source = make_folder(5)
    root = tmp_path / "oxford_pets"
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "images").mkdir()
    for index in range(5):
        name = f"Abyssinian_{index}"
        with Image.open(source / "images" / f"scene_{index}.png") as image:
            image.save(root / "images" / f"{name}.jpg")
        with Image.open(source / "masks" / f"scene_{index}.png") as mask:
            save_mask(root / "annotations" / "trimaps" / f"{name}.png", np.asarray(mask) % 3 + 1)
    (root / "annotations" / "trainval.txt").write_text(
        "#Image CLASS-ID SPECIES BREED ID\nAbyssinian_0 1 1 1\nAbyssinian_1 1 1 1\n"
    )
    (root / "annotations" / "test.txt").write_text("Abyssinian_2 1 1 1\n")
    spec = open_dataset(root)
    assert (spec.layout, spec.classes.names) == ("pets", ("pet", "background", "border"))
    assert [item.id for item in spec.split("train")] == ["Abyssinian_0", "Abyssinian_1"]
    assert [item.id for item in spec.split("val")] == ["Abyssinian_2"]
    with Image.open(source / "masks" / "scene_0.png") as mask:
        trimap = np.asarray(mask) % 3
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, trimap)
    for kind in ("images", "annotations/trimaps"):
        for path in (root / kind).glob("Abyssinian_[12].*"):
            path.rename(path.with_name(path.name.replace("Abyssinian", "american_bulldog")))
    (root / "annotations" / "trainval.txt").write_text("Abyssinian_0 1 1 1\namerican_bulldog_1 2 2 1\n")
    (root / "annotations" / "test.txt").write_text("american_bulldog_2 2 2 1\n")
    for names, animals in (
        (["background", "cat", "dog"], (1, 2)),
        (["American Bulldog", "background", "abyssinian"], (2, 0)),
        (["background", "Abyssinian"], (1, 255)),
    ):
        describe(root, classes=names)
        by_kind = open_dataset(root)
        assert by_kind.classes.names == tuple(names)
        background = names.index("background")
        for item, animal in zip(by_kind.split("train"), animals, strict=True):
            with Image.open(item.mask) as mask:
                trimap = np.asarray(mask) - 1
            expected = np.select([trimap == 0, trimap == 1], [animal, background], 255)
            np.testing.assert_array_equal(read_sample(by_kind, item).labels, expected)
    describe(root, classes=["background", "cat", "hamster"])
    with pytest.raises(DataError, match="classes names hamster, neither a breed"):
        open_dataset(root)
    describe(root, classes=["animal", "ground", "edge"])
    assert open_dataset(root).classes.names == ("animal", "ground", "edge")


def test_voc_with_sbd_s_masks(make_folder: Make, tmp_path: Path) -> None:
    source = make_folder(6)
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index in range(6):
        with Image.open(source / "images" / f"scene_{index}.png") as image:
            image.save(root / "JPEGImages" / f"p{index}.jpg")
        mask = source / "masks" / f"scene_{index}.png"
        if index < 3:
            shutil.copy(mask, root / "SegmentationClass" / f"p{index}.png")
        if index != 0:
            shutil.copy(mask, root / "SegmentationClassAug" / f"p{index}.png")
    shutil.copy(mask, root / "SegmentationClassAug" / "without_image.png")
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("p0\np1\n")
    (lists / "val.txt").write_text("p2\n")
    spec = open_dataset(root)
    assert [item.id for item in spec.split("train")] == ["p0", "p1", "p3", "p4", "p5"]  # p2 is val's
    assert [item.mask.parent.name for item in spec.split("train")][:2] == ["SegmentationClass", "SegmentationClassAug"]
    assert [item.id for item in spec.split("val")] == ["p2"]
    assert any("1 masks of SegmentationClassAug have no image" in reason for reason in spec.reasons)
    (lists / "trainaug.txt").write_text("/JPEGImages/p4.jpg /SegmentationClassAug/p4.png\np2\n")
    assert [item.id for item in open_dataset(root).split("train")] == ["p4"]
    (lists / "trainaug.txt").write_text("p4\np0\n")
    assert [item.id for item in open_dataset(root).split("train")] == ["p4", "p0"]
    (root / "JPEGImages" / "p9.jpg").write_bytes((root / "JPEGImages" / "p4.jpg").read_bytes())
    (lists / "trainaug.txt").write_text("p9\n")
    with pytest.raises(DataError, match="p9 has no mask in SegmentationClassAug"):
        open_dataset(root)


def test_every_licence_belongs_to_a_layout_with_a_page(shared: Path) -> None:
    pages = {path.stem for path in (Path(__file__).parents[2] / "docs" / "layouts").glob("*.md")}
    assert set(LICENCES) <= pages
    assert open_dataset(shared / "data" / "kitti_road").licence == "KITTI: CC BY-NC-SA 3.0"
    mixed = open_dataset(f"{shared / 'data' / 'kitti_road'}+{shared / 'data' / 'camvid'}")
    assert mixed.licence == f"{LICENCES['kitti_road']}; {LICENCES['camvid']}"


def test_of_several_data_sets_below_a_folder_none_is_taken(make_folder: Make) -> None:
    first = make_folder(name="sets/first")
    above = first.parent
    (above / "__MACOSX").mkdir()
    shutil.copytree(first / "images", above / "__MACOSX" / "images")
    shutil.copytree(first / "masks", above / "__MACOSX" / "masks")
    (above / "notes").mkdir()
    assert open_dataset(above).root == first
    second = make_folder(name="sets/deeper/second")
    with pytest.raises(DataError, match=r"several data sets, first \(folder\) and deeper/second \(folder\); give one"):
        open_dataset(above)
    assert len(open_dataset(f"{first}+{second}").split("train")) == 10


@pytest.mark.parametrize("field", ["values: {1: road}", "ignore: [3]"])
def test_raw_values_are_refused_where_labels_are_outlines(field: str, shared: Path, tmp_path: Path) -> None:
    root = tmp_path / "labelme"
    shutil.copytree(shared / "data" / "labelme", root)
    layout = open_dataset(root).layout
    (root / "dataset.yaml").write_text(field + "\n")
    with pytest.raises(DataError, match=rf"{field.split(':')[0]} has no effect here.*\({layout}\)"):
        open_dataset(root)


def test_images_and_masks_side_by_side(make_folder: Make) -> None:
    source = make_folder(6)
    for name in ("images", "masks"):
        for path in (source / name).iterdir():
            ending = "_mask" if name == "masks" else ""
            path.rename(source / f"case_{path.stem}{ending}.png")
        (source / name).rmdir()
    spec = open_dataset(source)
    assert "images and masks side by side, paired by name" in spec.reasons
    item = spec.split("train")[0]
    assert item.mask.name == f"{item.image.stem}_mask.png"
    for path in source.glob("*_mask.png"):
        path.rename(path.with_name(path.name.replace("_mask", ".extra")))
    with pytest.raises(DataError, match="no data set recognised"):
        open_dataset(source)
    describe(source, mask_suffix=".extra")
    assert len(open_dataset(source).split("train")) == 5
    next(source.glob("*.extra.png")).unlink()
    with pytest.raises(DataError, match="1 of 6 images have no mask"):
        open_dataset(source)


@pytest.mark.parametrize("coloured", [True, False])
def test_masks_beside_each_split_and_class_dict(coloured: bool, make_folder: Make) -> None:
    source = make_folder(6)
    palette = {
        "Sky": (128, 128, 128),
        "Void": (0, 0, 0),
        "Road": (128, 64, 128),
        "Car": (64, 0, 128),
        "Tree": (9, 9, 0),
    }
    rows = "".join(f"{name},{r},{g},{b}\n" for name, (r, g, b) in palette.items())
    (source / "class_dict.csv").write_text(f"name,r,g,b\n{rows}")
    colours = np.array(list(palette.values()), np.uint8)
    for split, indices in (("train", range(4)), ("val", range(4, 6))):
        (source / split).mkdir()
        (source / f"{split}_labels").mkdir()
        for index in indices:
            (source / "images" / f"scene_{index}.png").rename(source / split / f"scene_{index}.png")
            with Image.open(source / "masks" / f"scene_{index}.png") as picture:
                mask = np.asarray(picture)
            Image.fromarray(colours[mask] if coloured else mask).save(
                source / f"{split}_labels" / f"scene_{index}_L.png"
            )
    raw = {f"scene_{i}": np.asarray(Image.open(source / "masks" / f"scene_{i}.png")) for i in range(6)}
    shutil.rmtree(source / "images")
    shutil.rmtree(source / "masks")
    spec = open_dataset(source)
    assert spec.classes.names == ("Sky", "Road", "Car", "Tree")
    assert spec.classes.palette[1] == (128, 64, 128)
    assert {split: len(items) for split, items in spec.splits.items()} == {"train": 4, "val": 2}
    for items in spec.splits.values():
        for item in items:
            expected = np.array([0, 255, 1, 2, 3])[raw[item.id]]
            np.testing.assert_array_equal(read_sample(spec, item).labels, expected)
    (source / "class_dict.csv").write_text("name,r,g,b\nSky,128,128\n")
    with pytest.raises(DataError, match="expected name,r,g,b"):
        open_dataset(source)


def test_rgb_masks_in_voc_s_colours_and_names_that_are_not_voc_s(make_folder: Make, tmp_path: Path) -> None:
    source, root = make_folder(4), tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    palette = np.array([*voc_palette(5), (224, 224, 192)], np.uint8)
    for index in range(4):
        shutil.copy(source / "images" / f"scene_{index}.png", root / "JPEGImages" / f"{index}.png")
        with Image.open(source / "masks" / f"scene_{index}.png") as picture:
            mask = np.asarray(picture).copy()
        mask[0] = len(palette) - 1
        Image.fromarray(palette[mask]).save(root / "SegmentationClass" / f"{index}.png")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n3\n")
    spec = open_dataset(root)
    assert (spec.layout, spec.licence) == ("voc", "")
    assert "RGB masks, in VOC's colours" in spec.reasons
    assert "its files are not VOC's own: class names and licence are not known" in spec.reasons[0]
    assert spec.classes.names == tuple(f"class_{index}" for index in range(5))
    labels = read_sample(spec, spec.split("train")[0]).labels
    assert set(np.unique(labels)) <= {0, 1, 2, 3, 4, 255}
    assert (labels[0] == 255).all()
    assert spec.classes.palette == voc_palette(5)
    describe(root, classes=["a", "b", "c", "d", "e"])
    assert open_dataset(root).classes == ClassSet(tuple("abcde"), voc_palette(5))


def test_what_lies_beside_and_cannot_be_opened_is_named(make_folder: Make) -> None:
    first, second = make_folder(name="sets/a"), make_folder(name="sets/b")
    shutil.rmtree(second / "masks")
    (second / "masks").mkdir()
    assert any("beside it is left out" in reason and "no masks found" in reason for reason in
               open_dataset(first.parent).reasons)  # fmt: skip


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


def test_a_list_of_classes_above_the_data_is_named(make_folder: Make) -> None:
    root = make_folder(2, name="above/middle/data")
    for name in ("classes.txt", "class_dict.csv"):
        (root.parents[1] / name).write_text("a")
    said = [reason for reason in open_dataset(root.parents[1]).reasons if "lies above the data" in reason]
    assert [line.split()[0] for line in said] == [
        str(root.parents[1] / name) for name in ("classes.txt", "class_dict.csv")
    ]
    assert not any("lies above" in reason for reason in open_dataset(root).reasons)
