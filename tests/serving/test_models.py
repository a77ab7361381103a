"""Several models, their names, and files that change under a running server."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from fullconv.errors import UsageError
from fullconv.segmenter import Segmenter
from fullconv.serving.models import Models
from fullconv.serving.sources import version_of
from fullconv.spec import ClassSet
from tests.builders.models import make, picture
from tests.builders.serving import client_of, png, segmenter_of, server


def other(path: Path) -> None:
    """Another model, in one step as people should."""
    model = make(encoder="resnet10t", name="fcn32s")
    model.classes = ClassSet(("sky", "sea", "land"))
    model.save(path)


def test_models_by_name(file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    other(run / "best.safetensors")
    found = server([file, run / "best.safetensors", f"sea={run}"])
    client, image = client_of(found), picture(20, 20)
    assert [model["name"] for model in client.get("/v1/models").json()["models"]] == ["shapes", "run", "sea"]
    for name in ("run", "sea"):
        reply = client.post(f"/v1/segment?model={name}&as=ids", png(image))
        assert np.array_equal(reply.image(), segmenter_of(run).predict(image).labels)
        assert (reply.headers["model"], reply.headers["model-version"]) == (name, found.models.get(name).version)
    assert client.post("/v1/segment", png(image)).json()["model"] == "shapes"
    found.queue.stop()


@pytest.mark.parametrize(
    ("given", "word"),
    [([], "no model given"), (["{file}", "{file}"], "called shapes too"), (["nowhere.safetensors"], "no such model")],
)
def test_models_that_cannot_be_served(file: Path, given: list[str], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Models([one.format(file=file) for one in given], segmenter_of)


def test_a_changed_file_is_loaded_and_a_broken_one_is_not(file: Path, tmp_path: Path) -> None:
    path, lines = tmp_path / "m.safetensors", list[str]()
    shutil.copy(file, path)
    found = server([path], said=lines)
    client = client_of(found)
    before = found.models.get()
    found.models.refresh()
    assert found.models.get() is before

    other(path)
    found.models.refresh()
    after = found.models.get()
    assert after.segmenter.classes.names == ("sky", "sea", "land")
    assert lines == [f"m: loaded again, version {after.version} after {before.version}"]

    path.write_bytes(path.read_bytes()[:1000])
    for _ in range(2):  # said once
        found.models.refresh()
    assert found.models.get() is after
    assert len(lines) == 2
    assert lines[1].startswith(f"m: version {after.version} stays, the file cannot be used: ")
    assert "truncated" in client.get("/v1/models").json()["models"][0]["cannot_reload"]
    assert client.post("/v1/segment", png(picture(9, 9))).json()["classes"][0]["name"] == "sky"

    os.unlink(path)
    found.models.refresh()
    assert "no such model" in lines[2]

    shutil.copy(file, path)
    found.models.refresh()
    assert found.models.get().version == before.version
    assert client.get("/v1/models").json()["models"][0]["cannot_reload"] is None
    found.queue.stop()


def test_a_version_is_of_the_file_that_was_read(file: Path, tmp_path: Path) -> None:
    path, reads = tmp_path / "m.safetensors", list[int]()
    shutil.copy(file, path)

    def replaced_meanwhile(found: Path) -> Segmenter:
        segmenter = segmenter_of(found)
        reads.append(len(segmenter.classes.names))
        if len(reads) == 1:
            other(path)
        return segmenter

    served = Models([str(path)], replaced_meanwhile).get()
    assert len(reads) == 2
    assert (served.segmenter.classes.names, served.version) == (("sky", "sea", "land"), version_of(path))

    def always(found: Path) -> Segmenter:
        segmenter = segmenter_of(found)
        path.write_bytes(path.read_bytes())
        os.utime(path, ns=(0, len(reads)))
        reads.append(0)
        return segmenter

    with pytest.raises(UsageError, match="while it was read"):
        Models([str(path)], always)


def test_files_are_watched_whatever_a_look_at_them_raises(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found, stop, looks = Models([str(file)], segmenter_of), threading.Event(), list[int]()

    def refresh() -> None:
        looks.append(1)
        if len(looks) == 2:
            stop.set()
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(found, "refresh", refresh)
    found.watch(stop, 0)
    assert len(looks) == 2
    assert "closed file" in caplog.text
