"""EoMT: its tokens and heads against transformers' implementation, its currency, its annealed masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fullconv.errors import UsageError
from fullconv.models import build_model
from fullconv.models.by_class import transplant_by_class
from fullconv.models.context import context
from fullconv.models.eomt import EoMT, Queries

VIT = {"depth": 3, "embed_dim": 48, "num_heads": 2}
DINOV2 = "vit_small_patch14_reg4_dinov2"


def built(classes: int = 3, encoder: str = DINOV2, args: dict[str, Any] | None = None, **more: Any) -> EoMT:
    torch.manual_seed(0)
    args = VIT if args is None else args
    network = build_model("eomt", classes, encoder, encoder_args=args, model_args={"queries": 6, **more}).network
    assert isinstance(network, EoMT)
    return network


@pytest.mark.parametrize("encoder", [DINOV2, "vit_small_patch16_dinov3", "vit_tiny_patch16_224"])
@torch.inference_mode()
def test_any_size_and_what_training_sees(encoder: str) -> None:
    network = built(encoder=encoder, query_blocks=2).eval()
    for size in ((1, 1), (33, 47)):
        assert network(torch.randn(2, 3, *size)).shape == (2, 3, -(-size[0] // 16) * 4, -(-size[1] // 16) * 4)
    assert context(network, 3).pixels is None
    pixels = torch.randn(2, 3, 40, 64)
    layers = network.train()(pixels, masked=(0.0, 0.0))
    assert [tuple(layer.classes.shape) for layer in layers] == [(2, 6, 4)] * 3
    torch.testing.assert_close(layers[-1].scores(), network.eval()(pixels))  # with no attention held it is the same


@torch.inference_mode()
def test_masks_hold_attention() -> None:
    network = built(encoder="vit_tiny_patch16_224", query_blocks=2).train()
    pixels = torch.randn(1, 3, 64, 64)
    held, free = network(pixels, masked=(1.0, 1.0)), network(pixels, masked=(0.0, 0.0))
    torch.testing.assert_close(held[0], free[0])
    assert not torch.allclose(held[-1].classes, free[-1].classes)
    allowed = network._allowed(held[0].masks, (4, 4), 6 + 1 + 16, 1.0)[0, 0]
    inside = F.interpolate(held[0].masks, (4, 4), mode="bilinear")[0].flatten(1) > 0
    assert torch.equal(allowed[:6, 7:], inside)
    assert allowed[:, :7].all()
    assert allowed[6:].all()


def test_scores_are_the_mixture_of_the_queries() -> None:
    queries = Queries(torch.randn(2, 5, 4), torch.randn(2, 5, 3, 3))
    expected = torch.zeros(2, 3, 3, 3)
    for image in range(2):
        for query in range(5):
            chances = queries.classes[image, query].softmax(0)[:3]
            expected[image] += chances[:, None, None] * queries.masks[image, query].sigmoid()
    torch.testing.assert_close(queries.scores().exp(), expected)


@torch.inference_mode()
def test_another_implementation_says_the_same() -> None:
    """transformers' ``EomtForUniversalSegmentation`` with the same random weights, copied over."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    size, queries = 64, 6
    settings = transformers.EomtConfig(
        hidden_size=48, num_hidden_layers=3, num_attention_heads=2, mlp_ratio=4, image_size=size, patch_size=16,
        num_queries=queries, num_blocks=2, num_upscale_blocks=2, num_register_tokens=4, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(1)
    theirs = transformers.EomtForUniversalSegmentation(settings).eval()
    theirs.attn_mask_probs.fill_(0)  # as after annealing
    network = built(args={**VIT, "img_size": size, "patch_size": 16}, query_blocks=2).eval()
    ours = network.state_dict()
    for name, value in _ours(theirs.state_dict(), ours).items():
        ours[name].copy_(value)
    pixels = torch.randn(2, 3, size, size)
    expected = theirs(pixel_values=pixels)
    found = network.train()(pixels, masked=(0.0, 0.0))[-1]
    torch.testing.assert_close(found.classes, expected.class_queries_logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.masks, expected.masks_queries_logits, rtol=1e-4, atol=1e-4)


def _ours(theirs: dict[str, torch.Tensor], places: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their tensors under our names."""
    body, found = "encoder.body.", {"query": theirs["query.weight"]}
    found[f"{body}cls_token"] = theirs["embeddings.cls_token"]
    found[f"{body}reg_token"] = theirs["embeddings.register_tokens"]
    found[f"{body}pos_embed"] = theirs["embeddings.position_embeddings.weight"][None]
    parts = {"norm1": "norm1", "norm2": "norm2", "attn.proj": "attention.out_proj", "mlp.fc1": "mlp.fc1"}
    parts["mlp.fc2"] = "mlp.fc2"
    for kind in ("weight", "bias"):
        found[f"{body}patch_embed.proj.{kind}"] = theirs[f"embeddings.patch_embeddings.projection.{kind}"]
        found[f"{body}norm.{kind}"] = theirs[f"layernorm.{kind}"]
        found[f"class_head.{kind}"] = theirs[f"class_predictor.{kind}"][:-1]
        found[f"none_head.{kind}"] = theirs[f"class_predictor.{kind}"][-1:]
        for index in range(3):
            found[f"mask_head.{2 * index}.{kind}"] = theirs[f"mask_head.fc{index + 1}.{kind}"]
            for mine, other in parts.items():
                found[f"{body}blocks.{index}.{mine}.{kind}"] = theirs[f"layers.{index}.{other}.{kind}"]
            found[f"{body}blocks.{index}.attn.qkv.{kind}"] = torch.cat(
                [theirs[f"layers.{index}.attention.{part}_proj.{kind}"] for part in "qkv"]
            )
        for index in range(2):
            block = f"upscale_block.block.{index}"
            found[f"upscale.{index}.0.{kind}"] = theirs[f"{block}.conv1.{kind}"]
            found[f"upscale.{index}.3.{kind}"] = theirs[f"{block}.layernorm2d.{kind}"]
    for index in range(3):
        for number in (1, 2):
            found[f"{body}blocks.{index}.ls{number}.gamma"] = theirs[f"layers.{index}.layer_scale{number}.lambda1"]
    for index in range(2):
        found[f"upscale.{index}.2.weight"] = theirs[f"upscale_block.block.{index}.conv2.weight"]
    assert set(found) == set(places)
    return found


def test_classes_are_carried_over_by_name() -> None:
    before, after = built(3), built(4)
    torch.nn.init.normal_(after.none_head.bias)
    report = transplant_by_class(before, ("a", "b", "c"), after, ("new", "C", "a", "other"))
    assert torch.equal(after.class_head.weight[[1, 2]], before.class_head.weight[[2, 0]])
    assert torch.equal(after.none_head.bias, before.none_head.bias)
    assert torch.equal(after.query, before.query)
    assert report.left == {}
    assert set(report.by_class) == {"class_head.weight", "class_head.bias"}


@pytest.mark.parametrize(
    ("encoder", "args", "words"),
    [
        ("resnet18", {}, "encoder resnet18 is no plain vision transformer"),
        ("xcit_nano_12_p16_224", {}, "eomt takes timm's ViT and EVA"),
        ("test_vit", {"queries": 2}, "queries 2 for 3 classes"),
        ("test_vit", {"query_blocks": 99}, "query_blocks 99: the encoder has"),
    ],
)
def test_what_cannot_be_is_refused(encoder: str, args: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_model("eomt", 3, encoder, model_args=args)
