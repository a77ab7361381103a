"""A data set as a model reads it: with its classes, its channels and its range of values."""

from __future__ import annotations

import dataclasses

from fullconv.data import DatasetSpec
from fullconv.data.mixing import renamed
from fullconv.errors import DataError, first_few
from fullconv.segmenter import Segmenter
from fullconv.spec import Values

MOST_PAIRS = 8
"""Classes that are named with their ids, in a line."""


def with_classes_of(segmenter: Segmenter, spec: DatasetSpec) -> DatasetSpec:
    """The data set read with the model's classes and channels, and drawn in the colours of the model's predictions.

    Raises:
        DataError: it has a class that the model does not know.
    """
    spec = _with_values_of(segmenter, spec)
    if spec.classes.names == segmenter.classes.names:
        return dataclasses.replace(spec, classes=dataclasses.replace(spec.classes, palette=segmenter.classes.palette))
    if not spec.declared and len(spec.classes) <= len(segmenter.classes):
        return dataclasses.replace(spec, classes=segmenter.classes)
    by_name = renamed(spec, segmenter.classes)
    if by_name is not None:
        return by_name
    ours, theirs = segmenter.classes.names, spec.classes.names
    raise DataError(
        f"{spec.root}: has {len(theirs)} classes ({first_few(list(theirs))}), the model knows {len(ours)} "
        f"({first_few(list(ours))}); use data whose classes, by name, are among the model's"
    )


def by_position(segmenter: Segmenter, spec: DatasetSpec) -> str:
    """A line where the data set names no classes, and its ids are taken for the model's by their order; else empty."""
    ours, theirs = segmenter.classes.names, spec.classes.names
    if spec.declared or ours[: len(theirs)] == theirs or len(theirs) > len(ours):
        return ""
    pairs = first_few([f"{index} is {name}" for index, name in enumerate(ours[: len(theirs)])], MOST_PAIRS)
    more = f", and no mask holds {first_few(list(ours[len(theirs) :]))}" if len(ours) > len(theirs) else ""
    return (
        f"the data name no classes, so their ids are the model's by position: {pairs}{more}; to be sure, name them, "
        f"one a line, in {spec.root / 'classes.txt'}: they are then matched by name"
    )


def _with_values_of(segmenter: Segmenter, spec: DatasetSpec) -> DatasetSpec:
    """The data set's images as the model was trained to see them, whatever range the data set has itself.

    Raises:
        DataError: it has 8-bit images and the model was trained on others, or the other way round.
    """
    channels, ours, theirs = segmenter.preprocessing.channels, segmenter.preprocessing.values, spec.values
    ranged = theirs is not None and bool(theirs.range)
    if ours is not None and not ours.bytes_fit and not ranged:
        raise DataError(
            f"{spec.root}: has 8-bit images, the model was trained on values of the range {ours}; give the images with "
            "their own values, or a model of 8-bit images"
        )
    if ranged and not (ours is not None and ours.range):
        raise DataError(
            f"{spec.root}: has images of values of the range {theirs}, the model was trained on 8-bit ones; save the "
            "images with 8 bits, or train on such values"
        )
    names = [values.bands for values in (ours, theirs) if values is not None and values.bands]
    if len(set(names)) > 1:
        raise DataError(
            f"{spec.root}: has the bands {', '.join(names[1])}, the model takes {', '.join(names[0])}; give it these, "
            "in this order"
        )
    values = ours
    if theirs is not None and theirs.nodata and not (ours and ours.nodata):
        values = dataclasses.replace(ours or Values(fill=segmenter.preprocessing.fill), nodata=theirs.nodata)
    return dataclasses.replace(spec, channels=channels, values=values)


def other_range(segmenter: Segmenter, spec: DatasetSpec) -> str:
    """A line where the data set's own range of values is not the model's, whose range is used; else empty."""
    ours, theirs = segmenter.preprocessing.values, spec.values
    if ours is None or theirs is None or ours.range == theirs.range:
        return ""
    return f"values are read by the model's range {ours}; the data's own would be {theirs}"
