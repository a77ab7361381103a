"""What a server takes at most."""

from __future__ import annotations

from dataclasses import dataclass

from fullconv.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """What a server takes at most.

    Attributes:
        megabytes: of a request (1 MB is 1,000,000 bytes).
        megapixels: of an image, as its header says, before any pixel is decoded.
        queue: requests at once; further ones are told to come again.
        timeout: seconds until an answer.
    """

    megabytes: float = 32
    megapixels: float = 40
    queue: int = 64
    timeout: float = 60

    def __post_init__(self) -> None:
        for name in ("megabytes", "megapixels", "queue", "timeout"):
            value = getattr(self, name)
            if not 0 < value < 1e6:
                raise UsageError(f"--{name} is a number above 0, found {value}")

    @property
    def bytes(self) -> int:
        return round(self.megabytes * 1e6)

    @property
    def pixels(self) -> int:
        return round(self.megapixels * 1e6)
