from __future__ import annotations

import pytest

from fullconv.cli.main import run
from fullconv.models import MODELS
from fullconv.models.catalogue import known_weights, may_be_sold, networks
from fullconv.training.config import TrainConfig


def test_the_default_encoder_is_free_to_use() -> None:
    default = TrainConfig().encoder
    assert any(row.name == default and row.commercial for row in known_weights())
    assert set(MODELS) < set(networks())


def test_non_commercial_weights_are_marked() -> None:
    rows = {row.name: row for row in known_weights("convnextv2_*")}
    assert rows["convnextv2_tiny"].licence == "cc-by-nc-4.0"
    assert not rows["convnextv2_tiny"].commercial
    assert not may_be_sold(None)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "mobilenetv2"]) == 0
    shown = capsys.readouterr().out
    assert "mobilenetv2_100" in shown
    assert "apache-2.0" in shown
    assert run(["models", "zzz"]) == 2
