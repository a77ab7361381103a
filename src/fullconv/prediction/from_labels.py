"""What is made of label maps once they are written: polygons and areas."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fullconv.errors import plural
from fullconv.files import write_text
from fullconv.gdal import has_gdal
from fullconv.images.map_place import MapPlace
from fullconv.polygons.areas import Area, areas, areas_csv, counts
from fullconv.polygons.trace import ClassPolygon, trace
from fullconv.prediction.inputs import Input
from fullconv.prediction.label_file import BLOCK, opened
from fullconv.prediction.polygon_files import Written, write_for_all, write_polygons
from fullconv.prediction.settings import Settings
from fullconv.spec import ClassSet


class Made(NamedTuple):
    """What was made of one label map."""

    areas: dict[str, Area]
    polygons: int
    written: Written
    notes: tuple[str, ...]


class FromLabels:
    """Makes the polygons and areas that are asked for, of one label map after another."""

    def __init__(self, asked: Settings, classes: ClassSet, out: Path) -> None:
        self.asked, self.classes, self.out = asked, classes, out
        self._made: dict[Path, Made] = {}
        self._taken: dict[str, Made] = {}

    def make(self, image: Input, mask: Path) -> Path:
        """Make those of an image whose labels are in a file, which is returned; by any thread.

        Raises:
            FullconvError: no space, or no place to write.
        """
        asked = self.asked
        if not asked.polygons and asked.areas is None:
            return mask
        labels = opened(image, mask, asked.level)
        found, polygons, blocks = np.zeros(len(self.classes), np.int64), list[ClassPolygon](), 0
        for origin, ids in labels.blocks():
            blocks += 1
            found += counts(ids, len(self.classes))
            if asked.polygons:
                polygons += trace(ids, self.classes, asked.tolerance, asked.min_area, origin)
        notes, written = list[str](), Written()
        if asked.areas is not None and mask.suffix == ".tif" and (why := _why_no_metres(labels.place)):
            notes.append(f"{image.path}: {why}")
        if asked.polygons:
            if blocks > 1:
                notes.append(f"{image.path}: traced in squares of {BLOCK} pixels, at whose edges polygons end")
            written = write_polygons(asked.polygons, labels, polygons, self.classes, self.out)
        metres = None if labels.place is None else labels.place.square_metres
        all_notes = (*notes, *written.notes)
        self._made[image.path] = Made(areas(found, self.classes, metres), len(polygons), written, all_notes)
        return mask

    def take(self, image: Input) -> None:
        """What was made of an image counts; images are taken in their order."""
        made = self._made.pop(image.path, None)
        if made is not None:
            self._taken[image.below.as_posix()] = made

    def again(self, image: Input, mask: Path) -> None:
        """As both, of an image that an earlier run finished."""
        self.make(image, mask)
        self.take(image)

    def finish(self) -> list[str]:
        """Write what belongs to all images; what to know of all."""
        asked, background, made = self.asked, self.classes.background, list(self._taken.values())
        notes = [note for one in made for note in one.notes]
        if asked.areas is not None:
            write_text(asked.areas, areas_csv((name, one.areas) for name, one in self._taken.items()))
            notes.append(f"areas of {len(made)} image{'s' * (len(made) != 1)} in {asked.areas}")
        if asked.polygons:
            write_for_all(asked.polygons, [one.written for one in made], self.classes, self.out)
            smallest = f", none below {asked.min_area} pixels" if asked.min_area > 1 else ""
            hidden = "" if background is None else f", none of {self.classes.names[background]}"
            said = (
                f"{asked.polygons}, tolerance {asked.tolerance:g} pixel{'s' * (asked.tolerance != 1)}{smallest}{hidden}"
            )
            notes.append(f"{plural(sum(one.polygons for one in made), 'polygon')} ({said})")
        return notes


def _why_no_metres(place: MapPlace | None) -> str:
    if place is not None:
        return place.why_no_metres
    if not has_gdal():
        return "square metres are told by the package rasterio, which is missing; pip install 'fullconv[raster]'"
    return "areas of rasters that state no transform have no square metres"
