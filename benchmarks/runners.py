"""Who computes the labels of a 512x512 image fastest, in turn, as ratios to the same network run eagerly in fp32.

    python benchmarks/runners.py [MODEL] [--int8 street8.xml] [--side 512] [--rounds 5] [--json FILE]

Without MODEL: FCN-8s on MobileNetV2, 21 classes, random weights. ``--int8``: the file that ``fullconv export MODEL --to
openvino --int8 --calibrate DATA`` wrote of the same model. *Eager* is the network as PyTorch's users run it: fp32,
batch norms apart, the scores enlarged by ``F.interpolate``, their argmax. All others are ``Segmenter.predict``, files
aside; MODEL is exported once for those who need it. Each is a process of its own; a ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fullconv

RUNS = 15
EAGER = "PyTorch eager, fp32"
OURS = {
    "fullconv, PyTorch (default)": ("torch", "auto"),
    "fullconv, PyTorch, fp32": ("torch", "fp32"),
    "fullconv, OpenVINO, fp32": ("openvino", "fp32"),
    "fullconv, OpenVINO, bf16": ("openvino", "bf16"),
    "fullconv, ONNX Runtime, fp32": ("onnxruntime", "fp32"),
}
INT8 = "fullconv, OpenVINO, int8"


def labeller(name: str, file: str) -> Callable[[np.ndarray], object]:
    """Image uint8 ``[h, w, 3]`` -> labels."""
    import torch
    import torch.nn.functional as F

    from fullconv.segmenter import Segmenter

    if name != EAGER:
        runner, precision = OURS.get(name, ("openvino", "auto"))
        segmenter = Segmenter.load(file, "cpu", precision, runner)
        return segmenter.predict_pixels
    segmenter = Segmenter.load(file, "cpu", "fp32")
    network = segmenter.network.to(memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (segmenter.preprocessing.mean, segmenter.preprocessing.std))
    resize = segmenter.preprocessing.resize

    @torch.inference_mode()
    def eager(pixels: np.ndarray) -> torch.Tensor:
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        if resize:
            image = F.interpolate(image, resize, mode="bilinear")
        logits = network((image - mean) / std)
        return F.interpolate(logits, pixels.shape[:2], mode="bilinear").argmax(1)

    return eager


def measure(name: str, file: str, side: int) -> dict[str, float]:
    """Median seconds on the clock and of the processor for an image."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    label = labeller(name, file)
    seconds, processor = [], []
    for _ in range(RUNS + 2):
        start, used = time.perf_counter(), time.process_time()
        label(pixels)
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return {"seconds": statistics.median(seconds[2:]), "processor": statistics.median(processor[2:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--int8")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one, chosen.model, chosen.side)))
        return
    names = [EAGER, *OURS, *[INT8] * bool(chosen.int8)]
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        file, exported = chosen.model, f"{folder}/m.onnx"
        if not file:
            from soak import model

            file = f"{folder}/m.safetensors"
            model(Path(file))
        fullconv.export(file, "onnx", exported)
        for _ in range(chosen.rounds):
            rounds.append({})
            for name in names:
                given = chosen.int8 if name == INT8 else file if "PyTorch" in name else exported
                command = [sys.executable, __file__, given, "--one", name, "--side", str(chosen.side)]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                rounds[-1][name] = json.loads(said.splitlines()[-1])
    print(
        f"| one image of {chosen.side}x{chosen.side} | ms | processor, ms | times as fast as eager |\n|---|---|---|---|"
    )
    for name in names:
        clock, used = (1000 * statistics.median(one[name][key] for one in rounds) for key in ("seconds", "processor"))
        ratios = sorted(one[EAGER]["seconds"] / one[name]["seconds"] for one in rounds)
        middle = statistics.median(ratios)
        print(f"| {name} | {clock:.1f} | {used:.1f} | {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")
    if chosen.json:
        chosen.json.write_text(json.dumps(rounds, indent=1) + "\n")


if __name__ == "__main__":
    main()
