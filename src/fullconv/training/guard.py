"""Stops a run at the first number that is not finite, and says where it began."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from fullconv.errors import FullconvError, first_few
from fullconv.models.finite import first_bad_layer, not_finite
from fullconv.ops.checks import waits

CHECK_EVERY = 50
"""Steps between two looks at what a GPU has noted; reading it makes the host wait for the device."""
EXACT_STEPS = 50
"""So many steps after the start are looked at one by one everywhere: most runs that go wrong do so at once."""
SMALLEST_SCALE = 2.0**-14
"""Of the loss in fp16; from 2**16, where it starts, 31 steps in a row have to overflow."""


class TooLateError(FullconvError):
    """Noted on the device some steps ago: the weights have taken it in by now."""


class Guard:
    """What is noted of every step, and the buffers as they were before it.

    Where reading a number costs nothing (on a CPU), and wherever ``exact`` is set, each step is judged before the
    optimiser moves. Elsewhere loss and gradient norm stay on the device and are read every :data:`CHECK_EVERY` steps.

    Args:
        scaler: of the loss in fp16 (:class:`torch.amp.GradScaler`): it skips steps whose gradient overflows and lowers
            its factor, so that they are no fault before it is below :data:`SMALLEST_SCALE`.
    """

    def __init__(self, network: nn.Module, device: torch.device, scaler: Any = None) -> None:
        self.network, self.scaler = network, scaler
        self.exact = not waits(device)
        self.exact_until = 0
        self.pending: list[tuple[int, Tensor, Tensor]] = []
        self._buffers = list(network.buffers())
        self._kept = [buffer.clone() for buffer in self._buffers]

    def judges(self, step: int) -> bool:
        """Whether this step is judged before the optimiser moves."""
        return self.exact or step < self.exact_until

    @torch.no_grad()
    def keep_buffers(self) -> None:
        """Batch norm's statistics change in the forward pass, before anybody knows what it gave."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    @torch.no_grad()
    def restore_buffers(self) -> None:
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)

    def is_fault(self, loss: float, norm: float) -> bool:
        """Whether a step with this loss and gradient norm went wrong."""
        if math.isfinite(loss) and not math.isfinite(norm) and self.scaler is not None:
            return bool(self.scaler.get_scale() < SMALLEST_SCALE)
        return not (math.isfinite(loss) and math.isfinite(norm))

    def note(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Keep them, on their device, for :meth:`check`."""
        self.pending.append((step, loss.detach(), norm))

    def check(self) -> None:
        """Look at what was noted since the last time.

        Raises:
            TooLateError: a loss or gradient was not finite; it names the first such step.
        """
        pending, self.pending = self.pending, []
        if not pending:
            return
        values = torch.stack([torch.stack((loss.float(), norm.float())) for _, loss, norm in pending]).tolist()
        for (step, *_), (loss, norm) in zip(pending, values, strict=True):
            if self.is_fault(loss, norm):
                raise TooLateError(f"step {step + 1}: loss {loss}, gradient norm {norm}")

    def norm(self) -> Tensor:
        """Of the gradient of all parameters."""
        return get_total_norm([p.grad for p in self.network.parameters() if p.grad is not None])

    def explain(
        self, forward: Callable[[], tuple[Tensor, Tensor]], backward: Callable[[Tensor], Any], ids: list[str]
    ) -> str:
        """Where in a step the first value that is not finite arises: weights, activations, loss or gradient.

        Args:
            forward: gives logits and loss of the step, as they were.
            backward: of the loss.
            ids: names of the batch's images.
        """
        bad = not_finite(self.network.state_dict())
        if bad:
            return f"the weights of {first_few(bad)}, since the step before"
        results: list[tuple[Tensor, Tensor]] = []
        layer = first_bad_layer(self.network, lambda: results.append(forward()))
        if layer:
            images = first_few([ids[i] for i in layer[1]])
            return f"the activations of {layer[0]} (images {images})"
        loss = results[0][1]
        if not math.isfinite(float(loss.detach())):
            return f"the loss, {float(loss.detach())} from finite scores"
        backward(loss)
        gradients = {name: p.grad for name, p in self.network.named_parameters() if p.grad is not None}
        bad = not_finite(gradients)
        if bad:
            return f"the gradients of {first_few(bad[::-1])} (loss {float(loss.detach()):.4g})"
        if math.isfinite(float(self.norm())):
            return "a value of this step; it is finite when the step is repeated, which points to the hardware"
        largest = max(gradients, key=lambda name: float(gradients[name].abs().max()))
        return f"the gradient's norm; its largest value, {float(gradients[largest].abs().max()):.2g}, is in {largest}"
