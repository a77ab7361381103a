"""Target ``labelme``: a JSON file of polygons beside each image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fullconv.data.dataset import DatasetSpec, Item
from fullconv.data.sample import Sample
from fullconv.errors import UsageError
from fullconv.formats.write.base import Writer, write_values
from fullconv.formats.write.objects import outlined, refuse_other_splits, refuse_two_backgrounds
from fullconv.polygons.contents import BACKGROUND, UNLABELLED, labelme_file, labelme_names, labelme_shape


class LabelMe(Writer):
    """LabelMe's files, a folder for each split. Background is what no polygon covers, void is ``__ignore__``."""

    outlines = True

    def __init__(self, spec: DatasetSpec, root: Path, notes: list[str]) -> None:
        super().__init__(spec, root, notes)
        refuse_two_backgrounds(spec, "labelme")
        refuse_other_splits(spec, "labelme")
        if UNLABELLED in spec.classes.names:
            raise UsageError(f"--to labelme: a class called {UNLABELLED} is what labelme calls unlabelled; rename it")
        self.names = [name for name in labelme_names(spec.classes) if name != UNLABELLED]
        background = spec.classes.background
        if background is not None and spec.classes.names[background] != BACKGROUND:
            notes.append(f"{spec.classes.names[background]} is called {BACKGROUND}, as LabelMe calls it")
        self.pieces = self.cut = 0

    def add(self, split: str, name: str, item: Item, sample: Sample) -> None:
        classes, shapes = self.spec.classes, []
        path = self.image(self.root / split, name, item, sample)
        for number, (own, rings, _) in enumerate(outlined(item, sample, classes, self.coarse), 1):
            void = own == classes.ignore_index
            if void and classes.background is None:
                continue  # what no polygon covers is unlabelled
            self.pieces, self.cut = self.pieces + 1, self.cut + (len(rings) > 1)
            label, group = UNLABELLED if void else self.names[own], number if len(rings) > 1 else None
            shapes += [labelme_shape(label, ring.tolist(), group) for ring in rings]
        content = labelme_file(shapes, path.name, sample.labels.shape)
        path.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")

    def finish(self, names: Mapping[str, list[str]]) -> None:
        (self.root / "labels.txt").write_text("".join(f"{name}\n" for name in (UNLABELLED, *self.names)), "utf-8")
        write_values(self.root, self.spec)
        fill = "; its polygons fill to the same pixels, as its own export fills them" if self.coarse is None else ""
        self.notes.append(f"labelme keeps no colours{fill}")
        if self.cut:
            self.notes.append(
                f"polygons have no holes: {self.cut} of {self.pieces} objects are several, of one group_id"
            )
