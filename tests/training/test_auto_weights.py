"""``encoder_weights: auto``: what is cached or answers is taken, else a line; no run waits twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from fullconv.formats.open import open_dataset
from fullconv.models import build_model, download
from fullconv.training.auto_weights import weights_at_hand
from fullconv.training.choosing.encoders import LADDER, UNTRAINED, candidates
from fullconv.training.config import TrainConfig
from tests.builders.hub import hub


def test_auto_is_the_default_and_without_a_network_says_so(make_folder: Callable[..., Path]) -> None:
    spec = open_dataset(make_folder())
    weights, line = weights_at_hand(TrainConfig(encoder="resnet18"), spec)
    assert weights == "none"
    assert "no ImageNet weights of resnet18 (not cached, and HF_HUB_OFFLINE is set)" in line
    assert "--encoder-weights FILE" in line
    assert "vgg16 (not cached" in weights_at_hand(TrainConfig(encoder="vgg16"), spec)[1]
    other = TrainConfig(encoder="vit_tiny_patch16_224", encoder_args={"depth": 3, "img_size": 96})
    assert "(with other depth they may not fit)" in weights_at_hand(other, spec)[1]
    assert weights_at_hand(TrainConfig(encoder_weights="imagenet"), spec) == ("imagenet", "")


def test_what_needs_none_asks_for_none(make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "unavailable", lambda name: pytest.fail("asked"))
    assert weights_at_hand(TrainConfig(), open_dataset("shapes")) == ("none", "")
    spec = open_dataset(make_folder())
    assert weights_at_hand(TrainConfig(init_from="run"), spec) == ("none", "")
    assert weights_at_hand(TrainConfig(model="torchvision", encoder="fcn_resnet50"), spec) == ("none", "")


def test_a_host_without_an_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, float]] = []
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path))
    monkeypatch.setattr(download.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(download, "reachable", lambda host, seconds: asked.append((host, seconds)))
    assert "gave no answer within 10 s" in download.unavailable("resnet18")
    assert "gave no answer a few minutes ago" in download.unavailable("resnet34")
    assert asked == [(download.constants.ENDPOINT, 10.0)]
    kept = next((tmp_path / "unreachable").iterdir())
    os.utime(kept, (0, 0))
    assert "within 10 s" in download.unavailable("resnet34")
    assert len(asked) == 2
    assert download.unavailable("resnet19") == "timm has none"


def test_one_encoder_at_hand_is_enough_where_it_is_chosen_later(
    monkeypatch: pytest.MonkeyPatch, make_folder: Callable[..., Path]
) -> None:
    """That the fastest is not cached does not mean that the others start from random weights."""
    spec = open_dataset(make_folder())
    monkeypatch.setattr(download, "unavailable", lambda name: "" if name == LADDER[1] else "not cached")
    monkeypatch.setattr(download, "timm_weights", lambda name: {})
    assert weights_at_hand(TrainConfig(minutes=5), spec) == ("imagenet", "")
    assert "mobilenetv2_100 (not cached)" in weights_at_hand(TrainConfig(minutes=5, encoder=LADDER[0]), spec)[1]


def test_only_encoders_whose_weights_are_at_hand_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "fullconv.training.choosing.encoders.unavailable", lambda name: "" if name == LADDER[1] else "not cached"
    )
    assert [one.encoder for one in candidates(TrainConfig(encoder_weights="imagenet"), frozenset())] == [LADDER[1]]
    assert [one.encoder for one in candidates(TrainConfig(encoder_weights="none"), frozenset())] == list(UNTRAINED)


def test_a_run_takes_what_its_hub_gives(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """The real path, against a hub of our own on this machine; the licence and what was taken are said."""
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "model.safetensors")
    script = (
        "import sys, fullconv\n"
        "if __name__ == '__main__':\n"
        "    fullconv.train(sys.argv[1], sys.argv[2], encoder='test_resnet', model='fcn32s', epochs=1, workers=0,\n"
        "                   crop=(32, 32), check=False)\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    with hub(tmp_path / "model.safetensors") as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "no_proxy": "*"}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), str(make_folder(4, (32, 32)))]
        done = subprocess.run(
            [*command, str(tmp_path / "run")], env=environment, capture_output=True, text=True, timeout=200, check=False
        )
    assert "encoder weights from imagenet" in done.stdout, done.stderr
    assert "licence of the encoder's weights: apache-2.0" in " ".join(done.stdout.split())
    assert "encoder_weights: imagenet" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")


def test_licences_that_are_not_known_to_allow_sale_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    state = timm.create_model("test_vit", pretrained=False).state_dict()
    monkeypatch.setattr(download, "timm_weights", lambda name: state)
    built = build_model("fcn8s", 3, "test_vit", "imagenet")
    licence = timm.get_pretrained_cfg("test_vit").license
    assert built.notes[-1] == f"licence of the encoder's weights: {licence}"
    monkeypatch.setattr("fullconv.models.build.may_be_sold", lambda licence: False)
    assert "not known to allow commercial use" in build_model("fcn8s", 3, "test_vit", "imagenet").notes[-1]
