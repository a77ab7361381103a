"""How far scores would move with other images of the same kind: the bootstrap over images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 1000
LEVEL = 0.95
FEWEST = 10
"""Images of a range: draws of fewer repeat each other, and classes that one image shows drop out of their mean."""
MEANS = ("pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou", "mean_dice")


def range_in_words(images: int) -> str:
    """What the range of a score is, over what, and what it leaves out, for whoever reads it the first time."""
    if images < FEWEST:
        few = "one image is" if images == 1 else f"{images} images are"
        return (
            f"There is no range: {few} too few to tell how far the score would move with others; {FEWEST} are enough."
        )
    return (
        f"The range: these {images} images are only a sample. Measured on all images of their kind, the score would "
        f"probably ({LEVEL:.0%}) lie in it. It is found by drawing as many of the images anew {SAMPLES:,} times, some "
        "twice and some not at all (the bootstrap). It leaves out that another training of the same network would "
        "score otherwise (train with other values of --seed to see how far), that images of another kind may be "
        "harder, and faults of the masks. Where images are alike, as frames of one video, it is too narrow."
    )


def means(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of counts ``[..., 3, classes]`` (right, of the truth, predicted), each ``[...]``; nan without pixels.

    Defined as in :class:`fullconv.Scores`.
    """
    right, truth, guess = (counts[..., row, :].astype(float) for row in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        total = truth.sum(-1)
        iou = right / (truth + guess - right)
        accuracy, dice = right / truth, 2 * right / (truth + guess)
        return {
            "pixel_accuracy": right.sum(-1) / total,
            "mean_accuracy": _mean(accuracy),
            "mean_iou": _mean(iou),
            "fw_iou": (truth * np.nan_to_num(iou)).sum(-1) / total,
            "mean_dice": _mean(dice),
        }


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is not nan."""
    known = ~np.isnan(values)
    return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))


def bootstrap(counts: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the scores of a data set, by drawing as many images with replacement.

    Args:
        counts: int64 ``[images, 3, classes]``: right, of the truth and predicted pixels of each image.
        samples: how often.
        seed: of the draws.

    Returns:
        ``{score: (lowest, highest)}``; both nan of fewer than :data:`FEWEST` images.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    if len(counts) < FEWEST:
        return dict.fromkeys(MEANS, (math.nan, math.nan))
    drawn = means(_drawn(counts, _weights(len(counts), samples, seed)))
    return {name: _interval(values) for name, values in drawn.items()}


@dataclass(frozen=True)
class Difference:
    """Of one score of two models on the same images.

    Attributes:
        value: the second's minus the first's.
        low, high: its 95 % interval; nan, as ``p``, of fewer than :data:`FEWEST` images.
        p: how often a difference as large comes about by the choice of images alone, were there none: twice the
            smaller share of draws on either side of 0, 1 at most. So it is a multiple of ``2 / draws``, and 0 says only
            that it is smaller than that.
        draws: of images, in which both have the score.
    """

    value: float
    low: float
    high: float
    p: float
    draws: int = SAMPLES

    def p_in_words(self) -> str:
        """``p = 0.110``, or ``p < 0.002`` where no draw lies on the other side of 0; of few images that they are."""
        if math.isnan(self.p):
            return f"too few images to tell ({FEWEST} are enough)"
        return f"p = {self.p:.3f}" if self.p else f"p < {2 / self.draws:.1g}"

    @property
    def real(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def paired(first: np.ndarray, second: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> Mapping[str, Difference]:
    """The differences of two models' scores on the same images, which are drawn together.

    Args:
        first, second: as for :func:`bootstrap`, image by image.

    Raises:
        ValueError: they are not of the same images and classes.
    """
    if first.shape != second.shape:
        raise ValueError(f"expected counts of the same images, found shapes {first.shape} and {second.shape}")
    if len(first) < FEWEST:
        samples = 0
    weights = _weights(len(first), samples, seed)
    drawn = [means(_drawn(counts, weights)) for counts in (first, second)]
    whole = [means(counts.sum(0)) for counts in (first, second)]
    found = {}
    for name in MEANS:
        change = drawn[1][name] - drawn[0][name]
        change = change[~np.isnan(change)]
        sides = [np.mean(change <= 0), np.mean(change >= 0)] if len(change) else [math.nan]
        value = float(whole[1][name] - whole[0][name])
        found[name] = Difference(value, *_interval(change), min(2 * float(min(sides)), 1.0), len(change))
    return found


def _weights(images: int, samples: int, seed: int) -> np.ndarray:
    """How often each image is drawn, ``[samples, images]``."""
    if not images:
        return np.zeros((samples, 0))
    share = np.full(images, 1 / images)
    return np.random.default_rng(seed).multinomial(images, share, size=samples)


def _drawn(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.tensordot(weights.astype(np.float64), counts.astype(np.float64), 1)  # exact below 2**53 pixels


def _interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    known = np.asarray(values)[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
