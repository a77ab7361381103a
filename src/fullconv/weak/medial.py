"""Components of a label map, how deep their pixels lie, and the longest way along the middle of each.

Compiled loops over whole label maps: all classes and components in one pass, a few milliseconds for an image.
"""

from __future__ import annotations

import numpy as np

from fullconv.ops.cpu.maths import kernel

STRAIGHT, DIAGONAL = 3, 4
"""The chamfer steps of Borgefors, "Distance transformations in digital images" (CVGIP 34, 1986): at most 8 % off."""
DY = np.array([-1, -1, -1, 0, 1, 1, 1, 0])
DX = np.array([-1, 0, 1, 1, 1, 0, -1, -1])
"""The eight neighbours, clockwise from the upper left; the odd ones share a side."""


def _simple_table() -> np.ndarray:
    """For each set of neighbours (bit ``i``: neighbour ``i`` belongs), whether the pixel may go: what belongs stays in
    one piece (of eight neighbours), what does not too (of four), and the pixel is no end (more than one neighbour).
    """
    table = np.zeros(256, bool)
    for code in range(256):
        inside = [code >> i & 1 for i in range(8)]
        # Yokoi's number for 8-connected foreground: pieces of the neighbourhood that only the pixel joins
        out = [1 - value for value in inside]
        number = sum(out[i] - out[i] * out[(i + 1) % 8] * out[(i + 2) % 8] for i in (1, 3, 5, 7))
        table[code] = number == 1 and sum(inside) > 1
    return table


SIMPLE = _simple_table()


@kernel
def components(labels, void, parents, numbers):
    """Number the 8-connected components of equal labels from 1 in ``numbers`` ``[h, w]``, void 0; how many.

    ``parents``: room for one number a pixel.
    """
    height, width = labels.shape
    made = 0
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == void:
                numbers[y, x] = 0
                continue
            root = 0
            for k in range(4):  # those before it: left, upper left, upper, upper right
                v = y - (k > 0)
                u = x - 1 if k < 2 else x + k - 2
                if v < 0 or u < 0 or u >= width or labels[v, u] != label:
                    continue
                other = numbers[v, u]
                while parents[other] != other:
                    parents[other] = parents[parents[other]]
                    other = parents[other]
                if root == 0:
                    root = other
                elif other < root:
                    parents[root] = other
                    root = other
                elif root < other:
                    parents[other] = root
            if root == 0:
                made += 1
                parents[made] = made
                root = made
            numbers[y, x] = root
    count = 0
    for number in range(1, made + 1):  # a parent is smaller than its children
        if parents[number] == number:
            count += 1
            parents[number] = -count
        else:
            parents[number] = parents[parents[number]]
    for y in range(height):
        for x in range(width):
            if numbers[y, x]:
                numbers[y, x] = -parents[numbers[y, x]]
    return count


@kernel
def depths(numbers, depth):
    """How far each pixel is from the nearest one of another number, or from outside of the image, in thirds of a pixel
    (chamfer 3-4); 3 at the rim, 0 in void. ``depth`` is int32 ``[h, w]``.
    """
    height, width = numbers.shape
    for y in range(height):
        for x in range(width):
            own = numbers[y, x]
            if own == 0:
                depth[y, x] = 0
                continue
            best = np.int32(2**30)
            for k in range(4):
                v = y - (k > 0)
                u = x - 1 if k < 2 else x + k - 2
                step = DIAGONAL if k == 1 or k == 3 else STRAIGHT
                outside = v < 0 or u < 0 or u >= width
                if outside or numbers[v, u] != own:
                    best = min(best, np.int32(step))
                else:
                    best = min(best, np.int32(depth[v, u] + step))
            depth[y, x] = best
    for y in range(height - 1, -1, -1):
        for x in range(width - 1, -1, -1):
            own = numbers[y, x]
            if own == 0:
                continue
            best = depth[y, x]
            for k in range(4):
                v = y + (k > 0)
                u = x + 1 if k < 2 else x - k + 2
                step = DIAGONAL if k == 1 or k == 3 else STRAIGHT
                outside = v >= height or u < 0 or u >= width
                if outside or numbers[v, u] != own:
                    best = min(best, np.int32(step))
                else:
                    best = min(best, np.int32(depth[v, u] + step))
            depth[y, x] = best


@kernel
def deepest(numbers, depth, places):
    """The place of each component's deepest pixel (of equal ones the first, row by row), ``places`` int64 ``[count]``,
    and its pixels counted.
    """
    width = numbers.shape[1]
    areas = np.zeros(len(places), np.int64)
    best = np.zeros(len(places), np.int32)
    for y in range(numbers.shape[0]):
        for x in range(width):
            number = numbers[y, x] - 1
            if number < 0:
                continue
            areas[number] += 1
            if depth[y, x] > best[number]:
                best[number] = depth[y, x]
                places[number] = y * width + x
    return areas


@kernel
def bounds(numbers, labels, count):
    """Class, left, top, right and bottom of each component's bounding box (right and bottom behind the last pixel),
    int64 ``[count, 5]``.
    """
    found = np.zeros((count, 5), np.int64)
    for y in range(numbers.shape[0]):
        for x in range(numbers.shape[1]):
            number = numbers[y, x] - 1
            if number < 0:
                continue
            box = found[number]
            if box[4] == 0:
                box[0], box[1], box[2] = labels[y, x], x, y
            box[1] = min(box[1], x)
            box[3] = max(box[3], x + 1)
            box[4] = y + 1
    return found


@kernel
def thin(numbers, order, kept):
    """Keep (bool ``[h, w]``) the middle of each component: pixels go in ``order`` (of depth), unless that would cut it
    or shorten an end.
    """
    height, width = numbers.shape
    for y in range(height):
        for x in range(width):
            kept[y, x] = numbers[y, x] > 0
    for place in order:
        y, x = place // width, place % width
        own = numbers[y, x]
        if own == 0:
            continue
        code = 0
        for k in range(8):
            v, u = y + DY[k], x + DX[k]
            if 0 <= v < height and 0 <= u < width and numbers[v, u] == own and kept[v, u]:
                code |= 1 << k
        if SIMPLE[code]:
            kept[y, x] = False


@kernel
def farthest(numbers, kept, start, seen, mark, queue, before):
    """The last place that a search along ``kept`` pixels of one component reaches from ``start``: the way back to the
    start is in ``before``. ``seen`` is marked with ``mark``.
    """
    height, width = numbers.shape
    own = numbers[start // width, start % width]
    queue[0] = start
    seen[start] = mark
    before[start] = -1
    first, last = 0, 1
    while first < last:
        place = queue[first]
        first += 1
        y, x = place // width, place % width
        for i in range(8):
            k = 2 * i + 1 if i < 4 else 2 * i - 8  # those that share a side first
            v, u = y + DY[k], x + DX[k]
            if not (0 <= v < height and 0 <= u < width) or not kept[v, u] or numbers[v, u] != own:
                continue
            there = v * width + u
            if seen[there] != mark:
                seen[there] = mark
                before[there] = place
                queue[last] = there
                last += 1
    return queue[last - 1]


@kernel
def dab(numbers, place, radius, painted):
    """Paint the disc of ``radius`` (in pixels) around a place, within its component; how many pixels are new."""
    height, width = numbers.shape
    y, x = place // width, place % width
    own = numbers[y, x]
    reach = int(radius)
    new = 0
    for v in range(max(0, y - reach), min(height, y + reach + 1)):
        for u in range(max(0, x - reach), min(width, x + reach + 1)):
            if (v - y) ** 2 + (u - x) ** 2 <= radius * radius and numbers[v, u] == own and not painted[v, u]:
                painted[v, u] = True
                new += 1
    return new


@kernel
def strokes(numbers, kept, starts, wanted, radius, painted):
    """Paint (bool ``[h, w]``) a stroke in each component: along the longest way through its ``kept`` pixels, from the
    middle of that to both ends, until ``wanted`` pixels are new; wider where the way is too short for that.

    Args:
        starts: a kept place of each component.
        wanted: pixels of each.
        radius: of the pen, in pixels.
    """
    height, width = numbers.shape
    seen = np.zeros(height * width, np.int32)
    before = np.empty(height * width, np.int64)
    queue = np.empty(height * width, np.int64)
    way = np.empty(height * width, np.int64)
    for number in range(len(starts)):
        end = farthest(numbers, kept, starts[number], seen, 2 * number + 1, queue, before)
        place = farthest(numbers, kept, end, seen, 2 * number + 2, queue, before)
        length = 0
        while place >= 0:
            way[length] = place
            length += 1
            place = before[place]
        done, pen = 0, radius
        while done < wanted[number]:
            middle = length // 2
            for step in range(length):
                at = middle + (step + 1) // 2 if step % 2 else middle - step // 2
                if 0 <= at < length:
                    done += dab(numbers, way[at], pen, painted)
                if done >= wanted[number]:
                    break
            pen += 1


@kernel
def rims(numbers, depth, low, high, reach, rim):
    """Mark (bool ``[h, w]``) the pixels of depth ``low`` to ``high - 1`` with a pixel of another component, which void
    is not, at most ``reach`` rows and columns away; how many there are in each component, int64 ``[components + 1]``.
    """
    height, width = numbers.shape
    counts = np.zeros(numbers.max() + 1, np.int64)
    for y in range(height):
        for x in range(width):
            own = numbers[y, x]
            rim[y, x] = False
            if not low <= depth[y, x] < high:
                continue
            for v in range(max(0, y - reach), min(height, y + reach + 1)):
                for u in range(max(0, x - reach), min(width, x + reach + 1)):
                    if numbers[v, u] != own and numbers[v, u] != 0:
                        rim[y, x] = True
            counts[own] += rim[y, x]
    return counts


@kernel
def borders(numbers, rim, starts, wanted, radius, painted):
    """Paint (bool ``[h, w]``) a stroke in each component along its ``rim`` pixels, from its start (-1: none) the longer
    way, until ``wanted`` pixels are covered or the rim ends; how many there are of each, int64 ``[components]``.
    """
    height, width = numbers.shape
    seen = np.zeros(height * width, np.int32)
    before = np.empty(height * width, np.int64)
    queue = np.empty(height * width, np.int64)
    done = np.zeros(len(starts), np.int64)
    for number in range(len(starts)):
        if starts[number] < 0:
            continue
        place = farthest(numbers, rim, starts[number], seen, number + 1, queue, before)
        length = 0
        while place >= 0:
            queue[length] = place
            length += 1
            place = before[place]
        while length > 0 and done[number] < wanted[number]:
            length -= 1
            done[number] += dab(numbers, queue[length], radius, painted)
    return done
