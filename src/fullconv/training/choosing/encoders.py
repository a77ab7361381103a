"""Which encoders come into question, the fastest first."""

from __future__ import annotations

from dataclasses import dataclass, field

from fullconv.models.download import unavailable
from fullconv.models.weights import stated_architecture
from fullconv.training.choosing.rules import Choice
from fullconv.training.config import TrainConfig

LADDER = ("mobilenetv2_100", "tf_efficientnet_lite0", "tf_efficientnet_lite2", "resnet50")
"""With trained weights, from the fastest on."""
UNTRAINED = ("mobilenetv2_100", "resnet34")
"""From random weights."""
RATE, TRAINED_ENCODER_RATE = 2e-3, 5e-4
"""Of adamw and adam."""


@dataclass(frozen=True)
class Candidate:
    """An encoder, and what follows from its weights.

    Attributes:
        choices: of options that were not given.
    """

    encoder: str
    choices: dict[str, Choice] = field(default_factory=dict)


def is_trained(config: TrainConfig) -> bool:
    """Whether the encoder starts from trained weights."""
    return config.encoder_weights not in ("none", "auto") or bool(config.init_from)


def candidates(config: TrainConfig, given: frozenset[str]) -> list[Candidate]:
    """The encoder that was given or that the weights are of; else a ladder.

    Raises:
        ModelFileError: a weights file that cannot be read.
    """
    trained = is_trained(config)
    choices: dict[str, Choice] = {}
    if "rate" not in given and config.optimizer != "sgd":
        choices["rate"] = Choice(RATE, "of the layers over the encoder")
        if trained and "encoder_rate" not in given:
            choices["encoder_rate"] = Choice(TRAINED_ENCODER_RATE, "less, since its weights are trained")
    if "encoder" in given or config.init_from:
        return [Candidate(config.encoder, choices)]
    if config.encoder_weights not in ("none", "auto", "imagenet"):
        name = stated_architecture(config.encoder_weights)
        if not name:  # the file does not say; the default is tried
            return [Candidate(config.encoder, choices)]
        return [Candidate(name, choices | {"encoder": Choice(name, "the network that the weights are of")})]
    at_hand = tuple(name for name in LADDER if not unavailable(name)) if trained else UNTRAINED
    names = at_hand or LADDER
    why = "the fastest", *("there is time for more than the fastest",) * (len(names) - 1)
    return [
        Candidate(name, choices | {"encoder": Choice(name, reason)}) for name, reason in zip(names, why, strict=True)
    ]
