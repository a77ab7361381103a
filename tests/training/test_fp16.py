"""fp16 with a scaled loss. Only GPUs offer it; here PyTorch's scaler for a processor stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from safetensors.torch import load_file

import fullconv
from fullconv.device import choose_precision
from fullconv.errors import NotFiniteError, UsageError
from fullconv.models.finite import not_finite
from fullconv.training import guard as guard_module
from fullconv.training.state import Checkpoint
from tests.builders.runs import FEW_STEPS, FOUR_SCENES

FP16 = {**FEW_STEPS, "precision": "fp16", "ema": 0.0, "epochs": 3}


def on_a_processor(patch: pytest.MonkeyPatch, scale: float) -> torch.amp.GradScaler:
    """Let ``--precision fp16`` pass, with a scaler that starts at ``scale``."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)

    def fabric(**given: Any) -> Fabric:
        assert given.pop("precision") == "16-mixed"
        return Fabric(**given, plugins=MixedPrecision("16-mixed", "cpu", scaler))

    patch.setattr("fullconv.training.devices.Fabric", fabric)
    for module in ("devices", "plan"):
        patch.setattr(f"fullconv.training.{module}.choose_precision", lambda name, device: "fp16")
    return scaler


def test_gradients_that_overflow_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps overflow: no fault; the factor falls, and a resumed run goes on with it."""
    with monkeypatch.context() as patch:
        scaler = on_a_processor(patch, 2.0**40)
        run = fullconv.train(FOUR_SCENES, tmp_path / "run", **FP16)
    state = Checkpoint.read(run)
    assert state is not None
    assert state.scaler is not None
    scale = state.scaler["scale"]
    assert 2.0**10 < scale == scaler.get_scale() < 2.0**40
    assert not not_finite(load_file(run.last))
    state.progress.step -= 1  # as if stopped before the last step
    state.progress.history.pop()
    state.write(run)
    with monkeypatch.context() as patch:
        resumed = on_a_processor(patch, 2.0**5)
        fullconv.train(FOUR_SCENES, run.path, resume=True, quiet=True)
    assert resumed.get_scale() in (scale, scale / 2)  # the last step may overflow too


def test_steps_that_overflow_for_ever_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_processor(monkeypatch, 2.0**40)
    monkeypatch.setattr(guard_module, "SMALLEST_SCALE", 2.0**39)
    with pytest.raises(NotFiniteError, match=r"not finite in step 3 .*--precision fp32"):
        fullconv.train(FOUR_SCENES, tmp_path / "run", **FP16)


def test_fp16_is_refused_without_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="precision fp16 needs a CUDA GPU, found cpu; use bf16 or fp32"):
        fullconv.train(FOUR_SCENES, tmp_path / "run", **FP16, device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("capability", "expected"), [((6, 1), "fp32"), ((7, 5), "fp16"), ((8, 0), "bf16")])
def test_auto_takes_what_a_gpu_is_fast_in(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda")) == expected
