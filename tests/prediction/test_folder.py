"""Folders: images are read ahead, go together where they are of one size, and are written behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from fullconv.cli.main import run
from fullconv.crf import CRF
from fullconv.errors import FullconvError, UsageError
from fullconv.label_map import Prediction
from fullconv.prediction import read_ahead, write_behind
from fullconv.prediction.files import predict
from fullconv.prediction.inputs import Input
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size, predict_together
from fullconv.segmenter import Segmenter
from fullconv.views import Views
from tests.builders.commands import complaint

SIZES = [(32, 48), (40, 40), (32, 48), (64, 32), (32, 48), (40, 40), (300, 280), (32, 48), (40, 40), (1, 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of some sizes, each of other pixels."""
    random = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        place = tmp_path / "in" / ("deep" if number % 2 else "") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
    return tmp_path / "in"


def masks(out: Path) -> dict[str, np.ndarray]:
    return {path.relative_to(out).as_posix(): np.asarray(Image.open(path)) for path in sorted(out.rglob("*.png"))}


def test_labels_are_those_of_each_image_alone(model: Segmenter, folder: Path, tmp_path: Path, monkeypatch) -> None:
    passes = []
    compute = model.runner.coarse_logits
    monkeypatch.setattr(model.runner, "coarse_logits", lambda pixels: (passes.append(len(pixels)), compute(pixels))[1])
    result = predict(model, folder, tmp_path / "out")
    assert sorted(passes) == [1, 1, 1, 3, 4]
    found = masks(tmp_path / "out")
    assert len(found) == len(SIZES) == len(result.written)
    for name, labels in found.items():
        assert np.array_equal(labels, model.predict(folder / name).labels), name


def test_images_come_in_order_and_a_broken_one_is_counted(model: Segmenter, folder: Path, tmp_path: Path) -> None:
    (folder / "1.png").write_bytes(b"broken")
    Image.open(folder / "2.png").save(folder / "3.jpg")
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:300])  # its header is whole
    told: list[tuple[str, bool, int, int]] = []
    watch = lambda path, error, some, every: told.append((path.name, bool(error), some, every))  # noqa: E731
    result = predict(model, folder, tmp_path / "out", progress=watch)
    names = ["0.png", "1.png", "2.png", "3.jpg", "4.png", "6.png", "8.png", *(f"{odd}.png" for odd in (1, 3, 5, 7, 9))]
    assert told == [(name, i in (1, 3), i + 1, 12) for i, name in enumerate(names)]
    assert [path.stem for path in result.written] == [name[0] for i, name in enumerate(names) if i not in (1, 3)]
    assert len(result.failed) == 2
    assert "1.png: not an image" in result.failed[0]
    assert "3.jpg: truncated, it ends too early" in result.failed[1]


def test_an_image_with_scores_that_are_not_finite_spoils_none_beside_it(
    model: Segmenter, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    bad = np.asarray(Image.open(folder / "2.png")).astype(np.float32)
    compute = model.runner.coarse_logits

    def spoiled(pixels: torch.Tensor) -> tuple[torch.Tensor, object]:
        logits, window = compute(pixels)
        for image, scores in zip(pixels, logits, strict=True):
            if image.shape[1:] == bad.shape[:2] and np.array_equal(image.permute(1, 2, 0).numpy(), bad):
                scores[0, 0, 0] = torch.nan
        return logits, window

    monkeypatch.setattr(model.runner, "coarse_logits", spoiled)
    result = predict(model, folder, tmp_path / "out")
    assert len(result.written) == len(SIZES) - 1
    (line,) = result.failed
    assert "2.png" in line
    assert "not finite" in line


def test_what_is_not_written_stops_the_run(model: Segmenter, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "2.png").mkdir(parents=True)
    with pytest.raises(FullconvError, match=r"2\.png: cannot be written"):
        predict(model, folder, tmp_path / "out")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read(model: Segmenter, folder: Path, tmp_path: Path) -> None:
    Image.open(folder / "0.png").save(folder / "photo.avif", quality=90)
    assert tmp_path / "out" / "photo.png" in predict(model, folder, tmp_path / "out").written
    decoded = np.asarray(Image.open(folder / "photo.avif").convert("RGB"))
    assert np.array_equal(masks(tmp_path / "out")["photo.png"], model.predict(decoded).labels)


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "images", "most"), [(1000, 32, 3), (1 << 20, 4, 4), (10, 32, 2)])
def test_no_more_is_read_ahead_than_there_is_room_for(monkeypatch, room: int, images: int, most: int) -> None:
    monkeypatch.setattr(read_ahead, "ROOM", room)
    monkeypatch.setattr(read_ahead, "IMAGES_AHEAD", images)
    begun = [0]

    def read(name: int) -> np.ndarray:
        begun[0] += 1
        return np.zeros((10, 10, 3), np.uint8)

    taken = 0
    for batch in read_ahead.read_ahead(range(200), lambda name: read_ahead.Look((10, 10)), read, lambda size: 1, 3):
        (one,) = batch
        assert one.index == taken
        assert one.pixels is not None
        one.pixels.result()
        assert begun[0] - taken <= most + 1
        taken += 1
    assert taken == 200


def test_batches_are_of_one_size_by_the_order_of_their_first() -> None:
    sizes = [(1, 1), (2, 2), (1, 1), None, (2, 2), (1, 1), (2, 2), (1, 1)]
    looks = [read_ahead.Look(size) for size in sizes]
    found = read_ahead.read_ahead(
        range(8), lambda name: looks[name], lambda name: np.zeros(1), lambda size: 1 + size[0], 3
    )
    assert [[one.index for one in batch] for batch in found] == [[0, 2], [1, 4, 6], [3], [5, 7]]


def test_no_more_waits_to_be_written_than_there_is_room_for(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(write_behind, "ROOM", 25)
    written: list[int] = []
    told: list[int] = []
    with write_behind.WriteBehind(lambda index, future: told.append(index)) as writes:
        for index in range(50):
            writes.write(index, 10, lambda index=index: (written.append(index), tmp_path)[1])
            assert index + 1 - len(written) <= 2 + 1
    assert told == list(range(50))
    assert sorted(written) == told


@pytest.mark.parametrize("asked", [{"crf": CRF()}, {"tile": 32}, {"instances": True}, {"views": Views(flip=True)}])
def test_what_needs_more_than_scores_goes_alone(model: Segmenter, asked: dict[str, object]) -> None:
    assert batch_size(model, Settings(), (40, 40)) == 8
    assert batch_size(model, Settings(overlay=True), (256, 256)) == 4
    assert batch_size(model, Settings(), (400, 400)) == 1
    assert batch_size(model, Settings(**asked), (40, 40)) == 1


def test_maps_of_images_together_are_those_of_each_alone(model: Segmenter) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8))
    asked = Settings(probabilities=True, confidence=True, entropy=True)
    for image, found in zip(images, predict_together(model, images, ["a", "b", "c"], asked), strict=True):
        alone = model.predict(image, probabilities=True, confidence=True, entropy=True)
        assert isinstance(found, Prediction)
        for kind in ("labels", "probabilities", "confidence", "entropy"):
            assert np.allclose(getattr(found, kind), getattr(alone, kind), atol=1e-3), kind


# -- --resume ---------------------------------------------------------------------------------------------------------


class StopHere(Exception):
    pass


def interrupted(model: Segmenter, folder: Path, out: Path, after: int, **asked: object) -> None:
    def stop(path: Path, error: str, some: int, every: int) -> None:
        if some > after:
            raise StopHere

    with pytest.raises(StopHere):
        predict(model, folder, out, progress=stop, **asked)


def test_resume_does_what_is_left_and_no_more(model: Segmenter, folder: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    interrupted(model, folder, out, 4)
    (out / "0.png").unlink()
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(folder / "2.png")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    told: list[tuple[int, int]] = []
    result = predict(model, folder, out, resume=True, progress=lambda *at: told.append(at[2:]))
    assert 2 <= result.skipped < len(SIZES)
    left = len(SIZES) - result.skipped
    assert told == [(some, left) for some in range(1, left + 1)]
    assert {"0.png", "2.png"} <= {path.name for path in result.written}
    assert sum(path.stat().st_mtime_ns == time for path, time in before.items()) == result.skipped
    assert masks(out)["2.png"].shape == (50, 50)
    assert len(masks(out)) == len(SIZES)
    again = predict(model, folder, out, resume=True)
    assert (again.skipped, again.written) == (len(SIZES), [])


def test_a_run_without_resume_begins_again(model: Segmenter, folder: Path, tmp_path: Path) -> None:
    interrupted(model, folder, tmp_path / "out", 6)
    interrupted(model, folder, tmp_path / "out", 0)
    assert predict(model, folder, tmp_path / "out", resume=True).skipped == 1


def test_masks_made_otherwise_are_not_gone_on_with(model: Segmenter, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = predict(model, folder, out, resume=True)
    assert result.notes == [f"nothing to resume in {out}: all images are predicted"]
    for asked, found in (({"tile": 64}, "tile: 2048, now 64"), ({"overlay": True}, "overlay: False, now True")):
        with pytest.raises(UsageError, match=found):
            predict(model, folder, out, resume=True, **asked)
    weight = next(model.network.parameters())
    with torch.no_grad():
        weight[0] += 1
    try:
        with pytest.raises(UsageError, match="another model"):
            predict(model, folder, out, resume=True)
    finally:
        with torch.no_grad():
            weight[0] -= 1


def test_a_torn_line_counts_as_not_done(model: Segmenter, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(model, folder, out)
    record = out / ".predicted.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + len(SIZES)
    record.write_text("".join(lines[:4]) + lines[4][:20])
    assert predict(model, folder, out, resume=True).skipped == 3
    assert predict(model, folder, out, resume=True).skipped == len(SIZES)


def test_resume_by_the_command(model: Segmenter, folder: Path, tmp_path: Path, capsys) -> None:
    model.save(tmp_path / "model.safetensors")
    command = ["predict", str(tmp_path / "model.safetensors"), str(folder), "--out", str(tmp_path / "out")]
    assert run(command) == 0
    os.unlink(tmp_path / "out" / "deep" / "5.png")
    capsys.readouterr()
    assert run([*command, "--resume"]) == 0
    assert "1 mask in" in (line := capsys.readouterr().out)
    assert "beside 9 that were done before" in line
    assert run([*command, "--resume", "--tile", "64"]) == 2
    assert "leave out --resume to begin again" in complaint(capsys)


def test_objects_of_all_images_are_not_resumed(model: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --resume"):
        predict(model, tmp_path, tmp_path / "out", instances=True, resume=True)
    assert Input(Path("a/b.jpg"), Path("b.jpg")).file(tmp_path, ".png") == tmp_path / "b.png"
