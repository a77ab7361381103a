"""What is chosen where nothing was given: from the data, and from what a step costs on the machine."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fullconv
from fullconv.data.sample import read_sample
from fullconv.errors import UsageError
from fullconv.training.choosing import budget, measure, rules
from fullconv.training.choosing.budget import choose
from fullconv.training.choosing.encoders import candidates
from fullconv.training.choosing.facts import DataFacts, _widths, look
from fullconv.training.choosing.limits import with_budget
from fullconv.training.choosing.measure import Cost, cost
from fullconv.training.config import TrainConfig

CPU = torch.device("cpu")
FACTS = DataFacts(367, 101, Counter({(360, 480): 367}), 0.005, {"Sky": 64, "Pole": 4})
SPEC = fullconv.open_dataset("shapes:train=4,val=2")
NOTHING: frozenset[str] = frozenset()
FACTORS = {
    "mobilenetv2_100": 1.0, "tf_efficientnet_lite0": 1.2, "tf_efficientnet_lite2": 1.6, "resnet34": 3.0,
    "resnet50": 5.0,
}  # fmt: skip


def chosen(
    monkeypatch: pytest.MonkeyPatch,
    facts: DataFacts,
    per_pixel: float,
    asked: bool = True,
    spent: float = 0,
    devices: int = 1,
    **given: object,
) -> tuple[TrainConfig, dict[str, str], list[str]]:
    """With steps that take so many seconds a pixel on the fastest encoder."""

    def priced(config: TrainConfig, classes: int, channels: int, size: tuple[int, int], device: object) -> Cost:
        crop = config.crop or size
        times = per_pixel * FACTORS[config.encoder]
        return Cost(times * config.batch_size * crop[0] * crop[1], times * size[0] * size[1] / 3)

    monkeypatch.setattr(budget, "cost", priced)
    monkeypatch.setattr(budget, "look", lambda spec, train, val: facts)
    said: list[str] = []
    config = TrainConfig(**{"minutes": 30, **given})
    found, reasons = choose(config, SPEC, None, CPU, said.append, time.monotonic() - spent, asked, devices)
    return found, reasons, said


def test_thin_classes_are_enlarged_where_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    config, reasons, said = chosen(monkeypatch, FACTS, 0.65 / (8 * 352 * 480))
    assert config.resize == (540, 720)
    assert config.crop == (352, 480)
    assert "Pole is under 4 pixels across" in reasons["resize"]
    assert config.encoder == "mobilenetv2_100"
    steps = config.epochs * (config.epoch_steps or 46)
    assert 1500 < steps < 2700
    assert all(f"  {name} " in "\n".join(said) for name in reasons)


@pytest.mark.parametrize("size", [(360, 480), (1024, 2048), (3000, 4000), (64, 96)])
@pytest.mark.parametrize("times", [0.5, 4, 30])
def test_crops_are_made_smaller_where_there_is_not(
    size: tuple[int, int], times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And images never are: what a step costs are the crops."""
    facts = dataclasses.replace(FACTS, sizes=Counter({size: 367}))
    config, _, _ = chosen(monkeypatch, facts, times * 0.65 / (8 * 352 * 480), minutes=15)
    assert config.crop is not None
    assert config.resize is None or config.resize > size
    assert config.crop[0] * config.crop[1] <= max(rules.CPU_CROP, 1)
    if times == 30:
        assert config.resize is None
        assert config.crop[0] * config.crop[1] <= 0.25 * rules.CPU_CROP


def test_little_is_timed_where_timing_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs of smaller crops follow from their pixels then, and no larger encoder is tried."""
    late = 0.25 * 30 * 60
    for seconds in (0.05, 8):  # of a step: plenty of time, and far too little
        timed = []
        step = seconds / (8 * 352 * 480)
        usual, _, _ = chosen(monkeypatch, FACTS, step, spent=late, encoder="mobilenetv2_100")
        plan = budget._tried

        def tried(*given: object, plan: Callable[..., object] = plan, timed: list[bool] = timed) -> object:
            timed.append(len(given) == 3 or given[3] is None)
            return plan(*given)

        monkeypatch.setattr(budget, "_tried", tried)
        found, _, _ = chosen(monkeypatch, FACTS, step, spent=late, encoder_weights="imagenet")
        monkeypatch.setattr(budget, "_tried", plan)
        assert timed.count(True) == 1
        assert (found.encoder, found.crop, found.resize) == ("mobilenetv2_100", usual.crop, usual.resize)
        assert found.epochs == usual.epochs


@pytest.mark.parametrize("minutes", [4, 8, 15])
def test_validations_take_no_more_than_a_quarter_of_a_short_run(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    step = 3 / (8 * 360 * 480)
    given = {"crop": (360, 480), "encoder": "mobilenetv2_100", "minutes": minutes}
    config, _, _ = chosen(monkeypatch, FACTS, step, encoder_weights="imagenet", **given)
    validation = 101 * (step * 360 * 480 / 3 + FACTS.read_seconds / 2)
    assert config.epochs >= 2
    assert config.epochs * validation < 0.25 * 60 * minutes


def test_a_larger_encoder_where_there_is_plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for seconds in (0.05, 0.75, 1.2):
        config, reasons, _ = chosen(monkeypatch, FACTS, seconds / (8 * 352 * 480), encoder_weights="imagenet")
        found[seconds] = config.encoder
        assert config.encoder_rate == 5e-4
    assert found == {0.05: "resnet50", 0.75: "tf_efficientnet_lite0", 1.2: "mobilenetv2_100"}
    config, reasons, _ = chosen(monkeypatch, FACTS, 0.05 / (8 * 352 * 480), encoder_weights="none")
    assert config.encoder == "resnet34"
    assert "more than the fastest" in reasons["encoder"]


def test_the_loss_counts_small_classes_where_there_are_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, FACTS, 1e-6)[0].loss == "cross-entropy+dice"
    for other in ({"loss": "ohem"}, {"class_weights": "median-frequency"}, {"reduction": "sum"}):
        assert "loss" not in chosen(monkeypatch, FACTS, 1e-6, **other)[1]
    monkeypatch.setattr(budget, "look", lambda spec, train, val: FACTS)
    less = choose(TrainConfig(minutes=1), SPEC, None, CPU, print, time.monotonic(), True, masks=False)
    assert less[0].loss == "cross-entropy"


def test_what_is_given_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "encoder": "resnet34", "crop": (64, 96), "batch_size": 3, "flip": False, "rate": 1e-4, "ema": 0.0,
        "model_args": {"streams": [32]}, "weight_decay": 0.0, "epoch_steps": 5, "loss": "focal",
    }  # fmt: skip
    config, reasons, _ = chosen(monkeypatch, FACTS, 1e-6, **given)
    assert set(reasons) == {"epochs"}
    for name, value in given.items():
        assert getattr(config, name) == value


def test_a_run_that_nobody_gave_a_time_ends_when_it_has_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(FACTS, train=40, val=10)
    whole, _, _ = chosen(monkeypatch, small, 1e-7)
    config, reasons, _ = chosen(monkeypatch, small, 1e-7, asked=False)
    assert config.epochs * (config.epoch_steps or 7) <= 3000 < whole.epochs * (whole.epoch_steps or 7)
    assert config.minutes is not None
    assert config.minutes < 30
    assert "--minutes 30 takes all" in reasons["minutes"]
    later, _, _ = chosen(monkeypatch, small, 1e-7, asked=False, spent=120.0)
    assert later.epochs == config.epochs
    assert later.minutes == pytest.approx(config.minutes + 2, abs=0.11)


def test_a_batch_has_an_image_for_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    few = dataclasses.replace(FACTS, train=12)
    assert chosen(monkeypatch, few, 1e-7)[0].batch_size == 2
    alone, shared = (chosen(monkeypatch, FACTS, 1e-7, devices=devices)[0] for devices in (1, 4))
    assert chosen(monkeypatch, few, 1e-7, devices=4)[0].batch_size == 4
    assert shared.epochs * (shared.epoch_steps or 46) > 2 * alone.epochs * (alone.epoch_steps or 46)


@pytest.mark.parametrize(
    ("train", "size", "words"),
    [
        (1, 2, "1 train image: 1 step a pass"),
        (2, 2, "2 train images: 1 step a pass"),
        (5, 2, "5 train images: 3 steps a pass"),
        (47, 7, "47 train images: 7 steps a pass"),
        (48, 8, "the usual"),
    ],
)
def test_the_batch_size_says_how_many_steps_a_pass_has(train: int, size: int, words: str) -> None:
    assert rules.batch_size(dataclasses.replace(FACTS, train=train)) == (size, words)


def test_images_of_many_sizes_are_not_distorted(monkeypatch: pytest.MonkeyPatch) -> None:
    many = dataclasses.replace(FACTS, sizes=Counter({(375, 500): 5, (500, 375): 4, (333, 500): 2}))
    config, _, _ = chosen(monkeypatch, many, 1e-6)
    assert config.resize is None


def test_a_class_that_is_a_side_is_not_mirrored() -> None:
    assert not rules.flip(("background", "left lung", "right lung")).value
    assert not rules.flip(("kidney_left",)).value
    assert rules.flip(("copyright", "leftover", "road")).value


def test_the_lane_that_the_car_drives_in_is_a_side(monkeypatch: pytest.MonkeyPatch) -> None:
    for names, layout in ((("background", "lane"), "kitti_road"), (("road", "Ego-Lane"), "folder")):
        choice = rules.flip(names, layout)
        assert not choice.value
        assert choice.reason.startswith(f"{names[1]} is the car's own lane")
    assert rules.flip(("background", "road"), "kitti_road").value
    assert rules.flip(("background", "lane", "lane marking"), "folder").value
    classes = dataclasses.replace(SPEC.classes, names=("background", "lane"), palette=())
    monkeypatch.setattr(f"{__name__}.SPEC", dataclasses.replace(SPEC, classes=classes, layout="kitti_road"))
    config, reasons, _ = chosen(monkeypatch, FACTS, 1e-6)
    assert not config.flip
    assert "own lane" in reasons["flip"]


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([rules.CPU_CROP, rules.GPU_CROP]))
def test_crops_are_multiples_of_32_and_no_larger_than_allowed(height: int, width: int, most: int) -> None:
    sides = rules.crop((height, width), most)
    assert not sides[0] % 32
    assert not sides[1] % 32
    assert sides[0] * sides[1] <= most
    if height * width <= most / 2:
        assert sides[0] >= height
        assert sides[1] >= width


def test_widths_are_those_of_strips() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 10:13] = 1  # 3 pixels wide
    labels[5:25, 20:38] = 2  # 18
    labels[30, 30] = 3
    item = next(iter(SPEC.split("train")))

    class Labels:
        def label_map(self, classes: int, ignore: int) -> np.ndarray:
            return labels

    class Image:
        def read(self, *args: object) -> tuple[np.ndarray, None]:
            return np.zeros((40, 40, 3), np.uint8), None

    spec = dataclasses.replace(SPEC, classes=fullconv.ClassSet(("a", "b", "c", "d")))
    facts = look(spec, [dataclasses.replace(item, image=Image(), annotation=Labels())], [])
    assert facts.widths == {"a": facts.widths["a"], "b": 4, "c": 24}
    assert facts.thinnest == ("b", 4)
    assert facts.size == (40, 40)


def test_classes_that_are_hardly_seen_have_no_width() -> None:
    assert _widths(("a", "b"), np.array([49, 50]), np.zeros((9, 2), int)) == {"b": 64}


def test_a_step_is_measured() -> None:
    config = TrainConfig(encoder="resnet10t", batch_size=2, crop=(64, 64))
    found = cost(config, 300, 3, (64, 96), CPU)
    assert found is not None
    assert found.step > 0 < found.label
    huge = config.model_copy(update={"crop": (32_000, 32_000), "batch_size": 64})
    assert cost(huge, 3, 3, (64, 96), CPU) is None


def test_steps_are_timed_with_labels_as_samples_hold_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are compiled for each type of labels: another one would cost every first run seconds."""
    seen: list[torch.dtype] = []
    monkeypatch.setattr(measure, "TIMED", 0)
    monkeypatch.setattr(measure.statistics, "median", lambda seconds: 0.0)

    def noted(logits: torch.Tensor, labels: torch.Tensor, **options: object) -> torch.Tensor:
        seen.append(labels.dtype)
        return logits.sum()

    monkeypatch.setattr(measure, "upsample_cross_entropy", noted)
    config = TrainConfig(encoder="resnet10t", batch_size=2, crop=(64, 64))
    for classes in (5, 256):
        assert cost(config, classes, 3, (64, 64), CPU) is not None
    sample = read_sample(SPEC, SPEC.split("train")[0])
    assert seen == [torch.from_numpy(sample.labels).dtype, torch.int32]


@pytest.mark.parametrize(
    ("cores", "minutes", "words"), [(1, 1, "1 minute on 1 core;"), (2, 30, "30 minutes on 2 cores;")]
)
def test_one_core_is_one(cores: int, minutes: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "usable_cores", lambda: cores)
    _, _, said = chosen(monkeypatch, FACTS, 1e-8, minutes=minutes)
    assert any(line.startswith(f"chosen for {words}") for line in said)


def test_choices_are_said_as_they_are_typed() -> None:
    assert budget._shown({"streams": [32, 16, 8, 4], "head_channels": 64}) == "streams=32,16,8,4 head_channels=64"
    assert budget._shown((0.5, 2.0)) == "0.5 to 2.0"


def test_who_has_a_budget() -> None:
    def limit(recipe: str | None = None, **options: object) -> tuple[float | None, bool]:
        config, asked = with_budget(TrainConfig(**options), recipe, options)
        return config.minutes, asked

    assert limit() == (30, False)
    assert limit(minutes=5) == (5, True)
    assert limit(epochs=3) == (None, False)
    assert limit("recipe") == (None, False)
    assert limit(model="maskrcnn") == (None, False)
    assert limit(crf_loss=0.1) == (None, False)
    with pytest.raises(UsageError, match="give one of them"):
        limit(epochs=3, minutes=5)
    with pytest.raises(UsageError, match="not for --model sds"):
        limit(model="sds", minutes=5)


def test_encoders_that_come_into_question(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    assert [one.encoder for one in candidates(TrainConfig(), NOTHING)] == ["mobilenetv2_100", "resnet34"]
    assert [one.encoder for one in candidates(TrainConfig(encoder="vgg16"), frozenset({"encoder"}))] == ["vgg16"]
    file = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, file, {"timm": '{"architecture": "efficientnet_lite0"}'})
    (only,) = candidates(TrainConfig(encoder_weights=str(file)), NOTHING)
    assert only.encoder == "efficientnet_lite0"
    assert only.choices["encoder_rate"].value == 5e-4


def test_a_run_chooses_says_and_keeps_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "ENOUGH_PASSES", 1)
    monkeypatch.setattr(budget, "ENOUGH_STEPS", 2)
    data = "shapes:height=48,width=48,train=6,val=2"
    run = fullconv.train(data, tmp_path / "run", encoder="resnet10t", workers=0)
    said, kept = capsys.readouterr().out, run.config.read_text()
    assert " minutes on " in said
    assert "  crop 64x64: " in said
    assert "are padded" not in said  # 48 pixels fill what is rounded up to 32
    assert "  minutes 0." in said
    assert "# chosen: 6 train images: 3 steps a pass\nbatch_size: 2\n" in kept
    assert run.scores["epoch"] >= 1
    again = TrainConfig.load(run.config, {})
    assert again.epochs >= 1
    assert with_budget(again, run.config, {})[0].minutes is None


@pytest.mark.parametrize(("steps", "trained", "head"), [(999, True, None), (1000, True, 64), (72, False, 64)])
def test_few_steps_over_trained_weights_learn_no_more_layers(steps: int, trained: bool, head: int | None) -> None:
    choice = rules.streams(FACTS, steps, trained)
    assert choice.value["streams"] == [32, 16, 8, 4]
    assert choice.value.get("head_channels") == head
    assert ("steps are few" in choice.reason) == (head is None)
