"""A frozen encoder: what it gives of an image that comes again is computed once, and changes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
import torch

import fullconv
from fullconv.errors import UsageError
from fullconv.models.kept_features import KeptFeatures
from fullconv.training.config import TrainConfig
from fullconv.training.frozen import changes

STILL = {"scale": (1.0, 1.0), "colour": 0.0}


def test_what_makes_images_change_is_named() -> None:
    sizes = Counter({(360, 480): 5})
    assert changes(TrainConfig(**STILL), (360, 480), sizes) == ""
    assert changes(TrainConfig(**STILL, resize=(90, 120)), (90, 120), Counter({(50, 60): 1, (70, 80): 1})) == ""
    assert changes(TrainConfig(**STILL), (384, 480), sizes) == "crops that are not whole images (--resize H W)"
    assert changes(TrainConfig(), (360, 480), sizes) == "zoom (--scale 1 1), colours (--colour 0)"


def test_freeze_is_a_rate_of_nothing() -> None:
    assert TrainConfig(freeze="encoder").encoder_rate == 0
    assert TrainConfig(freeze="encoder", encoder_rate=0).encoder_rate == 0
    with pytest.raises(UsageError, match=r"a frozen encoder has no rate, found encoder_rate 0\.1"):
        TrainConfig.load(None, {"freeze": "encoder", "encoder_rate": 0.1})


def trained(out: Path, keep: bool) -> tuple[dict[str, torch.Tensor], list[KeptFeatures]]:
    made: list[KeptFeatures] = []

    class Noted(KeptFeatures):
        def __init__(self, limit: int) -> None:
            super().__init__(limit if keep else 0)
            made.append(self)

    with mock.patch("fullconv.training.frozen.KeptFeatures", Noted):
        run = fullconv.train(
            fullconv.open_dataset("shapes:train=8,val=4,height=64,width=64"), out, model="fcn8s", encoder="test_vit",
            encoder_weights="none", freeze="encoder", crop=(64, 64), **STILL, flip=False, epochs=3, batch_size=4,
            ema=0.5, workers=0, quiet=True, precision="fp32",
        )  # fmt: skip
    segmenter = fullconv.load(run.path)
    assert segmenter.network.encoder.kept is None
    return segmenter.network.state_dict(), made


def test_a_run_ends_with_the_same_weights_and_sees_each_image_once(tmp_path: Path) -> None:
    with_memory, (kept,) = trained(tmp_path / "kept", True)
    without, (none,) = trained(tmp_path / "none", False)
    assert 12 <= kept.computed <= 13  # 8 of train, 4 of val, and a picture of one of them
    assert kept.found >= 24
    assert none.found == 0
    assert none.full
    for name, value in with_memory.items():
        torch.testing.assert_close(value, without[name], rtol=1e-4, atol=1e-5, msg=name)


def test_it_is_said_and_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fullconv.train(
        "shapes:train=8,val=2,height=64,width=64", tmp_path / "run", encoder="test_vit", freeze="encoder", minutes=0.2,
        workers=0,
    )  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "colour 0: images stay as they are, so that the frozen encoder sees each once" in said
    assert "crop 64x64: whole images" in said
    assert "the encoder is frozen: what it gives of an image is computed once and kept" in said
    assert "freeze: encoder" in run.config.read_text()
