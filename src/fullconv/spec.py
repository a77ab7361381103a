"""What a label means: the classes with their names and colours, and how pixels become network input."""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from fullconv.errors import UsageError, first_few
from fullconv.palette import Colour, distinct_palette, is_background

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LARGEST_ID = 65535
"""Masks have 16 bits."""
LARGEST_SIDE = 1 << 16
"""Of an image that is resized."""
LARGEST_MEAN = 1e6
"""No mean or deviation is larger, no deviation smaller than its inverse: they are float32 on their way."""


class ClassesError(UsageError):
    """Names, colours or an ignored id that no classes can have."""


@dataclass(frozen=True)
class ClassSet:
    """The classes of a label map, in id order.

    Attributes:
        names: one name per id, unique.
        palette: one RGB colour (0 to 255) per id; when empty, :func:`fullconv.palette.distinct_palette`.
        ignore_index: the id of pixels that neither loss nor scores count; never a class.
            255, or 65535 for more than 255 classes, when not given.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...] = ()
    ignore_index: int = -1

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        palette = tuple((int(r), int(g), int(b)) for r, g, b in self.palette) or distinct_palette(names)
        unsafe = [name for name in names if any(unicodedata.category(letter) == "Cc" for letter in name)]
        if unsafe:  # messages and tables are lines
            raise ClassesError(
                f"a class name is one line without control characters, found {unsafe[0][:60]!r}; rename it"
            )
        if not names:
            raise ClassesError(
                "a class set needs at least one class, found none; name them in dataset.yaml: classes: [...]"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ClassesError(f"class names must be unique, found {twice[0]!r} more than once; rename one of them")
        if len(palette) != len(names):
            raise ClassesError(f"expected one colour per class, found {len(palette)} colours for {len(names)} classes")
        if any(not 0 <= value <= 255 for colour in palette for value in colour):
            raise ClassesError("palette colours must lie in 0 to 255")
        ignore = self.ignore_index if self.ignore_index >= 0 else (255 if len(names) <= 255 else 65535)
        if ignore < len(names):
            raise ClassesError(
                f"ignore_index {ignore} is the id of class {names[ignore]!r}; choose one outside the classes"
            )
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "palette", palette)
        object.__setattr__(self, "ignore_index", ignore)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def background(self) -> int | None:
        """The id of the class that pictures leave see-through, by its name; None where there is none."""
        return next((index for index, name in enumerate(self.names) if is_background(name)), None)

    def ids(self, names: Iterable[str]) -> tuple[int, ...]:
        """The ids of classes by name.

        Raises:
            UsageError: there is none of a name.
        """
        found = []
        for name in names:
            if name not in self.names:
                near = difflib.get_close_matches(name, self.names, 3, cutoff=0.5)
                hint = f"did you mean {', '.join(near)}?" if near else f"there are {first_few(list(self.names), 10)}"
                raise UsageError(f"no class is called {name!r}; {hint}")
            found.append(self.names.index(name))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values; ``ClassSet.from_dict`` is the way back."""
        return {
            "names": list(self.names),
            "palette": [list(colour) for colour in self.palette],
            "ignore_index": self.ignore_index,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassSet:
        """What :meth:`to_dict` gave.

        Raises:
            LookupError, TypeError, ValueError, UsageError: something else.
        """
        names, ignore = values["names"], values["ignore_index"]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("class names are words")
        if not isinstance(ignore, int) or not 0 <= ignore <= LARGEST_ID:
            raise ValueError(f"ignore_index is a whole number up to {LARGEST_ID}, found {str(ignore)[:20]}")
        return cls(tuple(names), tuple(tuple(c) for c in values["palette"]), ignore)


@dataclass(frozen=True)
class Values:
    """How the values that image files store become the 8 bits that a network sees.

    A value ``v`` becomes ``round(255 (v - low) / (high - low))``, cut to 0..255. Where a band holds its nodata value,
    or one that is not finite, it holds nothing, and the network sees ``fill``; a pixel that holds nothing in all of its
    bands is void in the labels.

    Attributes:
        range: ``(low, high)`` per channel, or one for all; empty for 8-bit files, whose values stay as they are.
        nodata: per channel, or one for all; empty for none. A nodata value that a file states of itself counts too.
        fill: byte per channel, or one for all.
        source: how the range was found; empty where it was given.
        bands: what the bands are called, in their order; empty where nobody named them.
    """

    range: tuple[tuple[float, float], ...] = ()
    nodata: tuple[float | None, ...] = ()
    fill: tuple[int, ...] = (0,)
    source: str = field(default="", compare=False)
    bands: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if len(set(self.bands)) < len(self.bands) or not all(name.strip() for name in self.bands):
            raise UsageError(f"bands are names, each of its own; found {', '.join(map(repr, self.bands))}")
        bounds = tuple((float(low), float(high)) for low, high in self.range)
        for low, high in bounds:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise UsageError(f"a range of values is low, then high, both finite; found {low:g} and {high:g}")
        object.__setattr__(self, "range", bounds)
        stated = tuple(None if v is None or not math.isfinite(v) else float(v) for v in self.nodata)
        object.__setattr__(self, "nodata", stated if any(v is not None for v in stated) else ())
        object.__setattr__(self, "fill", tuple(int(value) for value in self.fill))
        if not self.fill or not all(0 <= value <= 255 for value in self.fill):
            raise UsageError(f"what a network sees where there is nothing is a byte per channel, found {self.fill}")

    @property
    def bytes_fit(self) -> bool:
        """Whether 8-bit files may be meant: no range is given, or one within 0 to 255."""
        return all(low >= 0 and high <= 255 for low, high in self.range)

    def refuse_other_channels(self, channels: int) -> None:
        """Refuse another number of ranges or nodata values than one, or one per channel; of names than one per channel.

        Raises:
            UsageError: there is one.
        """
        for name, entries in (("range", self.range), ("nodata", self.nodata), ("fill", self.fill)):
            if len(entries) not in (0, 1, channels):
                raise UsageError(
                    f"{name} names {len(entries)} bands, the images have {channels}; give one, or {channels}"
                )
        if len(self.bands) not in (0, channels):
            raise UsageError(f"bands has {len(self.bands)} names, the images have {channels} bands; name each of them")

    def band(self, place: int) -> str:
        """What to call a band: its number from 1, and its name."""
        return f"band {place + 1}" + (f" ({self.bands[place]})" if self.bands else "")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Values:
        return cls(
            tuple((low, high) for low, high in values["range"]), tuple(values["nodata"]), tuple(values["fill"]),
            values.get("source", ""), tuple(values.get("bands", ())),
        )  # fmt: skip

    def __str__(self) -> str:
        shown = ", ".join(f"[{low:g}, {high:g}]" for low, high in self.range)
        shown = f"[{shown}]" if len(self.range) > 1 else shown or "as they are (8 bits)"
        if self.nodata:
            shown += f", nodata {', '.join('none' if v is None else f'{v:g}' for v in self.nodata)}"
        return shown


@dataclass(frozen=True)
class Preprocessing:
    """How raw uint8 pixels become network input: ``(pixel / 255 - mean) / std`` per channel.

    Attributes:
        mean, std: one value per input channel, in units of the 0 to 1 range.
        resize: ``(height, width)`` that every image is brought to first, or None to keep each image's own
            size. Predictions are computed for the image's own size either way.
        values: how other than 8-bit images become uint8 first; None for 8-bit images.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: tuple[int, int] | None = None
    values: Values | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise UsageError(f"mean and std need one value per channel, found {len(self.mean)} and {len(self.std)}")
        if any(value <= 0 for value in self.std):
            raise UsageError(f"std must be positive, found {self.std}")
        if not sound_mean_and_std(self.mean, self.std):
            raise UsageError(
                f"mean and std are finite and in units of the 0 to 1 range, found {self.mean} and {self.std}"
            )
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if self.resize is not None:
            sides = tuple(self.resize)
            if len(sides) != 2 or any(int(side) != side or not 1 <= side <= LARGEST_SIDE for side in sides):
                raise UsageError(f"resize is height and width in whole pixels, 1 to {LARGEST_SIDE}, found {sides}")
            object.__setattr__(self, "resize", (int(sides[0]), int(sides[1])))
        if self.values is not None:
            self.values.refuse_other_channels(len(self.mean))

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def fill(self) -> tuple[int, ...]:
        """The byte per channel that becomes (nearly) 0: what stands where there is no image."""
        return tuple(min(255, max(0, round(255 * mean))) for mean in self.mean)

    @classmethod
    def for_channels(
        cls,
        channels: int,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        resize: tuple[int, int] | None = None,
    ) -> Preprocessing:
        """``mean`` and ``std`` as they are where they fit ``channels``, else the average of each for every channel."""
        mean, std = (kept if len(kept) == channels else (sum(kept) / len(kept),) * channels for kept in (mean, std))
        return cls(mean, std, resize)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        resize, stored = values.get("resize"), values.get("values")
        return cls(
            tuple(values["mean"]), tuple(values["std"]), None if resize is None else tuple(resize),
            None if stored is None else Values.from_dict(stored),
        )  # fmt: skip


def sound_mean_and_std(mean: Iterable[float], std: Iterable[float]) -> bool:
    """Whether pixels can be brought to them in float32."""
    return all(abs(value) <= LARGEST_MEAN for value in mean) and all(
        1 / LARGEST_MEAN <= value <= LARGEST_MEAN for value in std
    )
