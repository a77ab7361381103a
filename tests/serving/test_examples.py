"""The clients of ``examples/`` in Python, JavaScript and C++ give the labels of ``predict``, pixel for pixel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.segmenter import Segmenter
from fullconv.serving import serve
from fullconv.serving.guard import Allowed
from tests.builders.consumers import patches
from tests.builders.exporting import no_cost
from tests.builders.serving import application, server

EXAMPLES = Path(__file__).parents[2] / "examples"
IMAGE = patches(41, 64)


def folder_of(variable: str, what: str) -> Path:
    """What an environment variable names; skips where it names nothing."""
    found = Path(os.environ.get(variable, "nowhere"))
    if not found.is_dir():
        pytest.skip(f"{variable} may name {what}")
    return found.resolve()


def same_labels(command: Sequence[str | Path], file: Path, folder: Path, segmenter: Segmenter) -> Path:
    """Runs a program as its first lines say, on an exported file, which is given back."""
    exported = folder / "m.onnx"
    with pytest.MonkeyPatch.context() as patch:
        no_cost(patch)
        fullconv.export(file, "onnx", exported)
    (folder / "pixels").write_bytes(IMAGE.tobytes())
    subprocess.run([*command, exported, folder / "pixels", "64", "41", folder / "labels"], check=True, timeout=120)
    found = np.fromfile(folder / "labels", np.uint8).reshape(41, 64)
    assert np.array_equal(found, segmenter.predict(IMAGE).labels)
    return exported


def test_the_client_in_python(file: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "photo.png")
    bound = serve.listening("127.0.0.1", 0)
    listening = serve.uvicorn_server(application(server([file]), Allowed()))
    thread = threading.Thread(target=serve.run, args=(listening, bound))
    thread.start()
    try:
        where = serve.address(bound)
        command = [sys.executable, EXAMPLES / "04_client.py", where, tmp_path / "photo.png", tmp_path / "mask.png"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    finally:
        listening.should_exit = True
        thread.join(60)
        bound.close()
    right = segmenter.predict(IMAGE)
    assert [line.split()[0] for line in said.splitlines()] == list(right.classes.names)
    counts = np.bincount(right.labels.ravel(), minlength=len(right.classes))
    assert [int(line.split()[1]) for line in said.splitlines()] == counts.tolist()
    with Image.open(tmp_path / "mask.png") as mask:
        assert np.array_equal(np.asarray(mask), right.labels)


def test_javascript(file: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    modules = folder_of("FULLCONV_ONNXRUNTIME_WEB", "a folder where npm installed onnxruntime-web") / "node_modules"
    node = shutil.which("node") or pytest.skip("no node on this machine")
    shutil.copy(EXAMPLES / "05_browser.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    same_labels([node, tmp_path / "05_browser.mjs"], file, tmp_path, segmenter)


def test_cpp(file: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    runtime = folder_of("FULLCONV_ONNXRUNTIME", "ONNX Runtime with its headers, as its releases have it")
    compiler = shutil.which("g++") or pytest.skip("no g++ on this machine")
    program, library = tmp_path / "segment", runtime / "lib"
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{runtime / 'include'}", f"-L{library}"]
    command = [compiler, *options, EXAMPLES / "06_native.cpp", f"-Wl,-rpath,{library}", "-lonnxruntime", "-o", program]
    subprocess.run(command, check=True, timeout=300)
    exported = same_labels([program], file, tmp_path, segmenter)
    short = subprocess.run([program, exported, tmp_path / "pixels", "64", "42", "x"], capture_output=True, check=False)
    assert (short.returncode, short.stderr) == (1, b"PIXELS has another size\n")
