"""torchvision's segmentation networks, without the last interpolation."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import torchvision
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.geometry import Window, same_map
from fullconv.models.network import ForeignNetwork


def torchvision_networks() -> list[str]:
    """The networks that torchvision has: fcn_resnet50, deeplabv3_resnet50, lraspp_mobilenet_v3_large, ..."""
    return list(torchvision.models.list_models(module=torchvision.models.segmentation))


class TorchvisionNetwork(ForeignNetwork):
    """One of them, returning its coarse logits.

    torchvision enlarges its logits to the image's very size, whether that is a multiple of the stride or not;
    :meth:`window` says the same.

    Args:
        name: of :func:`torchvision_networks`.
        num_classes: channels of the logits.
    """

    def __init__(self, name: str, num_classes: int) -> None:
        super().__init__()
        if name not in torchvision_networks():
            near = difflib.get_close_matches(name, torchvision_networks(), 3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(torchvision_networks())}"
            raise UsageError(f"torchvision has no segmentation network called {name!r}; {hint}")
        built = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
        self.encoder, self.classifier = built.backbone, built.classifier
        self.takes_all = name.startswith("lraspp")
        self.stride, self.coarsest_stride = 8, (16 if self.takes_all else 8)
        self.coordinates = same_map(8)
        if self.takes_all:
            self.declare_classes("classifier.low_classifier", "classifier.high_classifier")
        else:
            self.declare_classes(f"classifier.{len(self.classifier) - 1}")

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def make(cls, name: str, num_classes: int, in_channels: int, args: Mapping[str, Any]) -> TorchvisionNetwork:
        if in_channels != 3:
            raise UsageError(
                f"torchvision's networks take images of 3 channels, found {in_channels}; use another model"
            )
        return cls(name, num_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.encoder(pixels)
        logits: Tensor = self.classifier(features if self.takes_all else features["out"])
        return logits

    def window(self, coarse: Sequence[int], image: Sequence[int] | None = None) -> Window:
        height, width = image or (8 * coarse[0], 8 * coarse[1])
        return Window(0, 0, height, width)

    @classmethod
    def own_names(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The auxiliary classifier is left out."""
        return {
            name.replace("backbone.", "encoder.", 1): value
            for name, value in state.items()
            if not name.startswith("aux_classifier.")
        }
