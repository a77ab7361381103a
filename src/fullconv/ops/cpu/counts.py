"""Confusion counts: one pass over the pixels, a table per task."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import kernel, u64

BYTE = 256
EIGHT_ONES = u64(0x0101010101010101)
STREAMS = 4  # neighbouring pixels count into different tables: no addition waits for the one before


@kernel
def count_bytes(prediction, target, row_of, column_of, columns):
    """How often each ``row_of[target] + column_of[prediction]`` occurs, for labels in words of eight bytes.

    Regions are wide: many words hold one label eight times and cost one addition, and many are as the one before and
    cost none.
    """
    tables = np.zeros((STREAMS, row_of.max() + columns), np.int64)
    last_word, last_guess, place, run = u64(0), u64(0), row_of[0] + column_of[0], 0
    for i in range(target.shape[0]):
        word, guess = target[i], prediction[i]
        if word == last_word and guess == last_guess:
            run += 8
        elif word == (word & u64(255)) * EIGHT_ONES and guess == (guess & u64(255)) * EIGHT_ONES:
            tables[0, place] += run
            last_word, last_guess, run = word, guess, 8
            place = row_of[word & u64(255)] + column_of[guess & u64(255)]
        else:
            for k in range(u64(8)):
                shift = u64(8) * k
                mixed = row_of[(word >> shift) & u64(255)] + column_of[(guess >> shift) & u64(255)]
                tables[k & u64(3), mixed] += 1
    tables[0, place] += run
    return tables.sum(0)


@kernel
def within(found, classes):
    """``found`` of the classes alone, ``[classes, classes]``, and how much lies in the row or column after them."""
    counts = np.empty((classes, classes), np.int64)
    outside = found[classes * (classes + 1) + classes]
    for row in range(classes):
        outside += found[row * (classes + 1) + classes] + found[classes * (classes + 1) + row]
        for column in range(classes):
            counts[row, column] = found[row * (classes + 1) + column]
    return counts, outside


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
