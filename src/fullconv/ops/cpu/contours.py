"""Contours of label maps, in compiled loops over all classes at once."""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import kernel


@kernel
def contours(labels, void):
    """int32 ``[h, w]``: the class of each pixel that has a four-neighbour of another class, -1 elsewhere."""
    height, width = labels.shape
    edges = np.full((height, width), -1, np.int32)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == void:
                continue
            for k in range(4):
                v, u = y + (k == 0) - (k == 1), x + (k == 2) - (k == 3)
                if 0 <= v < height and 0 <= u < width and labels[v, u] != label and labels[v, u] != void:
                    edges[y, x] = label
                    break
    return edges


@kernel
def match(edges, others, reach, counts):
    """Add to ``counts`` ``[classes, 2]`` the contour pixels, and those with one of ``others`` of their class near."""
    height, width = edges.shape
    whole = int(reach)
    for y in range(height):
        for x in range(width):
            label = edges[y, x]
            if label < 0:
                continue
            counts[label, 0] += 1
            near = others[y, x] == label
            for v in range(max(0, y - whole), min(height, y + whole + 1)):
                if near:
                    break
                for u in range(max(0, x - whole), min(width, x + whole + 1)):
                    if others[v, u] == label and (v - y) ** 2 + (u - x) ** 2 <= reach * reach:
                        near = True
                        break
            counts[label, 1] += near
