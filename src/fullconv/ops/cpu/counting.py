"""Confusion counts: one pass over the pixels, a table per task."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import kernel, u64

BYTE = 256
STREAMS = 4  # neighbouring pixels count into different tables: no addition waits for the one before


@kernel
def _add_word(tables, target, prediction, row_of, column_of, times):
    for k in range(u64(8)):
        shift = u64(8) * k
        row = row_of[(target >> shift) & u64(255)]
        tables[k & u64(STREAMS - 1), row + column_of[(prediction >> shift) & u64(255)]] += times


@kernel
def count_bytes(prediction, target, row_of, column_of, columns):
    """How often each ``row_of[target] + column_of[prediction]`` occurs, for labels in words of eight bytes.

    Regions are wide: a word that is the same as the one before costs a comparison.
    """
    tables = np.zeros((STREAMS, row_of.max() + columns), np.int64)
    last_target, last_prediction, repeated = u64(0), u64(0), 0
    for i in range(target.shape[0]):
        if target[i] == last_target and prediction[i] == last_prediction:
            repeated += 1
            continue
        if repeated > 0:
            _add_word(tables, last_target, last_prediction, row_of, column_of, repeated)
        last_target, last_prediction, repeated = target[i], prediction[i], 1
    if repeated > 0:
        _add_word(tables, last_target, last_prediction, row_of, column_of, repeated)
    return tables.sum(0)


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
