"""Networks of segmentation_models.pytorch (the extra ``smp``), for images of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.errors import UsageError
from fullconv.geometry import round_up, same_map
from fullconv.models.arguments import Flag, Numbers, Word, check_arguments, named
from fullconv.models.network import ForeignNetwork
from fullconv.names import check_network

CONFIG = "config.json"
"""What its ``save_pretrained`` writes beside the weights."""

SMP: dict[str, Any] = {
    **named(Numbers, """
        decoder_aspp_dropout decoder_atrous_rates decoder_dropout decoder_fusion_channels
        decoder_intermediate_channels decoder_pab_channels decoder_pyramid_channels decoder_segmentation_channels
        drop_path_rate drop_rate encoder_depth encoder_output_indices encoder_output_stride img_size psp_dropout
        psp_out_channels upsampling
    """),
    **named(Flag, "decoder_aspp_separable dynamic_img_size"),
    **named(Word, "decoder_attention_type decoder_interpolation decoder_merge_policy decoder_readout"),
    "decoder_channels": Numbers,
    "decoder_use_norm": bool | str | dict[str, bool | float | str] | None,
    "decoder_use_batchnorm": bool | str | None,
    "encoder_name": str,
    "classes": int,
    "in_channels": int,
}  # fmt: skip
"""Arguments of segmentation_models.pytorch's networks, as its ``config.json`` holds them."""


class SmpNetwork(ForeignNetwork):
    """One of its networks, returning logits at full resolution.

    Images are padded with zeros, after normalisation, on the right and at the bottom to a multiple of 32, which these
    networks need (PAN: at least 128). DPT's embedding of places is interpolated where the size is not the one that it
    was trained at. A network of one class (a sigmoid) gets a background of logit 0, which is the same probability.

    Args:
        architecture: ``Unet``, ``FPN``, ``DeepLabV3Plus``, ...
        num_classes: channels of our logits; its own number of classes follows from them.
        in_channels: channels of the image.
        args: of its class, as its ``config.json`` holds them; those that mean architecture (:data:`SMP`).

    Raises:
        UsageError: the library is not installed, or knows no such network or arguments.
    """

    def __init__(self, architecture: str, num_classes: int, in_channels: int, args: Mapping[str, Any]) -> None:
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
        stated = args.get("in_channels", in_channels)
        if stated != in_channels:
            raise UsageError(f"{architecture}: model_args name {stated} in_channels for images of {in_channels}")
        plain = {**args, "classes": 1 if self.sigmoid else num_classes, "in_channels": in_channels}
        plain |= {"encoder_weights": None, "activation": None, "aux_params": None}
        self.least_side = 128 if architecture == "PAN" else 32  # it halves its last map three times
        self.gives_tokens = architecture == "DPT"  # its transformer gives tokens beside the feature maps
        if self.gives_tokens:
            plain["dynamic_img_size"] = True
        try:
            built = known[architecture](**plain)
        except Exception as error:  # on values that make no sense together it raises almost anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UsageError(f"{architecture} does not take these arguments: {args} ({reason})") from error
        self.encoder, self.decoder, self.head = built.encoder, built.decoder, built.segmentation_head
        self.stride, self.coarsest_stride, self.coordinates = 1, 32, same_map(1)
        self.declare_classes("head.head.4" if architecture == "DPT" else "head.0")

    @classmethod
    def arguments(cls) -> dict[str, Any]:
        return SMP

    @classmethod
    def make(cls, name: str, num_classes: int, in_channels: int, args: Mapping[str, Any]) -> SmpNetwork:
        return cls(name, num_classes, in_channels, args)

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        bottom, right = (max(round_up(side, 32), self.least_side) - side for side in (height, width))
        pixels = F.pad(pixels, (0, right, 0, bottom))
        found = self.encoder(pixels)
        logits: Tensor = self.head(self.decoder(*found) if self.gives_tokens else self.decoder(found))
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.sigmoid else logits

    def by_class(self, name: str, value: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(value), value]) if self.sigmoid else value

    def from_class(self, name: str, value: Tensor) -> Tensor:
        return value[1:] - value[:1] if self.sigmoid else value

    @classmethod
    def own_names(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A classification head is left out."""
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
