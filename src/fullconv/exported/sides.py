"""What surrounds a network in its artefact: from bytes to its input, and from its coarse logits to labels.

The same arithmetic as :func:`fullconv.runner.normalise` and :mod:`fullconv.ops.bilinear`. Places in the coarse map are
fractions of whole numbers, computed as such, so they are exact whatever the size of the image.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from fullconv.exported.geometry import IMAGES, LABELS, LOGITS, PROBABILITIES, SCORES, Places
from fullconv.exported.graph import Graph
from fullconv.exported.resize import brought_to
from fullconv.spec import Preprocessing

PLACES = 8
"""Maps of four places crashed, of five and more did not."""


def to_input(graph: Graph, preprocessing: Preprocessing, multiple: int, called: str, wider: bool = False) -> None:
    """``images`` uint8 ``n H W c`` -> the network's input, normalised and padded, under the name ``called``.

    ``wider``: at least :data:`PLACES` multiples wide, since OpenVINO 2026 crashes in int8 on maps of a few places.
    """
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    factor = graph.constant((1 / (255 * std)).reshape(1, -1, 1, 1), np.float32)
    offset = graph.constant((-mean / std).reshape(1, -1, 1, 1), np.float32)
    planes = graph.op("Transpose", graph.as_float(IMAGES), perm=[0, 3, 1, 2])
    if preprocessing.resize is not None:
        planes = brought_to(graph, planes, preprocessing.resize)
    scaled = graph.op("Mul", planes, factor)
    if multiple == 1:
        graph.op("Add", scaled, offset, called=called)
        return
    normalised = graph.op("Add", scaled, offset)
    height, width = (graph.size(planes, axis) for axis in (2, 3))
    missing = [_up_to_multiple(graph, side, multiple) for side in (height, width)]
    if wider:
        least = graph.op("Sub", graph.whole(PLACES * multiple), width)
        missing[1] = graph.op("Max", missing[1], least)
    none = graph.whole(0)
    graph.op("Pad", normalised, graph.vector(none, none, none, none, none, none, *missing), called=called)


def _up_to_multiple(graph: Graph, size: str, multiple: int) -> str:
    """How many pixels are missing to the next multiple: ``multiple - 1 - (size - 1) % multiple``."""
    rest = graph.op("Mod", graph.op("Sub", size, graph.whole(1)), graph.whole(multiple))
    return graph.op("Sub", graph.whole(multiple - 1), rest)


def to_outputs(
    graph: Graph, places: Places, resize: tuple[int, int] | None, classes: int, scores: bool, probabilities: bool
) -> None:
    """``logits`` ``n c h w`` -> ``labels`` ``n H W``, and if wanted ``scores`` and ``probabilities`` ``n c H W``.

    Args:
        resize: the size that the network saw instead of the images' own.
    """
    enlarged = LOGITS
    for axis, side in ((2, 1), (3, 2)):
        seen = None if resize is None else resize[side - 1]
        enlarged = _enlarge(graph, enlarged, axis, graph.size(IMAGES, side), seen, places)
    if scores:
        graph.op("Identity", enlarged, called=SCORES)
    if probabilities:
        graph.op("Softmax", enlarged, axis=1, called=PROBABILITIES)
    best = graph.op("ArgMax", enlarged, axis=1, keepdims=0)
    graph.op("Cast", best, to=label_type(classes), called=LABELS)


def label_type(classes: int) -> int:
    return int(TensorProto.UINT8 if classes <= 256 else TensorProto.INT32)


def _enlarge(graph: Graph, values: str, axis: int, size: str, seen: int | None, places: Places) -> str:
    """Interpolate along one axis to ``size`` pixels, which the network saw as ``seen`` ones where that is given."""
    whole = graph.whole
    pixel = graph.op("Range", whole(0), size, whole(1))
    coarse = graph.size(values, axis)
    last = graph.op("Sub", coarse, whole(1))
    aligned = seen is None and not places.fits_image
    if places.stride == 1 and places.start.denominator == 1 and places.start >= 0 and aligned:
        place = graph.op("Min", graph.op("Add", pixel, whole(places.start.numerator)), last)
        return graph.op("Gather", values, place, axis=axis)
    twice = graph.op("Add", graph.op("Mul", pixel, whole(2)), whole(1))
    if places.fits_image:  # (y + 1/2) coarse / size - 1/2
        above = graph.op("Sub", graph.op("Mul", twice, coarse), size)
        below = graph.op("Mul", size, whole(2))
    else:  # (y + start + 1/2) / stride - 1/2, with (y + 1/2) seen / size where the image was resized
        top, bottom = places.start.numerator, places.start.denominator
        shift = whole(2 * top - bottom * places.stride)
        below = whole(2 * bottom * places.stride)
        if seen is not None:
            shift, below = (graph.op("Mul", value, size) for value in (shift, below))
        above = graph.op("Add", graph.op("Mul", twice, whole(bottom * (seen or 1))), shift)
    above = graph.op("Max", above, whole(0))
    low = graph.op("Div", above, below)
    rest = graph.op("Sub", above, graph.op("Mul", low, below))
    fraction = graph.op("Div", graph.as_float(rest), graph.as_float(below))
    low = graph.op("Min", low, last)
    high = graph.op("Min", graph.op("Add", low, whole(1)), last)
    if axis == 2:
        fraction = graph.op("Unsqueeze", fraction, graph.constant([1], np.int64))
    first, second = (graph.op("Gather", values, place, axis=axis) for place in (low, high))
    kept = graph.op("Mul", first, graph.op("Sub", graph.constant(1, np.float32), fraction))
    return graph.op("Add", kept, graph.op("Mul", second, fraction))
