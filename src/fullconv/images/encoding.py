"""How a mask file says which class a pixel is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from fullconv.spec import Colour

UInt8Array = npt.NDArray[np.uint8]

Kind = Literal["grey", "palette", "colour", "planes"]
"""How a file stores its labels: a number a pixel, shown as grey or by a palette; colours; a 0/1 map for each class."""
UNLABELLED = -1
"""In place of a class id: pixels without a label."""


@dataclass(frozen=True)
class MaskEncoding:
    """How a mask file says which class a pixel is.

    Attributes:
        values: class id per raw value, for index and palette masks; empty: raw values are class ids.
        colours: class id per RGB colour. Where there are any they decide, however a file stores its colours (RGB, with
            alpha, palette, grey, 1 bit), but for kinds in ``by_value``; empty: RGB masks are refused.
        void_values, void_colours: raw values and colours of pixels without a label; where no values are given,
            the ignored id of the classes (255, or 65535 for more than 255 classes).
        by_value: kinds of files whose numbers are values or ids, although colours are named.
        transparent: class id of fully transparent pixels, or :data:`UNLABELLED`; None: not stated.
        palette: the colour of each value in the palettes of the data set, where their values count; a file that shows
            a value in another colour is refused.
        palette_of: the file that each is from.
        named_in: the file that names the classes, relative to the data set's folder; empty where none does.
    """

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    void_values: tuple[int | float, ...] | None = None
    void_colours: tuple[Colour, ...] = ()
    by_value: tuple[Kind, ...] = ()
    transparent: int | None = None
    palette: Mapping[int, Colour] = field(default_factory=dict)
    palette_of: Mapping[int, str] = field(default_factory=dict)
    named_in: str = field(default="", compare=False)
