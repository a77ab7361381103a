"""A raster far larger than memory: labelled, killed, gone on with; its peak memory and speed.

    python benchmarks/soak.py               60,000 x 60,000; a sparse file, dense here and there
    python benchmarks/soak.py --side 20000 --dense 1      all of it dense

Fails where memory goes beyond 2 GiB, the killed run leaves a file under the final name, or other pixels have labels
than those that hold something.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import tifffile
import torch

from fullconv.models import build_model
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

BLOCK = 512
MOST = 2 << 30
"""Bytes resident."""


def raster(path: Path, side: int, dense: float) -> int:
    """A sparse TIFF file of ``side x side``; how many of its pixels hold something."""
    random = np.random.default_rng(0)
    colours = random.integers(1, 256, (8, 8, 3)).repeat(BLOCK // 8, 0).repeat(BLOCK // 8, 1)
    block = (colours + random.integers(-12, 13, colours.shape)).clip(1, 255).astype(np.uint8)
    full, count = zlib.compress(block.tobytes(), 1), -(-side // BLOCK)
    filled = random.random((count, count)) < dense if dense < 1 else np.ones((count, count), bool)
    if dense < 1:
        filled[0, 0] = filled[-1, -1] = filled[count // 2, count // 2] = True
    tags = [(42113, "s", 0, "0", True)]
    empty = zlib.compress(bytes(block.nbytes), 1)
    tiles = (full if one else empty for one in filled.ravel())
    tifffile.imwrite(
        path, tiles, shape=(side, side, 3), dtype=np.uint8, photometric="rgb", tile=(BLOCK, BLOCK), compression="zlib",
        metadata=None, extratags=tags, bigtiff=True,
    )  # fmt: skip
    rows = np.minimum(BLOCK, side - BLOCK * np.arange(count))
    return int((filled * rows[:, None] * rows[None]).sum())


def model(path: Path) -> None:
    """FCN-8s on MobileNetV2, 21 classes, random weights."""
    torch.manual_seed(0)
    built = build_model("fcn8s", 21, "mobilenetv2_100")
    Segmenter(built, ClassSet(tuple(f"class {index}" for index in range(21))), Preprocessing()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=60_000)
    parser.add_argument("--dense", type=float, default=0.02, help="share of blocks that hold something")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = raster(folder / "a.tif", chosen.side, chosen.dense)
        model(folder / "m.safetensors")
        command = [sys.executable, "-m", "fullconv", "predict", "m.safetensors", "a.tif", "--out", "out"]
        begun = time.monotonic()
        killed = subprocess.Popen(command, cwd=folder)
        journal = folder / "out" / ".a.tif.journal"
        while killed.poll() is None and not (journal.exists() and len(journal.read_text().splitlines()) > 1):
            time.sleep(0.2)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        rows = json.loads(journal.read_text().splitlines()[-1])["rows"]
        assert not (folder / "out" / "a.tif").exists(), "a killed run left a file under the final name"
        subprocess.run(command, cwd=folder, check=True)
        took = time.monotonic() - begun
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        with tifffile.TiffFile(folder / "out" / "a.tif") as file:
            page = file.pages.first
            assert page.shape == (chosen.side, chosen.side)
            labelled = sum(int((tile[0] != 255).sum()) for tile in page.segments() if tile[0] is not None)
        assert labelled == pixels, f"{labelled} pixels have labels, {pixels} hold something"
        print(
            f"{chosen.side} x {chosen.side}, {pixels / 1e6:,.0f} Mpixel of it dense: {took:,.0f} s with a kill after "
            f"{rows} rows, {chosen.side**2 / took / 1e6:.2f} Mpixel/s, of the dense ones {pixels / took / 1e6:.2f}; "
            f"peak {peak / 2**30:.2f} GiB"
        )
        assert peak <= MOST, "more than 2 GiB"


if __name__ == "__main__":
    main()
