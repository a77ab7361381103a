"""``predict``: masks for any number of files, folders and globs."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fullconv.crf import CRF
from fullconv.errors import DataError, NotFiniteError, UsageError, first_few
from fullconv.files import replacing
from fullconv.formats.read import image_files
from fullconv.formats.read.base import files_below
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.images.raster import RasterReader
from fullconv.images.raster_open import RASTER_SUFFIXES
from fullconv.label_map import Prediction
from fullconv.prediction.raster import LARGE, Done, How, predict_raster, raster_of
from fullconv.pretrained import load
from fullconv.refinement import Superpixels
from fullconv.regions.instances import Instances, InstanceSegmenter, write_coco_json
from fullconv.segmenter import Segmenter
from fullconv.tiling import TILE

PREDICTED = (*IMAGE_SUFFIXES, *RASTER_SUFFIXES)
"""What is taken from a folder, by the ends of names."""
INSTANCES = "instances.json"
"""Where the objects of all images are written."""


@dataclass
class Predicted:
    """What :func:`predict` did: the masks written, one line per image that has none, files that are no images."""

    written: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What to know of the masks; each line once."""


def predict(
    model: Segmenter | str | os.PathLike[str],
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    overlay: bool = False,
    overlay_classes: Sequence[str] | None = None,
    probabilities: bool = False,
    instances: bool = False,
    tile: int = TILE,
    overlap: int | None = None,
    exact: bool = False,
    level: int = 0,
    overviews: bool = False,
    image_prior: bool = False,
    superpixels: Superpixels | None = None,
    crf: CRF | None = None,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    progress: Callable[[Path, str], None] | None = None,
    done: Done | None = None,
) -> Predicted:
    """Write ``<stem>.png`` (class ids with the classes' colours) under ``out`` for every image.

    Of rasters (:func:`fullconv.prediction.raster.raster_of`: large, georeferenced, with a value for no data, or read at
    a ``level``) it is ``<stem>.tif``, tiled and compressed, and no more than a row of tiles is in memory at once. For
    one image in memory, see :meth:`Segmenter.predict`.

    Args:
        model: a :class:`Segmenter`, a model file, a run folder, or ``torchvision/NAME``.
        images: files, folders of them, or globs.
        out: the folder for the masks.
        overlay: also write ``<stem>.overlay.png``, the colours over the image and a legend below it.
        overlay_classes: paint these classes alone there, by name.
        probabilities: also write ``<stem>.npz``: float16 ``probabilities`` ``[classes, height, width]``.
        instances: also write ``instances.json``: the objects of all images with scores and masks (run lengths) as
            COCO's JSON, of a model that finds objects (:mod:`fullconv.regions.instances`).
        tile, overlap, exact: as for :meth:`Segmenter.predict`.
        level: which level of pyramids (overview of TIFF files) to read; 0 is the full size.
        overviews: also write smaller copies into the TIFF files.
        image_prior, superpixels, crf: refine, as for :meth:`Segmenter.predict`.
        device, precision, runner: as for :meth:`Segmenter.load`; a :class:`Segmenter` stays where it is.
        progress: called after each file with its path and its error, empty if it went well.
        done: called while a raster is labelled, with its path, how many pixels are labelled, and of how many.

    Raises:
        UsageError: no images, two of one name, or no such class; a model without image-level probabilities.
    """
    inputs = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    if not inputs:
        raise UsageError("no images given; name files, folders or globs after the model")
    segmenter = model if isinstance(model, Segmenter) else load(model, device, precision, runner)
    if overlay_classes is not None:
        if not overlay:
            raise UsageError("--overlay-classes says what --overlay paints; give --overlay too")
        segmenter.classes.ids(overlay_classes)
    if instances:
        segmenter = InstanceSegmenter(segmenter)
    segmenter.check_tiles(tile, overlap)
    segmenter.refinement(image_prior, superpixels, crf)  # refuses what this model cannot
    asked = {
        "instances": instances, "overlay": overlay, "probabilities": probabilities, "image-prior": image_prior,
        "superpixels": superpixels is not None, "crf": crf is not None,
    }  # fmt: skip
    whole = next((option for option, wanted in asked.items() if wanted), "")
    how = How(tile, overlap, exact, level, overviews)
    paths, out = find_images(inputs), Path(out)
    _refuse_to_overwrite(paths, out, [".png"] + [".overlay.png"] * overlay + [".npz"] * probabilities)
    result = Predicted()
    others = other_files(inputs)
    if others:
        result.notes.append(f"left out, not images: {len(others)} of the files ({first_few(others)})")
    objects: dict[str, Instances] = {}
    for path in paths:
        error = ""
        try:
            raster = _open_raster(path, level, whole, result)
            if raster is not None:
                notes = predict_raster(segmenter, raster, path, out / f"{path.stem}.tif", how, done)
                result.written.append(out / f"{path.stem}.tif")
            else:
                prediction = segmenter.predict(
                    path, tile=tile, overlap=overlap, exact=exact, probabilities=probabilities,
                    image_prior=image_prior, superpixels=superpixels, crf=crf,
                )  # fmt: skip
                notes = [prediction.note] if prediction.note else []
                result.written.append(_write(prediction, out / path.stem, overlay, overlay_classes))
                if isinstance(segmenter, InstanceSegmenter):
                    objects[path.name] = segmenter.found[-1]
            result.notes += [note for note in notes if note not in result.notes]
        except (DataError, NotFiniteError) as problem:
            error = str(problem)
            result.failed.append(error)
        if progress is not None:
            progress(path, error)
    if instances:
        write_coco_json(out / INSTANCES, objects, segmenter.classes)
        count = sum(map(len, objects.values()))
        result.notes.append(
            f"{INSTANCES}: {count} objects in {len(objects)} images, each with its score; masks show those above 0.5"
        )
    return result


def find_images(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Files, the images in folders, and globs, in order and once each.

    Raises:
        UsageError: an input that names nothing.
    """
    found: dict[Path, None] = {}
    for given in inputs:
        path = Path(given).expanduser()
        if path.is_dir():
            matches = image_files(path, PREDICTED)
            if not matches:
                raise UsageError(f"{path}: no images in this folder; expected {', '.join(PREDICTED)}")
        elif path.is_file():
            matches = [path]
        else:
            matches = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
            if not matches:
                raise UsageError(f"{given}: no such file, folder or glob; give images to predict")
        found.update(dict.fromkeys(matches))
    return list(found)


def other_files(inputs: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Names of the files in given folders that are no images."""
    folders = [path for given in inputs if (path := Path(given).expanduser()).is_dir()]
    names = [name for folder in folders for _, name in files_below(folder)]
    return sorted(name for name in names if os.path.splitext(name)[1].lower() not in PREDICTED)


def _refuse_to_overwrite(paths: Sequence[Path], out: Path, endings: Sequence[str]) -> None:
    """Two images must not write one file, nor any of them an image.

    Raises:
        UsageError: they would, or ``out`` is a file.
    """
    stems: dict[str, Path] = {}
    twice = [f"{stems[path.stem]} and {path}" for path in paths if stems.setdefault(path.stem, path) != path]
    if twice:
        raise UsageError(
            f"{len(twice)} pairs of images would write the same file under {out} ({first_few(twice)}); "
            "predict them in separate calls, or rename them"
        )
    originals = {path.resolve() for path in paths}
    eaten = [str(p) for p in paths for ending in endings if (out / f"{p.stem}{ending}").resolve() in originals]
    if eaten:
        raise UsageError(f"--out {out} would overwrite the image {eaten[0]}; choose another folder for the masks")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out is the folder for the masks")


def _open_raster(path: Path, level: int, whole: str, result: Predicted) -> RasterReader | None:
    """The image as a raster, if it is one, and no option ``whole`` needs all of it in memory.

    Raises:
        DataError: it is too large for that option, or damaged.
    """
    raster = raster_of(path, level)
    if raster is None or not whole:
        return raster
    raster.close()
    height, width = raster.info.size
    if height * width > LARGE:
        raise DataError(
            f"{path}: {width}x{height} pixels, of which --{whole} would hold all in memory; leave it out, or cut the "
            "raster into images"
        )
    note = f"with --{whole} labels are PNG files, without georeference; where an image holds nothing they are a guess"
    result.notes += [note] if note not in result.notes else []
    return None


def _write(prediction: Prediction, base: Path, overlay: bool, only: Sequence[str] | None) -> Path:
    mask = base.with_name(base.name + ".png")
    prediction.save(mask)
    if overlay:
        prediction.save_overlay(base.with_name(base.name + ".overlay.png"), only=only)
    if prediction.probabilities is not None:
        with replacing(base.with_name(base.name + ".npz")) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, probabilities=prediction.probabilities)
    return mask
