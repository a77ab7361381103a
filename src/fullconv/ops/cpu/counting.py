"""Confusion counts: one pass over the pixels, a table per task."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import kernel, u64

BYTE = 256


@kernel
def count_bytes(prediction, target):
    """How often each (target, prediction) pair of bytes occurs, ``[256, 256]``: nothing to compare, nothing to check.

    Neighbouring pixels count into two tables, so that no addition waits for the one before.
    """
    tables = np.zeros((2, BYTE * BYTE), np.int32)
    half = u64(target.shape[0] // 2)
    for i in range(half):
        tables[0, (u64(target[i]) << u64(8)) | u64(prediction[i])] += 1
        tables[1, (u64(target[half + i]) << u64(8)) | u64(prediction[half + i])] += 1
    if target.shape[0] % 2:
        tables[0, (u64(target[-1]) << u64(8)) | u64(prediction[-1])] += 1
    return tables.sum(0).reshape(BYTE, BYTE)


@kernel
def count_any(prediction, target, classes, ignore_index):
    """``(counts [classes, classes], target ids outside, one of them, prediction ids outside, one of them)``."""
    counts = np.zeros((classes, classes), np.int64)
    bad_targets, bad_target, bad_predictions, bad_prediction = 0, 0, 0, 0
    for i in range(target.shape[0]):
        truth, guess = np.int64(target[i]), np.int64(prediction[i])
        if truth == ignore_index:
            continue
        if truth < 0 or truth >= classes:
            bad_targets, bad_target = bad_targets + 1, truth
        elif guess < 0 or guess >= classes:
            bad_predictions, bad_prediction = bad_predictions + 1, guess
        else:
            counts[u64(truth), u64(guess)] += 1
    return counts, bad_targets, bad_target, bad_predictions, bad_prediction
