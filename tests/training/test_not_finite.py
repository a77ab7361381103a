"""nan and inf, put in at every point: a run stops with a line that says where, and what was good stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import fullconv
from fullconv.cli.main import run as command_line
from fullconv.errors import ModelFileError, NotFiniteError
from fullconv.heatmapper import HeatMapper
from fullconv.models.finite import not_finite
from fullconv.prediction.files import predict
from fullconv.segmenter import Segmenter
from fullconv.training import fit as fit_module
from fullconv.training import learner as learner_module
from fullconv.training.guard import Guard
from fullconv.training.learner import Learner
from fullconv.training.state import Checkpoint
from tests.builders.runs import DATA, SMALL

STEPS = 4  # of an epoch
BAD = 6  # the first bad step, counted from 1: the second of epoch 2


class Late(Guard):
    """As on a GPU: what a step gave is read afterwards."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.exact = False


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> fullconv.Run:
    """The run without a fault."""
    return fullconv.train(DATA, tmp_path_factory.mktemp("whole") / "run", **SMALL)


def without_time(run: fullconv.Run) -> list[str]:
    return [line.rsplit(",", 1)[0] for line in (run.path / "log.csv").read_text().splitlines()]


def inject(patch: pytest.MonkeyPatch, where: str, step: int = BAD, value: float = float("nan")) -> None:
    """Make one number of a step (also when it is repeated) not finite."""
    forward, step_of = Learner.forward, Learner.step

    def bad_forward(self: Learner, at: int, batch: Any) -> Any:
        if at != step - 1:
            return forward(self, at, batch)
        network: Any = self.plan.segmenter.network
        if where == "activations":  # of one image of the batch
            layer = network.encoder.body.layer2
            handle = layer.register_forward_pre_hook(
                lambda _, given: given[0].index_put((torch.tensor(1),), given[0][1] + value)
            )
            try:
                return forward(self, at, batch)
            finally:
                handle.remove()
        logits, loss = forward(self, at, batch)
        if where == "loss":
            return logits, loss + value
        if where == "gradient":
            weight = network.score["32"].weight
            loss = loss + (weight - weight.detach()).abs().sqrt().sum()  # 0, its slope infinite
        return logits, loss

    def bad_step(self: Learner, at: int, batch: Any) -> Any:
        result = step_of(self, at, batch)
        if at == step - 2:
            if where == "weights":
                self.plan.segmenter.network.score["32"].bias.data[0] = value
            if where == "average" and self.average:
                self.average.average.score["32"].bias.data[0] = value
        return result

    patch.setattr(Learner, "forward", bad_forward)
    patch.setattr(Learner, "step", bad_step)


@pytest.mark.parametrize(
    ("where", "words", "kept"),
    [
        (
            "activations",
            r"step 6 \(epoch 2\): the activations of encoder\.body\.layer2\.0\.\S+ \(images shapes_\d+\)",
            BAD - 1,
        ),
        ("loss", r"step 6 \(epoch 2\): the loss, nan from finite scores", BAD - 1),
        ("gradient", r"step 6 \(epoch 2\): the gradients of score\.32\.weight", BAD - 1),
        ("weights", r"step 6 \(epoch 2\): the weights of score\.32\.bias, since the step before", STEPS),
        ("average", r"the moving average of score\.32\.bias are not finite after step 8", STEPS),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_run_stops_and_keeps_what_was_good(
    where: str, words: str, kept: int, late: bool, whole: fullconv.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``late`` as on a GPU: read every few steps, so that the run goes back before it can say where."""
    with monkeypatch.context() as patch:
        inject(patch, where)
        if late:
            patch.setattr(fit_module, "EXACT_STEPS", 0)
            patch.setattr(learner_module, "Guard", Late)
        with pytest.raises(NotFiniteError, match=words) as caught:
            fullconv.train(DATA, tmp_path / "run", **SMALL)
    assert "keeps its models up to epoch 1; go on from them with --init-from" in str(caught.value)
    assert "a smaller --rate (it was 0.001)" in str(caught.value)
    run = fullconv.Run(tmp_path / "run")
    # the models are those of epoch 1, the state is from before the fault
    for file in (run.best, run.last):
        assert not not_finite(load_file(file))
    state = Checkpoint.read(run)
    assert state is not None
    assert state.progress.step == kept
    assert not not_finite(state.network)
    # and a run goes on from it as if nothing had been
    again = fullconv.train(DATA, run.path, resume=True, quiet=True)
    for name, value in load_file(whole.last).items():
        assert torch.equal(value, load_file(again.last)[name]), name
    assert without_time(whole) == without_time(again)


def test_a_fault_of_the_first_epoch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for guard in (Guard, Late):
        with monkeypatch.context() as patch:
            patch.setattr(fit_module, "EXACT_STEPS", 0)
            patch.setattr(learner_module, "Guard", guard)
            inject(patch, "loss", step=3)
            with pytest.raises(NotFiniteError, match=r"step 3.*no epoch was finished, nothing is kept; try a smaller"):
                fullconv.train(DATA, tmp_path / "run", **SMALL)
        assert list(tmp_path.iterdir()) == []


def test_the_state_is_saved_within_long_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many seconds; a fault in the first epoch then costs no more than that."""
    monkeypatch.setattr(fit_module, "SAVE_SECONDS", -1)
    monkeypatch.setattr(fit_module, "CHECK_EVERY", 2)
    with monkeypatch.context() as patch:
        inject(patch, "weights", step=4)
        with pytest.raises(NotFiniteError, match="the weights of"):
            fullconv.train(DATA, tmp_path / "run", **SMALL)
    state = Checkpoint.read(fullconv.Run(tmp_path / "run"))
    assert state is not None
    assert state.progress.step == 2


def test_val_scores_that_are_not_finite_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overflow that training's batch norm hides: the running statistics of validation do not."""
    step_of = Learner.step

    def bad_step(self: Learner, at: int, batch: Any) -> Any:
        result = step_of(self, at, batch)
        if at == 2 * STEPS - 1:
            for network in (self.plan.segmenter.network, self.watched.network):
                network.score["32"].weight.data.fill_(3e38)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", bad_step)
        with pytest.raises(NotFiniteError, match=r"shapes_\d+.*the activations of score\.32 are not finite"):
            fullconv.train(DATA, tmp_path / "run", **SMALL)
    run = fullconv.Run(tmp_path / "run")
    assert run.scores["epoch"] == 1
    assert not not_finite(load_file(run.last))


def ruined(tmp_path: Path, value: float) -> tuple[Segmenter, Path, Path]:
    """A segmenter with a bad weight, its file (written around our own check) and an image."""
    torch.manual_seed(0)
    segmenter = fullconv.train(DATA, tmp_path / "run", **{**SMALL, "epochs": 1}).segmenter("cpu", "fp32")
    segmenter.network.score["32"].bias.data[1] = value
    file = tmp_path / "ruined.safetensors"
    state = {name: tensor.contiguous() for name, tensor in segmenter.network.state_dict().items()}
    save_file(state, file, {"fullconv": json.dumps(segmenter.header())})
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "image.png")
    return segmenter, file, tmp_path / "image.png"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_models_that_are_not_finite_are_refused_everywhere(
    value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segmenter, file, image = ruined(tmp_path, value)
    with pytest.raises(ModelFileError, match=r"not finite \(score\.32\.bias\)"):
        Segmenter.load(file)
    for verb in (
        ["predict", str(file), str(image), "--out", str(tmp_path / "masks")],
        ["evaluate", str(file), "shapes:height=40,width=40,train=2,val=2", "--workers", "0"],
        ["train", "shapes:height=40,width=40,train=2,val=2", "--encoder", "resnet10t", "--out", str(tmp_path / "r"),
         "--init-from", str(file), "--workers", "0"],
    ):  # fmt: skip
        assert command_line(verb) == 2
        assert "not finite (score.32.bias)" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()
    assert not (tmp_path / "r").exists()
    with pytest.raises(NotFiniteError, match=r"image\.png: the weights of score\.32\.bias are not finite"):
        segmenter.predict(image)
    with pytest.raises(NotFiniteError, match=r"shapes_\d+: the weights of score\.32\.bias are not finite"):
        fullconv.evaluate(segmenter, DATA, workers=0)
    with pytest.raises(NotFiniteError, match=r"not written, the weights of score\.32\.bias"):
        segmenter.save(tmp_path / "new.safetensors")
    assert not (tmp_path / "new.safetensors").exists()


def test_scores_that_overflow_become_no_labels(tmp_path: Path) -> None:
    segmenter, _, image = ruined(tmp_path, 0.0)
    segmenter.network.score["32"].weight.data.fill_(3e38)
    for options in ({}, {"probabilities": True}, {"crf": fullconv.CRF(iterations=1)}):
        with pytest.raises(NotFiniteError, match=r"image\.png: the activations of score\.32 are not finite"):
            segmenter.predict(image, **options)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    for name in ("a.png", "b.png"):
        shutil.copy(image, tmp_path / "folder" / name)
    done = predict(segmenter, [tmp_path / "folder"], tmp_path / "masks")
    assert (len(done.failed), done.written) == (2, [])
    assert done.notes == ["left out, not images: 1 file (notes.txt)"]
    assert not (tmp_path / "masks").exists()


def test_heat_maps_of_scores_that_overflow_are_refused() -> None:
    mapper = HeatMapper.load("resnet10t", "none", device="cpu", precision="fp32")
    next(iter(mapper.network.parameters())).data.fill_(3e38)
    with pytest.raises(NotFiniteError, match="at 64x64 the classifier's scores are not finite"):
        mapper.probabilities(np.full((64, 64, 3), 200, np.uint8), (64, 64))


def test_weights_files_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = {"conv1.weight": torch.full((2, 2), float("nan")), "a": torch.ones(3)}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        with pytest.raises(ModelFileError, match=r"1 of 2 tensors .* not finite \(conv1\.weight\)"):
            fullconv.train(DATA, tmp_path / "run", **{**SMALL, "encoder_weights": str(tmp_path / name)})
    assert not not_finite(
        {"huge": torch.full((9,), 3e38), "none": torch.ones(0), "ids": torch.ones(2, dtype=torch.int64)}
    )
