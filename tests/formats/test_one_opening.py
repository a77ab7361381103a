"""Training and checking open data in one way: what one refuses the other names, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fullconv.checking.check import check
from fullconv.cli.main import run
from fullconv.errors import DataError
from fullconv.formats.open import open_as_far_as_it_goes, open_dataset
from fullconv.formats.problems import OpeningKind
from tests.builders import coco, labelme, layouts, yolo
from tests.builders.layouts import FAULTS, LAYOUTS, NAMES, OF_LISTS, Built, camvid_form, plain, voc_form

Fault = Callable[[Built], None]
ONLY_OPENING = set(get_args(OpeningKind)) - {"undecided", "unreadable"}
"""Kinds that only opening finds; the others may also be found where a file is read."""
OTHERWISE: dict[tuple[Callable[[Path], Built], Fault], list[str]] = {
    (voc_form, layouts.two_of_a_name): [],  # its lists name files, of which one is found first
    (voc_form, layouts.jpeg_mask): ["unpaired"],  # masks in these forms are PNG files
    (voc_form, layouts.below_0): ["end"],  # so that none is left
    (camvid_form, layouts.two_of_a_name): [],
    (camvid_form, layouts.jpeg_mask): ["unpaired"],
    (camvid_form, layouts.below_0): ["end"],
}
"""What is found in a layout, where that is something else than in all others."""
OF_READING = (
    layouts.broken_mask, layouts.blank_class, layouts.class_twice, layouts.wrong_class_dict, layouts.only_0_and_255,
    layouts.in_colours, layouts.instances, layouts.nothing_labelled,
)  # fmt: skip
"""What does not hinder the opening of a public form, whose classes are known: found where a mask is read, if at all."""


def kinds_found(root: Path) -> list[str]:
    """What a check names; it must be what training refuses."""
    error = end = spec = None
    try:
        spec = open_dataset(root)
    except DataError as refused:
        error = str(refused)
    try:
        left, problems = open_as_far_as_it_goes(root)
    except DataError as refused:
        end = str(refused)
    if end is not None:
        assert error is not None
        assert end.startswith(error)
        return ["end"]
    assert (error is None) == (not problems)
    report = check(root)
    found = {finding.text: finding for finding in report.findings if finding.problem}
    assert {problem.text for problem in problems} <= set(found)
    if error is None:
        assert spec is not None
        assert repr(dict(spec.splits)) == repr(dict(left.splits))  # outlines are arrays
        assert replace(spec, splits={}) == replace(left, splits={})
        assert not ONLY_OPENING & {finding.kind for finding in found.values()}
    else:
        assert error == problems[0].line
    return [problem.kind for problem in problems]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_good_data_open_alike(layout: Callable[[Path], Built], tmp_path: Path) -> None:
    built = layout(tmp_path / "data")
    assert kinds_found(built.given) == []
    if layout.__name__ != "camvid_form":
        (built.root / "classes.txt").write_text(NAMES)
        assert kinds_found(built.given) == []
        assert open_dataset(built.given).classes.names == ("ground", "road", "roof")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_what_training_refuses_a_check_names(layout: Callable[[Path], Built], fault: Fault, tmp_path: Path) -> None:
    built = layout(tmp_path / "data")
    if fault in OF_LISTS and built.lists is None:
        return
    fault(built)
    expected = OTHERWISE.get((layout, fault), [FAULTS[fault]])
    if layout is camvid_form and fault in OF_READING:
        expected = []
    assert list(dict.fromkeys(kinds_found(built.given))) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=st.sampled_from(LAYOUTS), faults=st.lists(st.sampled_from(list(FAULTS)), max_size=4))
def test_whatever_is_wrong_at_once(
    layout: Callable[[Path], Built], faults: list[Fault], tmp_path_factory: pytest.TempPathFactory
) -> None:
    built = layout(tmp_path_factory.mktemp("data") / "data")
    for fault in dict.fromkeys(faults):
        if fault not in OF_LISTS or built.lists is not None:
            fault(built)
    kinds_found(built.given)


def exit_codes(root: Path, out: Path) -> list[int]:
    return [run(["check", str(root)]), run(["train", str(root), "--out", str(out)])]


@pytest.mark.parametrize(
    "spoil", [layouts.class_twice, layouts.class_twice_in_yaml, layouts.blank_class, layouts.unknown_field]
)
def test_both_verbs_leave_with_the_code_of_bad_data(
    spoil: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = plain(tmp_path / "data")
    spoil(built)
    assert exit_codes(built.root, tmp_path / "run") == [3, 3]
    printed = capsys.readouterr()
    line = printed.err.removeprefix("fullconv: ").splitlines()[-1]
    assert line.partition("; ")[0] in " ".join(printed.out.split())


def test_a_wrong_line_of_names_keeps_its_number(tmp_path: Path) -> None:
    built = plain(tmp_path / "data")
    (built.root / "classes.txt").write_text("ground\n\nroof\n")
    (spec, problems), wrong = open_as_far_as_it_goes(built.root), check(built.root)
    assert spec.classes.names == ("ground", "line 2", "roof")
    assert [problem.files for problem in problems] == [()]
    (built.root / "classes.txt").write_text(NAMES)
    right = check(built.root)
    assert right.problems == []
    for split in ("train", "val"):
        assert right.pixels[split].tolist() == wrong.pixels[split].tolist()


@pytest.mark.parametrize("layout", [layouts.by_lists, voc_form], ids=lambda layout: layout.__name__)
def test_names_with_blanks_in_lists(layout: Callable[[Path], Built], tmp_path: Path) -> None:
    built = layout(tmp_path / "data")
    assert built.lists is not None
    for path in (built.images[0], built.masks[0]):
        path.rename(path.with_name("my photo.png"))
    built.lists.write_text("my photo\np1.png p1_again.png\np2\n")
    assert kinds_found(built.given) == []
    assert [item.id for item in open_dataset(built.given).split("train")] == ["my photo", "p1", "p2"]


def test_all_parts_of_a_mixture_are_named(tmp_path: Path) -> None:
    first, second = plain(tmp_path / "a"), layouts.labels_beside(tmp_path / "b")
    layouts.no_mask(first)
    layouts.only_0_and_255(first)
    layouts.only_0_and_255(second)
    mixed = f"{first.root}+{second.root}"
    _, problems = open_as_far_as_it_goes(mixed)
    assert [problem.kind for problem in problems] == ["unpaired", "undecided", "undecided"]
    with pytest.raises(DataError, match="1 of 6 images have no mask"):
        open_dataset(mixed)
    assert [finding.kind for finding in check(mixed).findings if finding.problem][:3] == [p.kind for p in problems]


def test_beside_good_data_bad_ones_are_left_out_by_both(tmp_path: Path) -> None:
    good, bad = plain(tmp_path / "all" / "good"), plain(tmp_path / "all" / "bad")
    layouts.no_mask(bad)
    assert kinds_found(tmp_path / "all") == []
    spec = open_dataset(tmp_path / "all")
    assert spec.root == good.root
    assert any("beside it is left out" in reason and "have no mask" in reason for reason in spec.reasons)
    layouts.no_mask(good)  # then the first counts
    assert kinds_found(tmp_path / "all") == ["unpaired"]
    assert open_as_far_as_it_goes(tmp_path / "all")[0].root == bad.root


def test_many_values_are_no_classes_but_are_counted(tmp_path: Path) -> None:
    """Masks of instances may hold any number; that is said, and costs no memory."""
    built = plain(tmp_path / "data")
    for number, path in enumerate(built.masks):
        path.unlink()
        ids = np.arange(12 * 16).reshape(12, 16).astype(np.int32) * 9_000_000 + number
        tifffile.imwrite(path.with_suffix(".tif"), ids)
    assert kinds_found(built.root) == ["undecided"]
    spec, _ = open_as_far_as_it_goes(built.root)
    assert len(spec.classes) == 1000
    assert spec.classes.names[:2] == ("value_0", "value_1")


def test_fix_is_refused_where_only_the_owner_can_settle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, spoil in enumerate((layouts.class_twice, layouts.unknown_field, layouts.in_colours)):
        built = plain(tmp_path / f"data{number}")
        spoil(built)
        assert run(["check", str(built.root), "--fix", str(tmp_path / "fixed")]) == 3
        assert "--fix cannot know; " in capsys.readouterr().err
        assert not (tmp_path / "fixed").exists()


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_fixed_copy_opens(layout: Callable[[Path], Built], tmp_path: Path) -> None:
    """Whatever the layout: what belongs to no pair is left out of the copy."""
    built = layout(tmp_path / "data")
    layouts.no_mask(built)
    if built.lists is not None:
        layouts.listed_outside(built)
    check(built.given, fix=tmp_path / "fixed")
    assert sum(len(items) for items in open_dataset(tmp_path / "fixed").splits.values()) == 5


def labelme_files(root: Path) -> None:
    for name in "abc":
        labelme.write(root, labelme.shape("rectangle", (2, 2), (20, 20)), name=name)


def yolo_list(root: Path) -> None:
    yolo.describe(root, train="train.txt")
    for name in "abc":
        yolo.put(root, f"images/{name}.png", yolo.SQUARE)
    (root / "train.txt").write_text("images/a.png\nimages/b.png\nimages/c.png\n")


def coco_file(root: Path) -> None:
    images = [{"id": i, "file_name": f"{name}.png", "height": 8, "width": 10} for i, name in enumerate("abc")]
    outline = {"category_id": 1, "segmentation": [coco.box(2, 2, 6, 6)], "area": 16, "iscrowd": 0}
    annotations = [{"id": i + 1, "image_id": i, **outline} for i in range(3)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "roof"}]}
    (root / "images").mkdir(parents=True)
    (root / "result.json").write_text(json.dumps(content))
    for name in "abc":
        Image.new("RGB", (10, 8)).save(root / "images" / f"{name}.png")


def label_studio_tasks(root: Path) -> None:
    value = {"x": 10, "y": 10, "width": 40, "height": 40, "rotation": 0, "rectanglelabels": ["roof"]}
    result = {"type": "rectanglelabels", "original_width": 10, "original_height": 8, "value": value}
    tasks = [
        {"id": i, "data": {"image": f"images/{name}.png"}, "annotations": [{"id": i, "result": [result]}]}
        for i, name in enumerate("abc")
    ]
    (root / "images").mkdir(parents=True)
    (root / "tasks.json").write_text(json.dumps(tasks))
    for name in "abc":
        Image.new("RGB", (10, 8)).save(root / "images" / f"{name}.png")


def cvat_file(root: Path) -> None:
    shape = '<box label="roof" xtl="1" ytl="1" xbr="5" ybr="5" z_order="0"/>'
    images = "".join(
        f'<image id="{i}" name="{name}.png" width="10" height="8">{shape}</image>' for i, name in enumerate("abc")
    )
    (root / "images").mkdir(parents=True)
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{images}</annotations>")
    for name in "abc":
        Image.new("RGB", (10, 8)).save(root / "images" / f"{name}.png")


@pytest.mark.parametrize("name", "ac")
@pytest.mark.parametrize("export", [labelme_files, yolo_list, coco_file, label_studio_tasks, cvat_file])
def test_exports_with_an_image_that_is_missing(export: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    """The others are read; one of two damaged ones does not hide the other."""
    root = tmp_path / "data"
    export(root)
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        with Image.open(path) as picture:
            width, height = picture.size
        noise = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(noise).save(path)  # no two are alike
    assert kinds_found(root) == []
    next(root.rglob(f"{name}.png")).unlink()
    assert kinds_found(root) in (["unpaired"], ["unreadable"])
    spec, problems = open_as_far_as_it_goes(root)
    left = {item.id.rpartition("/")[2] for items in spec.splits.values() for item in items}
    assert left == set("abc") - {name}
    assert f"{name}.png" in problems[0].text
    check(root, fix=tmp_path / "fixed")
    assert f"{name}.png" in (tmp_path / "fixed" / "fixed.txt").read_text()
