"""How a mask file says which class a pixel is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fullconv.spec import Colour

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MaskEncoding:
    """How a mask file says which class a pixel is.

    Attributes:
        values: class id per raw value, for index and palette masks; empty: raw values are class ids.
        colours: class id per RGB colour, for RGB masks; empty: RGB masks are refused.
        void_values, void_colours: raw values and colours of pixels without a label; where no values are given,
            the ignored id of the classes (255, or 65535 for more than 255 classes).
    """

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    void_values: tuple[int, ...] | None = None
    void_colours: tuple[Colour, ...] = ()
