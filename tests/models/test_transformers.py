"""Encoders of transformers and their kin: any size, timm's own features, gradients, weights of other patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from fullconv.device import autocast
from fullconv.errors import UsageError
from fullconv.models import build_model
from fullconv.models.context import context
from fullconv.models.encoder import Needs
from fullconv.models.plain_vit import PlainViT
from fullconv.models.timm_encoder import TimmEncoder
from fullconv.ops import upsample_cross_entropy
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

SMALL = {"depth": 3, "embed_dim": 48, "num_heads": 2}
PLAIN: list[tuple[str, dict[str, Any]]] = [
    ("vit_tiny_patch16_224", SMALL),
    ("vit_small_patch14_reg4_dinov2", SMALL),
    ("vit_small_patch16_dinov3", SMALL),
    ("vit_base_patch32_224", SMALL),
]
STAGED: list[tuple[str, dict[str, Any]]] = [
    ("swin_tiny_patch4_window7_224", {"depths": [2, 1, 2, 1], "embed_dim": 24}),
    ("swinv2_tiny_window8_256", {"depths": [1, 1, 1, 2], "embed_dim": 24}),
    ("test_maxvit", {}),
    ("test_mambaout", {}),
    ("hiera_tiny_224", {"stages": [1, 1, 1, 1], "embed_dim": 24}),
    ("hiera_small_abswin_256", {"stages": [1, 1, 1, 1], "embed_dim": 24}),
]
each = pytest.mark.parametrize(("encoder", "args"), PLAIN + STAGED)


def built(encoder: str, args: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = build_model("fcn8s", 3, encoder, encoder_args=args, model_args={"head_channels": 8})
    for layer in model.network.score.children():  # they start at zero
        torch.nn.init.normal_(layer[-1].weight)
    return model


@each
@torch.inference_mode()
def test_any_size_from_one_pixel_up(encoder: str, args: dict[str, Any]) -> None:
    network = built(encoder, args).network.eval()
    for size in ((1, 1), (33, 47), (70, 100)):
        logits = network(torch.randn(2, 3, *size))
        window = network.window(logits.shape[-2:], size)
        assert logits.shape[:2] == (2, 3)
        assert logits.isfinite().all()
        assert min(window.height - size[0], window.width - size[1]) >= 0


@each
def test_saved_and_loaded_it_is_the_same(encoder: str, args: dict[str, Any], tmp_path: Path) -> None:
    segmenter = Segmenter(built(encoder, args), ClassSet(("a", "b", "c")), Preprocessing()).to("cpu", "fp32")
    segmenter.save(tmp_path / "model.safetensors")
    again = Segmenter.load(tmp_path / "model.safetensors", "cpu", "fp32")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    first, second = segmenter.predict(image, probabilities=True), again.predict(image, probabilities=True)
    assert np.array_equal(first.probabilities, second.probabilities)


@each
def test_every_part_learns_in_bf16(encoder: str, args: dict[str, Any]) -> None:
    network = built(encoder, args).network.train()
    for module in network.modules():  # residual branches whose last norm starts at zero pass nothing on
        if isinstance(module, nn.LayerNorm) and not module.weight.any():
            nn.init.ones_(module.weight)
    with autocast(torch.device("cpu"), "bf16"):
        logits = network(torch.randn(2, 3, 64, 96))
    loss = upsample_cross_entropy(
        logits.float(), torch.randint(0, 3, (2, 64, 96)), crop=network.window(logits.shape[-2:])
    )
    loss.backward()
    assert loss.isfinite()
    grads = {name: p.grad for name, p in network.named_parameters()}
    assert all(grad is None or bool(grad.isfinite().all()) for grad in grads.values())
    still = [name for name, grad in grads.items() if grad is None or not grad.any()]
    assert [name for name in still if not name.endswith(("attn.qkv.bias", "k_bias", "k_proj.bias"))] == []


@pytest.mark.parametrize(("encoder", "args"), PLAIN)
@torch.inference_mode()
def test_the_map_of_its_own_stride_is_timms(encoder: str, args: dict[str, Any]) -> None:
    torch.manual_seed(0)
    body = TimmEncoder.make(encoder, Needs((8, 16, 32)), 3, args).eval()
    assert isinstance(body, PlainViT)
    assert body.patch == {"vit_base_patch32_224": 32}.get(encoder, 16)
    pixels = torch.randn(1, 3, 96, 64)
    taps = body(pixels)
    theirs = body.body.forward_features(pixels)[:, body.body.num_prefix_tokens :]
    grid = (96 // body.patch, 64 // body.patch)
    torch.testing.assert_close(taps[body.patch], theirs.mT.reshape(1, -1, *grid))
    assert {stride: tap.shape[1:] for stride, tap in taps.items()} == {
        stride: (body.channels[stride], 96 // stride, 64 // stride) for stride in (8, 16, 32)
    }


@pytest.mark.parametrize(("encoder", "args"), STAGED)
@torch.inference_mode()
def test_taps_are_timms_features(encoder: str, args: dict[str, Any]) -> None:
    body = TimmEncoder.make(encoder, Needs((4, 8, 16, 32)), 3, args).eval()
    theirs = timm.create_model(encoder, features_only=True, **args).eval()
    theirs.load_state_dict({name.removeprefix("body."): value for name, value in body.state_dict().items()})
    side = timm.create_model(encoder).pretrained_cfg["input_size"][-1]
    pixels = torch.randn(1, 3, side, side)
    expected: list[Tensor] = theirs(pixels)[-4:]
    for stride, map_ in zip((4, 8, 16, 32), expected, strict=True):
        mine = body(pixels)[stride]
        map_ = map_ if map_.shape[1] == body.channels[stride] else map_.permute(0, 3, 1, 2)
        torch.testing.assert_close(mine, map_)


def test_weights_of_a_classifier_fill_it_patches_and_positions_resampled() -> None:
    source = timm.create_model("vit_small_patch14_reg4_dinov2", num_classes=5, **SMALL)
    body = TimmEncoder.make("vit_small_patch14_reg4_dinov2", Needs((8,)), 3, SMALL)
    report = body.load(source.state_dict(), "here")
    assert "14x14 resampled to 16x16" in report.reshaped["patch_embed.proj.weight"]
    assert "pos_embed" in report.copied  # the same grid of larger patches
    assert set(report.left) == {"pyramid"}
    grid = TimmEncoder.make("vit_tiny_patch16_224", Needs((16,)), 3, {**SMALL, "img_size": 96})
    other = timm.create_model("vit_tiny_patch16_224", num_classes=0, **SMALL)
    report = grid.load(other.state_dict(), "here")
    assert report.reshaped == {"pos_embed": "197 positions resampled to 37"}
    assert report.left == {}
    # one colour looks the same to patches of either size
    flat = torch.full((1, 3, 112, 112), 0.7)
    small, large = source.patch_embed.proj(flat), body.body.patch_embed.proj(flat)
    torch.testing.assert_close(small[..., 0, 0], large[..., 0, 0], rtol=1e-3, atol=1e-4)


def test_how_far_it_sees() -> None:
    assert context(built("test_vit", {}).network.eval(), 3).pixels is None
    assert context(built("test_maxvit", {}).network.eval(), 3).pixels is None
    windows = context(built("swin_tiny_patch4_window7_224", dict(STAGED[0][1])).network.eval(), 3)
    assert not windows.exact
    assert "where attention's windows begin" in str(windows) or windows.pixels is None
    assert context(built("test_mambaout", {}).network.eval(), 3).exact


@pytest.mark.parametrize(
    ("encoder", "args", "words"),
    [
        ("cait_xxs24_224", {}, "does not take images of any size"),
        ("vit_small_patch14_dinov2", {"patch_size": 14}, "no power of two; use 16"),
        ("vit_tiny_patch16_224", {"depth": 3, "num_heads": 5}, "does not take these encoder_args"),
    ],
)
def test_what_cannot_be_is_refused(encoder: str, args: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_model("fcn8s", 3, encoder, encoder_args=args)
