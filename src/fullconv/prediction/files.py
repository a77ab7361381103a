"""``predict``: masks for any number of files, folders and globs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.errors import DataError, FullconvError, NotFiniteError, UsageError
from fullconv.files import replacing
from fullconv.images.certainty import NOTHING, write_certainty
from fullconv.images.raster import RasterReader
from fullconv.label_map import Prediction
from fullconv.prediction.inputs import Input, find_inputs, left_out, refuse_to_overwrite
from fullconv.prediction.raster import LARGE, Done, predict_raster, raster_of
from fullconv.prediction.settings import Settings
from fullconv.pretrained import load
from fullconv.regions.instances import Instances, InstanceSegmenter, write_coco_json
from fullconv.segmenter import Segmenter

INSTANCES = "instances.json"
"""Where the objects of all images are written."""


@dataclass
class Predicted:
    """What :func:`predict` did: the masks written, one line per image that has none, files that are no images."""

    written: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What to know of the masks; each line once."""
    exit_code: int = 0
    """0, or that of the gravest failure: 3 where images are damaged or do not fit the model."""

    def fail(self, problem: FullconvError) -> None:
        """An image has no mask."""
        self.failed.append(str(problem))
        self.exit_code = max(self.exit_code, problem.exit_code)

    def note(self, *lines: str) -> None:
        """Add those that are not empty, and not there."""
        self.notes += [line for line in dict.fromkeys(lines) if line and line not in self.notes]


def predict(
    model: Segmenter | str | os.PathLike[str],
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    progress: Callable[[Path, str], None] | None = None,
    done: Done | None = None,
    **settings: Any,
) -> Predicted:
    """Write ``<stem>.png`` (class ids with the classes' colours) under ``out`` for every image.

    Subfolders of the input are kept (:func:`fullconv.prediction.inputs.find_inputs`).
    Of rasters (:func:`fullconv.prediction.raster.raster_of`: large, georeferenced, with a value for no data, or read at
    a ``level``) it is ``<stem>.tif``, tiled and compressed, and no more than a row of tiles is in memory at once. For
    one image in memory, see :meth:`Segmenter.predict`.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        images: files, folders of them, or globs.
        out: the folder for the masks.
        device, precision, runner: as for :meth:`Segmenter.load`; a :class:`Segmenter` stays where it is.
        progress: called after each file with its path and its error, empty if it went well.
        done: called while a raster is labelled, with its path, how many pixels are labelled, and of how many.
        **settings: fields of :class:`fullconv.prediction.settings.Settings`.

    Raises:
        UsageError: no images, or no such class; a model without image-level probabilities.
    """
    asked = Settings(**settings)
    given = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    if not given:
        raise UsageError("no images given; name files, folders or globs after the model")
    segmenter = model if isinstance(model, Segmenter) else load(model, device, precision, runner)
    asked.refuse_impossible(segmenter)
    segmenter = segmenter.with_views(asked.views)
    if asked.instances:
        segmenter = InstanceSegmenter(segmenter)
    out = Path(out)
    inputs = find_inputs(given, out)
    refuse_to_overwrite(inputs, out, asked.endings)
    result = Predicted()
    result.note(*left_out(given, out))
    objects: dict[str, Instances] = {}
    for image in inputs:
        error = ""
        try:
            result.written.append(_predict_one(segmenter, image, out, asked, result, done))
            if isinstance(segmenter, InstanceSegmenter):
                objects[image.below.as_posix()] = segmenter.found[-1]
        except (DataError, NotFiniteError) as problem:
            error = str(problem)
            result.fail(problem)
        if progress is not None:
            progress(image.path, error)
    if asked.instances:
        write_coco_json(out / INSTANCES, objects, segmenter.classes)
        count = sum(map(len, objects.values()))
        result.note(
            f"{INSTANCES}: {count} objects in {len(objects)} images, each with its score; masks show those above 0.5"
        )
    return result


def _predict_one(
    segmenter: Segmenter, image: Input, out: Path, asked: Settings, result: Predicted, done: Done | None
) -> Path:
    """Write what is asked for of one image; its mask."""
    raster = _open_raster(image.path, asked, result)
    if raster is not None:
        labels = image.file(out, ".tif")
        result.note(*predict_raster(segmenter, raster, image.path, labels, asked, done))
        return labels
    prediction = segmenter.predict(
        image.path, tile=asked.tile, overlap=asked.overlap, exact=asked.exact, probabilities=asked.probabilities,
        confidence=asked.confidence, entropy=asked.entropy,
        image_prior=asked.image_prior, superpixels=asked.superpixels, crf=asked.crf,
    )  # fmt: skip
    result.note(prediction.note)
    _write(prediction, image, out, asked)
    return image.file(out, ".png")


def _open_raster(path: Path, asked: Settings, result: Predicted) -> RasterReader | None:
    """The image as a raster, if it is one, and no option needs all of it in memory.

    Raises:
        DataError: it is too large for that option, or damaged.
    """
    raster = raster_of(path, asked.level)
    if raster is None or not asked.whole:
        return raster
    raster.close()
    height, width = raster.info.size
    if height * width > LARGE:
        raise DataError(
            f"{path}: {width}x{height} pixels, of which --{asked.whole} would hold all in memory; leave it out, or cut "
            "the raster into images"
        )
    result.note(
        f"with --{asked.whole} labels are PNG files, without georeference; where an image holds nothing they are a "
        "guess"
    )
    return None


def _write(prediction: Prediction, image: Input, out: Path, asked: Settings) -> None:
    prediction.save(image.file(out, ".png"))
    if asked.overlay:
        prediction.save_overlay(image.file(out, ".overlay.png"), only=asked.overlay_classes)
    for kind in NOTHING:
        if (values := getattr(prediction, kind)) is not None:
            write_certainty(image.file(out, f".{kind}.png"), kind, values)
    if prediction.probabilities is not None:
        with replacing(image.file(out, ".npz")) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, probabilities=prediction.probabilities)
