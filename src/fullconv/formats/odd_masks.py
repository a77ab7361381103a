"""Mask files that are unlike all others of a data set, and would make its classes: photographs, another form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fullconv.errors import DataError
from fullconv.formats.contents import Contents
from fullconv.images.masks import no_colours
from fullconv.images.photograph import PUT_MASK, Photograph, has_photographs_colours, of_no_class

MANY_IDS = 20
"""Ids of one file; fewer are left to be classes."""
NEARLY_ALL = 0.8
"""The share of all ids that a photograph alone holds."""
MOST_ODD = 0.2
"""The share of the files that are odd; where more are, nobody can say which."""
LEAST_ROUGH = 0.2
"""The share of neighbouring pixels that differ in a grey photograph of few values; of many numbered objects less."""


def odd_colours(inspected: Sequence[Contents]) -> list[tuple[Contents, DataError]]:
    """Files of colours that nobody named, among more files of ids; with what is wrong with each."""
    numbered = sum(bool(found.values) for found in inspected)
    coloured = [found for found in inspected if found.mask.kind == "colour" and not found.values]
    return [(found, _about_colours(found)) for found in coloured] if len(coloured) < numbered else []


def _about_colours(found: Contents) -> DataError:
    if has_photographs_colours(np.array(found.pixels)):
        return of_no_class(found.mask.path, len(found.pixels))
    return DataError(no_colours(found.mask.path))


def odd_ids(inspected: Sequence[Contents]) -> list[tuple[Contents, DataError]]:
    """Grey photographs, told by the others: files with nearly all of the ids, hardly one of which another file has."""
    numbered = [found for found in inspected if found.values]
    many = [found for found in numbered if len(found.values) > MANY_IDS and found.rough >= LEAST_ROUGH]
    others = {value for found in numbered if found not in many for value in found.values}
    odd = [found for found in many if _own(found, others) >= NEARLY_ALL * len(others.union(found.values))]
    if len(odd) > MOST_ODD * len(numbered):
        return []
    ids = len({value for found in numbered for value in found.values})
    return [(found, _about_ids(found, ids, len(numbered))) for found in odd]


def _own(found: Contents, others: set[int | float]) -> int:
    return len(set(found.values) - others)


def _about_ids(found: Contents, ids: int, masks: int) -> DataError:
    held = f"holds {len(found.values)} of the {ids} different values of {masks} masks"
    return Photograph(
        f"{found.path}: {held}, as a photograph does (if it is a mask, name the classes in classes.txt); {PUT_MASK}"
    )
