"""Tiles: they cover an image, and their labels are those of the whole image where the network allows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fullconv.blending import Scores, blended
from fullconv.errors import UsageError
from fullconv.facts import sees
from fullconv.geometry import Layer, Window, receptive_field
from fullconv.models.context import context
from fullconv.models.network import SegmentationNetwork
from fullconv.ops import upsample
from fullconv.segmenter import Segmenter
from fullconv.tiling import Span, choose_overlap, choose_tiling, tile_windows
from tests.builders.networks import VARIANTS
from tests.builders.tiled import SHALLOW, picture, segmenter


@given(st.integers(1, 90), st.integers(1, 90), st.integers(2, 40), st.data())
def test_tiles_partition_the_image(height: int, width: int, tile: int, data: st.DataObject) -> None:
    step = data.draw(st.sampled_from([step for step in (1, 8, 32) if step <= tile]))
    overlap = data.draw(st.integers(0, tile - step))
    seen = np.zeros((height, width), dtype=int)
    for t in tile_windows(height, width, tile, overlap, step):
        assert t.top % step == t.left % step == 0
        assert t.bottom - t.top <= tile
        assert t.right - t.left <= tile
        for start, stop, keep_start, keep_stop, length in (
            (t.top, t.bottom, t.keep_top, t.keep_bottom, height),
            (t.left, t.right, t.keep_left, t.keep_right, width),
        ):
            assert keep_start - start >= (overlap // 2 if start else 0)
            assert stop - keep_stop >= (overlap // 2 if stop < length else 0)
        seen[t.keep_top : t.keep_bottom, t.keep_left : t.keep_right] += 1
    assert (seen == 1).all()


def test_tiles_refuse_an_overlap_of_the_whole_tile() -> None:
    with pytest.raises(ValueError, match="overlap"):
        list(tile_windows(10, 10, 4, 4))


@pytest.mark.parametrize(
    ("name", "encoder", "args", "encoder_args"),
    [
        ("fcn8s", "resnet10t", SHALLOW, None),
        ("fcn8s", "resnet10t", {**SHALLOW, "last": "transposed"}, None),
        ("fcn8s", "mobilenetv2_050", {"streams": [16, 8]}, None),
        ("fcn8s", "vgg16", SHALLOW, {"fc_channels": 0}),
        ("hypercolumn", "resnet10t", {"strides": [8, 4], "column_channels": 8, "hidden": 8}, None),
    ],
)
def test_labels_of_tiles_are_those_of_the_whole_image(
    name: str, encoder: str, args: dict[str, Any], encoder_args: dict[str, Any] | None
) -> None:
    model = segmenter(name, encoder, args, encoder_args)
    pixels, exact = model.runner.context
    assert exact
    assert pixels is not None
    tile = 4 * (pixels + model.network.coarsest_stride) + 7  # no multiple of the stride
    image = picture(101, tile + pixels + 11) if pixels < 100 else picture(tile + 33, 55)
    whole = model.predict(image, tile=10_000).labels
    tiled = model.predict(image, tile=tile, probabilities=True)
    assert tiled.note == ""
    assert (tiled.labels != whole).mean() < 1e-4  # rounding may turn a tie
    assert tiled.probabilities is not None
    # with less overlap they are not, and it is said
    small = model.predict(image, tile=3 * pixels // 2, overlap=0)
    assert (small.labels != whole).mean() > 1e-3
    assert f"sees {pixels} pixels around each" in small.note


@torch.inference_mode()
def scores(model: Segmenter, image: np.ndarray, **how: Any) -> torch.Tensor:
    """Of every class at every pixel, ``1 c h w``."""
    result = torch.empty(1, 3, *image.shape[:2])
    for part in model.parts(torch.from_numpy(image).permute(2, 0, 1)[None], **how):
        result[:, :, part.rows, part.columns] = upsample(part.logits, part.size, part.window)
    return result


EXACT = [
    ("fcn8s", "resnet10t", {}, None),
    ("fcn8s", "mobilenetv2_050", {}, None),
    ("unet", "resnet10t", {}, None),
    ("segnet", "vgg16", {}, None),
    ("fpn", "resnet10t", {}, None),
    ("dilated", "resnet10t", {}, None),
    ("hypercolumn", "resnet10t", {"column_channels": 8, "hidden": 8}, None),
]


@pytest.mark.parametrize(("name", "encoder", "args", "encoder_args"), EXACT)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_exact_labels_are_those_of_the_whole_image(
    name: str, encoder: str, args: dict[str, Any], encoder_args: dict[str, Any] | None, turned: bool, threads: int
) -> None:
    """To a rounding: how a sum is ordered depends on the size, with several threads and on some processors with one."""
    model = segmenter(name, encoder, args, encoder_args)
    pixels = model.runner.context.pixels
    assert pixels is not None
    size = (4 * pixels + 75, 4 * model.runner.coarsest_stride + 5)  # of narrower images PyTorch adds in another order
    image = picture(*(size[::-1] if turned else size))
    tiling = model.tiling(image.shape[:2], 100, exact=True)
    assert tiling.tile % tiling.step == 0
    assert tiling.overlap == 2 * pixels
    assert tiling.blend == 0
    assert max(size) > tiling.tile, "one tile proves nothing"
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        tiled, whole = (scores(model, image, **how) for how in ({"tile": 100, "exact": True}, {"tile": 10_000}))
        found = model.predict(image, tile=100, exact=True)
    finally:
        torch.set_num_threads(before)
    rounding = 1e-6 * float(whole.abs().max())
    assert float((tiled - whole).abs().max()) <= rounding
    best, second = whole.topk(2, 1).values[0]
    clear = (best - second > 2 * rounding).numpy()
    assert np.array_equal(found.labels[clear], whole.argmax(1)[0].numpy()[clear])
    assert found.note == ""


@pytest.mark.parametrize(("name", "encoder", "args"), [row for row in VARIANTS if row[0] != "segnet"])  # is in EXACT
def test_every_network_is_exact_or_says_that_it_is_not(name: str, encoder: str, args: dict[str, Any]) -> None:
    model = segmenter(name, encoder, args)
    pixels, local = model.runner.context
    length = 4 * (pixels or 60) + 75
    image = picture(length, 4 * model.runner.coarsest_stride + 5)
    note = model.seam_note(image.shape[:2], 100, exact=True)
    if pixels is None or not local:
        assert name in ("deeplab", "maskrcnn", "eomt")
        assert "sees all of an image" in note or "its size matters" in note
        return
    assert note == ""
    assert max(image.shape) > model.tiling(image.shape[:2], 100, exact=True).tile
    tiled, whole = (scores(model, image, **how) for how in ({"tile": 100, "exact": True}, {"tile": 10_000}))
    rounding = 1e-6 * float(whole.abs().max())
    assert float((tiled - whole).abs().max()) <= rounding
    best, second = whole.topk(2, 1).values[0]
    clear = best - second > 2 * rounding
    assert clear.float().mean() > 0.9
    assert torch.equal(tiled.argmax(1)[0][clear], whole.argmax(1)[0][clear])


def test_exact_refuses_an_overlap_that_is_not_and_says_what_cannot_be() -> None:
    model = segmenter("fcn8s", "resnet10t", SHALLOW)
    pixels = model.runner.context.pixels
    with pytest.raises(UsageError, match=f"--exact needs an overlap of {2 * pixels} for this network, found 8"):
        model.predict(picture(30, 900), tile=64, overlap=8, exact=True)
    model = segmenter("fcn8s", "efficientnet_b0", {"streams": [8, 4]})
    assert "sees all of an image. Its scores are blended" in model.predict(picture(30, 300), tile=64, exact=True).note


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.data())
def test_blended_scores_are_those_of_tiles_that_agree(height: int, width: int, tile: int, data: st.DataObject) -> None:
    """Tiles that all see the same scores give these, once for each pixel and from the top."""
    overlap = data.draw(st.integers(1, tile - 1))
    tiling = choose_tiling((height, width), tile, overlap, 1, lambda: (None, False))
    same = torch.arange(2.0 * height * width).reshape(1, 2, height, width)
    down, across = tiling.axes((height, width))

    def tile_of(r: Span, c: Span) -> Scores:
        logits = same[:, :, r.start : r.stop, c.start : c.stop]
        return Scores(logits, Window(0, 0, *logits.shape[2:]), r, c)

    rows = ((tile_of(r, c) for c in across) for r in down)
    found = torch.zeros_like(same)
    seen = torch.zeros(height, width)
    for part in blended(rows, (height, width), tiling.blend):
        found[:, :, part.rows, part.columns] = upsample(part.logits, part.size, part.window)
        seen[part.rows, part.columns] += 1
    assert (seen == 1).all()
    torch.testing.assert_close(found, same)


def test_blending_comes_closer_to_the_whole_image_than_a_seam() -> None:
    model = segmenter("fcn8s", "efficientnet_b0", {"streams": [8, 4]})
    image = picture(150, 300)
    whole = model.predict(image, tile=999, probabilities=True).probabilities
    assert whole is not None
    errors = []
    for overlap in (0, 32):
        tiled = model.predict(image, tile=96, overlap=overlap, probabilities=True).probabilities
        assert tiled is not None
        assert np.abs(tiled.sum(0) - 1).max() < 2e-3
        jump = np.abs(np.diff(tiled.astype(np.float32), axis=2))[:, :, 20:280].max()
        errors.append((np.abs(tiled.astype(np.float32) - whole).mean(), jump))
    assert errors[1] < errors[0]


def test_the_context_is_the_receptive_field_of_the_layers() -> None:
    model = segmenter("fcn32s", "vgg16", {}, {"fc_channels": 8})
    field = receptive_field(model.network.encoder.layers)
    pixels, exact = model.runner.context
    # a pixel reads the places before and after it, 32 apart
    assert exact
    assert pixels is not None
    assert field // 2 <= pixels <= field // 2 + 32


def test_a_single_convolution_s_context() -> None:
    class Net(SegmentationNetwork):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer, self.stride, self.coarsest_stride = layer, 1, 1
            from fullconv.geometry import CoordinateMap

            self.coordinates = CoordinateMap()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.layer(pixels)

    for kernel, dilation in ((1, 1), (3, 1), (7, 1), (3, 9)):
        layers = nn.Conv2d(1, 2, kernel, dilation=dilation, padding=dilation * (kernel // 2))
        nn.init.zeros_(layers.weight)
        assert context(Net(layers).eval(), 1) == (receptive_field([Layer(kernel, dilation=dilation)]) // 2, True)
    sides = nn.Conv2d(1, 2, (1, 5), padding=(0, 2))
    assert context(Net(sides).eval(), 1) == (2, True)
    everything = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Upsample(size=(1, 1)))
    assert context(Net(everything).eval(), 1) == (None, False)


@pytest.mark.parametrize(
    ("name", "encoder", "args"),
    [
        ("fcn8s", "efficientnet_b0", {"streams": [8, 4]}),
        ("deeplab", "mobilenetv2_050", {"head": "aspp-pool", "head_channels": 8}),
        ("torchvision", "lraspp_mobilenet_v3_large", {}),
    ],
)
def test_networks_that_see_all_of_an_image_say_so(name: str, encoder: str, args: dict[str, Any]) -> None:
    model = segmenter(name, encoder, args)
    assert model.runner.context == (None, False)
    assert "all of an image" in sees(model.preprocessing, model.runner)
    assert "sees all of an image" in model.predict(picture(40, 300), tile=128).note
    assert model.predict(picture(40, 100), tile=128).note == ""


def test_the_default_overlap_is_safe_or_half_a_tile() -> None:
    assert choose_overlap(2048, 200, 32) == 400
    assert choose_overlap(2040, 200, 32) == 462  # the tile may end within a place
    assert choose_overlap(512, 200, 32) == 256
    assert choose_overlap(2048, None, 32) == 256
    assert choose_overlap(32, 200, 32) == 0
    model = segmenter("fcn8s", "resnet10t", SHALLOW)
    pixels = model.runner.context.pixels
    assert pixels is not None
    tile = 64
    note = model.predict(picture(30, 200), tile=tile).note
    assert f"tiles of {tile} overlap by {tile // 2}" in note
    # what the note advises is right
    advised = int(note.split("A tile of ")[1].split()[0])
    assert model.seam_note((30, advised + 9), advised) == ""
    advised = int(model.seam_note((30, 999), 500, 8).split("An overlap of ")[1].split(",")[0])
    assert model.seam_note((30, 999), 500, advised) == model.seam_note((30, 999), 500) == ""
