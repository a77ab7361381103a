"""Joining the pieces of an image two by two, the most similar neighbours first."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from scipy import ndimage


def pieces_of(labels: np.ndarray) -> np.ndarray:
    """The boxes of the pieces ``0..n-1`` of a map ``[height, width]``, int32 ``[n, 4]``: xyxy, right and bottom
    exclusive.
    """
    found = ndimage.find_objects(labels + 1)
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], np.int32)


def neighbours(labels: np.ndarray) -> np.ndarray:
    """Pairs of pieces that share an edge of a pixel, ``[pairs, 2]``, the lower number first, each once."""
    sides = [(labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], 1) for a, b in sides])
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1).astype(np.int64)
    codes = np.unique(pairs[:, 0] * (int(labels.max()) + 1) + pairs[:, 1])
    return np.stack(np.divmod(codes, int(labels.max()) + 1), 1)


def group(
    image: np.ndarray, labels: np.ndarray, boxes: np.ndarray, similarity: Any, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hierarchy of regions of one segmentation.

    Args:
        image: uint8 ``[height, width, 3]``, of which the similarity is taken.
        labels: int32 ``[height, width]``, its pieces.
        boxes: of the pieces, perhaps on a larger copy.
        similarity: OpenCV's ``SelectiveSearchSegmentationStrategy``: ``setImage``, ``get``, ``merge``.
        number: of the image and segmentation; OpenCV keeps histograms by it.

    Returns:
        bool ``[regions, pieces]``, the pieces first and the whole image last; int32 boxes ``[regions, 4]``; and the
        place of each in the hierarchy, 1 for the last.

    Source: Uijlings et al. 2013, algorithm 1.
    """
    count = len(boxes)
    merges = _merges(image, labels, count, similarity, number)
    members = np.zeros((count + len(merges), count), bool)
    members[:count] = np.eye(count, dtype=bool)
    corners = np.concatenate([boxes, np.zeros((len(merges), 4), np.int32)])
    for row, (a, b) in enumerate(merges, count):
        members[row] = members[a] | members[b]
        corners[row, :2] = np.minimum(corners[a, :2], corners[b, :2])
        corners[row, 2:] = np.maximum(corners[a, 2:], corners[b, 2:])
    return members, corners, np.arange(len(members), 0, -1)


def _merges(image: np.ndarray, labels: np.ndarray, count: int, similarity: Any, number: int) -> list[tuple[int, int]]:
    """Which two regions become the region ``count``, ``count + 1``, ... ."""
    sizes = np.bincount(labels.ravel(), minlength=count).astype(np.int32)[:, None]
    similarity.setImage(image, labels, sizes, number)
    beside: list[set[int]] = [set() for _ in range(count)]
    known_as = list(range(count))  # OpenCV keeps a union under the number of one of its parts
    queue: list[tuple[float, int, int]] = []
    for a, b in neighbours(labels).tolist():
        beside[a].add(b)
        beside[b].add(a)
        queue.append((-similarity.get(a, b), a, b))
    heapq.heapify(queue)
    gone = [False] * count
    merges: list[tuple[int, int]] = []
    while queue:
        _, a, b = heapq.heappop(queue)
        if gone[a] or gone[b]:
            continue
        new = len(beside)
        gone[a] = gone[b] = True
        gone.append(False)
        merges.append((a, b))
        known_as.append(min(known_as[a], known_as[b]))
        similarity.merge(known_as[a], known_as[b])
        beside.append((beside[a] | beside[b]) - {a, b})
        for other in sorted(beside[new]):
            beside[other] -= {a, b}
            beside[other].add(new)
            heapq.heappush(queue, (-similarity.get(known_as[other], known_as[new]), other, new))
    return merges
