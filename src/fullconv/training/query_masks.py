"""The objective of EoMT: sets of queries learn classes and masks; scored by the label map, as others are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fullconv.data import Batch, DatasetSpec, Item
from fullconv.errors import DataError, UsageError
from fullconv.models.eomt import Queries
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.training.config import TrainConfig
from fullconv.training.label_maps import LabelMaps
from fullconv.training.set_loss import set_loss

MODEL = "eomt"
"""The network that learns so."""
_OF_PIXELS = ("loss", "reduction", "label_smoothing", "class_weights", "crf_loss")
FIRST, LAST, RAMP, POWER = 1 / 8, 7 / 8, 1 / 8, 0.9
"""Between these shares of the steps the blocks stop holding attention to masks, the first one first; each takes
``RAMP`` of the steps, by a power."""


class QueryMasks(LabelMaps):
    """Class, mask and Dice loss of matched queries, of each of the last blocks and of the end, summed.

    Columns of ``log.csv`` as those of :class:`LabelMaps`; the train figures are of the label map of the last block.

    Args:
        config, spec, train_items, val_items, segmenter: as for :class:`LabelMaps`.
        steps: of an epoch.

    Raises:
        UsageError, DataError: as :meth:`refuse`.

    Source: Kerssies et al., arXiv:2503.19108, section 3.3 (mask annealing) and appendix (schedule).
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: DatasetSpec,
        train_items: Sequence[Item],
        val_items: Sequence[Item],
        segmenter: Segmenter,
        steps: int,
    ) -> None:
        super().__init__(config, spec, train_items, val_items, segmenter)
        self.total, self.knows_epochs = config.epochs * steps, True

    @staticmethod
    def refuse(config: TrainConfig, spec: DatasetSpec) -> None:
        """What can be refused before the data is read.

        Raises:
            UsageError: options of another loss.
            DataError: classes that not every image labels.
        """
        LabelMaps.refuse(config, spec)
        strange = [name for name in _OF_PIXELS if getattr(config, name) != TrainConfig.model_fields[name].default]
        if strange:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in strange)
            raise UsageError(f"--model {MODEL} has losses of its own; leave out {options}")
        if spec.labelled and not all(map(all, spec.labelled)):
            raise DataError(
                f"{spec.root}: not every image is labelled with all classes, and --model {MODEL} would learn that the "
                "others are not there; choose another network, or data of the same classes"
            )

    def forward(self, network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        blocks = getattr(self.segmenter.network, "query_blocks", 1)
        layers: list[Queries] = network(
            normalise(batch.pixels, self.segmenter.preprocessing), masked=held(step, self.total, blocks)
        )
        self.of_step = self.given.new_zeros(self.given.shape)
        loss = set_loss(layers, batch.labels, self.spec.classes.ignore_index, self.ranks)
        return layers[-1].scores().detach(), loss


def held(step: int, steps: int, blocks: int) -> tuple[float, ...]:
    """The chance that a query's attention is held to its mask, for each of the last blocks.

    For four blocks these are the published shares: 1/8 to 1/4 of the steps for the first, 11/16 to 13/16 for the last.
    """
    starts = [FIRST + (LAST - FIRST) * index / blocks for index in range(blocks)]
    done = [min(max((step / steps - start) / RAMP, 0.0), 1.0) for start in starts]
    return tuple((1 - share) ** POWER for share in done)
