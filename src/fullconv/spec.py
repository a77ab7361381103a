"""What a label means: the classes with their names and colours, and how pixels become network input."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fullconv.errors import UsageError

Colour = tuple[int, int, int]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def voc_palette(count: int) -> tuple[Colour, ...]:
    """The PASCAL VOC colour of ids ``0 .. count - 1``: bit ``3k + channel`` of the id is bit ``7 - k`` of the colour.

    Defined up to 256; ids beyond repeat with a shifted hue, so that neighbours still differ.
    """
    return tuple(_voc_colour(index % 256, index // 256) for index in range(count))


def _voc_colour(index: int, turn: int) -> Colour:
    channels = [0, 0, 0]
    for k in range(3):
        for channel in range(3):
            channels[channel] |= ((index >> (3 * k + channel)) & 1) << (7 - k)
    red, green, blue = ((value + 37 * turn) % 256 for value in channels)
    return red, green, blue


@dataclass(frozen=True)
class ClassSet:
    """The classes of a label map, in id order.

    Attributes:
        names: one name per id, unique.
        palette: one RGB colour (0 to 255) per id; the PASCAL VOC colours when empty.
        ignore_index: the id of pixels that neither loss nor scores count; never a class.
            255, or 65535 for more than 255 classes, when not given.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...] = ()
    ignore_index: int = -1

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        palette = tuple((int(r), int(g), int(b)) for r, g, b in self.palette) or voc_palette(len(names))
        if not names:
            raise UsageError(
                "a class set needs at least one class, found none; name them in dataset.yaml: classes: [...]"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"class names must be unique, found {twice[0]!r} more than once; rename one of them")
        if len(palette) != len(names):
            raise UsageError(f"expected one colour per class, found {len(palette)} colours for {len(names)} classes")
        if any(not 0 <= value <= 255 for colour in palette for value in colour):
            raise UsageError("palette colours must lie in 0 to 255")
        ignore = self.ignore_index if self.ignore_index >= 0 else (255 if len(names) <= 255 else 65535)
        if ignore < len(names):
            raise UsageError(
                f"ignore_index {ignore} is the id of class {names[ignore]!r}; choose one outside the classes"
            )
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "palette", palette)
        object.__setattr__(self, "ignore_index", ignore)

    def __len__(self) -> int:
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values; ``ClassSet.from_dict`` is the way back."""
        return {
            "names": list(self.names),
            "palette": [list(colour) for colour in self.palette],
            "ignore_index": self.ignore_index,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassSet:
        return cls(tuple(values["names"]), tuple(tuple(c) for c in values["palette"]), values["ignore_index"])


@dataclass(frozen=True)
class Preprocessing:
    """How raw uint8 pixels become network input: ``(pixel / 255 - mean) / std`` per channel.

    Attributes:
        mean, std: one value per input channel, in units of the 0 to 1 range.
        resize: ``(height, width)`` that every image is brought to first, or None to keep each image's own
            size. Predictions are computed for the image's own size either way.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise UsageError(f"mean and std need one value per channel, found {len(self.mean)} and {len(self.std)}")
        if any(value <= 0 for value in self.std):
            raise UsageError(f"std must be positive, found {self.std}")
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if self.resize is not None:
            object.__setattr__(self, "resize", (int(self.resize[0]), int(self.resize[1])))

    @property
    def channels(self) -> int:
        return len(self.mean)

    @classmethod
    def for_channels(
        cls,
        channels: int,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        resize: tuple[int, int] | None = None,
    ) -> Preprocessing:
        """``mean`` and ``std`` as they are when they fit ``channels``, else their averages for every channel."""
        if len(mean) != channels:
            mean = (sum(mean) / len(mean),) * channels
            std = (sum(std) / len(std),) * channels
        return cls(mean, std, resize)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        resize = values.get("resize")
        return cls(tuple(values["mean"]), tuple(values["std"]), tuple(resize) if resize else None)
