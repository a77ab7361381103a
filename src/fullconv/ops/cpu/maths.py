"""``2**x`` and ``log2(x)`` as polynomials that LLVM turns into vector code, and the options every kernel shares.

The processor's own ``exp`` is a call per number; these are a dozen multiply-adds for sixteen numbers at a time.
Largest relative error of ``exp2``: 2.5e-7. Largest absolute error of ``log2``: 3e-7 for x from 0.8 to 1.2, 2e-6 for
exponents up to 20 (tests measure both).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import event
from numba.extending import intrinsic

from fullconv import bars

_FAST = {"contract", "nsz"}  # contract: a * b + c in one instruction. Nothing that would reorder sums or drop nan.
inlined = njit(inline="always", error_model="numpy", fastmath=_FAST)


class _Compiling(event.Listener):
    """Told where numba finds no machine code of a kernel on disk; those that a kernel calls are compiled within it."""

    def __init__(self) -> None:
        self._began: list[float] = []

    def on_start(self, event: event.Event) -> None:
        self._began.append(time.monotonic())
        if event.data["dispatcher"].py_func.__module__.startswith("fullconv."):
            bars.say_compiling()

    def on_end(self, event: event.Event) -> None:
        began = self._began.pop()
        if not self._began:
            bars.compiled(time.monotonic() - began)


event.register("numba:compile", _Compiling())


def kernel(function: Callable[..., Any]) -> Any:
    """Compile, and keep the machine code on disk where that is possible."""
    try:
        return njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)(function)
    except RuntimeError:  # no folder that can be written
        return njit(nogil=True, error_model="numpy", fastmath=_FAST)(function)


f32 = np.float32
i32 = np.int32
u64 = np.uint64  # of an index: numba need not look whether it counts from the end, and LLVM can vectorise
LOG2E, LN2 = f32(1.4426950408889634), f32(0.6931471805599453)
LOWEST = f32(-3.0e38)
LARGEST = f32(3.4028235e38)

_ROUND = f32(12582912.0)  # 1.5 * 2**23: adding it leaves the nearest integer in the low bits
_SMALLEST_POWER = f32(-126.0)
_E1, _E2, _E3 = f32(0.69314718), f32(0.24022651), f32(0.055504109)
_E4, _E5, _E6 = f32(0.0096181291), f32(0.0013333558), f32(0.00015403530)
_L1, _L3, _L5, _L7, _L9 = f32(2.8853901), f32(0.96179669), f32(0.57707802), f32(0.41219858), f32(0.32059890)
_ROOT_HALF_BITS = i32(0x3F3504F3)


@intrinsic
def _float_of_bits(typing_context, bits):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _bits_of_float(typing_context, value):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def as_float(typing_context, stored):
    """A stored number, float32 as it is: bf16 by its bits (int16), or float32."""
    if stored not in (types.int16, types.float32):
        return None

    def generate(context, builder, signature, arguments):
        value = arguments[0]
        if stored == types.int16:
            bits = builder.zext(value, ir.IntType(32))
            value = builder.bitcast(builder.shl(bits, ir.Constant(ir.IntType(32), 16)), ir.FloatType())
        return value

    return types.float32(stored), generate


@intrinsic
def as_stored(typing_context, value, like):
    """A float32 as ``like`` is stored: rounded to the nearest bf16 (of two the even one) and its bits, or as it is."""
    if value != types.float32 or like not in (types.int16, types.float32):
        return None

    def generate(context, builder, signature, arguments):
        value = arguments[0]
        if like == types.int16:
            word = ir.IntType(32)
            bits = builder.bitcast(value, word)
            odd = builder.and_(builder.lshr(bits, ir.Constant(word, 16)), ir.Constant(word, 1))
            rounded = builder.add(builder.add(bits, ir.Constant(word, 0x7FFF)), odd)
            value = builder.trunc(builder.lshr(rounded, ir.Constant(word, 16)), ir.IntType(16))
        return value

    return like(value, like), generate


@inlined
def exp2(x):
    """``2**x`` for float32 ``x <= 0`` (``2**-126`` below that; nan stays nan)."""
    x = _SMALLEST_POWER if x < _SMALLEST_POWER else x
    shifted = x + _ROUND
    rest = x - (shifted - _ROUND)
    power = _E6 * rest + _E5
    power = power * rest + _E4
    power = power * rest + _E3
    power = power * rest + _E2
    power = power * rest + _E1
    power = power * rest + f32(1)
    return _float_of_bits(i32(_bits_of_float(power) + i32(_bits_of_float(shifted) << i32(23))))


@inlined
def log2(x):
    """``log2(x)`` for normal float32 ``x > 0``."""
    bits = _bits_of_float(x)
    exponent = (bits - _ROOT_HALF_BITS) >> i32(23)
    mantissa = _float_of_bits(i32(bits - i32(exponent << i32(23))))  # in [sqrt(1/2), sqrt(2))
    z = (mantissa - f32(1)) / (mantissa + f32(1))
    square = z * z
    series = _L9 * square + _L7
    series = series * square + _L5
    series = series * square + _L3
    series = series * square + _L1
    return f32(exponent) + series * z
