from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import DatasetSpec, read_sample
from fullconv.data.instances import BITS, pack
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, UsageError
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.formats.write import TARGETS
from fullconv.formats.write.objects import Coarse, outlined
from tests.builders import coco
from tests.builders.bands import Draw, folder, nodata_and_inf, said
from tests.builders.folders import Make, small_pair
from tests.builders.orientation import pairs, stored


@pytest.fixture
def data(make_folder: Make) -> Path:
    """Plain folder with void (id 4) and classes of Cityscapes' names."""
    root = make_folder(6)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["background", "road", "Car", "sky"], "ignore": [4]}))
    return root


def labels_of(spec: DatasetSpec, split: str) -> list[np.ndarray]:
    return [read_sample(spec, item).labels for item in spec.split(split)]


@pytest.mark.parametrize("to", sorted(TARGETS))
def test_back_again_the_labels_are_the_same(to: str, data: Path, tmp_path: Path) -> None:
    before = open_dataset(data)
    result = convert(data, tmp_path / "out", to)
    after = open_dataset(tmp_path / "out")
    assert result.images == {"train": 5, "val": 1}
    assert after.layout == {"voc": "cvat_mask", "cvat": "cvat_xml"}.get(to, to)
    names = [name.casefold().strip("_") for name in after.classes.names]
    for split in ("train", "val"):
        assert len(after.split(split)) == len(before.split(split))
        for item, other in zip(before.split(split), after.split(split), strict=True):
            ours, theirs = read_sample(before, item), read_sample(after, other)
            np.testing.assert_array_equal(ours.image, theirs.image)
            for index, name in enumerate(before.classes.names):
                mask = ours.labels == index
                if to == "cityscapes" and name == "background":
                    assert (theirs.labels[mask] == 255).all()  # none of its classes, as its notes say
                else:
                    assert (theirs.labels[mask] == names.index(name.casefold())).all()
            void = ours.labels == 255
            keeps_void = to not in ("coco", "yolo", "cvat")
            assert (theirs.labels[void] == (255 if keeps_void else names.index("background"))).all()
    if to in ("folder", "voc", "webdataset", "yolo", "cvat"):
        assert after.classes.names == before.classes.names
        assert after.classes.palette == before.classes.palette
    said = " ".join(result.notes)
    expected = {
        "coco": ["no void", "no colours"], "cityscapes": ["void now: background"], "voc": ["labelmap"],
        "yolo": ["yolo has no void: ", "no colours"], "cvat": ["cvat has no void: "],
        "labelme": ["no colours", "background is called _background_"],
    }  # fmt: skip
    for words in expected.get(to, []):
        assert words in said


@pytest.mark.parametrize("to", ["labelme", "yolo", "cvat"])
@pytest.mark.parametrize("name", ["voc_sample", "kitti_road", "labelme", "coco_polygons", "camvid"])
def test_real_data_goes_back_to_the_tools(name: str, to: str, shared: Path, tmp_path: Path) -> None:
    """And comes back as it was, but for void where the tool has a background and no void."""
    source = open_dataset(shared / "data" / name)
    few = {split: items[:2] for split, items in source.splits.items() if split in ("train", "val", "test")}
    source = dataclasses.replace(source, splits=few)
    result = convert(source, tmp_path / "out", to)
    again = open_dataset(tmp_path / "out")
    background, void = source.classes.background, source.classes.ignore_index
    lost = 0
    for split, items in few.items():
        found = {item.id.rpartition("/")[2]: item for item in again.split(split)}
        for item in items:
            ours = read_sample(source, item)
            theirs = read_sample(again, found[item.id.replace("/", "_")]).labels
            expected = ours.labels.copy()
            if background is not None and to != "labelme":
                lost += int((expected == void).sum())
                expected[expected == void] = background
            np.testing.assert_array_equal(theirs, expected)
    names = [n.strip("_") if to == "labelme" else n for n in source.classes.names]
    assert [n.strip("_") if to == "labelme" else n for n in again.classes.names] == names
    assert bool(lost) == any(f"no void: {lost:,} unlabelled pixels are background" in note for note in result.notes)


@pytest.mark.parametrize("to", ["labelme", "yolo", "cvat"])
def test_simpler_outlines_share_borders(to: str, shared: Path, tmp_path: Path) -> None:
    """Far fewer points and pieces, and the labels of most pixels; of tolerance 0 nothing but pens differ."""
    pytest.importorskip("rasterio")
    source = open_dataset(shared / "data" / "camvid")
    source = dataclasses.replace(source, splits={s: source.split(s)[:1] for s in ("train", "val")})
    truth = labels_of(source, "val")[0]
    sizes, agreed = [], []
    for name, options in (("exact", {}), ("zero", {"tolerance": 0}), ("simple", {"min_area": 50})):
        result = convert(source, tmp_path / name, to, **options)
        assert any("tolerance" in note for note in result.notes) == bool(options)
        found = labels_of(open_dataset(tmp_path / name), "val")[0]
        files = [path for path in (tmp_path / name).rglob("*") if path.suffix in (".json", ".txt", ".xml")]
        sizes.append(sum(path.stat().st_size for path in files))
        agreed.append((found == truth)[truth != 255].mean())
    assert agreed[0] == 1
    assert agreed[1] == 1 if to == "cvat" else agreed[1] > 0.985
    assert agreed[2] > 0.985
    assert sizes[2] < sizes[1] / 2


def test_simpler_outlines_have_no_gaps_and_keep_objects(shared: Path) -> None:
    """The areas of polygons are those of the labels, object by object."""
    pytest.importorskip("rasterio")
    source = open_dataset(shared / "data" / "coco_polygons")
    item = next(iter(source.splits.values()))[0]
    sample = read_sample(source, item)
    shown = sample.labels != source.classes.background
    exact = list(outlined(item, sample, source.classes, Coarse(0)))
    assert sum(one.area for one in exact) == shown.sum()
    simple = list(outlined(item, sample, source.classes, Coarse(2)))
    assert [one.label for one in simple] == [one.label for one in exact]
    assert sum(len(ring) for one in simple for ring in one.rings) < sum(len(r) for one in exact for r in one.rings) / 2


def test_outlines_are_not_simplified_where_there_are_none(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which --to coco keeps none of; labelme, yolo, cvat do"):
        convert(data, tmp_path / "out", "coco", tolerance=1)
    with pytest.raises(UsageError, match="smallest area of polygons is a number of pixels from 0, found -1"):
        convert(data, tmp_path / "out", "yolo", min_area=-1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["labelme", "cvat"])
def test_objects_stay_objects(to: str, shared: Path, tmp_path: Path) -> None:
    source = open_dataset(shared / "data" / "coco_polygons")
    again = open_dataset(convert(source, tmp_path / "out", to).out)
    for split in source.splits:
        for item, other in zip(source.split(split), again.split(split), strict=True):
            visible = pack(read_sample(source, item).labels, item.annotation.instances(), source.classes, "")
            theirs = pack(read_sample(again, other).labels, other.annotation.instances(), again.classes, "")
            pairs = set(zip(visible.ravel().tolist(), theirs.ravel().tolist(), strict=True))
            objects = np.unique(visible[visible >> BITS > 0])
            assert len({b for a, b in pairs if a in objects}) == len(objects)
            assert len([a for a, b in pairs if a in objects]) == len(objects)


def test_real_data_converts_and_comes_back(shared: Path, tmp_path: Path) -> None:
    for name in ("voc_sample", "kitti_road", "labelme", "coco_polygons", "camvid"):
        source = open_dataset(shared / "data" / name)
        few = {split: items[:3] for split, items in source.splits.items()}
        source = dataclasses.replace(source, splits=few)
        for to in ("folder", "voc"):
            out = tmp_path / f"{name}-{to}"
            convert(source, out, to)
            again = open_dataset(out)
            assert [name.casefold() for name in again.classes.names] == [n.casefold() for n in source.classes.names]
            for split in source.splits:
                for ours, theirs in zip(labels_of(source, split), labels_of(again, split), strict=True):
                    np.testing.assert_array_equal(ours, theirs)


def test_labelme_becomes_voc_as_published(shared: Path, tmp_path: Path) -> None:
    """LabelMe's polygons against VOC's own masks of the same images, where VOC has labels."""
    convert(shared / "data" / "labelme", tmp_path / "out", "voc")
    ours = {item.id: item for items in open_dataset(tmp_path / "out").splits.values() for item in items}
    voc = open_dataset(shared / "data" / "voc_sample")
    agreements = []
    for items in voc.splits.values():
        for item in items:
            if item.id in ours:
                truth = read_sample(voc, item).labels
                drawn = read_sample(open_dataset(tmp_path / "out"), ours[item.id]).labels
                agreements.append((truth == drawn)[truth != 255].mean())
    assert len(agreements) == 3
    assert min(agreements) > 0.979
    assert max(agreements) > 0.998


def test_the_command_and_its_complaints(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["convert", str(data), str(out), "--to", "coco"]) == 0
    lines = capsys.readouterr().out.splitlines()
    title, copy = lines.index(f"{data}: folder, 4 classes"), lines.index(f"{out}: coco, 5 train, 1 val")
    assert lines[title + 1] == "  folders images/ and masks/, paired by name"
    assert any("no val split is given" in line for line in lines[title:copy])
    assert not any("paired by name" in line or "val split" in line for line in lines[copy:])
    assert any("no void" in line for line in lines[copy:])
    assert run(["convert", str(data), str(out)]) == 2
    assert "exists; choose another folder" in capsys.readouterr().err
    assert run(["convert", str(data), str(tmp_path / "x"), "--to", "tfrecord"]) == 2
    assert "there are folder, voc, cityscapes, coco" in capsys.readouterr().err
    with pytest.raises(UsageError, match="none of the classes"):
        convert("shapes:train=1,val=1", tmp_path / "x", "cityscapes")
    (data / "masks" / "scene_0.png").write_bytes(b"no")
    with pytest.raises(DataError):
        convert(data, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert not list(tmp_path.glob(".x-*"))


def test_scenes_and_mixtures_are_written_too(tmp_path: Path) -> None:
    source = "shapes:height=20,width=30,train=3,val=1,bands=5"
    convert(source, tmp_path / "five")
    again = open_dataset(tmp_path / "five")
    assert again.channels == 5
    np.testing.assert_array_equal(
        read_sample(again, again.split("train")[0]).image,
        read_sample(open_dataset(source), open_dataset(source).split("train")[0]).image,
    )
    convert("shapes:height=20,width=30,train=2,val=1+shapes:height=20,width=30,train=2,val=1", tmp_path / "both")
    assert len(open_dataset(tmp_path / "both").split("train")) == 4


def test_a_converted_mixture_says_what_it_loses(tmp_path: Path) -> None:
    for name, classes in (("a", ["background", "car"]), ("b", ["background", "person"])):
        for i in range(2):
            small_pair(tmp_path / name, str(i), i)
        (tmp_path / name / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes}))
    result = convert(f"{tmp_path / 'a'}+{tmp_path / 'b'}", tmp_path / "out", "cityscapes")
    assert any("which classes each of its data sets labels is not kept" in note for note in result.notes)


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


@pytest.mark.parametrize(
    ("draw", "suffix", "targets"),
    [
        (nodata_and_inf, ".tif", ("folder", "webdataset", "voc", "coco")),
        (lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16), ".tif", ("folder", "webdataset")),
        (lambda r: r.integers(0, 4096, (32, 32)).astype(np.uint16), ".png", ("folder", "voc")),
    ],
)
def test_a_copy_keeps_the_values(draw: Draw, suffix: str, targets: tuple[str, ...], tmp_path: Path) -> None:
    root = folder(tmp_path / "data", draw, suffix=suffix)
    if draw is nodata_and_inf:
        (root / "dataset.yaml").write_text("nodata: [-9999, -9999, -9999]\n")
    spec = open_dataset(root)
    for target in targets:
        again = open_dataset(convert(root, tmp_path / target, target).out)
        assert (again.values, again.channels) == (spec.values, spec.channels), target
        assert spec.values is not None
        assert spec.values.source
        assert "(stated)" in said(again)
        for split in ("train", "val"):
            names = {item.id: item for item in again.splits[split]}
            for item in spec.splits[split]:
                a, b = read_sample(spec, item), read_sample(again, names[item.id])
                assert np.array_equal(a.image, b.image), target
                if target != "coco":  # has no void
                    assert np.array_equal(a.labels, b.labels), target
    with pytest.raises(UsageError, match=r"8 bits|channels"):
        convert(root, tmp_path / "cityscapes", "cityscapes")


def test_a_copy_out_of_a_container_keeps_the_values(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16))
    convert(root, tmp_path / "shards", "webdataset")
    convert(tmp_path / "shards", tmp_path / "again", "folder")
    for item in open_dataset(root).splits["train"]:
        copy = tmp_path / "again" / "images" / item.image.path.name
        assert copy.read_bytes() == item.image.path.read_bytes()


def test_turned_images_are_copied_upright_with_their_values(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4000, (32, 32, 3)).astype(np.uint16)
    root = folder(tmp_path / "data", lambda r: array, extratags=[(274, "H", 1, 6, True)])
    for k in range(6):
        with Image.open(root / "masks" / f"{k}.png") as mask:
            mask.load()
        mask.getexif()[274] = 6
        mask.save(root / "masks" / f"{k}.png", exif=mask.getexif())
    spec = open_dataset(root)
    again = open_dataset(convert(root, tmp_path / "copy", "folder").out)
    copy = again.splits["train"][0]
    assert np.array_equal(np.load(copy.image.path), np.rot90(array, -1))
    a, b = read_sample(spec, spec.splits["train"][0]), read_sample(again, copy)
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.labels, b.labels)


@pytest.mark.parametrize("target", ["folder", "voc", "coco", "cityscapes", "webdataset"])
def test_copies_agree_for_programs_that_know_no_exif(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pairs(tmp_path / "data", 6, stored(), of_mask=6)
    (root / "dataset.yaml").write_text("classes: [road, car]\n")
    assert run(["convert", str(root), str(tmp_path / "copy"), "--to", target]) == 0
    assert "3 images have an EXIF orientation: written upright as PNG" in " ".join(capsys.readouterr().out.split())
    spec = open_dataset(tmp_path / "copy")
    for item in (*spec.split("train"), *spec.split("val")):
        sample = read_sample(spec, item)
        car = sample.labels == list(spec.classes.names).index("car")
        assert np.array_equal(car, sample.image[..., 0] > 100)
        if isinstance(item.image, FileImage):
            with Image.open(item.image.path) as picture:
                assert picture.getexif().get(0x0112, 1) == 1
                assert (picture.height, picture.width) == car.shape


@pytest.mark.parametrize(("to", "library"), [("yolo", "Pillow"), ("labelme", "Pillow"), ("cvat", "pycocotools"),
                                             ("coco", "pycocotools")])  # fmt: skip
def test_a_check_of_the_copy_names_the_library_that_fills_its_outlines_and_no_other_tool(
    to: str, library: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(data, tmp_path / "copy", to)
    run(["check", str(tmp_path / "copy")])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("labels stored as: ")]
    assert line == f"labels stored as: outlines, filled by {library} (6)"
