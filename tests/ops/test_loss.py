from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fullconv.geometry import Window
from fullconv.ops import (
    label_weight,
    strips,
    upsample_cross_entropy,
    upsample_dice,
    upsample_focal,
    upsample_ohem,
)
from tests.builders.backends import BACKENDS, choose
from tests.builders.losses import (
    Loss,
    assert_same,
    enlarged,
    plain_cross_entropy,
    problems,
    rounding_scale,
    tolerance_of,
    value_and_gradient,
)

pytestmark = [  # Triton's interpreter is numpy
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning"),  # a sum of inf and -inf
]

many = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every backend but the reference, in every way that it takes the gradient."""
    return choose(request.param, monkeypatch)


def check_cross_entropy(problem: tuple[Tensor, Tensor, dict[str, Any]], device: str = "cpu") -> None:
    logits, labels, options = problem
    expected = value_and_gradient(plain_cross_entropy, logits.double(), labels, **options)
    if options.get("weight") is not None:
        options["weight"] = options["weight"].to(device)
    value, gradient = value_and_gradient(upsample_cross_entropy, logits.to(device), labels.to(device), **options)
    assert value.dtype == torch.float32
    assert gradient.dtype == logits.dtype
    assert gradient.shape == logits.shape
    value, gradient = value.cpu(), gradient.cpu()
    torch.testing.assert_close(value.double(), expected[0], rtol=2e-5, atol=4e-6 * rounding_scale(problem))
    torch.testing.assert_close(
        gradient.double(), expected[1], rtol=tolerance_of(logits), atol=2e-6 * rounding_scale(problem)
    )


@many
@given(problem=problems())
@pytest.mark.parametrize("name", ["strips", "cpu"])
def test_cross_entropy_is_that_of_torch(name: str, problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_OPS", name)
    check_cross_entropy(problem)


@settings(max_examples=12 if not torch.cuda.is_available() else 150, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(problem=problems(most=5))
def test_cross_entropy_of_triton_is_that_of_torch(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_OPS", "triton")
    logits, labels, options = problem
    if not torch.cuda.is_available() and labels.numel() > 150:  # the interpreter is slow
        labels = labels[:, :9, :9]
        options["crop"] = options.get("crop") or Window(0, 0, *problem[1].shape[-2:])
        options.pop("align_corners", None)
        labels[0, 0, 0] = 0
    check_cross_entropy((logits, labels, options), "cuda" if torch.cuda.is_available() else "cpu")


def test_reference_is_torch_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_OPS", "reference")
    logits, labels = torch.randn(2, 4, 3, 5), torch.randint(0, 4, (2, 11, 13))
    assert_same(
        value_and_gradient(upsample_cross_entropy, logits, labels, label_smoothing=0.2),
        value_and_gradient(plain_cross_entropy, logits, labels, label_smoothing=0.2),
    )


@many
@given(problem=problems(), gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
@pytest.mark.parametrize("name", ["strips", "cpu"])
def test_focal_is_the_formula(name: str, problem: Any, gamma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, options = problem
    options.pop("label_smoothing")
    logits = logits.clamp(-8, 8)  # where p is 1 to float32 the formula itself loses its digits

    def formula(logits: Tensor, labels: Tensor) -> Tensor:
        full = enlarged(logits, tuple(labels.shape[-2:]), options.get("crop"), options.get("align_corners", False))
        counted = labels.long() != options["ignore_index"]
        known = torch.where(counted, labels.long(), 0)
        log_p = full.log_softmax(1).gather(1, known[:, None])[:, 0]
        weight = options["weight"].double() if "weight" in options else torch.ones(logits.shape[1]).double()
        own = weight[known] * counted
        total = (-own * (-torch.expm1(log_p)).clamp(min=1e-12) ** gamma * log_p).sum()
        return total if options["reduction"] == "sum" else total / own.sum()

    expected = value_and_gradient(formula, logits.double(), labels)
    monkeypatch.setenv("FULLCONV_OPS", name)
    got = value_and_gradient(upsample_focal, logits, labels, gamma=gamma, **options)
    scale = rounding_scale(problem)
    torch.testing.assert_close(got[0].double(), expected[0], rtol=2e-4, atol=2e-6 * scale)
    torch.testing.assert_close(got[1].double(), expected[1], rtol=10 * tolerance_of(logits), atol=2e-5 * scale)


@pytest.mark.parametrize("keep", [1e-9, 0.1, 0.5, 1.0])
def test_ohem_is_the_mean_of_the_largest(keep: float) -> None:
    logits, labels = torch.randn(2, 5, 4, 6), torch.randint(0, 5, (2, 30, 41))
    labels[torch.rand(labels.shape) < 0.2] = 255

    def largest(logits: Tensor, labels: Tensor) -> Tensor:
        full = F.interpolate(logits, labels.shape[-2:], mode="bilinear")
        losses = F.cross_entropy(full, labels, ignore_index=255, reduction="none").flatten()
        number = max(-(-int(keep * 1e6) * int((labels != 255).sum()) // 10**6), 1)
        return losses.topk(number).values.mean()

    assert_same(
        value_and_gradient(upsample_ohem, logits, labels, keep=keep),
        value_and_gradient(largest, logits.double(), labels),
    )


def test_focal_and_smoothing_in_every_backend(backend: str, device: torch.device) -> None:
    logits, labels = torch.randn(1, 5, 3, 4, device=device) * 4, torch.randint(0, 5, (1, 9, 14), device=device)
    labels[:, 2] = 255
    weight = torch.rand(5, device=device)
    for loss, options in (
        (upsample_focal, {"gamma": 2.0, "weight": weight}),
        (upsample_cross_entropy, {"label_smoothing": 0.3, "weight": weight, "align_corners": True}),
    ):
        os.environ["FULLCONV_OPS"] = "reference"
        expected = value_and_gradient(loss, logits.double(), labels, **options)
        os.environ["FULLCONV_OPS"] = backend
        assert_same(value_and_gradient(loss, logits, labels, **options), expected)


def test_strips_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.randn(2, 5, 6, 7, dtype=torch.float64), torch.randint(0, 5, (2, 45, 50))
    whole = value_and_gradient(upsample_cross_entropy, logits, labels)
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)  # one row a strip
    assert_same(value_and_gradient(upsample_cross_entropy, logits, labels), whole, 1e-12)


def test_gradcheck() -> None:
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (2, 13, 17))
    labels[:, :4] = 255
    weight = torch.rand(3, dtype=torch.float64)
    for loss in (
        lambda x: upsample_cross_entropy(x, labels),
        lambda x: upsample_cross_entropy(x, labels, weight=weight, label_smoothing=0.1, reduction="sum"),
        lambda x: upsample_focal(x, labels, weight=weight),
        lambda x: upsample_ohem(x, labels),
    ):
        assert torch.autograd.gradcheck(loss, (logits,))


def test_two_runs_give_the_same_bits(backend: str, device: torch.device) -> None:
    size = (2, 6) if backend == "triton" and device.type == "cpu" else (40, 30)
    logits = torch.randn(2, 7, *size, device=device)
    labels = torch.randint(0, 7, (2, 4 * size[0], 4 * size[1]), device=device)
    first = value_and_gradient(upsample_cross_entropy, logits, labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = value_and_gradient(upsample_cross_entropy, logits, labels)
    finally:
        torch.set_num_threads(threads)
    if backend == "strips":  # PyTorch's own products may differ with the number of threads
        again = value_and_gradient(upsample_cross_entropy, logits, labels)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@pytest.mark.parametrize(
    "loss",
    [
        upsample_cross_entropy,
        partial(upsample_cross_entropy, reduction="sum"),
        partial(upsample_cross_entropy, label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 0.5])),
        upsample_focal,
        partial(upsample_focal, reduction="sum"),
        upsample_ohem,
        upsample_dice,
        partial(upsample_dice, jaccard=True),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_second_derivative_is_refused(loss: Loss, dtype: torch.dtype) -> None:
    logits = torch.randn(1, 3, 2, 2, dtype=dtype, requires_grad=True)
    labels = torch.randint(0, 3, (1, 4, 4))
    for value in (loss(logits, labels), loss(logits, labels) ** 2):
        (gradient,) = torch.autograd.grad(value, logits, create_graph=True)
        with pytest.raises(RuntimeError, match="no second derivatives"):
            torch.autograd.grad(gradient.sum(), logits, retain_graph=True)
        with pytest.raises(RuntimeError, match="no second derivatives"):  # nor is it left out of a sum
            (value.detach() + (logits**2).sum() + gradient.pow(2).sum()).backward()


def test_the_reference_has_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_OPS", "reference")
    logits = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (1, 4, 4))
    assert torch.autograd.gradgradcheck(lambda x: upsample_cross_entropy(x, labels, reduction="sum"), (logits,))


def test_label_weight_is_the_divisor_of_the_mean() -> None:
    logits, labels, weight = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 9, 9)), torch.rand(3)
    labels[0, :3] = 255
    for own in (None, weight):
        total = upsample_cross_entropy(logits, labels, weight=own, reduction="sum")
        mean = upsample_cross_entropy(logits, labels, weight=own)
        torch.testing.assert_close(total / label_weight(labels, 255, own), mean)


def test_bf16_logits_under_autocast_and_checkpointing() -> None:
    layer = torch.nn.Conv2d(3, 6, 3)
    pixels, labels = torch.randn(1, 3, 7, 7), torch.randint(0, 6, (1, 40, 40))

    def step(checkpoint: bool) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            run = lambda x: upsample_cross_entropy(layer(x), labels)  # noqa: E731
            loss = torch.utils.checkpoint.checkpoint(run, pixels, use_reentrant=False) if checkpoint else run(pixels)
        assert loss.dtype == torch.float32
        return loss.detach(), torch.autograd.grad(loss, layer.weight)[0]

    plain, again = step(False), step(True)
    assert torch.equal(plain[0], again[0])
    assert torch.equal(plain[1], again[1])


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_inside_torch_compile_without_a_break() -> None:
    layer = torch.nn.Conv2d(3, 6, 3)
    pixels, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 6, (2, 24, 24))

    def step(pixels: Tensor, labels: Tensor) -> Tensor:
        return upsample_cross_entropy(layer(pixels), labels, label_smoothing=0.1)

    expected = torch.autograd.grad(step(pixels, labels), layer.weight)[0]
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(compiled(pixels, labels), layer.weight)[0], expected)
    torch.library.opcheck(
        torch.ops.fullconv.softmax_sums.default,
        (torch.randn(1, 2, 3, 3, requires_grad=True), torch.zeros(1, 6, 6, dtype=torch.uint8), None,
         [0.0, 0.0, 6.0, 6.0], False, 255, 0.0, 0.0, True),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("logits", "labels", "options", "words"),
    [
        (torch.zeros(1, 2, 3), torch.zeros(1, 3, 3), {}, "n c h w"),
        (torch.zeros(2, 2, 3, 3), torch.zeros(1, 3, 3), {}, "n c h w"),
        (torch.zeros(1, 2, 3, 3), torch.full((1, 3, 3), 2), {}, r"id 2 \(image 0, row ., column .\); expected 0 to 1"),
        (torch.zeros(1, 2, 3, 3), torch.full((1, 3, 3), -1), {}, "id -1"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"weight": torch.ones(3)}, "2 class weights"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 9), {}, "smaller than the logits"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"reduction": "none"}, "mean or sum"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"label_smoothing": 2}, "between 0 and 1"),
        (torch.zeros(1, 0, 3, 3), torch.zeros(1, 3, 3), {}, "must not be empty"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"weight": torch.tensor([1.0, -1.0])}, "0 or more, found -1"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"crop": Window(0, 0, 0, 9)}, "finite and not empty"),
        (torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3), {"crop": Window(float("nan"), 0, 9, 9)}, "finite"),
    ],
)  # fmt: skip
def test_refuses(
    logits: Tensor, labels: Tensor, options: dict[str, Any], words: str, backend: str, device: torch.device
) -> None:
    if device.type == "cuda" and words.startswith(("id ", "0 or more")):
        pytest.skip("a GPU says it when it comes to it, and is of no use to the process afterwards: the next test")
    with pytest.raises(ValueError, match=words):
        upsample_cross_entropy(logits.to(device), labels.long().to(device), **options)
