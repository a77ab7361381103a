"""Target ``voc``: PASCAL VOC's folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.errors import DataError, UsageError
from fullconv.formats.read import VOC_NAMES
from fullconv.formats.write.base import Writer, write_lists, write_values
from fullconv.images.write import VOID_COLOUR, write_mask
from fullconv.palette import is_background

BLACK = (0, 0, 0)
SPARE = (VOID_COLOUR, *((255, 255, blue) for blue in range(255, -1, -1)))
"""Colours for void, of which one is no class's: there are 255 classes at most."""


class Voc(Writer):
    """PASCAL VOC, with CVAT's ``labelmap.txt`` for classes that are not VOC's own."""

    lists = True

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        one_byte(spec, "voc")
        names = [name.casefold() for name in spec.classes.names]
        odd = [
            name for name in names if name.startswith("#") or ":" in name or name == "ignored" or name != name.strip()
        ]
        twice = [colour for colour, count in Counter(spec.classes.palette).items() if count > 1]
        if odd:
            raise UsageError(f"--to voc: labelmap.txt cannot hold a class called {odd[0]!r}; use --to folder")
        if twice:
            raise UsageError(f"--to voc: two classes have the colour {twice[0]}, by which voc tells them apart; "
                             "use --to folder")  # fmt: skip
        black = not (any(map(is_background, names)) or BLACK in spec.classes.palette)
        free = (colour for colour in SPARE if colour not in spec.classes.palette)
        self.void = BLACK if black else next(free)  # a map without black would be given a background
        others = [split for split in spec.splits if split not in ("train", "val", "test")]
        if others:
            notes.append(
                f"voc has train, val and test; the lists of {', '.join(others)} are written and not read again"
            )
        self.own = spec.layout in ("voc", "voc_sbd") and bool(spec.licence) and spec.classes.names == VOC_NAMES
        if not self.own:
            notes.append("voc has no place for class names: labelmap.txt (as CVAT writes it) holds them")

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        self.image(self.root / "JPEGImages", name, item, sample)
        write_mask(self.root / "SegmentationClass" / f"{name}.png", sample.labels, self.spec.classes, self.void)

    def finish(self, names: Mapping[str, list[str]]) -> None:
        write_values(self.root, self.spec)
        write_lists(self.root / "ImageSets" / "Segmentation", names)
        classes = self.spec.classes
        if not self.own:
            rows = [
                f"{name}:{','.join(map(str, colour))}::\n"
                for name, colour in zip(classes.names, classes.palette, strict=True)
            ]
            rows.append(f"ignored:{','.join(map(str, self.void))}::\n")
            (self.root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(rows), "utf-8")


def one_byte(spec: DatasetSpec, target: str) -> None:
    if len(spec.classes) > 255:
        raise DataError(f"{spec.root}: {len(spec.classes)} classes; {target} holds 255 at most: use --to folder")
