"""BoxSup: of the segments proposed for a box one is chosen, by overlap and by what the network says, in turns with
training.

Source: Dai, He & Sun, "BoxSup: Exploiting Bounding Boxes to Supervise Convolutional Networks for Semantic
Segmentation", ICCV 2015. The paper's candidates are MCG's; here they are those of selective search and of
Felzenszwalb's segmentation, and what GrabCut makes of the box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fullconv.draw.overlays import as_rgb
from fullconv.files import replacing
from fullconv.machine import usable_cores
from fullconv.regions.proposals import Method, Proposals, propose_regions
from fullconv.segmenter import Segmenter
from fullconv.training.box_rounds import BoxRounds
from fullconv.weak.candidates import Candidates, candidates, chosen, with_cut
from fullconv.weak.grabcut import AGREED, SMALLEST, agreement

METHODS: tuple[Method, ...] = ("selective-search", "felzenszwalb")


class BoxSup(BoxRounds):
    """Each round learns from one candidate a box (:mod:`fullconv.weak.candidates`); the first knows no network yet.

    The candidates are found once, and kept in ``labels/candidates`` of the run folder.
    """

    def in_words(self) -> str:
        return (
            "boxes by BoxSup: for each box one of the proposed segments, drawn from those of lowest cost (overlap with "
            "the box, and the network's loss from the second round on)"
        )

    def make(
        self, number: int, places: Sequence[int], segmenter: Segmenter, write: Callable[[int, np.ndarray], None]
    ) -> dict[str, int]:
        with ThreadPoolExecutor(max(1, usable_cores() // self.ranks.count)) as pool:
            list(pool.map(self._propose, places))
        total: Counter[str] = Counter()
        for place in places:
            image, source, chances = self.image(place), self.boxed[place], None
            boxes = source.boxes()
            if number > 1:
                seen = segmenter.predict_pixels(image, probabilities=True, name=self.all_items[place].id)
                chances = seen.probabilities
            size = (image.shape[0], image.shape[1])
            found = self._candidates(place, len(boxes))
            seed, ignore = self.seed(place, number), self.spec.classes.ignore_index
            labels, bare = chosen(size, boxes, found, chances, ignore, source.background, seed)
            write(place, labels)
            total.update(
                boxes=sum(box.label >= 0 for box in boxes), bare=bare, candidates=sum(len(one.masks) for one in found)
            )
        return dict(total)

    def found_in_words(self, number: int, counts: Counter[str]) -> str:
        line = f"a segment chosen for each of {counts['boxes']} boxes, of {counts['candidates']} candidates"
        if counts["bare"]:
            line += f"; {counts['bare']} boxes have none, and only their middle is labelled"
        return line

    # -- candidates ----------------------------------------------------------------------------------------------

    def _file(self, place: int) -> Path:
        return self.run.path / "labels" / "candidates" / f"{place:06d}.npz"

    def _propose(self, place: int) -> None:
        """Find the candidates of an image, unless they are there."""
        if self._file(place).is_file():
            return
        image = self.image(place)
        colours = as_rgb(image)
        boxes = self.boxed[place].boxes()
        found = [propose_regions(colours, method) for method in METHODS] if boxes else []
        corners = np.concatenate([one.boxes for one in found]) if found else np.zeros((0, 4), np.int32)
        content: dict[str, np.ndarray] = {}
        for number, box in enumerate(boxes):
            random = np.random.Generator(np.random.Philox(key=[self.seed(place), number]))
            one = candidates(box, corners, lambda index: _mask(found, index))
            if min(box.right - box.left, box.bottom - box.top) >= SMALLEST:
                one = with_cut(one, agreement(colours, box, random) >= AGREED)
            content[f"overlaps_{number}"] = one.overlaps
            content[f"masks_{number}"] = np.packbits(one.masks, axis=None)
            content[f"shape_{number}"] = np.array(one.masks.shape)
        with replacing(self._file(place)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **content)  # type: ignore[arg-type]

    def _candidates(self, place: int, boxes: int) -> list[Candidates]:
        found = []
        with np.load(self._file(place)) as content:
            for number in range(boxes):
                shape = tuple(content[f"shape_{number}"].tolist())
                masks = np.unpackbits(content[f"masks_{number}"], count=int(np.prod(shape))).reshape(shape)
                found.append(Candidates(content[f"overlaps_{number}"], masks.astype(bool)))
        return found


def _mask(found: Sequence[Proposals], index: int) -> np.ndarray:
    """A region of several sets of proposals, bool ``[height, width]``."""
    for one in found:
        if index < len(one):
            return one.mask(index)
        index -= len(one)
    raise IndexError(index)
