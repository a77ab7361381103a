"""Wrong masks are found where they are, images are chosen, and what a tool saves comes back as it was."""

from __future__ import annotations

import dataclasses
import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.cli.main import run
from fullconv.data.sample import read_sample
from fullconv.errors import DataError, UsageError
from fullconv.reviewing import choose
from fullconv.reviewing import review as reviewing
from fullconv.reviewing.result import joined
from tests.builders.colours import CLASSES, folder, picture, scene, segmenter
from tests.builders.commands import complaint
from tests.builders.consumers import python_with, run_script


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six images with masks, of which one calls its disc a ring and another a part of its background; two without."""
    root = folder(tmp_path / "data", 6, 2)
    wrong = scene(2)
    wrong[wrong == 1] = 2
    Image.fromarray(wrong).save(root / "masks" / "scene_2.png")
    wrong = scene(4)
    wrong[:8, 40:60] = 2
    Image.fromarray(wrong).save(root / "masks" / "scene_4.png")
    return root


def test_wrong_regions_are_found_where_they_are(data: Path, tmp_path: Path) -> None:
    found = fullconv.review(segmenter(), data, out=tmp_path / "r.html", json=tmp_path / "r.json", workers=0)
    rows, columns = np.nonzero(scene(2) == 1)
    disc = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert {(one.image, one.label, one.predicted, one.box, one.pixels, one.share) for one in found.places} == {
        ("scene_2", "ring", "disc", disc, 14 * 14, 1.0), ("scene_4", "ring", "background", (40, 0, 60, 8), 160, 1.0),
    }  # fmt: skip
    assert all(one.times > 50 and one.sure > 0.98 for one in found.places)
    assert [mask.image for mask in found.masks[:2]] == [one.image for one in found.places]
    assert [mask.places for mask in found.masks] == [1, 1, 0, 0, 0, 0]
    assert [(one.name, one.places) for one in found.by_class] == [("background", 0), ("disc", 0), ("ring", 2)]
    assert {one.image for one in found.label_next} == {"scene_6", "scene_7"}
    said = json.loads((tmp_path / "r.json").read_text())
    assert [one["image"] for one in said["images"]] == [mask.image for mask in found.masks]
    assert said["classes"][0]["name"] == "ring"
    assert said["places"][0]["times"] == pytest.approx(math.exp(found.places[0].score), rel=1e-3)
    page = (tmp_path / "r.html").read_text()
    assert page.count('class="place"') == 2
    assert page.count("<img") == 2 * 4 + 2 * 3
    assert "2 of " in found.lines()[0]
    assert repr(found).startswith("Review(2 of ")


def test_right_masks_are_left_alone(tmp_path: Path) -> None:
    found = fullconv.review(segmenter(), folder(tmp_path / "data"), workers=0)
    assert found.places == ()
    assert found.label_next == ()
    assert any("nothing to label next" in note for note in found.notes)


def test_clean_data_have_a_report_and_no_tasks(tmp_path: Path) -> None:
    out, json_, tasks = (tmp_path / name for name in ("r.html", "r.json", "t"))
    found = fullconv.review(
        segmenter(), folder(tmp_path / "data"), out=out, json=json_, to="labelme", tasks=tasks, workers=0
    )
    assert out.is_file()
    assert json_.is_file()
    assert not tasks.exists()
    assert any("not written, no mask is doubtful" in note for note in found.notes)


def test_a_fault_of_the_tasks_leaves_the_report(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reviewing, "write_tasks", full)
    out, json_ = tmp_path / "r.html", tmp_path / "r.json"
    with pytest.raises(OSError, match="No space"):
        fullconv.review(segmenter(), data, out=out, json=json_, to="cvat", tasks=tmp_path / "t", workers=0)
    assert out.is_file()
    assert len(json.loads(json_.read_text())["images"]) == 6


def test_of_many_images_no_table_of_all_distances_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    features, labelled, entropy = chance.random((2000, 6)), chance.random((300, 6)), chance.random(2000)
    made = choose.chosen(entropy, features, labelled, 5)
    monkeypatch.setattr(choose, "BLOCK", 16)
    tracemalloc.start()
    again = choose.chosen(entropy, features, labelled, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 450_000  # features of all are 200 kB; with 2000 x 16 distances at once it was 900 kB
    assert [one.image for one in again] == [one.image for one in made]
    usual = np.concatenate([features, labelled]).mean(0) + choose.RAREST
    scaled, near = features / usual, labelled / usual
    nearest = np.linalg.norm(scaled[:, None] - near[None], axis=2).min(1)
    assert again[0].image == int((entropy * nearest).argmax())
    assert again[0].distance == pytest.approx(nearest[again[0].image])


def test_only_the_split_that_is_asked_for(data: Path) -> None:
    whole = fullconv.review(segmenter(), data, workers=0)
    parts = [fullconv.review(segmenter(), data, split=split, workers=0) for split in ("train", "val")]
    assert sum(len(part.masks) for part in parts) == len(whole.masks) == 6
    together = joined(parts)
    assert sorted(one.image for one in together.places) == ["scene_2", "scene_4"]
    assert [one.score for one in together.places] == sorted((one.score for one in together.places), reverse=True)
    assert [one.regions for one in together.by_class] == [one.regions for one in whole.by_class]


def test_a_model_that_learned_from_the_masks_says_so(data: Path) -> None:
    model = segmenter()
    model.provenance = {"data": "data"}
    assert any("learned their mistakes" in note for note in fullconv.review(model, data, workers=0).notes)
    assert not any(
        "learned their mistakes" in note for note in fullconv.review(model, data, split="val", workers=0).notes
    )


def test_a_folder_of_images_alone(tmp_path: Path) -> None:
    """The undecided and the different first: of equal images only one is in the first two."""
    (tmp_path / "photos").mkdir()
    blurred = (picture(scene(1)) * 0.5).astype(np.uint8)
    for name, image in {"a": picture(scene(0)), "b": blurred, "c": blurred, "d": blurred // 2 + 60}.items():
        Image.fromarray(image).save(tmp_path / "photos" / f"{name}.png")
    found = fullconv.review(segmenter(), tmp_path / "photos", budget=3)
    assert found.masks == ()
    assert found.without_mask == 4
    assert {found.label_next[0].image, found.label_next[1].image} in ({"b", "d"}, {"c", "d"})
    assert found.label_next[0].distance == 1


@pytest.mark.parametrize("to", ["cvat", "label-studio", "labelme"])
def test_tasks_come_back_as_they_were(to: str, data: Path, tmp_path: Path) -> None:
    """Nothing is changed in the tool: the masks are the same pixel by pixel, and what was predicted is a mask now."""
    model, out = segmenter(), tmp_path / "tasks"
    fullconv.review(model, data, to=to, tasks=out, workers=0)
    if to == "label-studio":  # what is submitted unchanged
        tasks = json.loads((out / "tasks.json").read_text())
        export = [{**task, "id": i, "annotations": task.pop("predictions")} for i, task in enumerate(tasks)]
        (out / "tasks.json").write_text(json.dumps(export))
    assert not fullconv.check(out).problems
    before = {
        item.id: read_sample(spec, item).labels
        for spec in [fullconv.open_dataset(folder_without_bare(data, tmp_path / "masked"))]
        for items in spec.splits.values()
        for item in items
    }
    after = fullconv.open_dataset(out)
    names = [name.strip("_") for name in after.classes.names]
    assert names == list(CLASSES.names)
    found = {
        item.id.rpartition("/")[2]: read_sample(after, item).labels for items in after.splits.values() for item in items
    }
    assert set(found) == {"scene_2", "scene_4", "scene_6", "scene_7"}
    for name in ("scene_2", "scene_4"):
        np.testing.assert_array_equal(found[name], before[name])
    for number in (6, 7):
        np.testing.assert_array_equal(found[f"scene_{number}"], scene(number))
    converted = fullconv.convert(out, tmp_path / "corrected")
    assert sum(converted.images.values()) == 4


def folder_without_bare(data: Path, out: Path) -> Path:
    """A copy of those images that have a mask."""
    for kind in ("images", "masks"):
        (out / kind).mkdir(parents=True)
        for mask in (data / "masks").iterdir():
            (out / kind / mask.name).write_bytes((data / kind / mask.name).read_bytes())
    (out / "dataset.yaml").write_bytes((data / "dataset.yaml").read_bytes())
    return out


def test_label_studio_reads_the_brushes(data: Path, tmp_path: Path) -> None:
    """By its own decoder."""
    python = python_with("label_studio_sdk", "FULLCONV_LABEL_STUDIO_PYTHON")
    fullconv.review(segmenter(), data, to="label-studio", tasks=tmp_path / "tasks", workers=0)
    script = """
import json, sys
import numpy as np
from label_studio_sdk.converter.brush import decode_rle
from label_studio_sdk.label_interface import LabelInterface
tasks = json.load(open(sys.argv[1] + "/tasks.json"))
interface = LabelInterface(open(sys.argv[1] + "/label_config.xml").read())
interface.validate()
shown = {}
for task in tasks:
    for one in task["predictions"]:
        assert not interface.validate_prediction(one, return_errors=True)
    size = None
    for result in task["predictions"][0]["result"]:
        size = result["original_height"], result["original_width"]
        mask = decode_rle(result["value"]["rle"]).reshape(*size, 4)[..., 3] > 0
        labels = shown.setdefault(task["data"]["image"].rpartition("/")[2], np.zeros(size, np.uint8))
        labels[mask] = ["background", "disc", "ring"].index(result["value"]["brushlabels"][0])
np.savez(sys.argv[2], **shown)
"""
    run_script(python, script, tmp_path / "tasks", tmp_path / "seen.npz")
    with np.load(tmp_path / "seen.npz") as seen:
        for number in (6, 7):
            np.testing.assert_array_equal(seen[f"scene_{number}.png"], scene(number))


def test_the_command_and_bad_input(model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    for number in range(2):
        Image.fromarray(picture(scene(number))).save(small / f"{number}.png")
    command = ["review", str(model), str(small), "--out", str(tmp_path / "r.html"), "--device", "cpu"]
    assert run([*command, "--json", str(tmp_path / "r.json"), "--budget", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 images without a mask to label next" in said
    assert f"written: {tmp_path / 'r.html'}" in said
    assert len(json.loads((tmp_path / "r.json").read_text())["label_next"]) == 1
    (tmp_path / "there").mkdir()
    for more, words in {
        ("--budget", "0"): "1 or more",
        ("--to", "cvat"): "give both",
        ("--tasks", str(tmp_path / "new")): "give both",
        ("--to", "cvat", "--tasks", str(tmp_path / "there")): "exists",
        ("--json", str(tmp_path / "there")): "is a folder",
    }.items():
        assert run([*command, *more]) == 2
        assert words in complaint(capsys)
    assert run(["review", str(model), str(data), "--out", str(tmp_path / "x.html"), "--split", "odd"]) == 3
    complaint(capsys)
    assert not (tmp_path / "x.html").exists()


def test_there_has_to_be_something_to_review(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such tool"):
        fullconv.review(segmenter(), folder(tmp_path / "d"), to="paint", tasks=tmp_path / "t")
    spec = fullconv.open_dataset(tmp_path / "d")
    with pytest.raises(DataError, match="no image to review"):
        fullconv.review(segmenter(), dataclasses.replace(spec, splits={"train": []}))
