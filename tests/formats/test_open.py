from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.errors import DataError, UsageError
from fullconv.formats import unrecognised
from fullconv.formats.open import NotRecognisedError, open_dataset
from fullconv.formats.read import base
from tests.builders import cityscapes, coco, coco_panoptic
from tests.builders.commands import complaint
from tests.builders.folders import Make, side_by_side
from tests.builders.images import save_mask


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


def test_the_kind_of_kitti_road_is_a_choice(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lane masks are more frequent in the sample: 11, beside 2 of the road."""
    root = tmp_path / "kitti"
    shutil.copytree(shared / "data" / "kitti_road" / "data_road", root)
    assert run(["check", str(root)]) == 0
    said = capsys.readouterr().out
    line = "two kinds of masks are there, 2 road and 11 lane; lane is used, of which there are more: 'kind: road' in"
    assert line in said
    for kind, count in (("road", 2), ("lane", 11)):
        (root / "dataset.yaml").write_text(f"kind: {kind}\n")
        spec = open_dataset(root)
        assert spec.classes.names == ("background", kind)
        items = [item for split in spec.splits.values() for item in split]
        assert len(items) == count
        assert all(f"_{kind}_" in item.annotation.files[0].name for item in items)
        assert any(f"2 road and 11 lane; {kind} is used, as dataset.yaml says" in reason for reason in spec.reasons)
    (root / "dataset.yaml").write_text("kind: kerb\n")
    with pytest.raises(DataError, match=r"kind: found 'kerb'; expected of KITTI Road's two kinds"):
        open_dataset(root)
    for mask in (root / "training" / "gt_image_2").glob("*_road_*"):
        mask.unlink()
    (root / "dataset.yaml").unlink()
    assert not any("two kinds" in reason for reason in open_dataset(root).reasons)
    (root / "dataset.yaml").write_text("kind: road\n")
    with pytest.raises(DataError, match="kind is road, but there is no road mask"):
        open_dataset(root)


def test_the_kind_is_refused_elsewhere(make_folder: Make) -> None:
    root = make_folder()
    (root / "dataset.yaml").write_text("kind: road\n")
    with pytest.raises(DataError, match="kind belongs to KITTI Road, and this is folder; take the line out"):
        open_dataset(root)


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
    assert any(reason.startswith("gtFine is also there and not used") for reason in spec.reasons)


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


def test_half_of_a_data_set_says_where_the_whole_is(make_folder: Make) -> None:
    root = make_folder()
    for half in ("images", "masks"):
        with pytest.raises(DataError, match=f"it is half of {root}: give that"):
            open_dataset(root / half)


@pytest.mark.parametrize("split", [False, True])
def test_folders_of_other_names_are_listed_and_the_lines_that_fit_proposed(
    split: bool, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    for kind, name in (("images", "pictures"), ("masks", "truth")):
        for part in ("train", "val") if split else ("",):
            (root / part).mkdir(exist_ok=True)
            shutil.copytree(root / kind, root / part / name)
        shutil.rmtree(root / kind)
    for picture in root.rglob("pictures/*.png"):
        with Image.open(picture) as image:
            image.save(picture.with_suffix(".jpg"))
        picture.unlink()
    assert run(["check", str(root)]) == 3
    said = complaint(capsys)
    places = ("train/", "val/") if split else ("",)
    found = ", ".join(f"{place}pictures/ (6 .jpg), {place}truth/ (6 .png)" for place in places)
    assert f"no data set recognised; found {found}; " in said
    assert f"write the two lines 'images: pictures' and 'masks: truth' into {root / 'dataset.yaml'}" in said
    (root / "dataset.yaml").write_text("images: pictures\nmasks: truth\n")
    assert len(open_dataset(root).split("val")[0].image.files) == 1


def test_what_lies_in_a_folder_of_no_data_set_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no data set recognised; found no file; expected images/ and masks/"):
        open_dataset(tmp_path / "empty")
    for number in range(8):
        (tmp_path / "many" / f"part{number}").mkdir(parents=True)
        (tmp_path / "many" / f"part{number}" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"found part0/ \(1 \.txt\), .*part5/ \(1 \.txt\) and 2 more; expected images/"):
        open_dataset(tmp_path / "many")


def test_folders_that_do_not_pair_are_not_proposed(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "images").rename(root / "one")
    (root / "masks").rename(root / "two")
    for number, mask in enumerate(sorted((root / "two").iterdir())):
        mask.rename(mask.with_name(f"z{number}.png"))
    with pytest.raises(DataError, match=r"found one/ \(4 \.png\), two/ \(4 \.png\); expected images/"):
        open_dataset(root)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_two_folders_of_photographs_are_not_proposed_as_images_and_masks(suffix: str, tmp_path: Path) -> None:
    for number, camera in enumerate(("left", "right")):
        (tmp_path / camera).mkdir()
        for frame in range(4):
            noise = np.random.default_rng((number, frame)).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            flat = Image.new("RGB", (64, 48), (frame, number, 9))  # as at night
            (Image.fromarray(noise) if frame == 2 - number else flat).save(tmp_path / camera / f"{frame}{suffix}")
    with pytest.raises(DataError, match=rf"found left/ \(4 \{suffix}\), right/ \(4 \{suffix}\); expected images/"):
        open_dataset(tmp_path)


def test_the_lines_to_write_can_be_copied_as_yaml(make_folder: Make) -> None:
    root = make_folder(4)
    (root / "images").rename(root / "Fotös: x")
    (root / "masks").rename(root / "012")
    with pytest.raises(DataError, match="no data set recognised") as caught:
        open_dataset(root)
    found = re.search("""write the two lines '(images: "Fotös: x")' and '(masks: "012")' into""", str(caught.value))
    assert found is not None
    (root / "dataset.yaml").write_text("\n".join(found.groups()), encoding="utf-8")
    assert len(open_dataset(root).split("val"))


def test_what_lies_there_is_looked_at_only_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = list[Path]()

    def files_below(folder: Path) -> Iterator[tuple[str, str]]:
        walked.append(folder)
        return base.files_below(folder)

    for kind in ("one", "two"):
        (tmp_path / kind).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / kind / "a.png")
    monkeypatch.setattr(unrecognised, "files_below", files_below)
    with pytest.raises(NotRecognisedError) as caught:
        open_dataset(tmp_path)
    assert walked == []
    assert "pair one with two" in str(caught.value) == str(caught.value)
    assert walked == [tmp_path]
    monkeypatch.setattr(unrecognised, "MOST_PAIRED", 1)
    assert "expected images/ and masks/" in str(NotRecognisedError(tmp_path))
