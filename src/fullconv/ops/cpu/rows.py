"""The steps that all kernels share: a coarse row, enlarged along x into lanes, and back."""

from __future__ import annotations

from fullconv.ops.cpu.maths import LARGEST, f32, kernel, u64


@kernel
def read_row(logits, row, start, factor, out):
    """``out[c, k] = factor * logits[c, row, start - 1 + k]``, columns outside the map repeated from its edge.

    What is finite stays finite: a class is masked out with the lowest number as well as with minus infinity.
    """
    limit = LARGEST / max(factor, f32(1))
    width = logits.shape[2]
    cells = out.shape[1]
    before = min(max(1 - start, 0), cells)
    inside = max(min(width - (start - 1), cells), before)
    for c in range(logits.shape[0]):
        source = logits[c, row, start - 1 + before :]
        target = out[c, before:inside]
        for k in range(target.shape[0]):
            value = source[k]
            bounded = min(max(value, -limit), limit)
            target[k] = factor * (bounded if abs(value) <= LARGEST else value)
        for k in range(before):
            out[c, k] = out[c, before]
        for k in range(inside, cells):
            out[c, k] = out[c, inside - 1]


@kernel
def add_row(out, gradient, row, start):
    """The transpose of :func:`read_row`: ``gradient[c, row, start - 1 + k] += out[c, k]``."""
    width = gradient.shape[2]
    cells = out.shape[1]
    before = min(max(1 - start, 0), cells)
    inside = max(min(width - (start - 1), cells), before)
    for c in range(gradient.shape[0]):
        target = gradient[c, row, start - 1 + before :]
        source = out[c, before:inside]
        for k in range(source.shape[0]):
            target[k] += source[k]
        for k in range(before):
            gradient[c, row, 0] += out[c, k]
        for k in range(inside, cells):
            gradient[c, row, width - 1] += out[c, k]


@kernel
def enlarge(row, fraction, left, block, out):
    """Interpolate a coarse row ``[classes, block + 2]`` along x into lanes ``[classes, phases * block]``."""
    width = u64(block)
    for c in range(row.shape[0]):
        for phase in range(fraction.shape[0] // block):
            low = u64(0 if phase < left else 1)
            high, lane = low + u64(1), u64(phase * block)
            for i in range(width):
                t = fraction[lane + i]
                out[c, lane + i] = (f32(1) - t) * row[c, low + i] + t * row[c, high + i]


@kernel
def shrink(lanes, fraction, left, block, out):
    """The transpose of :func:`enlarge`: lanes ``[classes, phases * block]`` into ``out [classes, block + 2]``."""
    out[:] = f32(0)
    width = u64(block)
    for c in range(out.shape[0]):
        for phase in range(fraction.shape[0] // block):
            low = u64(0 if phase < left else 1)
            high, lane = low + u64(1), u64(phase * block)
            for i in range(width):
                out[c, low + i] += (f32(1) - fraction[lane + i]) * lanes[c, lane + i]
            for i in range(width):
                out[c, high + i] += fraction[lane + i] * lanes[c, lane + i]


@kernel
def mix(upper, lower, fraction, first, count, out):
    """``out[:count]``: lanes ``first`` to ``first + count`` of two coarse rows, mixed for one output row."""
    rest = f32(1) - fraction
    for i in range(count):
        out[i] = rest * upper[first + i] + fraction * lower[first + i]
