"""The dense CRF and its loss: time, and how far the lattice is from every pixel asking every other.

    python benchmarks/crf.py RUN IMAGE...

RUN gives the probabilities. Times are of 500x375 and 21 classes; errors of the CRF are of the images at 240x180 (each
exact reference takes minutes), those of the loss of whole images on the coarse grid of RUN's network.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import fullconv
from fullconv import CRF, dense_crf
from fullconv import crf as refine
from fullconv.crf import Filter
from fullconv.ops import crf_loss, dense_crf_loss

SETTINGS = (CRF(), CRF(appearance=10, position_deviation=80, colour_deviation=13))
BLOCK = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    options = parser.parse_args()
    segmenter = fullconv.load(options.run)
    picture = Image.open(options.images[0]).convert("RGB")
    timed(np.asarray(picture.resize((500, 375))))
    for path in options.images:
        compare_loss(path, segmenter)
    for path in options.images:
        image = np.asarray(Image.open(path).convert("RGB").resize((240, 180), Image.Resampling.BILINEAR))
        chances = segmenter.predict(image, probabilities=True).probabilities
        assert chances is not None
        for crf in SETTINGS:
            compare(path.name, chances.astype(np.float32), image, crf)


def timed(image: np.ndarray) -> None:
    """Seconds for 21 classes: median of five calls after one."""
    scores = np.random.default_rng(0).normal(size=(21, *image.shape[:2]))
    scores[:4] += 2 * (image.mean(-1) // 64 == np.arange(4)[:, None, None])
    chances = np.exp(scores) / np.exp(scores).sum(0)
    for crf in SETTINGS:
        times = []
        for _ in range(6):
            started = time.perf_counter()
            dense_crf(chances, image, crf)
            times.append(time.perf_counter() - started)
        print(f"{crf}: {sorted(times[1:])[2]:.2f} s ({min(times[1:]):.2f} to {max(times[1:]):.2f})")


def compare(name: str, chances: np.ndarray, image: np.ndarray, crf: CRF) -> None:
    lattice = dense_crf(chances, image, crf)
    kept, refine.EXACT_PIXELS = refine.EXACT_PIXELS, 1 << 30
    kept_filter, refine.exact_filter = refine.exact_filter, in_blocks
    started = time.perf_counter()
    exact = dense_crf(chances, image, crf)
    seconds = time.perf_counter() - started
    refine.EXACT_PIXELS, refine.exact_filter = kept, kept_filter
    error = np.abs(lattice - exact)
    same = (lattice.argmax(0) == exact.argmax(0)).mean()
    changed = (chances.argmax(0) != exact.argmax(0)).mean()
    print(
        f"{name}, {crf}: labels the same {100 * same:.2f} % (the CRF changes {100 * changed:.2f} %), probabilities "
        f"differ by {error.mean():.5f} in the mean, {np.quantile(error, 0.99):.4f} in 1 of 100; exact {seconds:.0f} s",
        flush=True,
    )


def compare_loss(path: Path, segmenter: fullconv.Segmenter) -> None:
    """Value and gradient of the CRF loss on the lattice beside every pair of places."""
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits, window = segmenter.runner.coarse_logits(pixels)
    logits = logits.clone().float().requires_grad_()
    found = []
    kept = crf_loss.EXACT_PLACES
    for crf_loss.EXACT_PLACES in (0, 1 << 30):
        loss = dense_crf_loss(logits, pixels, crop=window)
        found += [loss.item(), torch.autograd.grad(loss, logits)[0].flatten()]
    crf_loss.EXACT_PLACES = kept
    near, slope, exact, expected = found
    error, cosine = (slope - expected).norm() / expected.norm(), torch.cosine_similarity(slope, expected, 0)
    places = "x".join(map(str, logits.shape[-2:]))
    print(
        f"{path.name}, {places} places: CRF loss {near:.4f}, exact {exact:.4f}; its gradient differs by "
        f"{100 * error:.1f} % of its length, cosine {cosine:.4f}",
        flush=True,
    )


def in_blocks(features: np.ndarray) -> Filter:
    """Every pixel with every other, a block of rows of the matrix at a time."""
    points = torch.from_numpy(features)
    squares = points.square().sum(1)

    def run(values: np.ndarray) -> np.ndarray:
        every = torch.from_numpy(values)
        found = []
        for first in range(0, len(points), BLOCK):
            part = points[first : first + BLOCK]
            exponent = torch.addmm(squares, part, points.T, beta=-0.5)
            exponent.sub_(0.5 * squares[first : first + BLOCK, None])
            exponent.clamp_(min=-60)  # smaller powers are denormal numbers, which are slow
            found.append(exponent.exp_() @ every)
        return torch.cat(found).numpy()

    return run


if __name__ == "__main__":
    main()
