from __future__ import annotations

import http.server
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullconv.cli.main import run
from fullconv.data import Augmentation, Sample, TrainData, read_sample
from fullconv.data.loader import WINDOW, StepSampler, blocks_of, epoch_order, train_batches
from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.formats.containers import far
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.formats.write import webdataset as target
from tests.builders.folders import Make


def first_sample(root: Path) -> Sample:
    spec = open_dataset(root)
    return read_sample(spec, spec.split("train")[0])


@pytest.fixture
def written(make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve samples in shards of two."""
    monkeypatch.setattr(target, "SHARD_SAMPLES", 2)
    return convert(make_folder(12), tmp_path / "shards", "webdataset").out


@pytest.fixture
def served(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the same shards."""
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    handler = partial(_Quiet, directory=written)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")  # its files
def test_the_webdataset_library_reads_what_is_written(written: Path) -> None:
    library = pytest.importorskip("webdataset")
    spec = open_dataset(written)
    ours = {item.id: read_sample(spec, item) for split in ("train", "val") for item in spec.split(split)}
    seen = 0
    for path in sorted(written.glob("*.tar")):
        for sample in library.WebDataset(str(path), shardshuffle=False):
            key = sample["__key__"]
            image = Image.open(io.BytesIO(sample["png"]))
            np.testing.assert_array_equal(np.asarray(image), ours[key].image)
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sample["seg.png"]))), ours[key].labels)
            seen += 1
    assert seen == len(ours) == 12


@pytest.mark.parametrize("mask", ["seg.png", "png"])
def test_what_the_webdataset_library_writes_is_recognised(mask: str, tmp_path: Path) -> None:
    library = pytest.importorskip("webdataset")
    random = np.random.default_rng(0)
    truth = []
    with library.ShardWriter(str(tmp_path / "train-%06d.tar"), maxcount=2, verbose=0) as writer:
        for i in range(5):
            image = random.integers(0, 255, (20, 30, 3), dtype=np.uint8)
            labels = random.integers(0, 3, (20, 30), dtype=np.uint8)
            truth.append(labels)
            writer.write({"__key__": f"dir/{i:03d}", "jpg": Image.fromarray(image), mask: _png(labels), "json": {}})
    spec = open_dataset(tmp_path)
    assert spec.layout == "webdataset"
    assert len(spec.classes) == 3
    items = sorted([*spec.split("train"), *spec.split("val")], key=lambda item: item.id)
    assert [item.id for item in items] == [f"dir/{i:03d}" for i in range(5)]
    for item, labels in zip(items, truth, strict=True):
        np.testing.assert_array_equal(read_sample(spec, item).labels, labels)


def test_far_shards_are_fetched_when_they_are_read(served: str, written: Path, tmp_path: Path) -> None:
    here, far = open_dataset(written), open_dataset(served)
    assert not list((tmp_path / "cache").glob("*/*.tar"))[1:]  # one at most, had the classes been counted
    for split in ("train", "val"):
        for ours, theirs in zip(here.split(split), far.split(split), strict=True):
            np.testing.assert_array_equal(read_sample(here, ours).image, read_sample(far, theirs).image)
    assert len(list((tmp_path / "cache").glob("*/*.tar"))) == len(list(written.glob("*.tar")))


def test_fetched_shards_stay_under_the_limit(
    served: str, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = max(path.stat().st_size for path in written.glob("*.tar"))
    monkeypatch.setenv("FULLCONV_SHARDS_GB", str(2.5 * largest / 1e9))
    spec = open_dataset(served)
    data = TrainData(spec, spec.split("train"), Augmentation((16, 16)), seed=0)
    sampler = StepSampler(len(data), 2, 0, 0, 10, blocks=blocks_of(data.items))
    seen = [batch.ids for batch in train_batches(data, sampler, workers=0)]
    assert len(seen) == 10
    kept = list((tmp_path / "cache").glob("*/*.tar"))
    assert 1 <= len(kept) <= 3
    assert sum(path.stat().st_size for path in kept) <= 2.5 * largest


def test_what_was_fetched_is_used_when_its_server_is_away(served: str, written: Path) -> None:
    near = open_dataset(served)
    for split in near.splits:
        for item in near.split(split):
            read_sample(near, item)
    (written / "index.json").unlink()
    spec = open_dataset(served + "/index.json")
    assert "cannot be reached (there is no such file): what was fetched before is used" in spec.reasons[0]
    read_sample(spec, spec.split("train")[0])


def test_a_wrong_address_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="cannot be fetched"):
        open_dataset("http://127.0.0.1:9/none")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_changed_index_lets_go_of_old_shards(served: str, written: Path, tmp_path: Path) -> None:
    spec = open_dataset(served)
    read_sample(spec, spec.split("train")[0])
    index = json.loads((written / "index.json").read_text())
    index["shards"] = index["shards"][1:]
    (written / "index.json").write_text(json.dumps(index))
    again = open_dataset(served)
    assert len(again.split("train")) == len(spec.split("train")) - 2
    assert not list((tmp_path / "cache").glob("*/*.tar"))


def test_an_address_without_shards_is_refused_in_one_line(
    served: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (written / "index.json").unlink()
    assert run(["check", served]) == 2
    assert "index.json: cannot be fetched" in capsys.readouterr().err


def test_a_shard_that_went_away_is_named(served: str, written: Path) -> None:
    spec = open_dataset(served)
    for path in written.glob("*.tar"):
        path.unlink()
    with pytest.raises(FullconvError, match=r"train-000000\.tar: cannot be fetched \(there is no such file\)"):
        read_sample(spec, spec.split("train")[0])
    assert run(["check", served]) == 1  # at once, not once for each sample


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda index: index["shards"][0].update(file="../train-000000.tar"), "outside its folder"),
        (lambda index: index["shards"][0].update(file="/train-000000.tar"), "outside its folder"),
        (lambda index: index["shards"][0].update(file="C:\\train-000000.tar"), "outside its folder"),
        (lambda index: index["shards"][0].update(bytes=17), "bytes, but index.json says 17"),
        (lambda index: index["shards"][0].update(file="none.tar"), "no such shard"),
        (lambda index: index.update(format=2), "of format 2"),
        (lambda index: index["shards"][0].update(samples=[["a"]]), "not an index of shards"),
        (
            lambda index: index["shards"][0].update(samples=[["a", ".png", 10**9, 10, ".seg.png", 10**9, 1]]),
            "lies outside its",
        ),
    ],
)
def test_a_damaged_index_says_what_is_wrong(spoil: Callable[[dict], None], words: str, written: Path) -> None:
    index = json.loads((written / "index.json").read_text())
    spoil(index)
    (written / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=words):
        first_sample(written)


def test_bad_shards_are_refused(written: Path, tmp_path: Path) -> None:
    (written / "index.json").unlink()
    assert len(open_dataset(written).split("train")) == len(list(written.glob("train*.tar"))) * 2
    last = sorted(written.glob("train*.tar"))[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:700])
    with pytest.raises(DataError, match="not a complete, uncompressed tar"):
        open_dataset(written)
    with tarfile.open(last, "w") as shard:
        shard.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(DataError, match=r"sample a has \.jpg; expected one image and one mask"):
        open_dataset(written)


def test_an_archive_beside_its_folder_is_no_shard(make_folder: Make) -> None:
    root = make_folder(4)
    with tarfile.open(root / "all-2012.tar", "w") as archive:
        archive.add(root / "images", "images")
    assert open_dataset(root).layout == "folder"


def test_no_shard_at_all_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="cannot be fetched"):
        far.mirror("http://127.0.0.1:9/none", ())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_takes_every_sample_once_a_few_blocks_at_a_time(sizes: list[int], seed: int, epoch: int) -> None:
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    order = epoch_order(seed, epoch, len(blocks), blocks)
    assert sorted(order.tolist()) == list(range(len(blocks)))
    met: list[int] = []
    for block in blocks[order]:
        if block not in met[-WINDOW:]:
            met.append(int(block))
    begun = list(dict.fromkeys(blocks[order].tolist()))
    for start in range(0, len(begun), WINDOW):  # blocks come in groups; none returns after its group is done
        group = set(begun[start : start + WINDOW])
        places = [i for i, block in enumerate(blocks[order]) if block in group]
        assert places == list(range(places[0], places[-1] + 1))


def test_a_run_on_shards_goes_on_where_it_stopped(written: Path) -> None:
    spec = open_dataset(written)
    items = spec.split("train")
    blocks = blocks_of(items)
    whole = list(StepSampler(len(items), 3, 7, 0, 20, blocks=blocks))
    assert whole[9:] == list(StepSampler(len(items), 3, 7, 9, 20, blocks=blocks))


def _png(labels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


def test_reading_leaves_a_users_shards_alone(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.iterdir()}
    first_sample(written)
    assert {path: path.stat().st_mtime_ns for path in written.iterdir()} == before
    written.joinpath("train-000000.tar").unlink()
    with pytest.raises(DataError, match="no such shard"):
        first_sample(written)


def test_damaged_offsets_are_named(written: Path) -> None:
    index = json.loads((written / "index.json").read_text())
    index["shards"][0]["samples"][0][2] = -5
    index["shards"][0]["samples"][0][5] = -5
    (written / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="sample scene_0 lies outside its"):
        first_sample(written)
