from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import fullconv
from fullconv.apps.cli import run
from fullconv.data.decode import read_raw_mask
from fullconv.errors import UsageError
from fullconv.models import download
from fullconv.models.torchvision_network import torchvision_names
from fullconv.ops import upsample
from fullconv.segmenter import Segmenter


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, torch.nn.Module]:
    """Random networks in the place of torchvision's downloads, and an empty cache."""
    made: dict[str, torch.nn.Module] = {}

    def state(name: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        arguments = {} if name.startswith("lraspp") else {"aux_loss": True}
        made[name] = torchvision.models.get_model(
            name, weights=None, weights_backbone=None, num_classes=21, **arguments
        ).eval()
        return made[name].state_dict()

    monkeypatch.setattr(download, "torchvision_weights", state)
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    return made


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"])
@pytest.mark.parametrize("size", [(96, 128), (75, 101)])
def test_answers_as_torchvision_s_own(name: str, size: tuple[int, int], weights: dict) -> None:
    segmenter = fullconv.load(f"torchvision/{name}", "cpu", "fp32")
    pixels = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        logits, window = segmenter.coarse_logits(pixels)
        expected = weights[name](segmenter.normalise(pixels))["out"]
        torch.testing.assert_close(upsample(logits, size, window), expected, rtol=1e-4, atol=1e-4)
    assert segmenter.classes.names[15] == "person"
    assert "BSD-3-Clause" in segmenter.licence


def test_one_command_from_a_photo_to_labels(weights: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    command = ["predict", "torchvision/lraspp_mobilenet_v3_large", str(tmp_path / "photo.png")]
    assert run([*command, "--out", str(tmp_path / "masks")]) == 0
    assert read_raw_mask(tmp_path / "masks" / "photo.png").shape == (70, 90)
    kept = tmp_path / "cache/models/torchvision/lraspp_mobilenet_v3_large.safetensors"
    assert Segmenter.load(kept, "cpu").provenance["source"].startswith("torchvision lraspp")
    weights.clear()
    assert run([*command, "--out", str(tmp_path / "again")]) == 0
    assert not weights  # from the cache, no second download
    assert run(["info", "torchvision/lraspp_mobilenet_v3_large"]) == 0
    assert "BSD-3-Clause" in capsys.readouterr().out


def test_refuses(weights: dict) -> None:
    assert len(torchvision_names()) >= 6
    with pytest.raises(UsageError, match="no segmentation network called 'fcn_resnet5'; did you mean fcn_resnet50"):
        fullconv.load("torchvision/fcn_resnet5")
    with pytest.raises(UsageError, match="no segmentation network called 'maskrcnn_resnet50_fpn'"):
        fullconv.load("torchvision/maskrcnn_resnet50_fpn")
    with pytest.raises(UsageError, match="use --init-from"):
        fullconv.build_model("torchvision", 3, "fcn_resnet50", "imagenet")
