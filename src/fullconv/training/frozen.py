"""A frozen encoder (``--freeze encoder``): what it gives of an image that comes again is computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fullconv.machine import free_memory
from fullconv.models.encoder import Encoder
from fullconv.models.kept_features import KeptFeatures
from fullconv.models.network import SegmentationNetwork
from fullconv.training.config import TrainConfig

SHARE = 0.5
"""Of the memory that is free, which features may take."""
UNKNOWN = 2 << 30
"""Bytes, where the system does not say what is free."""


def changes(config: TrainConfig, crop: tuple[int, int], sizes: Counter[tuple[int, int]]) -> str:
    """What makes an image another one each time it is learned from; nothing: empty. Mirrored it is one of two.

    Args:
        sizes: of the train images, ``(height, width)``.
    """
    found = []
    if config.scale[0] != config.scale[1]:
        found.append("zoom (--scale 1 1)")
    if config.colour:
        found.append("colours (--colour 0)")
    zoom = config.scale[0]
    shown = {config.resize or size for size in sizes}
    if not found and any((round(height * zoom), round(width * zoom)) != crop for height, width in shown):
        found.append("crops that are not whole images (--resize H W)")
    return ", ".join(found)


def kept_features(
    config: TrainConfig, network: SegmentationNetwork, crop: tuple[int, int], sizes: Counter[tuple[int, int]]
) -> tuple[KeptFeatures | None, str]:
    """Memory for the features of a frozen encoder, where images come again; what is said of it, if anything.

    Args:
        sizes: of the train images.
    """
    encoder = getattr(network, "encoder", None)
    if config.encoder_rate != 0 or not isinstance(encoder, Encoder) or not network.asks_encoder_alone:
        return None, ""
    if why := changes(config, crop, sizes):
        return None, f"the encoder is frozen and sees every image anew, since images change: {why}"
    free = free_memory()
    limit = int(SHARE * free) if free is not None else UNKNOWN
    return KeptFeatures(limit), (
        f"the encoder is frozen: what it gives of an image is computed once and kept (at most {limit / 2**30:.1f} GiB)"
    )


@contextmanager
def features_kept(
    kept: KeptFeatures | None, networks: Sequence[SegmentationNetwork], say: Callable[[str], None]
) -> Iterator[None]:
    """While it lasts the encoders of the networks, which have the same frozen weights, keep their features."""
    encoders = [network.encoder for network in networks if kept is not None]
    for encoder in encoders:
        encoder.kept = kept  # type: ignore[assignment]
    try:
        yield
        if kept is not None and kept.full:
            say(f"features of {len(kept)} images filled the memory that was free for them; others were computed anew")
    finally:
        for encoder in encoders:
            encoder.kept = None  # type: ignore[assignment]
