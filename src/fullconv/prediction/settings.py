"""How images are predicted, and what is written of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from fullconv.crf import CRF
from fullconv.errors import UsageError
from fullconv.libraries import library
from fullconv.parts import Wanted
from fullconv.polygons.contents import ENDINGS
from fullconv.polygons.trace import FOR, TOLERANCE, check
from fullconv.prediction.alone import refuse_alone
from fullconv.refinement import Refinement, Superpixels
from fullconv.segmenter import Segmenter
from fullconv.tiling import TILE
from fullconv.views import Views


@dataclass(frozen=True)
class Settings:
    """What :func:`fullconv.predict` is asked for, of every image.

    Attributes:
        overlay: also write ``<stem>.overlay.png``, the colours over the image and a legend below it.
        overlay_classes: paint these classes alone there, by name.
        probabilities: also write ``<stem>.npz``: float16 ``probabilities`` ``[classes, height, width]``.
        confidence: also write ``<stem>.confidence.png``: bytes, the probability of each pixel's class as value / 255.
        entropy: also write ``<stem>.entropy.png``: bytes, how undecided the probabilities of all classes are as value /
            255: 0 is sure, 1 equally probable. Both are ``.tif`` for rasters (:mod:`fullconv.images.certainty`).
        instances: also write ``instances.json``: the objects of all images with scores and masks (run lengths) as
            COCO's JSON, of a model that finds objects (:mod:`fullconv.regions.instances`).
        polygons: also write the pieces of every class as polygons with shared borders (docs/polygons.md): ``geojson``,
            ``gpkg``, ``coco``, ``labelme``, ``yolo`` or ``qupath``; empty for none.
        tolerance, min_area: as for :meth:`fullconv.Prediction.polygons`.
        areas: a CSV file to write: pixels, share and square metres of each class in each image.
        tile, overlap, exact: as for :meth:`Segmenter.predict`.
        views: average over them, as for :meth:`Segmenter.with_views`.
        level: which level of pyramids (overview of TIFF files) to read; 0 is the full size.
        overviews: also write smaller copies of the labels into TIFF files.
        image_prior, superpixels, crf: refine, as for :meth:`Segmenter.predict`.
    """

    overlay: bool = False
    overlay_classes: Sequence[str] | None = None
    probabilities: bool = False
    confidence: bool = False
    entropy: bool = False
    instances: bool = False
    polygons: str = ""
    tolerance: float = TOLERANCE
    min_area: int = 0
    areas: str | os.PathLike[str] | None = None
    tile: int = TILE
    overlap: int | None = None
    exact: bool = False
    views: Views = field(default_factory=Views)
    level: int = 0
    overviews: bool = False
    image_prior: bool = False
    superpixels: Superpixels | None = None
    crf: CRF | None = None

    def __post_init__(self) -> None:
        refuse_alone(
            overlay=self.overlay, overlay_classes=self.overlay_classes is not None, polygons=bool(self.polygons),
            tolerance=self.tolerance, min_area=self.min_area, instances=self.instances, views=bool(self.views),
            areas=self.areas,
        )  # fmt: skip
        if self.level and self.whole:
            raise UsageError(
                f"--level is read by window, and --{self.whole} needs all of an image; leave one of them out"
            )
        if self.polygons not in ("", *ENDINGS):
            raise UsageError(f"--polygons {self.polygons!r} is not known; use {', '.join(ENDINGS)}")
        if self.polygons:
            check(self.tolerance, self.min_area)
            if self.polygons == "gpkg":
                library("pyogrio", FOR)

    def refinement(self, segmenter: Segmenter) -> Refinement:
        """As this model does it.

        Raises:
            UsageError: an image-level prior of a model without image-level probabilities.
        """
        return Refinement.of(segmenter.provenance, self.image_prior, self.superpixels, self.crf)

    def refuse_impossible(self, segmenter: Segmenter) -> None:
        """Before anything is read.

        Raises:
            UsageError: no such class, tiles that cannot be, a refinement that this model cannot do.
        """
        segmenter.classes.ids(self.overlay_classes or ())
        segmenter.check_tiles(self.tile, self.overlap)
        self.refinement(segmenter)

    @property
    def wanted(self) -> Wanted:
        """What is made of scores beside labels."""
        return Wanted(self.probabilities, self.confidence, self.entropy)

    @property
    def whole(self) -> str:
        """The option that needs all of an image in memory, ``overlay`` where others need no more; empty: none."""
        asked = {
            "instances": self.instances, "probabilities": self.probabilities, "image-prior": self.image_prior,
            "superpixels": self.superpixels is not None, "crf": self.crf is not None, "overlay": self.overlay,
        }  # fmt: skip
        return next((option for option, wanted in asked.items() if wanted), "")

    @property
    def endings(self) -> list[str]:
        """Of the files that are written of an image that is no raster; the first is the mask's."""
        beside = {
            ".overlay.png": self.overlay, ".npz": self.probabilities, ".confidence.png": self.confidence,
            ".entropy.png": self.entropy, ENDINGS.get(self.polygons, ""): bool(ENDINGS.get(self.polygons)),
        }  # fmt: skip
        return [".png", *(ending for ending, asked in beside.items() if asked)]
