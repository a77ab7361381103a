"""Bytes brought to one size inside an artefact: PyTorch's antialiased bilinear of uint8, bit for bit.

PyTorch (as Pillow) resizes the columns, rounds to bytes, then the rows. Place ``i`` of ``out`` weighs pixel ``k`` of
``in`` by ``max(0, 2 m - |out (2 k + 1) - in (2 i + 1)|)`` with ``m = max(in, out)``, divided by the sum of these; the
weights are rounded to 16 bits, with as many bits behind the point as the largest leaves free. Here all of it is done in
whole numbers. What is divided is below 2**24, since OpenVINO divides whole numbers in float32: so it is where a side is
made up to a hundred times smaller and ``in * in / out`` is below 2**21 (20,000 pixels to 224).

Source: ``aten/src/ATen/native/cpu/UpSampleKernel.cpp`` (``compute_index_ranges_int16_weights``).
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from fullconv.exported.graph import Graph

QUOTIENT = 24
"""Bits of a weight before it is rounded."""
DIGIT = 2
"""Bits of it that one division gives."""
MOST = 22
"""Bits behind the point of a rounded weight."""


def brought_to(graph: Graph, planes: str, size: tuple[int, int]) -> str:
    """float32 ``n c H W`` of whole numbers 0 to 255 -> the same of ``size``."""
    narrow = _along_last(graph, planes, size[1])
    turned = _along_last(graph, graph.op("Transpose", narrow, perm=[0, 1, 3, 2]), size[0])
    return graph.op("Transpose", turned, perm=[0, 1, 3, 2])


def _along_last(graph: Graph, values: str, out: int) -> str:
    """Resize the last axis to ``out`` places."""
    weights, unit = _weights(graph, graph.size(values, 3), out)
    byte = graph.whole(256)
    coarse = graph.op("Div", weights, byte)
    fine = graph.op("Sub", weights, graph.op("Mul", coarse, byte))
    # two sums below 2**24, so exact in float32 in any order; together they pass it
    high, low = (_as_int(graph, graph.op("MatMul", values, graph.as_float(part))) for part in (coarse, fine))
    units = graph.op("Div", unit, byte)
    total = graph.op("Add", graph.op("Add", high, graph.op("Div", low, byte)), graph.op("Div", units, graph.whole(2)))
    rounded = graph.op("Div", total, units)
    return graph.as_float(graph.op("Min", rounded, graph.whole(255)))


def _as_int(graph: Graph, value: str) -> str:
    return graph.op("Cast", value, to=TensorProto.INT64)


def _weights(graph: Graph, given: str, out: int) -> tuple[str, str]:
    """Rounded weights, int64 ``[given, out]``, and the unit that they are counted in, a power of 2."""
    whole = graph.whole
    places = graph.constant(2 * np.arange(out) + 1, np.int64)
    pixels = graph.op("Add", graph.op("Mul", graph.op("Range", whole(0), given, whole(1)), whole(2)), whole(1))
    pixels = graph.op("Unsqueeze", pixels, graph.constant([1], np.int64))
    apart = graph.op("Abs", graph.op("Sub", graph.op("Mul", pixels, whole(out)), graph.op("Mul", places, given)))
    reach = graph.op("Mul", graph.op("Max", given, whole(out)), whole(2))
    share = graph.op("Max", graph.op("Sub", reach, apart), whole(0))
    total = graph.op("ReduceSum", share, graph.constant([0], np.int64), keepdims=1)
    quotient = _quotient(graph, share, total)
    largest = graph.op("ReduceMax", quotient, keepdims=0)
    # one more bit as long as the largest weight stays below 2**15
    finer = graph.constant([1 << (QUOTIENT - bits - 2) for bits in range(MOST)], np.int64)
    fits = graph.op("Less", _half_up(graph, largest, finer), whole(1 << 15))
    bits = graph.op("ReduceSum", _as_int(graph, fits), graph.constant([0], np.int64), keepdims=0)
    step = graph.op("Gather", graph.constant([1 << (QUOTIENT - 1 - bits) for bits in range(MOST + 1)], np.int64), bits)
    unit = graph.op("Gather", graph.constant([1 << bits for bits in range(MOST + 1)], np.int64), bits)
    return _half_up(graph, quotient, step), unit


def _half_up(graph: Graph, value: str, half: str) -> str:
    """``value / (2 half)``, rounded."""
    return graph.op("Div", graph.op("Add", graph.op("Div", value, half), graph.whole(1)), graph.whole(2))


def _quotient(graph: Graph, share: str, total: str) -> str:
    """``floor(share / total * 2**QUOTIENT)``, digit by digit."""
    digit = graph.whole(1 << DIGIT)
    found = graph.op("Div", share, total)
    rest = graph.op("Sub", share, graph.op("Mul", found, total))
    for _ in range(QUOTIENT // DIGIT):
        rest = graph.op("Mul", rest, digit)
        more = graph.op("Div", rest, total)
        found = graph.op("Add", graph.op("Mul", found, digit), more)
        rest = graph.op("Sub", rest, graph.op("Mul", more, total))
    return found
