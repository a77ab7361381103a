from __future__ import annotations

from pathlib import Path

import pytest
import torchvision

from fullconv.cli.main import run
from fullconv.models import MODELS, build_model
from fullconv.models.catalogue import known_weights, measured, networks, num_parameters
from fullconv.models.start import may_be_sold
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


def test_figures_are_those_of_the_docs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    rows = measured()
    assert len(rows) > 10
    for row in rows:
        figures = (f"{row.parameters:.1f}", f"{row.images_per_s:.1f}", str(row.extra_mib), f"{row.mean_iou:.3f}")
        assert f"| {' | '.join((row.network, *figures))} |" in page
    assert {row.network.partition(",")[0] for row in rows} <= set(networks())


def test_sizes_are_those_of_the_networks() -> None:
    """Of torchvision's trained network and of a network of ours, by the encoder that it is built on."""
    built = build_model("fcn32s", 21, "mobilenetv2_100").network.encoder
    assert num_parameters("mobilenetv2_100") == sum(value.numel() for value in built.parameters())
    theirs = torchvision.models.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None)
    assert num_parameters("torchvision/lraspp_mobilenet_v3_large") == sum(v.numel() for v in theirs.parameters())


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_fits_the_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["models"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "0.673" in shown
    assert "not measured: maskrcnn" in shown
