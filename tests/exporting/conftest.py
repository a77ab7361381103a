from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fullconv.models import build_model
from fullconv.segmenter import Segmenter
from fullconv.spec import Preprocessing
from tests.builders.exporting import CLASSES, SIZES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    built = build_model("fcn32s", 4, "resnet10t")
    for layer in built.network.score.values():
        nn.init.normal_(layer.weight, std=0.3)
    with torch.no_grad():  # every class somewhere
        bias = next(iter(built.network.score.values())).bias
        patches = torch.randn(1, 3, 12, 12).repeat_interleave(16, 2).repeat_interleave(16, 3)
        bias -= built.network.eval()(patches).mean((0, 2, 3))
    built.licence = "MIT"
    file = tmp_path_factory.mktemp("model") / "m.safetensors"
    Segmenter(built, CLASSES, Preprocessing(), {"trained_on": "nothing"}).save(file)
    return file


@pytest.fixture
def images(tmp_path: Path) -> Path:
    random = np.random.default_rng(2)
    folder = tmp_path / "images"
    folder.mkdir()
    for height, width in SIZES:
        patches = random.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), dtype=np.uint8)
        pixels = np.repeat(np.repeat(patches, 9, 0), 9, 1)[:height, :width]
        Image.fromarray(pixels).save(folder / f"{height}.png")
    return folder
