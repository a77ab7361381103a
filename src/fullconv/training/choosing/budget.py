"""From facts and a budget of time to the options that were not given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from fullconv.checking.report import CheckReport
from fullconv.data import DatasetSpec
from fullconv.device import computing_threads
from fullconv.errors import UsageError, plural
from fullconv.machine import busy, usable_cores
from fullconv.training.choosing import rules
from fullconv.training.choosing.encoders import Candidate, candidates, is_trained
from fullconv.training.choosing.facts import DataFacts, look
from fullconv.training.choosing.limits import MINUTES
from fullconv.training.choosing.measure import Cost, cost
from fullconv.training.choosing.rules import Choice, Size
from fullconv.training.config import TrainConfig

ENOUGH_PASSES, ENOUGH_STEPS = 100, 3000
"""A run that did not ask for its minutes ends after so many, whichever is more: what comes then gains little."""
WANTED_PASSES, WANTED_STEPS = 25, 1500
"""What a run should have time for, whichever is less; else crops are made smaller."""
FOR_A_LARGER_ENCODER = 1.25
"""One is taken where with it there is time for so many times what is wanted."""
TIMING = 0.2
"""Share of the time after which nothing more is timed: first steps on a GPU can take long. Costs then go by pixels."""
VALIDATING = 0.15
"""Share of the time that validations may take."""
MOST_EPOCHS, FEWEST_EPOCHS = 100, 10
FEWEST_VALIDATIONS = 3
"""Of a run whose validations take long beside its steps: more would take more than their share."""
RESERVE = 0.97
"""Share of the time that is planned; files, pictures and the end take the rest."""


@dataclass
class Plan:
    """A size of images and a network, with what they cost: one of those that are looked at.

    Attributes:
        seconds: that are left for training.
        choices: of the options, so far.
    """

    config: TrainConfig
    facts: DataFacts
    cost: Cost
    seconds: float
    on_cpu: bool
    choices: dict[str, Choice] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """Seconds of a step with what reading adds to it."""
        reading = self.facts.read_seconds * self.config.batch_size
        return self.cost.step + reading / usable_cores() if self.on_cpu else max(self.cost.step, reading / 4)

    @property
    def validation(self) -> float:
        """Seconds of one."""
        return self.facts.val * (self.cost.label + self.facts.read_seconds / (2 if self.on_cpu else 4))

    @property
    def steps(self) -> int:
        """As many as the time allows, beside validations."""
        return int(self.seconds * (1 - VALIDATING) / self.step)

    @property
    def one_pass(self) -> int:
        """Steps of a pass over the train images."""
        return -(-self.facts.train // self.config.batch_size)

    @property
    def times_wanted(self) -> float:
        """The steps that there is time for, as a multiple of what is wanted."""
        return self.steps / min(WANTED_PASSES * self.one_pass, WANTED_STEPS)


@dataclass(frozen=True)
class Setting:
    """What a choice is made for.

    Attributes:
        base: what was given, and what follows from the data alone.
        given: names of the options that were given.
        share: of a batch that one device computes.
        began: when the run began, by the monotonic clock.
    """

    base: TrainConfig
    given: frozenset[str]
    choices: dict[str, Choice]
    facts: DataFacts
    spec: DatasetSpec
    device: torch.device
    share: int
    began: float

    def cost(self, config: TrainConfig, size: tuple[int, int]) -> Cost | None:
        """Of a step of one device's share of a batch."""
        batch = -(-config.batch_size // self.share)
        part = config.model_copy(update={"batch_size": batch})
        return cost(part, len(self.spec.classes), self.spec.channels, size, self.device)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    @property
    def whole(self) -> float:
        """Seconds that are planned."""
        return RESERVE * 60 * (self.base.minutes or MINUTES)

    @property
    def is_late(self) -> bool:
        """Whether timing has taken its share."""
        return self.elapsed > TIMING * self.whole


def choose(
    config: TrainConfig,
    spec: DatasetSpec,
    report: CheckReport | None,
    device: torch.device,
    say: Callable[[str], None],
    began: float,
    asked: bool,
    devices: int = 1,
    masks: bool = True,
) -> tuple[TrainConfig, dict[str, str]]:
    """Fill in what was not given.

    Args:
        config: with ``minutes``; what was set in it is kept.
        report: of the check, which knows the size of every image.
        began: when the run began, by the monotonic clock: reading and measuring belong to its time.
        asked: whether somebody asked for these minutes; else a run that needs less ends earlier.
        devices: that share a batch.
        masks: whether every train image teaches with a mask.

    Returns:
        All options, and of those that were chosen the reasons.

    Raises:
        UsageError: there is no time for a single epoch, or what was given cannot be built.
        DataError: a file that cannot be read.
    """
    assert config.minutes is not None
    say("looking at the data and timing steps on this machine, to choose what was not given")
    facts = look(spec, spec.split("train"), spec.split("val"))
    if report is not None and report.sizes:
        facts = replace(facts, sizes=report.sizes)
    choices = _plain(config, spec, facts, devices, masks)
    base = config.model_copy(update={name: choice.value for name, choice in choices.items()})
    setting = Setting(base, frozenset(config.model_fields_set), choices, facts, spec, device, devices, began)
    found = _alone(_affordable(setting), setting)
    choices = found.choices | _length(found, setting, asked)
    if "model_args" in choices:
        choices["model_args"] = rules.streams(facts, found.steps, is_trained(base))
    chosen = found.config.model_copy(update={name: choice.value for name, choice in choices.items()})
    where = plural(usable_cores(), "core") if device.type == "cpu" else f"{devices} x {device.type}"
    say(f"chosen for {chosen.minutes:g} minute{'s' * (chosen.minutes != 1)} on {where}; what is given is kept:")
    for name, choice in choices.items():
        say(f"  {name} {_shown(choice.value)}: {choice.reason}")
    return chosen, {name: choice.reason for name, choice in choices.items()}


def _plain(config: TrainConfig, spec: DatasetSpec, facts: DataFacts, devices: int, masks: bool) -> dict[str, Choice]:
    """What follows from the data alone."""
    given = config.model_fields_set
    choices: dict[str, Choice] = {}
    if "model" not in given and "model_args" not in given:
        choices["model_args"] = rules.streams(facts)
    choices["batch_size"] = rules.batch_size(facts, devices)
    if masks and not {"reduction", "class_weights"} & given:
        choices["loss"] = rules.loss()
    choices["flip"] = rules.flip(spec.classes.names, spec.layout)
    if config.encoder_rate == 0:
        choices |= rules.frozen()
    if config.optimizer == "adamw":
        choices["weight_decay"] = Choice(1e-2, "decoupled from the rate by adamw; more than the default")
    return {name: choice for name, choice in choices.items() if name not in given}


def _affordable(setting: Setting) -> Plan:
    """The largest size that the fastest encoder has time for; then a larger encoder where there is plenty of it.

    Raises:
        UsageError: not even the smallest fits.
    """
    fastest, *larger = candidates(setting.base, setting.given)
    sizes = rules.sizes(setting.facts, setting.device.type == "cpu", setting.given)
    if setting.base.encoder_rate == 0 and setting.facts.is_one_size and not {"resize", "crop"} & setting.given:
        sizes = [Size(None, setting.facts.size, "", "whole images, so that the frozen encoder sees each once")]
    taken = sizes[0]
    best = _tried(setting, fastest, taken)
    while (best is None or best.times_wanted < 1) and taken is not sizes[-1]:
        most = taken.crop[0] * taken.crop[1] * (0.5 if best is None else best.times_wanted)
        taken = next((size for size in sizes if size.crop[0] * size.crop[1] <= most), sizes[-1])
        best = _tried(setting, fastest, taken, best if setting.is_late else None)
    if best is None:
        raise UsageError("no step fits into the memory that is free; give a smaller --crop or --batch-size")
    for candidate in larger:
        if best.times_wanted < FOR_A_LARGER_ENCODER or setting.is_late:  # none is faster: it need not be timed
            break
        plan = _tried(setting, candidate, taken)
        if plan is None or plan.times_wanted < FOR_A_LARGER_ENCODER:
            break
        best = plan
    return best


def _tried(setting: Setting, candidate: Candidate, size: Size, other: Plan | None = None) -> Plan | None:
    """What a network on images of a size costs; None where it does not fit into memory.

    Args:
        other: a larger one, from whose costs they are taken instead of timed.
    """
    base, given = setting.base, setting.given
    made = {**setting.choices, **candidate.choices}
    made |= {name: choice for name, choice in size.choices().items() if name not in given}
    config = base.model_copy(update={name: choice.value for name, choice in made.items()})
    if other is None:
        found = setting.cost(config, config.resize or setting.facts.size)
    else:
        crops, images = (
            [math.prod(of or setting.facts.size) for of in sides]
            for sides in ((config.crop, other.config.crop), (config.resize, other.config.resize))
        )
        found = Cost(other.cost.step * crops[0] / crops[1], other.cost.label * images[0] / images[1])
    if found is None:
        return None
    seconds = max(setting.whole - setting.elapsed, 0.1 * setting.whole)
    return Plan(config, setting.facts, found, seconds, setting.device.type == "cpu", made)


def _alone(plan: Plan, setting: Setting) -> Plan:
    """The same with one thread, where others use the cores so much that it is faster: threads wait for each other."""
    load, cores = busy(), usable_cores()
    if setting.device.type != "cpu" or cores == 1 or load <= cores or "threads" in setting.given:
        return plan
    with computing_threads(1):
        alone = setting.cost(plan.config, plan.config.resize or plan.facts.size)
    if alone is None or alone.step >= plan.cost.step:
        return plan
    why = f"others use the cores (load {load:.0f}): a step takes {alone.step:.2g} s, by {cores} {plan.cost.step:.2g} s"
    choices = {**plan.choices, "threads": Choice(1, why)}
    return replace(plan, config=plan.config.model_copy(update={"threads": 1}), cost=alone, choices=choices)


def _length(plan: Plan, setting: Setting, asked: bool) -> dict[str, Choice]:
    """Epochs, their steps, and what follows from how many there are.

    Raises:
        UsageError: there is no time for one.
    """
    steps, one_pass, made = plan.steps, plan.one_pass, dict[str, Choice]()
    enough = max(ENOUGH_PASSES * one_pass, ENOUGH_STEPS)
    if not asked and steps > enough:
        steps = enough
        needed = steps * plan.step / (1 - VALIDATING) / RESERVE + setting.elapsed
        made["minutes"] = Choice(
            math.ceil(needed / 6) / 10, f"{steps // one_pass} passes are enough; --minutes {MINUTES:g} takes all"
        )
    if steps < 1:
        raise UsageError(
            f"--minutes {plan.config.minutes:g}: a step takes {plan.step:.1f} s and there is no time left; give more"
        )
    least = max(math.ceil(plan.validation / plan.step * (1 - VALIDATING) / VALIDATING), math.ceil(steps / MOST_EPOCHS))
    length = max(1, min(one_pass, steps // FEWEST_EPOCHS), min(least, steps // FEWEST_VALIDATIONS))
    if "epoch_steps" in setting.given:
        length = plan.config.epoch_steps or one_pass
    elif length != one_pass:
        why = "so that validations take a small part of the time" if length > one_pass else "a pass takes too long"
        made["epoch_steps"] = Choice(length, f"{length / one_pass:.2g} passes: {why}")
    possible = int(plan.seconds / (length * plan.step + plan.validation))
    epochs = max(1, steps // length if "minutes" in made else possible)
    measured = f"a step takes {plan.step:.2g} s here, a validation {plan.validation:.2g} s"
    made["epochs"] = Choice(epochs, f"{measured}; it follows the clock as the run goes")
    if "ema" not in setting.given:
        made["ema"] = rules.ema(epochs * length)
    return made


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={_shown(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if all(isinstance(v, int) for v in value) else " to ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
