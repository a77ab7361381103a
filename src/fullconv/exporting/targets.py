"""What can be written: the kinds of file, what they need, and who computes them here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from fullconv.errors import FullconvError, UsageError
from fullconv.libraries import installed, library
from fullconv.names import RUNNERS

ONNX, OPENVINO, TORCH = "onnx", "openvino", "torch"
SUFFIXES = {ONNX: ".onnx", OPENVINO: ".xml", TORCH: ".pt2"}
NEEDS = {ONNX: ("onnx", "onnxscript"), OPENVINO: ("onnx", "onnxscript", "openvino"), TORCH: ()}
ABLE = {ONNX: RUNNERS, OPENVINO: ("openvino",)}


def target_of(out: Path) -> str:
    """What a file of this name is written as, where nobody said it.

    Raises:
        UsageError: its ending tells nothing.
    """
    for to, suffix in SUFFIXES.items():
        if out.suffix == suffix:
            return to
    endings = ", ".join(f"{suffix} ({to})" for to, suffix in SUFFIXES.items())
    raise UsageError(f"{out}: its ending does not say what to write; give it one of {endings}, or say --to or --for")


def refuse_target(to: str, out: Path, runners: Sequence[str] = ()) -> None:
    """Refuse a target that is none, lacks a library, or a name that its files do not have.

    Raises:
        UsageError: that is so.
    """
    if to not in SUFFIXES:
        raise UsageError(f"--to must be {', '.join((ONNX, OPENVINO))} or {TORCH}, found {to!r}")
    for name in NEEDS[to]:
        library(name, f"export --to {to}")
    if out.suffix != SUFFIXES[to]:
        raise UsageError(f"{out}: a file for --to {to} ends in {SUFFIXES[to]}")
    if to != TORCH:
        runners_of(to, runners)


def runners_of(to: str, wanted: Sequence[str] = ()) -> list[str]:
    """Who computes a target on this machine.

    Args:
        wanted: these alone; empty: whoever can.

    Raises:
        UsageError: nobody.
    """
    able = wanted or ABLE[to]
    found = [name for name in able if installed(name)]
    if not found:
        library(able[-1], f"the gate of --to {to}")
    return found


def refuse_full(out: Path, size: int) -> None:
    """Refuse to write what the disk has no room for, before anything is computed.

    Raises:
        FullconvError: there are not ``size`` bytes.
    """
    folder = out.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < size:
        raise FullconvError(
            f"{out}: needs {size / 1e6:,.1f} MB on the disk, {free / 1e6:,.1f} MB are free; free some space, or choose "
            "another --out"
        )
