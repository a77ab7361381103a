from __future__ import annotations

from math import nan
from pathlib import Path

import pytest

import fullconv
from fullconv import draw
from fullconv.data import Item, read_sample
from fullconv.data.sources import FileImage
from fullconv.training import drawing, pictures
from fullconv.training.ending import ending
from fullconv.training.run_folder import RunFolder


def test_extremes_are_the_lowest_and_highest_known_scores() -> None:
    scores = {(0, "a"): 0.5, (0, "b"): 0.1, (1, "a"): 0.9, (0, "c"): nan, (0, "d"): 0.2, (0, "e"): 0.8}
    assert pictures.extremes(scores) == {(0, "b"): "worst", (0, "d"): "worst", (0, "e"): "best", (1, "a"): "best"}
    assert pictures.extremes({(0, "a"): 0.5, (0, "b"): 0.1, (0, "c"): 0.2}) == {}


def test_a_sheet_shows_the_fixed_images_and_the_worst_and_best_of_val(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[draw.Row]] = []
    kept = draw.contact_sheet
    monkeypatch.setattr(
        draw, "contact_sheet", lambda rows, *rest, **more: drawn.append(list(rows)) or kept(rows, *rest, **more)
    )
    data = "shapes:height=32,width=32,train=4,val=12"
    small = {"encoder": "resnet10t", "encoder_weights": "none", "epochs": 1, "crop": (32, 32), "batch_size": 4}
    run = fullconv.train(data, tmp_path / "run", workers=0, **small)
    spec, segmenter = fullconv.open_dataset(data), run.segmenter()
    items = spec.split("val")
    scores = {}
    for item in items:
        sample = read_sample(spec, item)
        labels = segmenter.predict_pixels(sample.image).labels
        scores[item.id] = pictures.sheet_row(item.id, sample, [labels], spec.classes).scores[0]
    order = sorted(scores, key=lambda name: (scores[name], name))
    rows = {row.name: row for row in drawn[0]}
    assert list(rows)[:4] == [item.id for item in pictures.sheet_items(items)]
    assert {name for name, row in rows.items() if row.note == "worst"} == set(order[:2])
    assert {name for name, row in rows.items() if row.note == "best"} == set(order[-2:])
    for name, row in rows.items():
        assert row.scores[0] == pytest.approx(scores[name])


@pytest.mark.parametrize("count", range(1, 12))
def test_no_image_is_shown_twice(count: int) -> None:
    items = fullconv.open_dataset(f"shapes:train=1,val={count}").split("val")
    shown = [item.id for item in pictures.sheet_items(items)]
    assert len(set(shown)) == len(shown) == min(count, 4)
    assert shown == sorted(shown)


def test_drawing_takes_a_tenth_of_the_time_and_ends_with_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, drawn, told = [0.0], [], []

    def draw() -> None:
        drawn.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(drawing.time, "monotonic", lambda: clock[0])
    pace = drawing.Drawing(draw, told.append)
    for _ in range(9):
        clock[0] += 8.0
        pace.after_epoch()
    assert drawn == [8.0, 34.0, 60.0]  # epochs of 8 seconds: the first, then 20 seconds after the last ended
    pace.at_end()
    pace.at_end()
    assert drawn == [8.0, 34.0, 60.0, 78.0]
    assert told == [2.0] * 4


def test_the_sheet_that_is_shown_is_the_best_epoch_s_or_the_last(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "pictures").mkdir()
    run.write_scores({"epoch": 5})
    assert ending(run, "data")[0] == "next:"
    for epoch in (1, 999, 1000):
        (tmp_path / f"pictures/epoch_{epoch:03d}.png").touch()
    assert ending(run, "data")[0] == f"pictures: {tmp_path / 'pictures/epoch_1000.png'}"
    (tmp_path / "pictures/epoch_005.png").touch()
    assert ending(run, "data")[0] == f"pictures: {tmp_path / 'pictures/epoch_005.png'}"


def test_the_last_line_names_an_image_that_is_there(tmp_path: Path) -> None:
    scene = fullconv.open_dataset("shapes:height=32,width=32,train=1,val=1").split("val")[0]
    RunFolder(tmp_path).write_scores({"epoch": 1})

    def last(*images: FileImage) -> str:
        return ending(RunFolder(tmp_path), "data", val=[Item("a", one, scene.annotation) for one in images])[-1]

    ours = f"  fullconv predict {tmp_path}"
    assert last(FileImage(Path("my photos/a.png"))) == f"{ours} 'my photos/a.png' --out predicted --overlay"
    assert last() == f"{ours} PHOTOS --out predicted --overlay"
    assert last(FileImage(Path("a.tar"))) == f"{ours} PHOTOS --out predicted --overlay"
    assert ending(RunFolder(tmp_path), "shapes", val=[scene])[-1] == f"  fullconv evaluate {tmp_path} shapes"
