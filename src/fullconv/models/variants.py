"""The networks by name, and what each may be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from fullconv.errors import UsageError
from fullconv.models.deeplab import DeepLab, Dilated
from fullconv.models.encoder import Encoder
from fullconv.models.eomt import EoMT
from fullconv.models.fcn import FCN
from fullconv.models.fpn import FPN
from fullconv.models.hypercolumn import Hypercolumn
from fullconv.models.mask_rcnn import MaskRCNN
from fullconv.models.network import EncoderNetwork, ForeignNetwork
from fullconv.models.segnet import SegNet
from fullconv.models.smp_network import SmpNetwork
from fullconv.models.timm_encoder import TimmEncoder
from fullconv.models.torchvision_network import TorchvisionNetwork
from fullconv.models.unet import UNet
from fullconv.models.vgg import NAME as VGG
from fullconv.models.vgg import VGG16
from fullconv.models.wide_fcn import WideFCN


class Variant(NamedTuple):
    """A network of ours by name.

    Attributes:
        network: its class.
        defaults: ``model_args`` that the name stands for.
        wide: the class of it whose ``decoder`` is ``wide``, if there is one.
    """

    network: type[EncoderNetwork]
    defaults: Mapping[str, Any] = {}
    wide: type[EncoderNetwork] | None = None

    def arguments(self) -> dict[str, Any]:
        """``{name: type}`` of ``model_args``."""
        if self.wide is None:
            return self.network.arguments()
        return {**self.wide.arguments(), "decoder": Literal["scores", "wide"], **self.network.arguments()}

    def chosen(self, args: Mapping[str, Any]) -> tuple[type[EncoderNetwork], dict[str, Any]]:
        """The class that ``model_args`` mean, and what it is told.

        Raises:
            UsageError: an argument of the other decoder.
        """
        told = {**self.defaults, **args}
        network = self.wide if told.pop("decoder", "scores") == "wide" and self.wide else self.network
        strange = [name for name in told if name not in network.arguments()]
        if strange:
            raise UsageError(f"model_args: {strange[0]} belongs to the other decoder of an FCN; leave one of them out")
        return network, told


MODELS: dict[str, Variant] = {
    **{f"fcn{streams[-1]}s": Variant(FCN, {"streams": streams}, WideFCN)
       for streams in ((32,), (32, 16), (32, 16, 8), (32, 16, 8, 4))},
    "unet": Variant(UNet),
    "fpn": Variant(FPN),
    "segnet": Variant(SegNet),
    "deeplab": Variant(DeepLab),
    "dilated": Variant(Dilated),
    "hypercolumn": Variant(Hypercolumn),
    "maskrcnn": Variant(MaskRCNN),
    "eomt": Variant(EoMT),
}  # fmt: skip
"""Our own networks."""

FOREIGN: dict[str, type[ForeignNetwork]] = {"torchvision": TorchvisionNetwork, "smp": SmpNetwork}
"""Networks of other libraries; the name of one of theirs stands where the encoder's does."""


def encoder_class(name: str) -> type[Encoder]:
    """The class of encoders of that name: ours, or timm's."""
    return VGG16 if name == VGG else TimmEncoder


def model_arguments(name: str) -> Mapping[str, Any]:
    """``{name: type}`` of ``model_args``; empty for a name that is no network's."""
    if name in FOREIGN:
        return FOREIGN[name].arguments()
    return MODELS[name].arguments() if name in MODELS else {}


def encoder_arguments(name: str, model: str) -> Mapping[str, Any]:
    """``{name: type}`` of ``encoder_args`` of an encoder under a network.

    Raises:
        UsageError: an encoder that the network does not take.
    """
    if model in FOREIGN:
        return {}
    own = MODELS[model].network.encoder_class(name) if model in MODELS else None
    return (own or encoder_class(name)).arguments()
