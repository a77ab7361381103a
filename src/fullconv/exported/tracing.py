"""What PyTorch's tracers need to be told of our networks."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from timm.layers import padding
from torch import Tensor, nn

from fullconv.errors import UsageError
from fullconv.models.mask_rcnn import MaskRCNN
from fullconv.models.network import SegmentationNetwork


class Plain(nn.Module):
    """The network without what :class:`SegmentationNetwork` does around it in bf16 on a CPU."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network.forward(pixels)
        return logits


@contextlib.contextmanager
def same_padding_of_multiples() -> Iterator[None]:
    """timm's TensorFlow-like padding as the number that it is where the stride divides the map, as it always does here.

    As a formula of free sizes it keeps PyTorch's exporter busy for many minutes.
    """
    dynamic = padding.get_same_padding

    def fixed(x: int, kernel_size: int, stride: int, dilation: int) -> int:
        return max((kernel_size - 1) * dilation + 1 - stride, 0)

    padding.get_same_padding = fixed
    try:
        yield
    finally:
        padding.get_same_padding = dynamic


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's reports, which end on either stream, and its warnings about itself."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        unread = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def reason_of(error: BaseException) -> str:
    """What an exporter stumbled over, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__


def refuse_objects(network: SegmentationNetwork) -> None:
    """Refuse a network that finds objects.

    Raises:
        UsageError: it is one.
    """
    if isinstance(network, MaskRCNN):
        raise UsageError(
            "maskrcnn chooses its objects one by one, which exported files cannot; predict with the .safetensors file"
        )
