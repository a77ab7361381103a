from __future__ import annotations

import copy
import math

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from fullconv.models import quick_norm
from fullconv.models.quick_norm import QuickBatchNormAct, quicken_norms


@pytest.fixture(autouse=True)
def small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_norm, "FEWEST", 1)


def norms(channels: int, act: type[nn.Module] | None) -> tuple[nn.Module, nn.Module]:
    """PyTorch's and ours, alike."""
    if act is None:
        plain: nn.Module = nn.Sequential(nn.BatchNorm2d(channels))
    else:
        plain = nn.Sequential(BatchNormAct2d(channels, act_layer=act, momentum=0.3, eps=1e-3))
    nn.init.uniform_(plain[0].weight, 0.5, 2)
    nn.init.normal_(plain[0].bias, 1)
    ours = copy.deepcopy(plain)
    quicken_norms(ours)
    return plain, ours


def results(norm: nn.Module, x: Tensor, outer: Tensor) -> list[Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = norm(x * 1)
    y.backward(outer.to(y.dtype))
    assert x.grad is not None
    found = [y.detach(), x.grad, *(p.grad for p in norm.parameters()), *norm.buffers()]
    return [value.double() for value in found]


@pytest.mark.parametrize("act", [None, nn.Identity, nn.ReLU, nn.ReLU6])
@pytest.mark.parametrize("shape", [(1, 3, 1, 2), (2, 1, 5, 7), (3, 24, 6, 8), (2, 33, 9, 5), (1, 600, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_gradients_and_statistics_are_those_of_float64(
    shape: tuple[int, ...], act: type[nn.Module] | None, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    plain, ours = norms(shape[1], act)
    x = (torch.randn(shape) * 3 + 20).to(dtype).contiguous(memory_format=torch.channels_last)
    outer = torch.randn(shape).to(dtype)
    true = results(copy.deepcopy(plain).double(), x.double(), outer.double())
    theirs, found = results(plain, x, outer), results(ours, x, outer)
    assert list(plain.state_dict()) == list(ours.state_dict())
    for got, also, expected in zip(found, theirs, true, strict=True):
        error, allowed = (got - expected).norm(), (also - expected).norm()
        assert error <= 2 * allowed + 1e-5 * expected.norm() + 1e-6, (error, allowed)


def test_nan_and_infinity_stay_what_they_are() -> None:
    for wrong in (math.nan, math.inf):
        _, ours = norms(2, nn.ReLU6)
        x = torch.randn(1, 2, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
        y = ours(x + torch.tensor([wrong, 0.0]).view(1, 2, 1, 1))
        assert y[:, 0].isnan().all()
        assert y[:, 1].isfinite().all()
        y.sum().backward()
        assert ours[0].weight.grad[0].isnan()
        assert ours[0].weight.grad[1].isfinite()


def test_the_ends_of_the_clip_are_as_in_pytorch() -> None:
    """What is rounded to 6 in bf16 passes no gradient on, as nothing did that PyTorch clipped after rounding."""
    for value in (5.98, 5.9843, 5.9844, 5.99, 6.0, -0.001, 0.0, 0.001):
        plain, ours = norms(1, nn.ReLU6)
        x = torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2).bfloat16().contiguous(memory_format=torch.channels_last)
        for norm in (plain, ours):
            nn.init.zeros_(norm[0].weight)
            nn.init.constant_(norm[0].bias, value)
        theirs, found = (results(norm, x, torch.ones(1, 1, 1, 2)) for norm in (plain, ours))
        assert torch.equal(theirs[0], found[0]), value
        assert torch.equal(theirs[3], found[3]), value


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    before, found = torch.get_num_threads(), []
    x = torch.randn(4, 24, 40, 50).bfloat16().contiguous(memory_format=torch.channels_last)
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            found.append(results(norms(24, nn.ReLU6)[1], x, x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_there_are_second_derivatives() -> None:
    found = []
    for norm in norms(3, nn.ReLU):
        torch.manual_seed(0)
        x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
        (first,) = torch.autograd.grad(norm(x).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [x, *norm.parameters()]))
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_does_not_suit_is_pytorchs() -> None:
    plain, ours = norms(3, nn.SiLU)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(ours(x), plain(x))  # another activation, another layout
    for norm in (plain, ours):
        norm.eval()
    torch.testing.assert_close(ours(x), plain(x))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norms(3, None)[1](torch.randn(1, 3, 1, 1, requires_grad=True))


def test_a_mobilenet_trains_to_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = timm.create_model("mobilenetv2_050", num_classes=5).train().to(memory_format=torch.channels_last)
    quick = copy.deepcopy(plain)
    quicken_norms(quick)
    kinds = {type(module) for module in quick.modules()}
    assert {QuickBatchNormAct} <= kinds
    assert not kinds & {BatchNormAct2d, nn.BatchNorm2d}
    x = torch.randn(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    for network in (plain, quick):
        network(x).square().sum().backward()
    theirs, ours = (torch.cat([p.grad.flatten() for p in one.parameters()]) for one in (plain, quick))
    assert torch.cosine_similarity(theirs, ours, 0) > 0.999
    for one, other in zip(plain.buffers(), quick.buffers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
