"""Weights carried over to a network of other classes: by name, in every network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import fullconv
from fullconv.models import build_model
from fullconv.models.by_class import ClassMatch, transplant_by_class
from tests.builders.networks import VARIANTS

NAMES = ("sky", "road", "car", "tree")
OTHERS = [
    ("fcn8s", "vgg16", {"upscore": "fixed"}, {"fc_channels": 16, "padding": "paper"}),
    ("fcn32s", "resnet10t", {"decoder": "wide"}, {}),
    ("dilated", "resnet10t", {"dilations": []}, {}),
    ("torchvision", "lraspp_mobilenet_v3_large", {}, {}),
    ("torchvision", "fcn_resnet50", {}, {}),
    ("torchvision", "deeplabv3_mobilenet_v3_large", {}, {}),
    ("smp", "Unet", {"encoder_name": "resnet18"}, {}),
    ("smp", "DeepLabV3Plus", {"encoder_name": "resnet18"}, {}),
]


def network(
    name: str, encoder: str, args: dict[str, Any], encoder_args: dict[str, Any], classes: int, seed: int
) -> Any:
    """Every parameter at random: what is not carried over rightly shows."""
    torch.manual_seed(seed)
    built = build_model(name, classes, encoder, encoder_args=encoder_args, model_args=args).network
    for value in built.parameters():
        nn.init.normal_(value, std=0.2 if value.ndim == 1 else value[0].numel() ** -0.5)
    return built.eval()


@pytest.mark.parametrize(("name", "encoder", "args", "encoder_args"), [(*v, {}) for v in VARIANTS] + OTHERS)
@torch.inference_mode()
def test_classes_in_another_order_give_the_same_scores_in_that_order(
    name: str, encoder: str, args: dict[str, Any], encoder_args: dict[str, Any]
) -> None:
    order = [2, 0, 3, 1]
    source = network(name, encoder, args, encoder_args, 4, 0)
    there = {"background": order.index(0)} if name == "maskrcnn" else {}
    target = network(name, encoder, {**args, **there}, encoder_args, 4, 1)
    report = transplant_by_class(source, NAMES, target, [NAMES[i] for i in order])
    assert not report.left
    assert not report.unused
    assert set(report.by_class) == set(target.class_axes)
    for key, value in source.state_dict().items():
        if key not in source.class_axes:
            assert torch.equal(target.state_dict()[key], value)
    for key, axes in source.class_axes.items():
        value = source.by_class(key, source.state_dict()[key])
        for axis in axes:
            assert value.shape[axis] == 4
            value = value.index_select(axis, torch.tensor(order))
        assert torch.equal(target.by_class(key, target.state_dict()[key]), value)
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    ours, theirs = target.double()(image), source.double()(image)
    assert theirs.std() > 0
    torch.testing.assert_close(ours, theirs[:, order], rtol=1e-9, atol=1e-9 * float(theirs.abs().max()))


def test_fewer_more_and_other_classes() -> None:
    source = network("fcn8s", "resnet10t", {}, {}, 4, 0)
    target = network("fcn8s", "resnet10t", {}, {}, 3, 1)
    fresh = {key: value.clone() for key, value in target.state_dict().items()}
    report = transplant_by_class(source, NAMES, target, ("Tree", "boat", "sky"))
    old, new = source.state_dict(), target.state_dict()
    for stride in (32, 16, 8):
        for kind in ("weight", "bias"):
            key = f"score.{stride}.{kind}"
            assert torch.equal(new[key], torch.stack([old[key][3], fresh[key][1], old[key][0]]))
    for key in ("upscore.16.weight", "upscore.8.weight"):
        expected = fresh[key].clone()
        for i, j in ((0, 3), (2, 0)):
            for k, m in ((0, 3), (2, 0)):
                expected[i, k] = old[key][j, m]
        assert torch.equal(new[key], expected)
    said = str(report)
    assert "classes carried over by name (2): Tree, sky" in said
    assert "classes that start anew (1): boat" in said
    assert "classes of the source left out (2): road, car" in said
    assert "old name" in said
    listing = report.listing()
    for line in ("Tree: 3 -> 0", "boat: new, 1", "sky: 0 -> 2", "road: left out"):
        assert f"  class    {line}\n" in listing
    assert "  by class upscore.16.weight\n" in listing


def test_no_class_in_common_is_said() -> None:
    source, target = (network("fcn32s", "resnet10t", {}, {}, 2, seed) for seed in (0, 1))
    kept = target.score["32"].weight.clone()
    report = transplant_by_class(source, ("class_0", "class_1"), target, ("sky", "road"))
    assert torch.equal(target.score["32"].weight, kept)
    assert "no class has the name of one that the source knows: all score layers start anew" in str(report)
    assert not report.by_class
    assert "by class" not in str(report)


def test_names_that_differ_in_case_or_accents_form_only_are_one() -> None:
    assert ClassMatch.of(("Sky", "sky", "Fe\u0301"), ("sky", "F\u00e9", "SKY")).places == {0: 1, 1: 2, 2: 0}
    assert ClassMatch.of(("Sky", "SKY"), ("sky",)).places == {}


def test_layers_that_use_classes_in_another_way_stay() -> None:
    """U-Net's transposed last layer and its plain one hold as many numbers, of another meaning."""
    source = network("unet", "resnet10t", {"decoder_channels": [8, 8, 8, 8]}, {}, 4, 0)
    target = network("unet", "resnet10t", {"decoder_channels": [8, 8, 8, 8], "last": "bilinear"}, {}, 4, 1)
    kept = target.score.weight.clone()
    report = transplant_by_class(source, NAMES, target, NAMES)
    assert torch.equal(target.score.weight, kept)
    assert "score.weight" in report.left
    assert "score.weight" in report.unused


@torch.inference_mode()
def test_a_sigmoid_is_two_classes() -> None:
    args = {"encoder_name": "resnet18", "classes": 1}
    source, swapped = (network("smp", "Unet", args, {}, 2, seed) for seed in (0, 1))
    three = network("smp", "Unet", {"encoder_name": "resnet18", "classes": 3}, {}, 3, 2)
    transplant_by_class(source, ("background", "road"), swapped, ("road", "background"))
    transplant_by_class(source, ("background", "road"), three, ("road", "kerb", "background"))
    image = torch.randn(1, 3, 64, 64)
    expected = source(image).softmax(1)
    torch.testing.assert_close(swapped(image).softmax(1), expected[:, [1, 0]])
    torch.testing.assert_close(three(image)[:, [2, 0]].softmax(1), expected)


def test_a_run_starts_from_a_model_whose_classes_stand_in_another_order(
    make_folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(4)
    names = ["ground", "disc", "square", "triangle", "ring"]
    torch.manual_seed(0)
    built = build_model("fcn32s", 5, "resnet10t")
    nn.init.normal_(built.network.score["32"].weight)
    first = fullconv.Segmenter(built, fullconv.ClassSet(tuple(names)), fullconv.Preprocessing()).to("cpu", "fp32")
    first.save(tmp_path / "first.safetensors")
    other = ["Ring", "square", "kite", "ground", "disc"]
    (data / "dataset.yaml").write_text(yaml.safe_dump({"classes": other}))
    run = fullconv.train(
        data, tmp_path / "run", init_from=str(tmp_path / "first.safetensors"), model="fcn32s", epochs=1,
        batch_size=4, rate=1e-12, workers=0, crop=(32, 32), precision="fp32", device="cpu",
    )  # fmt: skip
    said = capsys.readouterr().out
    assert f"as in {tmp_path / 'first.safetensors'}: encoder resnet10t\n" in said
    assert yaml.safe_load(run.config.read_text())["encoder"] == "resnet10t"
    assert "classes carried over by name (4): Ring, square, ground, disc" in said
    assert "classes that start anew (1): kite" in said
    assert "classes of the source left out (1): triangle" in said
    weight = run.segmenter("cpu").network.score["32"].weight
    torch.testing.assert_close(weight[[0, 1, 3, 4]], built.network.score["32"].weight[[4, 2, 0, 1]], rtol=0, atol=1e-6)
    assert np.abs(weight[2].detach().numpy()).max() < 1e-6
    assert "  class    Ring: 4 -> 0\n" in (run.path / "weights.txt").read_text()
