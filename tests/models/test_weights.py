from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import vgg16 as torchvision_vgg16

from fullconv.errors import ModelFileError, UsageError
from fullconv.models import VGG16, build_model, download, read_weights, transplant
from fullconv.models.vgg import names_of_vgg16
from fullconv.models.weights import TransplantReport
from tests.builders.hub import hub


def test_transplant_accounts_for_everything() -> None:
    source = {
        "a.weight": torch.randn(4, 18),
        "a.bias": torch.randn(4),
        "first.weight": torch.randn(2, 3, 3, 3),
        "odd": torch.randn(5),
        "extra": torch.randn(1),
    }
    target = nn.Module()
    target.a = nn.Conv2d(2, 4, 3)
    target.first = nn.Conv2d(5, 2, 3, bias=False)
    target.odd = nn.Parameter(torch.zeros(6))
    target.new = nn.Parameter(torch.zeros(1))
    report = transplant(source, target)
    assert report.copied == ["a.bias"]
    assert set(report.reshaped) == {"a.weight", "first.weight"}
    assert report.left == {"odd": "shape [6], the source has [5]", "new": "not in the source"}
    assert report.unused == ["extra"]
    assert torch.equal(target.a.weight, source["a.weight"].reshape(4, 2, 3, 3))
    grey = torch.ones(1, 1, 4, 4)
    torch.testing.assert_close(
        target.first(grey.expand(1, 5, 4, 4)),
        nn.functional.conv2d(grey.expand(1, 3, 4, 4), source["first.weight"]),
    )
    assert "1 copied, 2 reshaped, 2 left, 1 of the file not used" in str(report)
    assert "copied" not in "".join(str(report).splitlines()[1:])
    lines = [line.split(":")[0].split() for line in report.listing().splitlines()[1:]]
    assert sorted(name for _, name in lines) == sorted([*target.state_dict(), "extra"])
    assert ["left", "odd"] in lines


def test_a_report_names_the_first_and_its_listing_all() -> None:
    report = TransplantReport(
        ["a"],
        {f"fc{i}.weight": f"[{i}] -> [{i}, 1]" for i in range(5)},
        {f"score.{i}.weight": "not in the source" for i in range(11)} | {"b": "shape [1], the source has [2]"},
    )
    assert str(report).splitlines() == [
        "1 copied, 5 reshaped, 12 left",
        *[f"  reshaped: fc{i}.weight ([{i}] -> [{i}, 1])" for i in range(3)],
        "  and 2 more reshaped",
        "  left: score.0.weight, score.1.weight, score.2.weight and 8 more (not in the source)",
        "  left: b (shape [1], the source has [2])",
    ]
    assert report.listing().count("  left     score.") == 11


def test_vgg16_is_torchvision_s_convolutionalised() -> None:
    """At 224x224 the single place of fc7 is torchvision's fc7, fc6 and fc7 reshaped from its linear layers."""
    theirs = torchvision_vgg16(weights=None).eval()
    ours = VGG16(padding="paper", fc_channels=4096).eval()
    ours.conv1_1.padding = (1, 1)
    state = theirs.state_dict()
    report = transplant(state, ours, names_of_vgg16(list(state)))
    assert len(report.copied) == 30 - 2
    assert set(report.reshaped) == {"fc6.weight", "fc7.weight"}
    assert report.left == {}
    assert report.unused == ["classifier.6.weight", "classifier.6.bias"]
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        expected = theirs.classifier[:5](theirs.avgpool(theirs.features(image)).flatten(1))
        got = ours(image)[32]
    assert got.shape == (1, 4096, 1, 1)
    torch.testing.assert_close(got.flatten(1), nn.functional.relu(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_050", "convnext_atto", "regnety_002"])
def test_a_timm_classifier_file_fills_the_encoder(name: str, tmp_path: Path) -> None:
    classifier = timm.create_model(name, pretrained=False).eval()
    save_file(classifier.state_dict(), tmp_path / "w.safetensors")
    torch.save(classifier.state_dict(), tmp_path / "w.pth")
    image = torch.randn(1, 3, 64, 64)
    for file in ("w.safetensors", "w.pth"):
        built = build_model("fcn32s", 3, name, str(tmp_path / file))
        body = built.network.encoder.eval()
        with torch.inference_mode():
            got = body(image)[32]
            truth = classifier.forward_features(image)
        if name == "convnext_atto":
            assert got.shape == truth.shape  # its classifier's norm follows the features
        elif name != "mobilenetv2_050":  # there a 1x1 convolution follows them
            torch.testing.assert_close(got, truth, rtol=1e-4, atol=1e-4)
        assert re.search(r": \d+ copied, \d of the file not used", built.notes[0])


def test_the_metadata_of_the_shared_mobilenet_are_used(shared: Path) -> None:
    file = shared / "weights" / "mobilenetv2_100-imagenet.safetensors"
    built = build_model("fcn8s", 3, "mobilenetv2_100", str(file))
    assert built.config["encoder_args"] == {"pad_type": "same"}
    assert built.mean == built.std == (0.5, 0.5, 0.5)
    assert built.licence == "Apache-2.0"
    reference = timm.create_model("mobilenetv2_100", pad_type="same", features_only=True, out_indices=(2, 3, 4)).eval()
    reference.load_state_dict(read_weights(file)[0], strict=False)
    image = torch.randn(1, 3, 96, 128)
    with torch.inference_mode():
        for got, expected in zip(built.network.encoder.eval()(image).values(), reference(image), strict=True):
            torch.testing.assert_close(got, expected)
    with pytest.raises(UsageError, match="use --encoder mobilenetv2_100"):
        build_model("fcn8s", 3, "resnet18", str(file))


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such weights file"):
        read_weights(tmp_path / "none.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00")
    with pytest.raises(ModelFileError, match="not a readable safetensors"):
        read_weights(tmp_path / "cut.safetensors")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(ModelFileError, match="PyTorch state dict"):
        read_weights(tmp_path / "junk.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(ModelFileError, match="holds no tensors"):
        read_weights(tmp_path / "empty.pth")
    torch.save({"state_dict": {"module.w": torch.ones(2)}}, tmp_path / "nested.pth")
    assert list(read_weights(tmp_path / "nested.pth")[0]) == ["w"]
    torch.save(torch.ones(2), tmp_path / "tensor.pth")
    with pytest.raises(ModelFileError, match="holds no tensors"):
        read_weights(tmp_path / "tensor.pth")


class Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (Evil, "ran", True))


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"w": Evil()}))
    with pytest.raises(ModelFileError):
        read_weights(tmp_path / "evil.pth")
    assert not Evil.ran


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("resnet34", pretrained=False).state_dict(), tmp_path / "r34.safetensors")
    with pytest.raises(ModelFileError, match="does not fit this encoder"):
        build_model("fcn32s", 3, "mobilenetv2_050", str(tmp_path / "r34.safetensors"))
    with pytest.raises(UsageError, match="0 of VGG16's 13 convolutions"):
        build_model("fcn32s", 3, "vgg16", str(tmp_path / "r34.safetensors"), encoder_args={"fc_channels": 4})


def test_metadata_that_is_not_json_is_passed_over(tmp_path: Path) -> None:
    state = timm.create_model("resnet18", pretrained=False).state_dict()
    save_file(state, tmp_path / "w.safetensors", {"timm": "{"})
    assert build_model("fcn32s", 3, "resnet18", str(tmp_path / "w.safetensors")).mean[0] == 0.485
    save_file(state, tmp_path / "v.safetensors", {"timm": json.dumps({"mean": [0.1, 0.2, 0.3]})})
    assert build_model("fcn32s", 3, "resnet18", str(tmp_path / "v.safetensors")).mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("encoder", ["resnet18", "vgg16"])
def test_offline_says_soon_what_to_do(encoder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(download, "TORCHVISION_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(download.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"--encoder-weights FILE, or random ones|or put vgg16-\w+\.pth into"):
        build_model("fcn32s", 3, encoder, "imagenet", encoder_args={"fc_channels": 4} if encoder == "vgg16" else {})


def test_what_is_cached_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(download, "reachable", lambda host: asked.append(host))

    def from_cache(name: str, pretrained: bool) -> nn.Module:
        assert download.constants.HF_HUB_OFFLINE
        return nn.Linear(1, 1)

    monkeypatch.setattr(download.timm, "create_model", from_cache)
    assert set(download.timm_weights("resnet18")) == {"weight", "bias"}
    assert asked == []


def test_an_encoder_without_pretrained_weights() -> None:
    name = next(name for name in timm.list_models("resnet*") if not timm.is_model_pretrained(name))
    with pytest.raises(UsageError, match="no pretrained weights"):
        build_model("fcn32s", 3, name, "imagenet")


def test_timm_s_download_is_used_when_the_hub_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real path of timm and huggingface_hub, against a hub of our own on this machine."""
    state = timm.create_model("resnet10t", pretrained=False).state_dict()
    save_file(state, tmp_path / "model.safetensors")
    script = (
        "import sys, torch\n"
        "from safetensors.torch import load_file\n"
        "from fullconv.models import build_model\n"
        "built = build_model('fcn32s', 3, 'resnet10t', 'imagenet')\n"
        "source = load_file(sys.argv[1])\n"
        "assert torch.equal(built.network.encoder.body.layer1[0].conv1.weight, source['layer1.0.conv1.weight'])\n"
        "print(built.notes[0], built.licence)\n"
    )
    with hub(tmp_path / "model.safetensors") as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "no_proxy": "*"}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "model.safetensors")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert "84 copied, 2 of the file" in done.stdout, done.stderr
    # and from the cache once the hub is gone
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "84 copied, 2 of the file" in done.stdout, done.stderr
