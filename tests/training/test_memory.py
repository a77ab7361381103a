from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

import fullconv
from fullconv.training.memory import kept_bytes
from tests.builders.runs import DATA, SMALL


def test_training_leaves_no_tensors_behind(tmp_path: Path) -> None:
    """Neither the network nor what its memory check looked at."""

    def alive() -> int:
        gc.collect()
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors()}
        return sum(storages.values())

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
