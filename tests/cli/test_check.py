"""`fullconv check`: each fault with the line it prints, the fixed copy, the page."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import read_sample
from fullconv.formats.open import open_dataset
from fullconv.palette import voc_palette
from tests.builders.faults import (
    NAMES,
    PALETTE,
    bad_list,
    bare_image,
    blank_mask,
    broken_image,
    colours,
    copies,
    copy,
    describe,
    interpolated_ids,
    jpeg_mask,
    leak,
    lists,
    lonely_mask,
    mostly_void,
    near_copies,
    near_leak,
    one_file_in_both,
    one_id,
    only_0_and_255,
    only_in_val,
    rare_class,
    recolour,
    rgb_without_names,
    small_mask,
    smoothed_rgb,
    smoothed_values,
    strange_colour,
    strange_id,
    truth,
    turned_mask,
    unlisted_pair,
)
from tests.builders.images import save_mask

Make = Callable[..., Path]


PROBLEMS = [
    (broken_image, "scene_1.png: damaged or truncated", "fix: copy it again from its source"),
    (jpeg_mask, "scene_1.jpg: a mask stored as JPEG", "fix: export the mask again as PNG"),
    (small_mask, "scene_1.png: is 64x48, but its mask scene_1.png is 32x24", "labels are never resized"),
    (turned_mask, "its mask scene_1.png is 48x64 (sides swapped", "fix: export the mask at the image's size"),
    (strange_id, "scene_1.png: holds id 9 at row", "fix: add the value or colour to dataset.yaml"),
    (bare_image, "1 of 6 images have no mask (scene_1.png)", "fix: add the masks, or move these images away"),
    (bad_list, "train.txt: 1 of 4 entries name no image with a mask (scene_77)", "take the entries off the list"),
    (only_0_and_255, "the masks hold only 0 and 255", "'values: {0: background, 255: foreground}' (a class)"),
    (rgb_without_names, "colours, but no colour is named", "class_1: [0, 0, 0]"),
    (smoothed_rgb, "scene_0.png: smoothed edges: ", "--fix gives each such pixel the nearest colour"),
    (strange_colour, "scene_1.png: colour (10, 250, 250) at row 5, column 5", "fix: add the value or colour"),
    (smoothed_values, "scene_1.png: smoothed edges: ", "--fix gives each such pixel the nearest colour"),
    (one_id, "suspicious: every labelled pixel of the data set is square", "fix: look at the masks"),
]


@pytest.mark.parametrize(("spoil", "words", "fix"), PROBLEMS, ids=[case[0].__name__ for case in PROBLEMS])
def test_each_problem_has_its_line_and_its_fix(
    spoil: Callable[[Path], None], words: str, fix: str, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    describe(root)
    assert run(["check", str(root)]) == 0
    capsys.readouterr()
    spoil(root)
    assert run(["check", str(root)]) == 3
    said, errors = capsys.readouterr()
    assert errors == ""  # no bar where there is no terminal
    lines = said.splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("problem: ") and words in line]
    assert len(found) == 1, said
    assert fix.replace("class_1: [0, 0, 0]", "[0, 0, 0]") in lines[found[0] + 1]
    assert re.fullmatch(r"\d+ problems?: training would go wrong", lines[-1])


NOTES = [
    (lonely_mask, "masks: 1 mask without an image (lonely.png)", "pair them by name"),
    (unlisted_pair, "images: 1 pair in no split (scene_5.png)", "list them"),
    (leak, "leak: 1 image of val is also in train, pixel for pixel (images/scene_4.png = images/scene_1.png)", "--fix"),
    (one_file_in_both, "pixel for pixel (images/scene_5.png = images/scene_5.png): the scores on val flatter", "--fix"),
    (
        near_leak,
        "leak: 1 image of val is nearly equal to images of train (images/scene_4.png ~ images/scene_1",
        "scene",
    ),
    (copies, "1 image of train is there before, pixel for pixel (images/scene_2.png = images/scene_1.png)", "keep one"),
    (copies, "labelled differently: 1 pair", "keep one of each"),
    (near_copies, "1 image of train is nearly equal to others of it (images/scene_4.png ~", "keep them in one split"),
    (interpolated_ids, "of the border pixels have an id between those of their neighbours", "nearest neighbour only"),
    (blank_mask, "1 image without a labelled pixel (images/scene_1.png)", "label them"),
    (mostly_void, "% of the pixels of train are ignored", "see whether the ignored values are meant so"),
    (only_in_val, "absent from train: ring", "weight 0"),
    (only_in_val, "not in train, so never learned: ring (val)", "split again"),
    (rare_class, "rare in train: ring 0.130% (weight ", "--class-weights median-frequency"),
]


@pytest.mark.parametrize(("spoil", "words", "fix"), NOTES, ids=[f"{case[0].__name__}-{case[2]}" for case in NOTES])
def test_each_note_has_its_line_and_its_fix(
    spoil: Callable[[Path], None], words: str, fix: str, make_folder: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(6)
    describe(root)
    assert run(["check", str(root)]) == 0
    assert words not in capsys.readouterr().out
    spoil(root)
    assert run(["check", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("note: ") and words in line]
    assert len(found) == 1, lines
    assert lines[found[0] + 1].startswith("  fix: ")
    assert fix in lines[found[0] + 1]
    assert lines[-1] == "fit for training"


def test_many_faults_of_a_kind_are_counted(make_folder: Make, capsys, tmp_path: Path) -> None:
    root = make_folder(14)
    describe(root)
    for path in (root / "images").iterdir():
        path.write_bytes(b"broken")
    assert run(["check", str(root), "--json", str(tmp_path / "c.json"), "--html", str(tmp_path / "c.html")]) == 3
    said = capsys.readouterr().out
    assert said.count("not an image that can be read") == 3
    assert "problem: and 11 more of the kind 'unreadable'" in said
    assert len(json.loads((tmp_path / "c.json").read_text())["problems"]) == 14


def test_json_has_the_findings_with_their_pairs(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder(6)
    describe(root)
    leak(root)
    assert run(["check", str(root), "--json", str(tmp_path / "c.json")]) == 0
    found = json.loads((tmp_path / "c.json").read_text())
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert kinds["leak"]["pairs"] == [["train: images/scene_1.png", "val: images/scene_4.png"]]
    assert kinds["leak"]["problem"] is False
    assert found["encodings"] == {"grey, 8 bits (PNG)": 6}
    assert found["ids_present"] == [0, 1, 2, 3, 4]
    assert found["declared"] is True
    assert len(found["class_weights"]) == 5
    assert found["void_share"] == {"train": 0.0, "val": 0.0}


# -- the fixed copy --------------------------------------------------------------------------------------------------


def tree(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_fix_repairs_what_can_be_fixed_and_never_touches_the_input(make_folder: Make, tmp_path: Path, capsys) -> None:
    root, out = make_folder(12), tmp_path / "fixed"
    recolour(root, 12)
    describe(root, classes=colours())
    lists(root, list(range(8)), [8, 9, 10, 11])
    broken_image(root)
    Image.fromarray(PALETTE[truth(2)][:24, :32]).save(root / "masks" / "scene_2.png")
    mask = PALETTE[truth(3)].copy()
    mask[5:25, 5:25] = (10, 250, 250)
    Image.fromarray(mask).save(root / "masks" / "scene_3.png")
    for kind in ("images", "masks"):
        copy(root, kind, 4, 9)
        copy(root, kind, 1, 10)  # the copy of a file that is left out itself is broken as well
    lonely_mask(root)
    before = tree(root)
    assert run(["check", str(root), "--fix", str(out)]) == 3
    said = capsys.readouterr().out
    assert tree(root) == before
    assert f"{out}: fixed copy, 5 train, 2 val pairs" in said
    for words in ("2 unreadable", "1 with a mask of another size", "1 with ids or colours of no class"):
        assert f"left out: {words}\n" in said
    assert "left out: 1 also in another split\n" in said
    assert "1 mask without an image (lonely.png)" in said
    spec = open_dataset(out)
    assert spec.classes.names == tuple(NAMES)
    assert spec.classes.palette == voc_palette(5)
    assert {split: [item.id for item in items] for split, items in spec.splits.items()} == {
        "train": ["scene_0", "scene_4", "scene_5", "scene_6", "scene_7"], "val": ["scene_8", "scene_11"],
    }  # fmt: skip
    for item in [*spec.split("train")[1:], *spec.split("val")]:
        index = int(item.id.removeprefix("scene_"))
        assert np.array_equal(read_sample(spec, item).labels, truth(index))
        assert item.image.read_bytes() == (root / "images" / item.image.name).read_bytes()
    smoothed = read_sample(spec, spec.split("train")[0]).labels
    assert (smoothed == truth(0)).mean() > 0.99
    with Image.open(root / "masks" / "scene_0.png") as raw:
        packed = np.asarray(raw).astype(int) @ [65536, 256, 1]
    unknown = int((~np.isin(packed, PALETTE.astype(int) @ [65536, 256, 1])).sum())
    assert f"smoothed edges: {unknown:,} pixels of 1 mask took the nearest colour" in said
    assert f"smoothed edges, {unknown} pixels changed: images/scene_0.png" in (out / "fixed.txt").read_text()
    capsys.readouterr()
    assert run(["check", str(out)]) == 0
    assert "fit for training" in capsys.readouterr().out


def test_fix_brings_values_to_ids(make_folder: Make, tmp_path: Path) -> None:
    root, out = make_folder(6), tmp_path / "fixed"
    smoothed_values(root)
    assert run(["check", str(root), "--fix", str(out)]) == 3
    spec = open_dataset(out)
    for split in ("train", "val"):
        for item in spec.split(split):
            labels = read_sample(spec, item).labels
            wrong = (labels != (truth(int(item.id[-1])) > 0)).mean()
            assert wrong == 0 if item.id != "scene_1" else wrong < 0.02
            with Image.open(item.mask) as mask:
                assert set(np.unique(np.asarray(mask))) <= {0, 1}


def test_fix_keeps_ids_and_void_and_makes_names_safe(make_folder: Make, tmp_path: Path) -> None:
    root, out = make_folder(4), tmp_path / "deep" / "fixed"
    describe(root, ignore=[7])
    labels = truth(0)
    labels[:3] = 7
    save_mask(root / "masks" / "scene_0.png", labels)
    for kind in ("images", "masks"):
        (root / kind / "scene_0.png").rename(root / kind / "my scene, 0.png")
    assert run(["check", str(root), "--fix", str(out)]) == 0
    spec = open_dataset(out)
    items = {item.id: item for items in spec.splits.values() for item in items}
    expected = np.where(labels == 7, 255, labels)
    assert np.array_equal(read_sample(spec, items["my_scene_0"]).labels, expected)
    assert not [path for path in out.parent.iterdir() if path != out]


def test_fix_of_a_folder_where_only_the_owner_knows(make_folder: Make, tmp_path: Path, capsys) -> None:
    root, out = make_folder(6), tmp_path / "fixed"
    describe(root)
    only_0_and_255(root)
    assert run(["check", str(root), "--fix", str(out)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("fullconv: ")
    assert "is 255 a class or unlabelled? --fix cannot know; write one of these lines" in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_fix_refuses_what_exists_what_lies_inside_and_an_empty_split(make_folder: Make, tmp_path: Path, capsys) -> None:
    root = make_folder(4)
    describe(root)
    lists(root, [0, 1, 2], [3])
    for out, words in ((tmp_path, "exists; --fix writes a new folder"), (root / "new", "lies in the data set itself")):
        assert run(["check", str(root), "--fix", str(out)]) == 2
        said = capsys.readouterr()
        assert words in said.err
        assert said.out == ""  # refused before anything is read
    (root / "images" / "scene_3.png").write_bytes(b"broken")
    assert run(["check", str(root), "--fix", str(tmp_path / "out")]) == 3
    assert "nothing of split val would be left (1 unreadable)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [root.name]


def test_fix_leaves_nothing_half_written(make_folder: Make, tmp_path: Path, capsys, monkeypatch) -> None:
    root = make_folder(4)
    describe(root)
    calls = []

    def full(*args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fullconv.formats.write.folder.write_mask", full)
    assert run(["check", str(root), "--fix", str(tmp_path / "out")]) == 1
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [root.name]


def test_fix_draws_outlines_as_masks(shared: Path, tmp_path: Path) -> None:
    source, out = shared / "data" / "labelme", tmp_path / "fixed"
    assert run(["check", str(source), "--fix", str(out)]) == 0
    before, after = open_dataset(source), open_dataset(out)
    assert before.classes.names == after.classes.names
    for split, items in before.splits.items():
        for old, new in zip(items, after.splits[split], strict=True):
            assert np.array_equal(read_sample(before, old).labels, read_sample(after, new).labels)


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_needs_no_other_file(make_folder: Make, tmp_path: Path) -> None:
    root, page = make_folder(8), tmp_path / "page.html"
    describe(root, classes=["ground", "<b>disc</b>", "square", "triangle", "ring"])
    lists(root, [0, 1, 2, 3], [4, 5, 6, 7])
    for kind in ("images", "masks"):
        copy(root, kind, 2, 6)
    strange_id(root)
    assert run(["check", str(root), "--html", str(page)]) == 3
    text = page.read_text()
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', text))
    assert not re.search(r"<script|<link|@import|url\(|https?://", text)
    assert "&lt;b&gt;disc&lt;/b&gt;" in text
    assert "<b>disc</b>" not in text
    for words in (
        "1 problem: training would go wrong", "<svg", "Samples of train", "Samples of val", "Images with problems",
        "train: images/scene_1.png (ids)", "holds id 9", "leak: 1 image of val is also in train",
        "train: images/scene_2",
    ):  # fmt: skip
        assert words in text, words
    # 3 sound pictures of train and 4 of val with their labels, the leak's pair, the faulty image and its mask
    assert text.count("<img ") == 2 * (3 + 4) + 2 + 2


def test_a_page_of_the_built_in_scenes(tmp_path: Path) -> None:
    assert run(["check", "shapes:train=4,val=2", "--html", str(tmp_path / "p.html")]) == 0
    assert (tmp_path / "p.html").read_text().count("<img ") == 2 * 6
