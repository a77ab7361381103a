"""What ``predict`` holds of a large picture: the picture, a byte a pixel for labels, and what is the same for any."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv import tiles
from fullconv.draw import overlays
from fullconv.images import certainty
from fullconv.polygons import trace
from tests.builders.models import make

TILE = 256


def peak(path: Path, out: Path, **options: Any) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        fullconv.predict(make(), [path], out, overlay=True, tile=TILE, overlap=0, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_grows_with_the_picture_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlays, "LOOKED_AT", 1 << 12)
    monkeypatch.setattr(overlays, "STRIP_PIXELS", 1 << 14)  # the same for any picture, also for these small ones
    large = np.random.default_rng(0).integers(0, 256, (3840, 512, 3), dtype=np.uint8)
    small = large[:256]
    for name, pixels in (("small", small), ("large", large)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    fullconv.predict(make(), [tmp_path / "small.jpg"], tmp_path / "out", overlay=True, tile=TILE)  # loads what is used
    grown = peak(tmp_path / "large.jpg", tmp_path / "out") - peak(tmp_path / "small.jpg", tmp_path / "out")
    more_pixels, sizes = (large.size - small.size) // 3, [file.stat().st_size for file in tmp_path.glob("*.jpg")]
    held = 4 * more_pixels + max(sizes) - min(sizes)  # three bytes a pixel, one of labels; for a while the file too
    assert grown < 1.05 * held


def test_so_it_does_with_all_that_is_made_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("shapely")
    pytest.importorskip("rasterio")
    monkeypatch.setattr(overlays, "LOOKED_AT", 1 << 12)
    for module in (overlays, certainty, trace):
        monkeypatch.setattr(module, "STRIP_PIXELS", 1 << 14)
    large = np.full((2048, 1024, 3), 100, np.uint8)  # of one colour: how many polygons there are is another matter
    small = large[:256]
    for name, pixels in (("small", small), ("large", large)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg")
    options: dict = {"confidence": True, "polygons": "geojson", "areas": tmp_path / "areas.csv"}
    fullconv.predict(make(), [tmp_path / "small.jpg"], tmp_path / "out", overlay=True, tile=TILE, **options)
    grown = peak(tmp_path / "large.jpg", tmp_path / "out", **options) - peak(
        tmp_path / "small.jpg", tmp_path / "out", **options
    )
    pixels = (large.size - small.size) // 3
    assert grown < 11 * pixels  # the picture 3, labels 1, confidence 4, its bytes twice; polygons when these are gone


def test_freed_memory_goes_back_between_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(tiles, "hand_back_what_is_free", lambda: calls.append(None))
    segmenter = make()
    segmenter.predict(np.zeros((TILE, TILE, 3), np.uint8), tile=TILE)
    assert not calls  # many images of one tile keep what they use again
    segmenter.predict(np.zeros((2 * TILE, 2 * TILE, 3), np.uint8), tile=TILE, overlap=0)
    assert len(calls) == 3
