"""The CRF loss as a term of training: phase 1 learns from the labels alone, phase 2 from the image too."""

from __future__ import annotations

from torch import Tensor

from fullconv.data import Batch
from fullconv.geometry import Window
from fullconv.ops import dense_crf_loss
from fullconv.training.config import TrainConfig
from fullconv.training.ranks import Ranks


class CrfTerm:
    """``crf_loss`` times :func:`fullconv.ops.dense_crf_loss`, from the epoch on that ``crf_loss_start`` says.

    It asks for no labels, so it is the same whatever an image teaches with. It sees the crop as the network does,
    zoomed and with its colours changed, on the grid of the coarse logits; padding has no part.

    Args:
        config: its weight, start and deviations and the epochs are asked for here.
        steps_per_epoch: of the run.

    Source: Tang et al., "On Regularized Losses for Weakly-supervised CNN Segmentation", ECCV 2018.
    """

    name = "crf_loss"

    def __init__(self, config: TrainConfig, steps_per_epoch: int) -> None:
        self.weight, self.epochs = config.crf_loss, config.epochs
        self.position, self.colour = config.crf_loss_deviations
        self.first_epoch = int(config.crf_loss_start * config.epochs)
        self.first_step = self.first_epoch * steps_per_epoch

    def opening(self) -> list[str]:
        return [
            f"CRF loss of weight {self.weight:g} from epoch {self.first_epoch + 1} of {self.epochs} on, between pixels "
            f"{self.position:g} apart and {self.colour:g} of 255 in colour (standard deviations)"
        ]

    def start(self, ranks: Ranks) -> None:
        """It keeps nothing."""

    def loss(self, logits: Tensor, batch: Batch, window: Window, step: int) -> Tensor | None:
        if step < self.first_step:
            return None
        return self.weight * dense_crf_loss(
            logits, batch.pixels, crop=window, inside=batch.inside,
            colour_deviation=self.colour, position_deviation=self.position,
        )  # fmt: skip
