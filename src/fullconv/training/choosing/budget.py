"""From facts and a budget of time to the options that were not given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from fullconv.data import DatasetSpec
from fullconv.device import computing_threads
from fullconv.errors import UsageError
from fullconv.machine import busy, usable_cores
from fullconv.regions.options import NAMES as REGION_MODELS
from fullconv.training.choosing import rules
from fullconv.training.choosing.encoders import Candidate, candidates
from fullconv.training.choosing.facts import DataFacts, look
from fullconv.training.choosing.measure import Cost, cost
from fullconv.training.choosing.rules import Choice
from fullconv.training.config import TrainConfig
from fullconv.training.instances import MODEL as MASK_RCNN

MINUTES = 30.0
"""The time of a run that says neither minutes nor epochs nor a recipe."""
ENOUGH_PASSES, ENOUGH_STEPS = 100, 3000
"""A run that did not ask for its minutes ends after so many, whichever is more: what comes then gains little."""
WANTED_PASSES, WANTED_STEPS = 25, 1500
"""What a run should have time for, whichever is less; else images are made smaller."""
PLENTY = 3
"""A larger encoder is taken where the time is enough for so many times what is wanted."""
VALIDATING = 0.15
"""Share of the time that validations may take."""
MOST_EPOCHS, FEWEST_EPOCHS = 100, 4
RESERVE = 0.97
"""Share of the time that is planned; files, pictures and the start take the rest."""


def with_budget(config: TrainConfig, recipe: object, options: Mapping[str, Any]) -> tuple[TrainConfig, bool]:
    """The options with the time of the run, where it has one; and whether somebody asked for it.

    Raises:
        UsageError: both a time and a number of epochs are given, or a time for what learns otherwise.
    """
    asked = config.minutes is not None
    if "epochs" in options and "minutes" in options and asked:
        raise UsageError("--epochs and --minutes both say how long a run is; give one of them")
    plain = config.model not in (*REGION_MODELS, MASK_RCNN)
    if asked and not plain:
        raise UsageError(f"--minutes is for networks of label maps, found --model {config.model}; give --epochs")
    if "epochs" in config.model_fields_set and not ("minutes" in options and asked):
        return config.model_copy(update={"minutes": None}), False
    if asked or not plain or recipe is not None:
        return config, asked
    return config.model_copy(update={"minutes": MINUTES}), False


@dataclass
class Plan:
    """A size of images and a network, with what they cost: one of those that are looked at."""

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
        return self.facts.val * (self.cost.label + self.facts.read_seconds / (2 if self.on_cpu else 4))

    @property
    def steps(self) -> int:
        """As many as the time allows, beside validations."""
        return int(self.seconds * (1 - VALIDATING) / self.step)

    @property
    def one_pass(self) -> int:
        return -(-self.facts.train // self.config.batch_size)

    @property
    def wealth(self) -> float:
        """The steps that there is time for, as a multiple of what is wanted."""
        return self.steps / min(WANTED_PASSES * self.one_pass, WANTED_STEPS)


def choose(
    config: TrainConfig,
    spec: DatasetSpec,
    device: torch.device,
    say: Callable[[str], None],
    began: float,
    asked: bool,
) -> tuple[TrainConfig, dict[str, str]]:
    """Fill in what was not given.

    Args:
        config: with ``minutes``; what was set in it is kept.
        began: when the run began, by the monotonic clock: reading and measuring belong to its time.
        asked: whether somebody asked for these minutes; else a run that needs less ends earlier.

    Returns:
        All options, and of those that were chosen the reasons.

    Raises:
        UsageError: there is no time for a single epoch, or what was given cannot be built.
        DataError: a file that cannot be read.
    """
    assert config.minutes is not None
    say("looking at the data and timing steps on this machine, to choose what was not given")
    facts = look(spec, spec.split("train"), spec.split("val"))
    choices = _plain(config, spec, facts)
    base = config.model_copy(update={name: choice.value for name, choice in choices.items()})
    found = _affordable(base, choices, facts, spec, device, began)
    found = _alone(found, spec, device)
    choices = found.choices | _length(found, asked)
    chosen = found.config.model_copy(update={name: choice.value for name, choice in choices.items()})
    where = f"{usable_cores()} cores" if device.type == "cpu" else device.type
    say(f"chosen for {chosen.minutes:g} minutes on {where}; what is given is kept:")
    reasons = {name: choice.reason for name, choice in choices.items()}
    for name, choice in choices.items():
        say(f"  {name} {_shown(choice.value)}: {choice.reason}")
    return chosen, reasons


def _plain(config: TrainConfig, spec: DatasetSpec, facts: DataFacts) -> dict[str, Choice]:
    """What follows from the data alone."""
    given = config.model_fields_set
    choices: dict[str, Choice] = {}
    if "model" not in given and "model_args" not in given:
        choices["model_args"] = rules.streams(facts)
    choices["batch_size"] = rules.batch_size(facts)
    choices["flip"] = rules.flip(spec.classes.names)
    choices["weight_decay"] = Choice(1e-2, "decoupled from the rate by adamw; more than the default, for longer runs")
    if config.optimizer != "adamw":
        del choices["weight_decay"]
    return {name: choice for name, choice in choices.items() if name not in given}


def _affordable(
    base: TrainConfig, choices: dict[str, Choice], facts: DataFacts, spec: DatasetSpec, device: torch.device,
    began: float,
) -> Plan:  # fmt: skip
    """The largest images that the fastest encoder has time for; then a larger encoder where there is plenty of it.

    Raises:
        UsageError: not even the smallest fits.
    """

    def tried(candidate: Candidate, scale: Choice) -> Plan | None:
        return _tried(base, choices, candidate, scale, facts, spec, device, began)

    fastest, *larger = candidates(base)
    scales = _scales(base, facts)
    taken = scales[0]
    best = tried(fastest, taken)
    while (best is None or best.wealth < 1) and taken is not scales[-1]:
        most = taken.value * (0.7 if best is None else best.wealth**0.5)  # time goes with the pixels
        taken = next((scale for scale in scales if scale.value <= most), scales[-1])
        best = tried(fastest, taken)
    if best is None:
        raise UsageError("no step fits into the memory that is free; give a smaller --crop or --batch-size")
    for candidate in larger:
        if best.wealth < PLENTY:
            break
        plan = tried(candidate, taken)
        if plan is None or plan.wealth < 1:
            break
        best = plan
    return best


def _alone(plan: Plan, spec: DatasetSpec, device: torch.device) -> Plan:
    """The same with one thread, where others use the cores so much that it is faster: threads wait for each other."""
    load, cores = busy(), usable_cores()
    if device.type != "cpu" or cores == 1 or load <= cores or "threads" in plan.config.model_fields_set:
        return plan
    size = plan.config.resize or plan.facts.size
    with computing_threads(1):
        alone = cost(plan.config, len(spec.classes), spec.channels, size, device)
    if alone is None or alone.step >= plan.cost.step:
        return plan
    why = f"others use the cores (load {load:.0f}): a step takes {alone.step:.2g} s, by {cores} {plan.cost.step:.2g} s"
    choices = {**plan.choices, "threads": Choice(1, why)}
    return replace(plan, config=plan.config.model_copy(update={"threads": 1}), cost=alone, choices=choices)


def _scales(base: TrainConfig, facts: DataFacts) -> list[Choice]:
    """By how much images are enlarged or made smaller, what is wanted first, then ever smaller."""
    given = base.model_fields_set
    if "resize" in given or "crop" in given:
        return [Choice(1.0, "")]
    wanted, least = rules.factor(facts), rules.SMALLEST / min(facts.size)
    smaller = [factor for factor in rules.FACTORS if least <= factor < wanted.value]
    return [wanted, *(Choice(factor, "smaller, so that the time is enough") for factor in smaller)]


def _tried(
    base: TrainConfig, choices: dict[str, Choice], candidate: Candidate, scale: Choice, facts: DataFacts,
    spec: DatasetSpec, device: torch.device, began: float,
) -> Plan | None:  # fmt: skip
    """What a network on images of a size costs; None where it does not fit into memory."""
    given = base.model_fields_set - choices.keys()
    made = {**choices, **candidate.choices}
    size = facts.size
    if base.resize:
        size = base.resize
    elif facts.is_one_size and scale.value != 1:
        size = (round(size[0] * scale.value), round(size[1] * scale.value))
        made["resize"] = Choice(size, scale.reason)
        if scale.value > 1 and "scale" not in given:
            made["scale"] = Choice((0.5, 1.6), "zoom down to half, since images are enlarged")
    if "crop" not in given:
        most = rules.CPU_CROP if device.type == "cpu" else rules.GPU_CROP
        if not facts.is_one_size and scale.value < 1:
            most = round(most * scale.value**2)
        made["crop"] = Choice(rules.crop(size, most), f"of the shape of the images, at most {most:,} pixels")
    config = base.model_copy(update={name: choice.value for name, choice in made.items()})
    found = cost(config, len(spec.classes), spec.channels, size, device)
    if found is None:
        return None
    whole = RESERVE * 60 * (base.minutes or MINUTES)
    seconds = max(whole - (time.monotonic() - began), 0.1 * whole)
    return Plan(config, facts, found, seconds, device.type == "cpu", made)


def _length(plan: Plan, asked: bool) -> dict[str, Choice]:
    """Epochs, their steps, and what follows from how many there are.

    Raises:
        UsageError: there is no time for one.
    """
    given, one_pass = plan.config.model_fields_set - plan.choices.keys(), plan.one_pass
    steps, minutes = plan.steps, plan.config.minutes
    made: dict[str, Choice] = {}
    enough = max(ENOUGH_PASSES * one_pass, ENOUGH_STEPS)
    if not asked and steps > enough:
        steps = enough
        minutes = math.ceil(10 * (steps * plan.step / (1 - VALIDATING) / RESERVE) / 60) / 10
        made["minutes"] = Choice(minutes, f"{steps // one_pass} passes are enough; --minutes {MINUTES:g} takes all")
    if steps < 1:
        raise UsageError(f"--minutes {minutes:g}: a step takes {plan.step:.1f} s and there is no time left; give more")
    least = max(math.ceil(plan.validation / plan.step * (1 - VALIDATING) / VALIDATING), math.ceil(steps / MOST_EPOCHS))
    length = max(1, min(max(one_pass, least), steps // FEWEST_EPOCHS))
    if "epoch_steps" in given:
        length = plan.config.epoch_steps or one_pass
    elif length != one_pass:
        why = "so that validations take a small part of the time" if length > one_pass else "a pass takes too long"
        made["epoch_steps"] = Choice(length, f"{length / one_pass:.2g} passes: {why}")
    enough_time = int(plan.seconds / (length * plan.step + plan.validation))
    epochs = max(1, steps // length if "minutes" in made else enough_time)
    measured = f"a step takes {plan.step:.2g} s here, a validation {plan.validation:.2g} s"
    made["epochs"] = Choice(epochs, f"{measured}; it follows the clock as the run goes")
    if "ema" not in given:
        made["ema"] = rules.ema(epochs * length)
    return made


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if all(isinstance(v, int) for v in value) else " to ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
