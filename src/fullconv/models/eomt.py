"""EoMT: a plain vision transformer whose last blocks also hold queries, each of which becomes a class and a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.geometry import same_map
from fullconv.models.cpu_bf16 import careful_convolutions
from fullconv.models.encoder import Encoder, Needs
from fullconv.models.network import EncoderNetwork
from fullconv.models.plain_vit import PlainViT

STRIDE = 4
"""Of the masks."""
LEAST = 1e-8
"""The least score of a class at a place: its logarithm is finite."""


class Queries(NamedTuple):
    """What the queries say after a block.

    Attributes:
        classes: logits ``n queries classes + 1``; the last one is that of no object.
        masks: logits ``n queries h w``.
    """

    classes: Tensor
    masks: Tensor

    def scores(self) -> Tensor:
        """The logarithm of the sum over the queries of class probability times mask probability, ``n classes h w``."""
        with torch.autocast(self.masks.device.type, enabled=False):
            wide = torch.promote_types(self.masks.dtype, torch.float32)
            chances = self.classes.to(wide).softmax(2)[..., :-1]
            mixture = torch.einsum("nqc,nqhw->nchw", chances, self.masks.to(wide).sigmoid())
            return mixture.clamp(min=LEAST).log()


class EoMT(EncoderNetwork):
    """Queries join the tokens of a ViT before its last blocks; a class head and a mask head read them at the end.

    In evaluation ``forward`` gives coarse logits at stride 4 (:meth:`Queries.scores`). In training it gives the
    :class:`Queries` before each of the last blocks and at the end, for an objective of sets: in those blocks a query
    attends, with a chance that goes down to 0 while it learns, only to the places of the mask that it has so far.

    Args:
        encoder: a plain ViT of timm, EVA (DINOv3) among them.
        num_classes: of the logits.
        queries: how many.
        query_blocks: so many of the last blocks hold them; by default 3 of up to 23 blocks, 4 of up to 39, else 5.

    Source: Kerssies et al., arXiv:2503.19108, figure 3 and section 3.
    """

    encoder: PlainViT
    asks_encoder_alone = False

    def __init__(
        self, encoder: Encoder, num_classes: int, queries: int = 100, query_blocks: int | None = None
    ) -> None:  # fmt: skip
        super().__init__(encoder, num_classes)
        body: Any = self.encoder.body
        if not isinstance(body, (VisionTransformer, Eva)):
            raise UsageError(f"model eomt takes timm's ViT and EVA (DINOv2, DINOv3), not {self.encoder.name}")
        depth = len(body.blocks)
        blocks = query_blocks or min(depth, 3 if depth < 24 else 4 if depth < 40 else 5)
        if not 1 <= blocks <= depth:
            raise ValueError(f"query_blocks {blocks}: the encoder has {depth} blocks")
        if queries < num_classes:
            raise ValueError(f"queries {queries} for {num_classes} classes, each of which needs one")
        self.num_classes, self.num_queries, self.query_blocks = num_classes, queries, blocks
        self.stride, self.coordinates = STRIDE, same_map(STRIDE)
        self.coarsest_stride = self.encoder.patch
        if isinstance(body, Eva):  # its rotary positions leave out so many tokens at the front
            attentions: Any = [block.attn for block in list(self.encoder.body.blocks)[-blocks:]]
            for attention in attentions:
                attention.num_prefix_tokens += queries
        width = body.embed_dim
        self.query = nn.Parameter(torch.randn(queries, width))
        doublings = (self.encoder.patch // STRIDE).bit_length() - 1
        self.upscale = nn.Sequential(*(_doubled(width) for _ in range(doublings)))
        self.mask_head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.class_head = nn.Linear(width, num_classes)
        self.none_head = nn.Linear(width, 1)
        self.class_axes = {"class_head.weight": (0,), "class_head.bias": (0,)}

    @classmethod
    def needs(cls, args: Mapping[str, Any]) -> Needs:
        return Needs(())

    @classmethod
    def encoder_class(cls, name: str) -> type[Encoder]:
        return PlainViT

    def __call__(self, pixels: Tensor, masked: Sequence[float] | None = None) -> Any:
        with careful_convolutions():
            return nn.Module.__call__(self, pixels, masked)

    def forward(self, pixels: Tensor, masked: Sequence[float] | None = None) -> Any:
        """Coarse logits; in training :class:`Queries` of each of the last blocks, and of the end.

        Args:
            masked: in training, the chance that a query's attention is held to its mask, in each of the last blocks;
                by default 1.
        """
        padded = self.encoder.pad(pixels)
        tokens, rope = self.encoder.tokens(padded)
        grid = tuple(side // self.encoder.patch for side in padded.shape[-2:])
        body: Any = self.encoder.body
        start = len(body.blocks) - self.query_blocks
        chances = tuple(masked or (1.0,) * self.query_blocks) if self.training else ()
        found: list[Queries] = []
        for index, block in enumerate(body.blocks):
            more: dict[str, Any] = {} if rope is None else {"rope": rope}
            if index == start:
                tokens = torch.cat([self.query.to(tokens.dtype).expand(tokens.shape[0], -1, -1), tokens], 1)
            if index >= start and self.training:
                found.append(self._read(body.norm(tokens), grid))
                more["attn_mask"] = self._allowed(found[-1].masks, grid, tokens.shape[1], chances[index - start])
            tokens = block(tokens, **more)
        found.append(self._read(body.norm(tokens), grid))
        return found if self.training else found[-1].scores()

    def _read(self, tokens: Tensor, grid: tuple[int, ...]) -> Queries:
        queries = tokens[:, : self.num_queries]
        places = tokens[:, self.num_queries + self.encoder.prefix :].mT.unflatten(2, grid)
        masks = torch.einsum("nqc,nchw->nqhw", self.mask_head(queries), self.upscale(places))
        return Queries(torch.cat([self.class_head(queries), self.none_head(queries)], 2), masks)

    def _allowed(self, masks: Tensor, grid: tuple[int, ...], count: int, chance: float) -> Tensor:
        """Who may attend to whom, bool ``n 1 tokens tokens``: all to all, but for queries to places out of a mask."""
        inside = F.interpolate(masks.detach(), grid, mode="bilinear").flatten(2) > 0
        free = torch.rand(inside.shape[:2], device=inside.device) >= chance
        allowed = inside.new_ones(len(inside), count, count)
        allowed[:, : self.num_queries, self.num_queries + self.encoder.prefix :] = inside | free[..., None]
        return allowed[:, None]


def _doubled(width: int) -> nn.Sequential:
    """A map of twice the resolution."""
    return nn.Sequential(
        nn.ConvTranspose2d(width, width, 2, 2),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        LayerNorm2d(width),
    )
