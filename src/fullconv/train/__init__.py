"""Config -> run folder."""

from fullconv.train.config import TrainConfig
from fullconv.train.evaluation import evaluate
from fullconv.train.run import Run
from fullconv.train.start import train

__all__ = ["Run", "TrainConfig", "evaluate", "train"]
