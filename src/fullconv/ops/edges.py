"""Where the labels of a map change: bands along it, and contours of two maps matched within a distance."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.contours import contours, match


def edge_band(labels: np.ndarray, width: int, border: bool = False) -> np.ndarray:
    """The pixels that lie within ``width`` of a pixel with another label.

    Distance is the larger of the differences in row and column, so the neighbourhood is a square.

    Args:
        labels: ``[h, w]``, integers.
        width: in pixels, 1 or more.
        border: what lies outside the image counts as another label.

    Returns:
        bool ``[h, w]``.

    Raises:
        ValueError: ``width`` below 1.
    """
    if width < 1:
        raise ValueError(f"width must be 1 or more, found {width}")
    highest = _extreme(_extreme(labels, width, 0, np.maximum), width, 1, np.maximum)
    lowest = _extreme(_extreme(labels, width, 0, np.minimum), width, 1, np.minimum)
    band = highest != lowest
    if border:
        for side in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
            band[side] = True
    return np.asarray(band)


def _extreme(values: np.ndarray, reach: int, axis: int, extreme: np.ufunc) -> np.ndarray:
    """The extreme of each value and its ``reach`` neighbours on both sides, in ``log2(reach)`` passes."""
    values = np.moveaxis(values, axis, 0)
    padded = np.concatenate((values[:1].repeat(reach, 0), values, values[-1:].repeat(reach, 0)))
    width, done = 2 * reach + 1, 1
    while done < width:  # of every run of `done` values to that of `done + step`
        step = min(done, width - done)
        padded = extreme(padded[:-step], padded[step:])
        done += step
    return np.moveaxis(padded, 0, axis)


def matched_contours(
    prediction: np.ndarray, truth: np.ndarray, num_classes: int, reach: float, ignore_index: int = 255
) -> np.ndarray:
    """Contour pixels of each class, and how many of them have one of the other map within ``reach``.

    A pixel of a class is on its contour if one of its four neighbours has another label. Where the truth is not
    labelled neither map has a class, nor does its neighbour become a contour by that; the image's border is none.

    Args:
        prediction, truth: label maps ``[h, w]``.
        num_classes: ids run from 0 to ``num_classes - 1``.
        reach: Euclidean, in pixels.

    Returns:
        int64 ``[num_classes, 4]``: contour pixels of the prediction, those that lie within ``reach`` of the truth's
        contour of that class, contour pixels of the truth, those within ``reach`` of the prediction's.

    Raises:
        ValueError: shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction and truth must have one shape, found {prediction.shape} and {truth.shape}")
    void = num_classes
    known = truth != ignore_index
    theirs = np.where(known, truth, void).astype(np.int32)
    ours = np.where(known, prediction, void).astype(np.int32)
    found, true = contours(ours, void), contours(theirs, void)
    counts = np.zeros((num_classes, 4), np.int64)
    match(found, true, reach, counts[:, :2])
    match(true, found, reach, counts[:, 2:])
    return counts
