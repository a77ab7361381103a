"""Speeds, times and memory as bars and the last lines of commands say them."""

from __future__ import annotations

import sys


def rate(speed: float, unit: str, form: str = "") -> str:
    """``7.5 images/s``; where one takes a second or more, ``2 s an image``."""
    if speed >= 1 or not unit:
        return f"{number(speed, form)} {unit}/s" if unit else ""
    one = unit.removesuffix("s")
    return f"{number(1 / speed, form)} s {'an' if one[0] in 'aeiou' else 'a'} {one}"


def number(rate: float, form: str = "") -> str:
    """Three digits; with ``#`` also those at the end that are 0."""
    return f"{rate:{form}.3g}".removesuffix(".") if rate < 1000 else f"{rate:,.0f}"


def clock(seconds: float, width: int = 0) -> str:
    """``0:05``, ``1:02:03``; as ``0:00:05`` where that is to be of ``width`` columns."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    short = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return short if len(short) >= width else f"{hours:02}:{minutes:02}:{rest:02}"[-width:]


def peak(device: str) -> list[str]:
    """What a last line says of the machine: the memory that was held, and where it was computed."""
    held = memory(device)
    return [f"peak memory {held}" if held else "", device]


def memory(device: str) -> str:
    """The most that this process has held: on a GPU of its memory, else of the machine's; empty where unknown."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_available():
        return _in_words(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _in_words(peak if sys.platform == "darwin" else peak * 1024)


def _in_words(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
