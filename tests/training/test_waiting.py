"""A step of training on a GPU never waits for the device: what would, is found on a processor too."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import fullconv
from fullconv.geometry import Window
from fullconv.ops import checks, strips
from fullconv.ops.partial import mask_unlabelled_classes, unlabelled
from fullconv.ops.terms import SoftmaxTerms
from fullconv.training import fit as fit_module
from fullconv.training import guard as guard_module
from tests.builders.runs import FEW_STEPS, FOUR_SCENES

KINDS = [
    {"loss": "cross-entropy", "label_smoothing": 0.1, "class_weights": [1.0, 2.0, 1.0, 0.5, 1.0], "clip_norm": 0.0},
    {"loss": "cross-entropy", "reduction": "sum", "rate": 1e-6, "optimizer": "sgd"},
    {"loss": "focal", "class_weights": [1.0, 2.0, 1.0, 0.5, 1.0], "encoder_rate": 0.0},
    {"loss": "ohem"},
    {"loss": "dice"},
    {"loss": "cross-entropy+dice"},
    {"loss": "cross-entropy", "crf_loss": 0.3, "crf_loss_start": 0.0},
    {"loss": "cross-entropy", "labels": "scribbles", "crf_loss": 0.3, "crf_loss_start": 0.0},
    {"loss": "cross-entropy", "labels": "tags"},
]
ATEN = torch.ops.aten
READING = {
    ATEN._local_scalar_dense.default, ATEN.item.default, ATEN.is_nonzero.default, ATEN.nonzero.default,
    ATEN.equal.default,
}  # fmt: skip


class Read(AssertionError):
    """A value was read, which on a GPU makes the host wait."""


class NoReading(TorchDispatchMode):
    """Refuses operations that give the host a value; those of tensors that live on the host anyway may."""

    def __init__(self) -> None:
        super().__init__()
        self.on = False
        self.on_host: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.on and func in READING and args[0].data_ptr() not in self.on_host:
            raise Read(str(func))
        return func(*args, **(kwargs or {}))

    @contextlib.contextmanager
    def switched(self, on: bool) -> Iterator[None]:
        before, self.on = self.on, on
        try:
            yield
        finally:
            self.on = before


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every branch that is taken for a device that one waits for."""
    for module in (checks, fit_module, guard_module):
        monkeypatch.setattr(module, "waits", lambda device: True)
    monkeypatch.setattr(fit_module, "EXACT_STEPS", 0)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Refuse reading in all that a run does between batches, saves and epochs; the steps that were watched."""
    mode, steps = NoReading(), []
    monkeypatch.setenv("FULLCONV_OPS", "strips")
    for function in ("softmax_sums", "argmax"):  # an operation of our own runs outside the mode that saw it
        own = getattr(strips, function)
        monkeypatch.setattr(strips, function, lambda *given, own=own: _within(mode, own, given))

    def paused(function: Any) -> Any:
        def call(*given: Any) -> Any:
            with mode.switched(False):
                return function(*given)

        return call

    step_of, steps_of, batches_of = fit_module.Loop.step, fit_module.Loop.steps, fit_module._batches

    def step(self: fit_module.Loop, batch: Any) -> Any:
        steps.append(self.progress.step)
        counters = [state["step"] for state in self.learner.optimizer.state.values() if "step" in state]
        mode.on_host = {counter.data_ptr() for counter in counters}  # torch's optimisers keep them there
        with mode.switched(self.progress.step > 0):  # the first step copies constants, once
            return step_of(self, batch)

    def all_steps(self: fit_module.Loop) -> None:
        with mode, mode.switched(True):
            steps_of(self)

    def batches(*given: Any) -> Iterator[Any]:
        iterator = batches_of(*given)
        while (batch := paused(next)(iterator, None)) is not None:
            yield batch

    monkeypatch.setattr(fit_module.Loop, "step", step)
    monkeypatch.setattr(fit_module.Loop, "steps", all_steps)
    monkeypatch.setattr(fit_module, "_batches", batches)
    for function in ("finish_epoch", "save"):
        monkeypatch.setattr(fit_module.Loop, function, paused(getattr(fit_module.Loop, function)))
    return steps


def _within(mode: NoReading, function: Any, given: Any) -> Any:
    with mode:
        return function(*given)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["loss"])
@pytest.mark.usefixtures("as_on_a_gpu")
def test_no_step_reads_a_value(kind: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, gradient, optimiser, moving average, counts, log and the question of Ctrl-C, on two epochs of 2 steps."""
    steps = watch(monkeypatch)
    run = fullconv.train(FOUR_SCENES, tmp_path / "run", **{**FEW_STEPS, **kind, "device": "cpu"})
    assert steps == list(range(4))
    assert run.best.is_file()


@pytest.mark.parametrize("stride", [2, 8])  # each has a backward kernel of its own
@pytest.mark.parametrize(("smoothing", "gamma"), [(0.1, 0.0), (0.0, 2.0)])
@pytest.mark.usefixtures("as_on_a_gpu")
def test_the_gpu_s_kernels_read_nothing(stride: int, smoothing: float, gamma: float) -> None:
    """Launched in Triton's interpreter, under the same watch."""
    run = pytest.importorskip("fullconv.ops.triton.run")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    logits, labels = torch.randn(1, 3, 2, 2, device=device), torch.randint(0, 3, (1, 2 * stride, 2 * stride))
    labels, weight = labels.to(device), torch.tensor([1.0, 0.5, 2.0], device=device)
    window = Window(0, 0, 2 * stride, 2 * stride)
    terms = SoftmaxTerms(window, False, 255, weight, smoothing, gamma, gradient=True, pixel_losses=True)
    first = run.softmax_sums(logits, labels, terms)
    mode = NoReading()
    with mode, mode.switched(True):
        sums = run.softmax_sums(logits, labels, terms)
        run.argmax(logits, (2 * stride, 2 * stride), window, False, False)
    assert torch.equal(sums.gradient, first.gradient)
    expected = strips.softmax_sums(logits, labels, terms)
    torch.testing.assert_close(sums.gradient, expected.gradient)


def test_the_watch_sees_what_a_processor_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch(monkeypatch)
    with pytest.raises(Read):
        fullconv.train(FOUR_SCENES, tmp_path / "run", **{**FEW_STEPS, "device": "cpu"})


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_log_does_not_depend_on_when_the_loss_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = fullconv.train(FOUR_SCENES, tmp_path / "late", **FEW_STEPS)
    for module in (checks, fit_module, guard_module):
        monkeypatch.setattr(module, "waits", lambda device: False)
    exact = fullconv.train(FOUR_SCENES, tmp_path / "exact", **FEW_STEPS)
    first, second = (
        [line.split(",")[:2] for line in (run.path / "log.csv").read_text().splitlines()] for run in (late, exact)
    )
    assert first == second


@pytest.mark.usefixtures("as_on_a_gpu")
def test_labels_and_weights_are_left_to_the_device() -> None:
    """Its assertion says what was expected; on a processor the same call raises at once."""
    logits, labels = torch.zeros(1, 3, 2, 2), torch.full((1, 4, 4), 3)
    with pytest.raises(RuntimeError, match=r"labels must be 0 to 2 or 255 \(ignored\)"):
        checks.check_labels(labels, 3, 255)
    with pytest.raises(RuntimeError, match="class weights must be 0 or more"):
        fullconv.ops.upsample_cross_entropy(logits, labels, weight=torch.tensor([1.0, -1.0, 1.0]))


def test_classes_that_a_data_set_does_not_label() -> None:
    labelled = ((True, False, True), (True, True, False))
    expected = torch.tensor([[False, False, True], [False, True, False], [False, False, True]])
    assert torch.equal(unlabelled(labelled, [1, 0, 1], torch.device("cpu")), expected)
    with torch.inference_mode():
        kept = mask_unlabelled_classes(torch.zeros(3, 3, 1, 1), labelled, [1, 0, 1])
    assert torch.equal(kept[:, :, 0, 0] < 0, expected)
    scores = torch.zeros(3, 3, 1, 1, requires_grad=True)  # the constant of inference mode serves autograd too
    mask_unlabelled_classes(scores, labelled, [1, 0, 1]).sum().backward()
    assert torch.equal(scores.grad[:, :, 0, 0] == 0, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["loss"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_no_step_on_a_gpu_waits(
    precision: str, kind: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By CUDA's own account; the first two steps compile, tune and copy constants."""
    monkeypatch.setattr(fit_module, "EXACT_STEPS", 0)
    step_of, watched = fit_module.Loop.step, []

    def step(self: fit_module.Loop, batch: Any) -> Any:
        if self.progress.step < 2:
            return step_of(self, batch)
        watched.append(self.progress.step)
        with warnings.catch_warnings(action="ignore"):  # that it does not see all of them
            torch.cuda.set_sync_debug_mode("error")
        try:
            return step_of(self, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(fit_module.Loop, "step", step)
    fullconv.train(FOUR_SCENES, tmp_path / "run", **{**FEW_STEPS, **kind, "precision": precision})
    assert watched == [2, 3]
