"""Simple Does It: labels from boxes, then from the network's own predictions, held to the boxes.

Source: Khoreva et al., "Simple Does It: Weakly Supervised Instance and Semantic Segmentation", CVPR 2017. The network
goes on from round to round under one schedule of the learning rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fullconv.crf import CRF
from fullconv.images.encoding import MaskEncoding
from fullconv.images.masks import read_labels
from fullconv.machine import usable_cores
from fullconv.segmenter import Segmenter
from fullconv.training.box_rounds import BoxRounds
from fullconv.weak.boxes import filled, inner
from fullconv.weak.denoise import Denoised, denoise
from fullconv.weak.grabcut import Cuts, grabcut

FIRST = {
    "grabcut": "boxes cut by GrabCut, where most of its runs agree",
    "inner": "the inner fifth of boxes",
    "filled": "filled boxes",
}


class SimpleDoesIt(BoxRounds):
    """Round 1 learns from boxes (``box_labels``), the others from predictions (:mod:`fullconv.weak.denoise`)."""

    def in_words(self) -> str:
        later = "; then its own predictions, held to the boxes" if len(self.starts) > 1 else ""
        return f"boxes by Simple Does It, first from {FIRST[self.config.box_labels]}{later}"

    def make(
        self, number: int, places: Sequence[int], segmenter: Segmenter, write: Callable[[int, np.ndarray], None]
    ) -> dict[str, int]:
        return self._first(places, write) if number == 1 else self._later(places, segmenter, write)

    def _first(self, places: Sequence[int], write: Callable[[int, np.ndarray], None]) -> dict[str, int]:
        """Several images at a time: what OpenCV computes leaves Python alone."""
        ignore = self.spec.classes.ignore_index

        def one(place: int) -> Counter[str]:
            source, cuts = self.boxed[place], Cuts()
            boxes, around = source.boxes(), source.background
            if self.config.box_labels == "grabcut":
                labels, cuts = grabcut(self.image(place), boxes, ignore, around, self.seed(place))
            else:
                paint = inner if self.config.box_labels == "inner" else filled
                labels = paint(boxes, self.all_items[place].image.size(), ignore, around)
            write(place, labels)
            void = int((labels == ignore).sum())
            return Counter(
                {**vars(cuts), "boxes": sum(box.label >= 0 for box in boxes), "pixels": labels.size, "void": void}
            )

        with ThreadPoolExecutor(max(1, usable_cores() // self.ranks.count)) as pool:
            return dict(sum(pool.map(one, places), Counter()))

    def _later(
        self, places: Sequence[int], segmenter: Segmenter, write: Callable[[int, np.ndarray], None]
    ) -> dict[str, int]:
        found, classes = Denoised(), self.spec.classes
        for place in places:
            image, source = self.image(place), self.boxed[place]
            first = read_labels(self.file(1, place), MaskEncoding(), len(classes), classes.ignore_index)
            seen = segmenter.predict_pixels(image, probabilities=True, name=self.all_items[place].id)
            assert seen.probabilities is not None
            labels, changed = denoise(
                seen.probabilities, image, source.boxes(), first, classes.ignore_index, source.background, CRF()
            )
            write(place, labels)
            found.add(changed)
        return vars(found)

    def found_in_words(self, number: int, counts: Counter[str]) -> str:
        share = 1 / max(counts["pixels"], 1)
        if number > 1:
            return (
                f"labels predicted; {counts['outside'] * share:.1%} of the pixels were of a class without a box there, "
                f"{counts['reset']} of {counts['boxes']} boxes are back to their first labels (less than half filled)"
            )
        line = f"{counts['boxes']} boxes, {counts['void'] * share:.1%} of the pixels are void"
        if counts["small"]:
            line += f"; {counts['small']} boxes are too small to cut, and filled"
        if counts["unsure"]:
            line += f"; of {counts['unsure']} only the middle is labelled: nothing lies around, or no cut was agreed on"
        return line
