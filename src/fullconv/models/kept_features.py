"""What a frozen network gave of an image, kept and found again by the image's own numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class KeptFeatures:
    """The features of images that were seen before, in memory, up to a limit.

    Only for layers that treat every image of a batch alone and do not change: in evaluation, with weights that are not
    trained. Images are told apart by a hash of their numbers (BLAKE2b, 128 bits), their size and what is computed in.

    Attributes:
        limit: bytes that may be kept; what comes after that is computed each time.
        used: bytes that are kept.
        found, computed: images so far.
        full: whether features did not fit.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used, self.found, self.computed = limit, 0, 0, 0
        self.full = False
        self._kept: dict[tuple[bytes, object], list[Tensor]] = {}

    def __deepcopy__(self, memo: Any) -> KeptFeatures:
        return self  # of a copy of the network: its frozen weights are the same

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, compute: Callable[[Tensor], Any], pixels: Tensor) -> Any:
        """``compute(pixels)`` of ``n c h w``: a map ``n ...``, or a dict of such; no gradient goes into it."""
        keys = [(key, _arithmetic(pixels)) for key in map(_hash, pixels.unbind())]
        rows = [self._kept.get(key) for key in keys]
        new = [index for index, row in enumerate(rows) if row is None]
        names: list[Any] = [None]
        if new:
            with torch.inference_mode(False), torch.no_grad():
                result = compute(pixels if len(new) == len(keys) else pixels[new])
                names = list(result) if isinstance(result, dict) else [None]
                maps = list(result.values()) if isinstance(result, dict) else [result]
                for place, index in enumerate(new):
                    rows[index] = [one[place : place + 1].clone(memory_format=torch.preserve_format) for one in maps]
                    self._keep(keys[index], rows[index], names)
        else:
            names = self._names
        self.found, self.computed = self.found + len(keys) - len(new), self.computed + len(new)
        joined = [torch.cat([row[which].to(pixels.device) for row in rows if row]) for which in range(len(names))]
        return joined[0] if names == [None] else dict(zip(names, joined, strict=True))

    def _keep(self, key: tuple[bytes, object], row: list[Tensor] | None, names: list[Any]) -> None:
        assert row is not None
        self._names = names
        size = sum(one.numel() * one.element_size() for one in row)
        if self.used + size <= self.limit:
            self._kept[key] = [one.cpu() for one in row]
            self.used += size
        else:
            self.full = True


def _hash(image: Tensor) -> bytes:
    numbers = image.detach().movedim(0, -1).contiguous().cpu().view(torch.uint8).numpy()
    return hashlib.blake2b(numbers.data, digest_size=16).digest()


def _arithmetic(pixels: Tensor) -> object:
    """What the same numbers may be computed in otherwise."""
    device = pixels.device.type
    computed_in = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else pixels.dtype
    return tuple(pixels.shape[1:]), computed_in
