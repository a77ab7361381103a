"""Mask files that are unlike all others of a data set, and would make its classes: photographs, another form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.contents import Contents
from fullconv.images.masks import no_colours
from fullconv.images.photograph import has_photographs_colours, of_no_class


def odd_colours(inspected: Sequence[Contents]) -> list[tuple[Contents, DataError]]:
    """Files of colours that nobody named, among more files of ids; with what is wrong with each."""
    numbered = sum(bool(found.values) for found in inspected)
    coloured = [found for found in inspected if found.mask.kind == "colour" and not found.values]
    return [(found, _about_colours(found)) for found in coloured] if len(coloured) < numbered else []


def _about_colours(found: Contents) -> DataError:
    if has_photographs_colours(np.array(found.pixels)):
        return of_no_class(found.mask.path, len(found.pixels))
    return DataError(no_colours(found.mask.path))
