"""Who computes the coarse logits: one protocol, and PyTorch. What happens to pixels and logits is the segmenter's."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from fullconv.device import autocast, choose_device, choose_precision
from fullconv.errors import NotFiniteError, first_few
from fullconv.geometry import Window
from fullconv.models.context import Context, context
from fullconv.models.finite import first_bad_layer, not_finite
from fullconv.models.folding import folded
from fullconv.models.network import SegmentationNetwork, place
from fullconv.ops.checks import kept, to_device
from fullconv.spec import Preprocessing


class Runner(Protocol):
    """A network as a segmenter sees it: raw pixels -> coarse logits and where the image lies in them.

    ``str(runner)`` says who computes, in what arithmetic and where, for people: ``fp32 on cpu``.
    """

    @property
    def device(self) -> torch.device:
        """Where the logits are, and so where labels are made of them."""

    @property
    def precision(self) -> str:
        """The arithmetic: ``fp32``, ``bf16``, ..."""

    @property
    def coarsest_stride(self) -> int:
        """An image moved by so many pixels gives logits moved by whole places: tiles start at multiples of it."""

    @property
    def context(self) -> Context:
        """On how many pixels around it a label depends."""

    @property
    def side_by_side(self) -> bool:
        """Whether threads may ask for passes at once, each computed by as many threads as PyTorch has for the one that
        asks. A GPU works through one queue."""

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        """Coarse logits of some images of one size.

        Args:
            pixels: raw, uint8 or float of 0 to 255, ``n c H W`` of any size from 1x1, on any device.

        Returns:
            Floating-point logits ``n classes h w`` on :attr:`device`, and where the image lies in them once enlarged.
        """

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        """Where values that are not finite began, in words, and what to do.

        Args:
            again: has this runner compute the images once more.
        """


@dataclass
class RunModel:
    """A model that a runner computes without a network of ours: there is nothing to train or to save.

    Attributes:
        runner: who computes it.
        config: arguments of :func:`fullconv.models.build_model` for the network that it was made from, JSON-ready.
        licence: of its weights, as far as known.
    """

    runner: Runner
    config: dict[str, Any]
    licence: str = ""


_FOLDING = threading.Lock()


class TorchRunner:
    """A network of ours in PyTorch.

    Args:
        network: normalised pixels -> coarse logits; it is set to evaluation.
        preprocessing: how its input is normalised.
        precision: ``fp32``, ``bf16`` or ``fp16``; :meth:`to` chooses it by device.
    """

    def __init__(self, network: SegmentationNetwork, preprocessing: Preprocessing, precision: str = "fp32") -> None:
        self.network = network.eval()
        self.preprocessing = preprocessing
        self.precision = precision
        self._folded: tuple[object, SegmentationNetwork] | None = None

    def __str__(self) -> str:
        return f"{self.precision} on {self.device}"

    def to(self, device: str = "auto", precision: str = "auto") -> None:
        """Move the network and choose its arithmetic.

        Raises:
            UsageError: no such device or precision.
        """
        chosen = choose_device(device)
        self.precision = choose_precision(precision, chosen)
        place(self.network.eval(), chosen)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def side_by_side(self) -> bool:
        return self.device.type == "cpu"

    @property
    def coarsest_stride(self) -> int:
        return self.network.coarsest_stride

    @functools.cached_property
    def context(self) -> Context:
        """Found once, by trying, in a second or so."""
        return context(self.network, self.preprocessing.channels)

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        """As :meth:`Runner.coarse_logits`."""
        network = self._for_prediction()
        with autocast(self.device, self.precision):
            logits = network(normalise(pixels.to(self.device, non_blocking=True), self.preprocessing))
        return logits, self.network.window(logits.shape[-2:], pixels.shape[-2:])

    def _for_prediction(self) -> SegmentationNetwork:
        """The network with its norms folded, folded anew where its weights have changed.

        Where somebody learns from it or watches its layers: the network as it is.
        """
        modules = list(self.network.modules())
        watched = any(module.training or module._forward_hooks or module._forward_pre_hooks for module in modules)
        values = (*self.network.parameters(), *self.network.buffers())
        if torch.is_grad_enabled() or watched or any(value.is_inference() for value in values):
            return self.network
        state = [(value._version, value.data_ptr()) for value in values]
        with _FOLDING:
            if self._folded is None or self._folded[0] != state:
                self._folded = state, folded(self.network, self.preprocessing.channels)
            return self._folded[1]

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        """The weights, else the first layer whose activations are not finite."""
        bad = not_finite(self.network.state_dict())
        if bad:
            return f"the weights of {first_few(bad)}", "use an earlier model"
        found = first_bad_layer(self.network, again)
        where = f"the activations of {found[0]}" if found else "the scores"
        return where, "use --precision fp32" if self.precision != "fp32" else "retrain it"


def not_finite_error(runner: Runner, images: Sequence[str], forward: Callable[[], object]) -> NotFiniteError:
    """What to raise where logits are not finite: in which images, from which layer on, and what to do.

    Args:
        images: names of all such images.
        forward: runs the network on one of them again.
    """
    where, advice = runner.find_not_finite(forward)
    return NotFiniteError(f"{first_few(list(images))}: {where} are not finite (nan or inf), so no labels; {advice}")


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Raw ``n c H W`` -> float32 ``(pixel / 255 - mean) / std``, channels last in memory."""
    offset, factor = _offset_and_factor(tuple(preprocessing.mean), tuple(preprocessing.std), pixels.device)
    return torch.addcmul(offset, pixels.float(), factor).contiguous(memory_format=torch.channels_last)


@kept
def _offset_and_factor(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    middle, width = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return to_device(-middle / width, device), to_device(1 / (255 * width), device)
