"""Where an image lies in the coarse logits of a network, in numbers that fit into a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fullconv.geometry import Window
from fullconv.models.context import Context
from fullconv.models.network import EncoderNetwork, SegmentationNetwork
from fullconv.models.smp_network import SmpNetwork

IMAGES, LABELS, LOGITS, SCORES, PROBABILITIES = "images", "labels", "logits", "scores", "probabilities"
"""The names of an artefact's input and outputs."""
SMP_MULTIPLE = 32


@dataclass(frozen=True)
class Places:
    """What has to be known of a network's sizes to pad its images and enlarge its logits.

    Attributes:
        multiple: images are padded to multiples of it, on the right and at the bottom.
        stride: pixels between neighbouring logits.
        start: the image's pixel 0 is at ``start`` of the logits enlarged by ``stride``; may be a fraction.
        fits_image: the logits are stretched to the very size of the image instead (torchvision's networks).
        coarsest_stride, context: as :class:`fullconv.runner.Runner` has them.
    """

    multiple: int
    stride: int
    start: Fraction
    fits_image: bool
    coarsest_stride: int
    context: Context

    @classmethod
    def of(cls, network: SegmentationNetwork, context: Context) -> Places:
        multiple = SMP_MULTIPLE if isinstance(network, SmpNetwork) else 1
        if isinstance(network, EncoderNetwork):
            multiple = network.encoder.size_multiple
        probe = network.window((3, 5), (1000, 2000))
        start = Fraction(probe.top).limit_denominator(1000)
        return cls(
            multiple, network.stride, start, (probe.height, probe.width) == (1000, 2000),
            network.coarsest_stride, context,
        )  # fmt: skip

    def window(self, coarse: tuple[int, int], image: tuple[int, int]) -> Window:
        """As :meth:`fullconv.models.network.SegmentationNetwork.window`."""
        if self.fits_image:
            return Window(0, 0, *image)
        start = float(self.start)
        return Window(start, start, coarse[0] * self.stride, coarse[1] * self.stride)

    def to_dict(self) -> dict[str, Any]:
        return {
            "multiple": self.multiple, "stride": self.stride, "start": str(self.start), "fits_image": self.fits_image,
            "coarsest_stride": self.coarsest_stride, "context": list(self.context),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Places:
        """Back from :meth:`to_dict`.

        Raises:
            KeyError, TypeError, ValueError: damaged values.
        """
        pixels, exact = values["context"]
        numbers = [values[name] for name in ("multiple", "stride", "coarsest_stride")]
        if not all(type(number) is int and number > 0 for number in numbers):
            raise ValueError(f"strides {numbers}")
        return cls(
            numbers[0], numbers[1], Fraction(values["start"]), bool(values["fits_image"]), numbers[2],
            Context(None if pixels is None else int(pixels), bool(exact)),
        )  # fmt: skip
