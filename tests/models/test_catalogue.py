from __future__ import annotations

import re
from pathlib import Path

import pytest
import torchvision

from fullconv.cli.main import run
from fullconv.models import MODELS, build_model
from fullconv.models.catalogue import (
    counted_parameters,
    known_weights,
    measured,
    networks,
    num_parameters,
    parameters_of,
)
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


def test_recorded_sizes_are_those_that_are_counted() -> None:
    """Of the short list, and of every fiftieth of all."""
    every = [row.name for row in known_weights("*") if "/" not in row.name]
    shown = [row.name for row in known_weights() if "/" not in row.name] + every[::50]
    assert {name: num_parameters(name) for name in shown} == {name: counted_parameters(name) for name in shown}
    assert parameters_of(shown, 0)  # none has to be made


def test_no_column_of_sizes_is_empty(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for words in (["models"], ["models", "mobilenetv2"], ["models", "resnet"]):
        assert run(words) == 0
        table = capsys.readouterr().out.rpartition("M param.")[2]
        rows = re.findall(r"^│ +(\S+) +│ +(\S*) +│", table, re.MULTILINE)
        assert len(rows) > 3
        assert all(re.fullmatch(r"\d+\.\d", size) for _, size in rows), rows


def test_sizes_of_many_encoders_that_are_not_recorded_are_left_out() -> None:
    """Each takes a fraction of a second."""
    names = ["resnet18", "torchvision/fcn_resnet50", "resnet10t.random"]
    sizes = parameters_of(names, 0)
    assert sizes["resnet10t.random"] == 0
    assert sizes["resnet18"] > 0
    assert sizes["torchvision/fcn_resnet50"] > 0


@pytest.mark.parametrize(
    ("pattern", "shown", "hidden"),
    [
        (
            "mobilenet*",
            ["0.673", "mobilenetv4_hybrid_medium", "  mobilenetv2_100: camvid_fcn8s_mobilenetv2,"],
            ["segnet "],
        ),
        ("fcn8s", ["0.665"], ["0.673", "licence"]),
        ("eomt", ["networks (--model): eomt"], ["mean IoU", "licence"]),
        ("tf_efficientnet_lite?", ["  tf_efficientnet_lite2: camvid_fcn8s_lite2"], ["images/s"]),
    ],
)
def test_a_part_of_the_list_has_the_figures_of_the_whole(
    pattern: str,
    shown: list[str],
    hidden: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["models", pattern]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert [words for words in shown if words not in said] == []
    assert [words for words in hidden if words in said] == []


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
