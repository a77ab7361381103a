"""Networks of segmentation_models.pytorch (the extra ``smp``), for images of any size."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.geometry import round_up, same_map
from fullconv.models.arguments import SMP, check_arguments, check_network
from fullconv.models.network import SegmentationNetwork


class SmpNetwork(SegmentationNetwork):
    """One of its networks, returning logits at full resolution.

    Images are padded with zeros, after normalisation, on the right and at the bottom to a multiple of 32, which these
    networks need. A network of one class (a sigmoid) gets a background of logit 0, which is the same probability.

    Args:
        architecture: ``Unet``, ``FPN``, ``DeepLabV3Plus``, ...
        num_classes: channels of our logits; its own number of classes follows from them.
        args: of its class, as its ``config.json`` holds them; those that mean architecture
            (:data:`fullconv.models.arguments.SMP`).

    Raises:
        UsageError: the library is not installed, or knows no such network or arguments.
    """

    def __init__(self, architecture: str, num_classes: int, args: dict[str, Any]) -> None:
        super().__init__()
        check_arguments(SMP, args, f"{check_network(architecture)}: model_args")
        library = smp()
        known = {maker.__name__: maker for maker in library.MODEL_ARCHITECTURES_MAPPING.values()}
        if architecture not in known:
            raise UsageError(
                f"segmentation_models_pytorch has no network called {architecture!r}; there are "
                f"{', '.join(sorted(known))}"
            )
        self.sigmoid = num_classes == 2 and int(args.get("classes", 1)) == 1
        plain = {**args, "classes": 1 if self.sigmoid else num_classes}
        plain |= {"encoder_weights": None, "activation": None, "aux_params": None}
        try:
            built = known[architecture](**plain)
        except Exception as error:  # on values that make no sense together it raises almost anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UsageError(f"{architecture} does not take these arguments: {args} ({reason})") from error
        self.encoder, self.decoder, self.head = built.encoder, built.decoder, built.segmentation_head
        self.stride, self.coarsest_stride, self.coordinates = 1, 32, same_map(1)
        self.declare_classes("head.head.4" if architecture == "DPT" else "head.0")

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        pixels = F.pad(pixels, (0, round_up(width, 32) - width, 0, round_up(height, 32) - height))
        logits: Tensor = self.head(self.decoder(self.encoder(pixels)))
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.sigmoid else logits

    def by_class(self, name: str, value: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(value), value]) if self.sigmoid else value

    def from_class(self, name: str, value: Tensor) -> Tensor:
        return value[1:] - value[:1] if self.sigmoid else value

    @staticmethod
    def own_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of its network under this one's names (a classification head is left out)."""
        return {
            name.replace("segmentation_head.", "head.", 1): value
            for name, value in state.items()
            if not name.startswith("classification_head.")
        }


def smp() -> Any:
    """The library.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise UsageError("this needs segmentation_models.pytorch; pip install 'fullconv[smp]'") from error
    return segmentation_models_pytorch
