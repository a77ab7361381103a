"""What a hostile reading of the data rooms found, one test each."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.checking.check import check
from fullconv.checking.fixing import write_fixed
from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.data.cache import decoded
from fullconv.data.dataset import Item, split_by_hash
from fullconv.errors import DataError, UsageError
from fullconv.formats.archive import unpack
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.images.mask_reading import read_mask
from fullconv.images.pixels import read_image
from tests.builders.folders import small_pair
from tests.builders.labelme import one_box


def test_the_cache_tells_splits_of_equal_names_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    for i in range(3):
        small_pair(tmp_path / "data" / "train", str(i), i)
        small_pair(tmp_path / "data" / "val", str(i), 2 - i)
    spec = open_dataset(tmp_path / "data")
    cached = decoded(spec)
    for split in ("train", "val"):
        for item, other in zip(spec.split(split), cached.split(split), strict=True):
            ours, theirs = read_sample(spec, item), read_sample(cached, other)
            np.testing.assert_array_equal(ours.image, theirs.image)
            np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_names_in_dataset_yaml_rename_and_never_reorder(tmp_path: Path) -> None:
    root = tmp_path / "data"
    one_box(root, "a", "cat")
    one_box(root, "b", "dog")
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["_background_", "dog", "cat"]}))
    with pytest.raises(DataError, match=r"'dog' at another place; this layout \(labelme\) has the 3 classes"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["_background_", "dog"]}))
    with pytest.raises(DataError, match="classes gives 2 names"):
        open_dataset(root)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["ground", "Katze", "Hund"]}))
    spec = open_dataset(root)
    first = next(item for split in spec.splits.values() for item in split if item.id == "a")
    assert spec.classes.names[read_sample(spec, first).labels[10, 10]] == "Katze"


def test_labelme_at_another_size_is_refused(tmp_path: Path) -> None:
    one_box(tmp_path, "a", "cat", imageHeight=80, imageWidth=120)
    with pytest.raises(DataError, match=r"labelled at 120x80, but a\.png is 60x40"):
        open_dataset(tmp_path)
    one_box(tmp_path, "a", "cat", imageHeight=40, imageWidth=60)
    (tmp_path / "settings.json").write_text("{ // a comment\n}")
    assert open_dataset(tmp_path).layout == "labelme"


@pytest.mark.parametrize("shapes", [None, [5], "x"])
def test_labelme_of_another_form_is_one_line(
    shapes: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_box(tmp_path, "a", "cat", shapes=shapes)
    assert run(["check", str(tmp_path)]) == 3
    assert "shapes is not a list of shapes" in capsys.readouterr().err + capsys.readouterr().out


def test_a_converted_mixture_says_what_it_loses(tmp_path: Path) -> None:
    for name, classes in (("a", ["background", "car"]), ("b", ["background", "person"])):
        for i in range(2):
            small_pair(tmp_path / name, str(i), i)
        (tmp_path / name / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes}))
    result = convert(f"{tmp_path / 'a'}+{tmp_path / 'b'}", tmp_path / "out", "cityscapes")
    assert any("which classes each of its data sets labels is not kept" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["", "gz", "xz"])
def test_damaged_archives_never_open_as_smaller_ones(
    kind: str, make_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    root = make_folder(4)
    path = tmp_path / "data.tar"
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(root, "data")
    whole = path.read_bytes()
    assert len(list(unpack(path).rglob("*.png"))) == 8
    opened = 0
    for place in range(3, len(whole) - 20, max(len(whole) // 60, 1)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255, whole[place + 1] ^ 85]) + whole[place + 2 :])
        try:
            folder = unpack(path)
        except DataError:
            continue
        opened += 1
        assert len(list(folder.rglob("*.png"))) == 8
    assert opened < 60 or not kind
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        unpack(path)


def test_a_val_folder_of_another_form_is_not_dropped(tmp_path: Path) -> None:
    for i in range(3):
        small_pair(tmp_path / "train", str(i), i)
        small_pair(tmp_path / "val", str(i), i, masks="mask_png")
    with pytest.raises(DataError, match="val: has no folders images and masks, unlike another split"):
        open_dataset(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    small_pair(tmp_path, "0", 0)
    small_pair(tmp_path, "1", 1)
    Image.new("RGB", (20, 16)).save(tmp_path / "images" / "0.jpg")
    with pytest.raises(DataError, match=r"0\.jpg and 0\.png have one name"):
        open_dataset(tmp_path)


def test_the_split_by_hash_counts_items_of_equal_names() -> None:
    items = [Item("000000", index=i) for i in range(5)]
    splits = split_by_hash(items, 0, 0.2)
    assert (len(splits["train"]), len(splits["val"])) == (4, 1)


def test_jpegs_with_stray_bytes_are_read_as_pillow_reads_them(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(buffer, "JPEG")
    content = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(content[:-2] + bytes(240) + content[-2:])
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.array_equal(read_image(tmp_path / "a.jpg"), np.asarray(image))
    (tmp_path / "b.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_image(tmp_path / "b.jpg")


def test_lossless_webp_masks_are_read_and_lossy_ones_refused(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    rgb = np.repeat(mask[..., None], 3, 2)
    Image.fromarray(rgb).save(tmp_path / "a.webp", lossless=True)
    assert np.array_equal(read_mask(tmp_path / "a.webp").stored[..., 0], mask)
    Image.fromarray(rgb).save(tmp_path / "b.webp", quality=90)
    with pytest.raises(DataError, match="compression changes labels"):
        read_mask(tmp_path / "b.webp")


def test_voc_refuses_what_it_could_not_give_back(tmp_path: Path) -> None:
    for i in range(2):
        small_pair(tmp_path / "data", f"IMG.rf.{i}", i)
    for classes, words in (
        ({"a": [1, 2, 3], "b": [1, 2, 3]}, "two classes have the colour"),
        (["a", "ignored"], "cannot hold a class called 'ignored'"),
        (["a", "#1 road"], "cannot hold a class called '#1 road'"),
    ):
        (tmp_path / "data" / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes}))
        with pytest.raises(UsageError, match=words):
            convert(tmp_path / "data", tmp_path / "out", "voc")
    (tmp_path / "data" / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["background", "b"]}))
    out = convert(tmp_path / "data", tmp_path / "out", "voc").out
    assert {item.id for split in open_dataset(out).splits.values() for item in split} == {"IMG.rf.0", "IMG.rf.1"}


@pytest.mark.parametrize("name", ["/etc/secret", "../secret"])
def test_lists_that_lead_outside_are_refused(name: str, tmp_path: Path) -> None:
    for folder in ("images", "annotations/trimaps"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "annotations" / "trainval.txt").write_text(f"{name} 1 1 1\n")
    with pytest.raises(DataError, match="outside the data's folder; refused"):
        open_dataset(tmp_path)


def test_pairs_on_no_list_are_pairs_whatever_their_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        small_pair(tmp_path, str(i), i % 3, suffix="_mask")
    (tmp_path / "train.txt").write_text("0\n1\n")
    (tmp_path / "val.txt").write_text("2\n")
    run(["check", str(tmp_path)])
    assert "without a mask" not in capsys.readouterr().out


def test_images_to_predict_without_masks_do_not_stop_the_rest(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / kind / split).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (20, 16)).save(tmp_path / "images" / split / f"{i}.png")
            Image.new("L", (20, 16), i).save(tmp_path / "masks" / split / f"{i}.png")
    (tmp_path / "images" / "test").mkdir()
    Image.new("RGB", (20, 16)).save(tmp_path / "images" / "test" / "0.png")
    spec = open_dataset(tmp_path)
    assert set(spec.splits) == {"train", "val"}
    assert any("images/test has no masks and is left out" in reason for reason in spec.reasons)


def test_a_val_that_train_holds_whole_is_taken_out_of_train(tmp_path: Path) -> None:
    for i in range(5):
        small_pair(tmp_path / "data", str(i), i)
    (tmp_path / "data" / "train.txt").write_text("0\n1\n2\n3\n4\n")
    (tmp_path / "data" / "val.txt").write_text("3\n4\n")
    assert run(["check", str(tmp_path / "data"), "--fix", str(tmp_path / "out")]) == 0
    spec = open_dataset(tmp_path / "out")
    assert {split: sorted(item.id for item in spec.split(split)) for split in ("train", "val")} == {
        "train": ["0", "1", "2"],
        "val": ["3", "4"],
    }


def test_of_one_image_nothing_can_be_taken_out(tmp_path: Path) -> None:
    small_pair(tmp_path / "one", "a", 0)
    report = check(open_dataset(tmp_path / "one"))
    (leak,) = (finding for finding in report.findings if finding.kind == "leak")
    assert leak.fix == "add images: train holds no others"
    with pytest.raises(DataError, match=r"nothing of split train would be left .*; add images"):
        write_fixed(report, tmp_path / "fixed")


def test_masks_exported_empty_are_no_training_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(4):
        small_pair(tmp_path, str(i), 0)
    assert run(["check", str(tmp_path)]) == 3
    assert "suspicious: every labelled pixel of the data set is class_0" in capsys.readouterr().out


def test_half_an_archive_is_called_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert run(["check", str(tmp_path / "data.zip")]) == 3
    assert "a damaged or truncated archive" in capsys.readouterr().err
