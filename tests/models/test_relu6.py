from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from fullconv.models.relu6 import LeanReLU6, lean_activations


def kept(layer: nn.Module, x: Tensor) -> int:
    """Bytes of what the backward pass keeps, each memory once."""
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x)
    return sum(found.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_values_and_gradients_are_those_of_relu6(dtype: torch.dtype) -> None:
    edges = torch.tensor(
        [-1.0, 0.0, 1e-3, 3.0, 5.999, 6.0, 7.0, float("nan"), float("inf"), -float("inf")], dtype=dtype
    )
    upstream = torch.arange(1, 11, dtype=dtype)
    results = []
    for layer in (nn.ReLU6(inplace=True), LeanReLU6()):
        x = edges.clone().requires_grad_()
        y = layer(x * 1)
        y.backward(upstream)
        results.append((y.detach(), x.grad))
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_a_layer_keeps_a_third_less() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 32, 1), nn.BatchNorm2d(32), nn.ReLU6(inplace=True), nn.Conv2d(32, 4, 1))
    lean = copy.deepcopy(layers)
    lean_activations(lean)
    x = torch.randn(2, 3, 64, 64)
    tensor = 2 * 32 * 64 * 64 * 4
    assert abs(kept(layers, x) - kept(lean, x) - tensor) < tensor / 100


def test_a_mobilenet_trains_to_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = timm.create_model("mobilenetv2_050", num_classes=5).train()
    lean = copy.deepcopy(plain)
    lean_activations(lean)
    assert not any(type(module) is nn.ReLU6 for module in lean.modules())
    x = torch.randn(2, 3, 64, 64)
    for network in (plain, lean):
        network(x).square().sum().backward()
    for (name, ours), theirs in zip(lean.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    assert list(lean.state_dict()) == list(plain.state_dict())


def test_leaves_and_frozen_inputs_are_taken_too() -> None:
    layer = LeanReLU6()
    assert layer(torch.tensor([-1.0, 8.0])).tolist() == [0.0, 6.0]
    with torch.no_grad():
        assert layer(torch.tensor([-1.0, 8.0], requires_grad=True) * 1).tolist() == [0.0, 6.0]
