from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, PolynomialLR, StepLR

from fullconv.models import build_model
from fullconv.training.config import TrainConfig
from fullconv.training.optimisation import MovingAverage, make_optimizer, rate_factor, set_rate


@pytest.mark.parametrize("total", [2, 3, 10, 97])
@pytest.mark.parametrize("schedule", ["one-cycle", "poly", "step", "constant"])
def test_rates_are_those_of_pytorch(schedule: str, total: int) -> None:
    config = TrainConfig(schedule=schedule, step_epochs=2, step_factor=0.3, poly_power=0.9)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    per_epoch = 5
    oracle = {
        "one-cycle": lambda: OneCycleLR(optimizer, 2.0, total_steps=total, cycle_momentum=False),
        "poly": lambda: PolynomialLR(optimizer, total, 0.9),
        "step": lambda: StepLR(optimizer, 2 * per_epoch, 0.3),
        "constant": lambda: None,
    }[schedule]()
    for step in range(total):
        expected = optimizer.param_groups[0]["lr"]
        assert 2.0 * rate_factor(config, step, total, per_epoch) == pytest.approx(expected, rel=1e-6, abs=1e-12)
        optimizer.step()
        if oracle is not None and step < total - 1:
            oracle.step()


def test_groups_of_encoder_and_head_with_and_without_decay() -> None:
    network = build_model("fcn16s", 3, "resnet18", model_args={"head_channels": 4}).network
    optimizer = make_optimizer(network, TrainConfig(rate=1e-2, encoder_rate=1e-3, weight_decay=0.1))
    where = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    assert len(where) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        group = where[id(parameter)]
        assert group["lr"] == (1e-3 if name.startswith("encoder.") else 1e-2), name
        assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0), name
    set_rate(optimizer, 0.5)
    assert {g["lr"] for g in optimizer.param_groups} == {5e-4, 5e-3}


def test_an_encoder_rate_of_zero_freezes_it() -> None:
    network = build_model("fcn32s", 3, "resnet18").network
    optimizer = make_optimizer(network, TrainConfig(encoder_rate=0))
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 2
    assert not any(p.requires_grad for p in network.encoder.parameters())


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimisers(name: str, kind: type) -> None:
    assert type(make_optimizer(nn.Linear(2, 2), TrainConfig(optimizer=name))) is kind


def test_moving_average_is_its_recurrence() -> None:
    network, average = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    moving = MovingAverage(network, average, 0.5)
    expected = average.weight.detach().clone()
    for step in range(5):
        with torch.no_grad():
            network.weight.add_(1.0)
            network.num_batches_tracked.add_(1)
        moving.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
    torch.testing.assert_close(average.weight.detach(), expected)
    assert average.num_batches_tracked == 5
