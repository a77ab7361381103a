"""A dense raster from file to file: fullconv beside the loop that people write, in turn, as ratios.

    python benchmarks/large.py [--side 20000] [--rounds 3] [--json FILE]

Each contestant is a process of its own; a ratio is taken within a round. The loop reads windows by rasterio, runs the
same network in PyTorch as it is (fp32), enlarges the scores, takes the argmax and writes a tiled, compressed GeoTIFF;
its tiles are of the same size and overlap. Linux only (memory and processor time are the system's counts).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from soak import model, raster

PREDICT = [sys.executable, "-m", "fullconv", "predict", "m.safetensors", "a.tif", "--out"]
CONTESTANTS = {
    "fullconv predict": [*PREDICT, "default"],
    "fullconv predict --precision fp32": [*PREDICT, "fp32", "--precision", "fp32"],
    "loop of rasterio and torch, fp32": [sys.executable, str(Path(__file__).resolve()), "--loop"],
}
TILE, OVERLAP = 2048, 568


def loop() -> None:
    """``a.tif`` -> ``loop.tif`` by ``m.safetensors``."""
    import rasterio
    import torch
    import torch.nn.functional as F
    from rasterio.windows import Window

    from fullconv.segmenter import Segmenter

    segmenter = Segmenter.load("m.safetensors", "cpu", "fp32")
    network = segmenter.network.to(memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (segmenter.preprocessing.mean, segmenter.preprocessing.std))
    with rasterio.open("a.tif") as source, torch.inference_mode():
        height, width = source.shape
        profile = {
            "driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8", "tiled": True,
            "blockxsize": 512, "blockysize": 512, "compress": "deflate",
        }  # fmt: skip
        with rasterio.open("loop.tif", "w", **profile) as target:
            step = (TILE - OVERLAP) // 32 * 32
            for top in range(0, height, step):
                for left in range(0, width, step):
                    high, wide = min(TILE, height - top), min(TILE, width - left)
                    pixels = torch.from_numpy(source.read(window=Window(left, top, wide, high)))[None]
                    logits = network((pixels / 255 - mean) / std)
                    scores = F.interpolate(logits, scale_factor=8, mode="bilinear")[..., :high, :wide]
                    labels = scores.argmax(1)[0].to(torch.uint8).numpy()
                    above, before = OVERLAP // 2 * (top > 0), OVERLAP // 2 * (left > 0)
                    kept = labels[above:, before:]
                    place = Window(left + before, top + above, kept.shape[1], kept.shape[0])
                    target.write(kept, 1, window=place)


def timed(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds on the clock and of the processor, and the most GiB resident, of one process."""
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - begun
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return {"seconds": took, "processor": used.ru_utime + used.ru_stime, "gib": used.ru_maxrss / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.loop:
        return loop()
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raster(folder / "a.tif", chosen.side, 1)
        model(folder / "m.safetensors")
        for _ in range(chosen.rounds):
            rounds.append({})
            for contestant in chosen.only:
                rounds[-1][contestant] = timed(CONTESTANTS[contestant], folder)
                for written in (*folder.glob("*/a.tif"), *folder.glob("loop.tif")):
                    written.unlink()
    first = chosen.only[0]
    print(
        f"| {chosen.side} x {chosen.side}, file to file | s | Mpixel/s | processor, s | GiB resident | times {first} |"
    )
    print("|---|---|---|---|---|---|")
    for contestant in chosen.only:
        middle = {key: statistics.median(one[contestant][key] for one in rounds) for key in rounds[0][contestant]}
        ratios = sorted(one[contestant]["seconds"] / one[first]["seconds"] for one in rounds)
        print(
            f"| {contestant} | {middle['seconds']:,.1f} | {chosen.side**2 / middle['seconds'] / 1e6:.2f} | "
            f"{middle['processor']:,.1f} | {middle['gib']:.2f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(rounds, indent=1) + "\n")


if __name__ == "__main__":
    main()
