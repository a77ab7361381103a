"""Which runs are limited by time: those that say so, and those that say neither epochs nor a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fullconv.errors import UsageError
from fullconv.names import REGION_MODELS
from fullconv.training.config import TrainConfig
from fullconv.training.instances import MODEL as MASK_RCNN
from fullconv.training.query_masks import MODEL as QUERIES
from fullconv.weak import Supervision

MINUTES = 30.0
"""The time of a run that says neither minutes nor epochs nor a recipe."""


def with_budget(config: TrainConfig, recipe: object, options: Mapping[str, Any]) -> tuple[TrainConfig, bool]:
    """The options with the time of the run, where it has one; and whether somebody asked for it.

    Raises:
        UsageError: both a time and a number of epochs are given, or a time for what learns otherwise.
    """
    asked = config.minutes is not None
    if "epochs" in options and "minutes" in options and asked:
        raise UsageError("--epochs and --minutes both say how long a run is; give one of them")
    other = f"--model {config.model}" if config.model in (*REGION_MODELS, MASK_RCNN, QUERIES) else ""
    other = other or ("--crf-loss" if config.crf_loss else "")
    if asked and other:
        raise UsageError(f"--minutes is not for {other}, whose phases and costs follow the epochs; give --epochs")
    if "epochs" in config.model_fields_set and not ("minutes" in options and asked):
        return config.model_copy(update={"minutes": None}), False
    if asked or other or recipe is not None:
        return config, asked
    return config.model_copy(update={"minutes": MINUTES}), False


def within_time(config: TrainConfig, supervision: Supervision, asked: bool) -> TrainConfig:
    """The options without a time where the data are learned in rounds that follow the epochs.

    Raises:
        UsageError: somebody asked for it.
    """
    if config.minutes is None or not supervision.count("boxes"):
        return config
    if asked:
        raise UsageError(
            "--minutes is not for images that teach with boxes, whose rounds follow the epochs; give --epochs"
        )
    return config.model_copy(update={"minutes": None})
