"""Triton's kernels are compiled for GPUs here, without one: its interpreter takes what its compiler refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")

FLOATS = {"smooth", "rest", "gamma", "soft_extra"}
POINTERS = {
    "*fp32": "logits highest weight weight_sum row_fraction column_fraction log_norm slope losses sums confidence "
    "corners gradient",
    "*i32": "row_low row_high column_low column_high row_first row_end column_first column_end row_pieces row_reads "
    "column_pieces column_reads",
    "*u8": "labels prediction target",
    "*i64": "counts outside",
}


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_and_keeps_its_numbers_in_registers(capability: int, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, __file__, str(capability)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12
    new = tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 8)  # 3.6 takes up to twice the registers
    for line in lines:
        _, _, registers, spilled = line.split()
        assert int(registers) <= 255, line
        assert int(spilled) <= (0 if new else 16), line
        if new and line.startswith("corner_sums"):  # 16 programs on a multiprocessor
            assert int(registers) <= 128, line


def compile_all(capability: int) -> None:
    """A line for each kernel: its name, which variant, its registers and the bytes that it spills."""
    from fullconv.ops.triton import corners, forward, kernels

    softmax = [{"FOCAL": focal, "SMOOTH": smooth, "CLASSES": 16} for focal, smooth in ((False, True), (True, False))]
    by_pieces = [{"PIECES": 64 // length, "LENGTH": length} for length in (4, 16)]
    forwards = [{**s, "EACH": s["FOCAL"], "ROWS": r, "PIXELS": 64} for s, r in zip(softmax, (4, 2), strict=True)]
    for each in forwards:
        del each["CLASSES"]
    for kernel, variants, warps in (
        (corners.corner_sums, [{**s, **p, "CLASSES": 8} for s, p in zip(softmax, by_pieces, strict=True)], 1),
        (corners.corner_sums, [{**softmax[0], **by_pieces[0], "CLASSES": 1}], 1),
        (corners.add_corners, [{"PLACES": 128}], 4),
        (forward.softmax_forward, forwards, 2),
        (kernels.softmax_backward, [{**s, "CELLS": 16} for s in softmax], 4),
        (kernels.argmax_forward, [{"SURE": True, "PIXELS": 128}], 4),
        (kernels.count_pairs, [{"BLOCK": 1024, "BINS": 512}], 4),
    ):
        for number, constants in enumerate(variants):
            print(kernel.__name__, number, *compiled(kernel, constants, warps, capability))
    # sizes of 1 become constants
    ones = {"classes": 1, "height": 1, "width": 1, "rows": 1, "columns": 1, "row_count": 1, "column_count": 1}
    constants = {**softmax[0], **by_pieces[0], "CLASSES": 1, **ones}
    print("corner_sums", "ones", *compiled(corners.corner_sums, constants, 1, capability))
    ones = {"height": 1, "width": 1, "row_count": 1, "column_count": 1, "PLACES": 128}
    print("add_corners", "ones", *compiled(corners.add_corners, ones, 4, capability))


def compiled(kernel: object, constants: dict[str, object], warps: int, capability: int) -> tuple[int, int]:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {name: kind for kind, names in POINTERS.items() for name in names.split()}
    types |= dict.fromkeys(FLOATS, "fp32") | dict.fromkeys(constants, "constexpr")
    signature = {name: types.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, constexprs=constants)
    ptx = triton.compile(source, GPUTarget("cuda", capability, 32), {"num_warps": warps}).asm["ptx"]
    target = re.search(r"^\.target (\w+)", ptx, re.MULTILINE).group(1)
    command = [triton.knobs.nvidia.ptxas.path, "-v", f"-arch={target}", "-o", os.devnull, "/dev/stdin"]
    report = subprocess.run(command, input=ptx, capture_output=True, text=True, check=True).stderr
    return int(re.search(r"Used (\d+) registers", report).group(1)), sum(
        map(int, re.findall(r"(\d+) bytes spill", report))
    )


if __name__ == "__main__":
    compile_all(int(sys.argv[1]))
