"""``predict``: masks for any number of files, folders and globs."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.errors import DataError, FullconvError, NotFiniteError, UsageError, plural
from fullconv.given import read_given
from fullconv.images.files import MAX_PIXELS, image_size
from fullconv.images.raster import RasterReader
from fullconv.images.raster_write import begun
from fullconv.label_map import Prediction
from fullconv.prediction.alone import INSTANCES, OF_ALL
from fullconv.prediction.from_labels import FromLabels
from fullconv.prediction.inputs import Input, find_inputs, left_out, listed, refuse_to_overwrite
from fullconv.prediction.journal import Journal
from fullconv.prediction.outputs import held, write_outputs
from fullconv.prediction.polygon_files import refuse_to_replace_annotations
from fullconv.prediction.raster import LARGE, Done, predict_raster, raster_of
from fullconv.prediction.read_ahead import Look, Reading, read_ahead
from fullconv.prediction.settings import Settings
from fullconv.prediction.together import batch_size, plain, predict_plainly, predict_together
from fullconv.prediction.write_behind import WriteBehind
from fullconv.pretrained import load
from fullconv.regions.instances import Instances, InstanceSegmenter, write_coco_json
from fullconv.resizing import Sizes
from fullconv.segmenter import Segmenter
from fullconv.streams import count, in_streams, most_pixels

Watch = Callable[[Path, str, int, int], None]
"""Told of an image's path, its error, how many images are done, and of how many."""
Noted = Callable[[str], None]
"""Told what to know of masks before they are made."""


@dataclass(repr=False)
class Predicted:
    """What :func:`predict` did.

    Attributes:
        written: the masks, in the order of the images.
        failed: one line per image that has none.
        skipped: images that were done before, with ``resume``.
        notes: what to know of the masks, and of files that were left out; each line once.
        exit_code: 0, or that of the gravest failure: 3 where images are damaged or do not fit the model.
    """

    written: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    exit_code: int = 0

    def __repr__(self) -> str:
        """In a few words; the lists may be long."""
        counts = {"masks": len(self.written), "failed": len(self.failed), "skipped": self.skipped}
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "masks")
        return f"Predicted({said})"

    def fail(self, problem: FullconvError) -> None:
        """An image has no mask."""
        self.failed.append(str(problem))
        self.exit_code = max(self.exit_code, problem.exit_code)

    def note(self, *lines: str) -> list[str]:
        """Add those that are not empty, and not there; which these are."""
        new = [line for line in dict.fromkeys(lines) if line and line not in self.notes]
        self.notes += new
        return new


def predict(
    model: Segmenter | str | os.PathLike[str],
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    runner: str = "auto",
    resume: bool = False,
    progress: Watch | None = None,
    done: Done | None = None,
    noted: Noted | None = None,
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
        resume: leave out images that an earlier run with the same model and settings finished.
        progress: called after each image, in order, with its path, its error (empty if it went well), how many are done
            and of how many, without those that were done before.
        done: called while a raster, or another image in tiles, is labelled, with its path, how many pixels are
            labelled, and of how many.
        noted: called with each of the :attr:`Predicted.notes` that is known before the masks that it is about: of
            tiles, of files that were left out.
        **settings: fields of :class:`fullconv.prediction.settings.Settings`.

    Raises:
        UsageError: no images, or no such class; a model without image-level probabilities; ``resume`` of masks that
            were made otherwise.
        FullconvError: the disk is full, or the folder cannot be written.
    """
    asked = Settings(**settings)
    given = listed(images)
    segmenter = model if isinstance(model, Segmenter) else load(model, device, precision, runner)
    asked.refuse_impossible(segmenter)
    segmenter = segmenter.with_views(asked.views)
    if asked.instances and resume:
        raise UsageError(OF_ALL)
    if asked.instances:
        segmenter = InstanceSegmenter(segmenter)
    out = Path(out)
    inputs = find_inputs(given, out)
    refuse_to_overwrite(inputs, out, asked.endings)
    if not resume:
        refuse_to_replace_annotations(asked, inputs, out)
    result = Predicted()
    journal = Journal(out, segmenter, asked, resume) if resume or len(inputs) > 1 else None
    run = _Run(segmenter, out, asked, result, journal, FromLabels(asked, segmenter.classes, out), progress, done, noted)
    run.note(*left_out(given, out))
    run.go(inputs)
    result.note(segmenter.resize_note(run.sizes), *run.made.finish())
    if isinstance(segmenter, InstanceSegmenter):
        write_coco_json(out / INSTANCES, run.objects, segmenter.classes)
        count = sum(map(len, run.objects.values()))
        result.note(
            f"{INSTANCES}: {plural(count, 'object')} in {plural(len(run.objects), 'image')}, each with its score; "
            "masks show those above 0.5"
        )
    return result


@dataclass
class _Run:
    """Images on their way to files: they are read ahead of the network and written behind it."""

    segmenter: Segmenter
    out: Path
    asked: Settings
    result: Predicted
    journal: Journal | None
    made: FromLabels
    progress: Watch | None
    done: Done | None
    noted: Noted | None
    objects: dict[str, Instances] = field(default_factory=dict)
    """Found in each image."""
    sizes: Sizes = field(default_factory=Counter)
    """Of the images that were not read by window."""

    def note(self, *lines: str) -> None:
        """What to know before the masks that it is about."""
        for line in self.result.note(*lines):
            if self.noted is not None:
                self.noted(line)

    def go(self, inputs: Sequence[Input]) -> None:
        """All of them but those that are done."""
        self.inputs = []
        for image in inputs:
            mask = None if self.journal is None else self.journal.mask(image)
            if mask is None:
                self.inputs.append(image)
            else:
                self.made.again(image, mask)
        self.result.skipped = len(inputs) - len(self.inputs)
        afresh = not any(begun(image.file(self.out, ".tif")) for image in inputs)
        if self.journal is not None and self.journal.missing and afresh:
            self.note(f"nothing to resume in {self.out}: all images are predicted")
        streams = count(self.segmenter.runner, len(self.inputs))
        reads = read_ahead(self.inputs, self._look, self._read, self._together, self.segmenter.preprocessing.channels)
        computed = in_streams(reads, streams, self._fits, self._compute)
        with WriteBehind(self._told) as behind, closing(reads), closing(computed):
            for batch, predictions in computed:
                if predictions is None:
                    self._predict(batch, behind)
                    continue
                for one, prediction in zip(batch, predictions, strict=True):
                    self._take(one, prediction, behind)

    def _look(self, image: Input) -> Look:
        raster, note = open_raster_of(image.path, self.asked)
        if raster is not None:
            raster.close()
            return Look(None, note)
        return Look(image_size(image.path), note)

    def _read(self, image: Input) -> np.ndarray:
        return read_given(image.path, self.segmenter.preprocessing)

    def _together(self, size: tuple[int, int]) -> int:
        return batch_size(self.segmenter, self.asked, size)

    def _fits(self, batch: Sequence[Reading[Input]], room: int) -> bool:
        size = None if batch[0].pixels is None else batch[0].look.result().size
        if size is None or not plain(self.segmenter, self.asked, size):
            return False
        return len(batch) * most_pixels(self.segmenter.preprocessing, size) <= room

    def _compute(self, batch: Sequence[Reading[Input]]) -> list[Prediction] | None:
        """By any thread; None where an image or its scores are bad."""
        try:
            images = [one.pixels.result() for one in batch if one.pixels is not None]
        except (DataError, NotFiniteError):
            return None
        return predict_plainly(self.segmenter, images, [str(one.name.path) for one in batch], self.asked)

    def _predict(self, batch: Sequence[Reading[Input]], behind: WriteBehind) -> None:
        read: list[tuple[Reading[Input], np.ndarray]] = []
        for one in batch:
            try:
                self.note(one.look.result().note)
                if one.pixels is None:
                    self._label_raster(one, behind)
                else:
                    read.append((one, one.pixels.result()))
            except (DataError, NotFiniteError) as problem:
                behind.settle(one.index, problem)
        names = [str(one.name.path) for one, _ in read]
        images = [pixels for _, pixels in read]
        for pixels in images:
            self.note(self._seams((pixels.shape[0], pixels.shape[1])))
        predictions = predict_together(self.segmenter, images, names, self.asked, self.done)
        for (one, _), prediction in zip(read, predictions, strict=True):
            if isinstance(prediction, NotFiniteError):
                behind.settle(one.index, prediction)
            else:
                self._take(one, prediction, behind)

    def _seams(self, size: tuple[int, int]) -> str:
        return self.segmenter.seam_note(size, self.asked.tile, self.asked.overlap, self.asked.exact)

    def _take(self, one: Reading[Input], prediction: Prediction, behind: WriteBehind) -> None:
        self.note(one.look.result().note)
        self.sizes[prediction.labels.shape[0], prediction.labels.shape[1]] += 1
        if isinstance(self.segmenter, InstanceSegmenter):
            self.objects[one.name.below.as_posix()] = self.segmenter.found[-1]
        one.pixels = None  # the prediction has them, and nobody else
        behind.write(one.index, held(prediction), functools.partial(self._write, [prediction], one.name))

    def _label_raster(self, one: Reading[Input], behind: WriteBehind) -> None:
        path, labels = one.name.path, one.name.file(self.out, ".tif")
        raster, _ = open_raster_of(path, self.asked)
        assert raster is not None
        predict_raster(self.segmenter, raster, path, labels, self.asked, self.note, self.done)
        behind.write(one.index, 0, functools.partial(self.made.make, one.name, labels))

    def _write(self, only: list[Prediction], image: Input) -> Path:
        """A prediction, which is let go before its labels are read again."""
        return self.made.make(image, write_outputs(only.pop(), image, self.out, self.asked))

    def _told(self, index: int, settled: Future[Path]) -> None:
        """An image is done with, in the order of the images."""
        image, problem = self.inputs[index], settled.exception()
        if problem is None:
            self.result.written.append(settled.result())
            self.made.take(image)
            if self.journal is not None:
                self.journal.add(image, settled.result())
        elif isinstance(problem, (DataError, NotFiniteError)):
            self.result.fail(problem)
        else:
            raise problem
        if self.progress is not None:
            self.progress(image.path, str(problem or ""), index + 1, len(self.inputs))


def open_raster_of(path: Path, asked: Settings) -> tuple[RasterReader | None, str]:
    """The image as a raster, if it is one, and no option needs all of it in memory; and what to say of it.

    Raises:
        DataError: it is too large for that option, or damaged.
    """
    raster = raster_of(path, asked.level)
    if raster is None or not asked.whole:
        return raster, ""
    raster.close()
    height, width = raster.info.size
    if height * width > (MAX_PIXELS if asked.whole == "overlay" else LARGE):  # an overlay is painted by strips
        raise DataError(
            f"{path}: {width}x{height} pixels, of which --{asked.whole} would hold all in memory; leave it out, or cut "
            "the raster into images"
        )
    if not raster.info.place.tags and raster.info.nodata is None:
        return None, f"with --{asked.whole} labels are whole PNG files; without it those of large images are .tif"
    return None, (
        f"with --{asked.whole} labels are PNG files, without georeference; where an image holds nothing they are a "
        "guess"
    )
