from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch

import fullconv
from fullconv.models import build_model
from fullconv.training.memory import PROBE, kept_bytes, needed_bytes
from tests.builders.runs import DATA, SMALL


def test_training_leaves_no_tensors_behind(tmp_path: Path) -> None:
    """Neither the network nor what its memory check looked at."""

    def alive() -> int:
        gc.collect()
        plain, laid_out = [[t for t in tensors() if t.is_mkldnn is kind] for kind in (False, True)]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in plain}
        return sum(storages.values()) + sum(t.numel() * t.element_size() for t in laid_out)

    def tensors() -> list[torch.Tensor]:
        return [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, torch.nn.Parameter)]

    fullconv.train(DATA, tmp_path / "first", **{**SMALL, "epochs": 1})
    before = alive()
    for index in range(2):
        fullconv.train(DATA, tmp_path / str(index), **{**SMALL, "epochs": 1})
    assert alive() - before < 1 << 20


@pytest.mark.parametrize("channels", [8, 16])
def test_kept_bytes_are_those_of_the_tensors_of_the_graph(channels: int) -> None:
    """Conv, batch norm, ReLU: the image, the norm's input, its statistics, and the ReLU's output."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, channels, 3, padding=1, bias=False), torch.nn.BatchNorm2d(channels), torch.nn.ReLU()
    )
    places = 32 * 32 * 4
    expected = (3 + 2 * channels) * places
    assert kept_bytes(network, 3, "fp32", 32) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("encoder", "args"),
    [
        ("test_maxvit", {"img_size": 224}),
        ("test_mambaout", {}),
        ("vit_tiny_patch16_224", {"depth": 3, "embed_dim": 48, "num_heads": 2}),
        ("swin_tiny_patch4_window7_224", {"depths": [2, 1, 2, 1], "embed_dim": 24}),
        ("resnet10t", {}),
    ],
)
def test_the_need_grows_with_the_crop_whatever_an_encoder_pads_to(encoder: str, args: dict[str, Any]) -> None:
    network = build_model("fcn8s", 3, encoder, encoder_args=args, model_args={"head_channels": 8}).network
    multiple = network.encoder.size_multiple
    side = 2 * (PROBE + -PROBE % multiple)
    small, large = (needed_bytes(network, (of, of), 2, 3, "fp32") for of in (side, 4 * side))
    parameters = sum(4 * p.numel() * p.element_size() for p in network.parameters())
    assert small - parameters == pytest.approx(2 * kept_bytes(network, 3, "fp32", side), rel=0.2)
    assert large - parameters == pytest.approx(16 * (small - parameters), rel=0.2)
    if multiple > 1:  # what is padded counts
        assert needed_bytes(network, (side - 1, side - 1), 2, 3, "fp32") == small
