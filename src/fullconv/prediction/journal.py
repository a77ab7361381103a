"""Which images of a folder are done, a line each, so that ``--resume`` goes on where a run ended."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from fullconv.errors import FullconvError, UsageError, first_few
from fullconv.files import write_text
from fullconv.prediction.inputs import Input
from fullconv.prediction.provenance import model_digest
from fullconv.prediction.settings import Settings
from fullconv.segmenter import Segmenter

JOURNAL = ".predicted.jsonl"
"""Below ``--out``: what masks depend on, then a line for each image that is done."""


class Journal:
    """The record of a run, or of one that is gone on with.

    Args:
        out: the folder for the masks.
        resume: keep what was done; else an earlier record goes, since its masks may be written over.

    Raises:
        UsageError: ``resume``, and what is there was made otherwise.
    """

    def __init__(self, out: Path, segmenter: Segmenter, asked: Settings, resume: bool) -> None:
        self._path = out / JOURNAL
        self._segmenter, self._asked = segmenter, asked
        self._out = out
        self._done: dict[str, dict[str, Any]] = {}
        self._begun = False
        self.missing = resume and not self._path.is_file()
        """Whether there is nothing to go on with."""
        if resume and not self.missing:
            self._take_up()
        else:
            self._remove()

    def mask(self, image: Input) -> Path | None:
        """The mask of an image, if all its files are there, and the image is still the same."""
        line = self._done.get(str(image.path.resolve()))
        if line is None or line["image"] != _identity(image):
            return None
        masks = {image.file(self._out, ending) for ending in (".png", ".tif")}
        files = [self._out / name for name in line["files"]]
        return files[0] if files[0] in masks and all(path.is_file() for path in files) else None

    def add(self, image: Input, mask: Path) -> None:
        """All files of an image are written."""
        files = [mask]
        if mask.suffix == ".png":
            files += [image.file(self._out, ending) for ending in self._asked.endings[1:]]
        names = [path.relative_to(self._out).as_posix() for path in files]
        self._append({"image": _identity(image), "files": names})

    def _append(self, line: dict[str, Any]) -> None:
        if not self._begun:
            lines = [_job(self._segmenter, self._asked), *self._done.values()]
            write_text(self._path, "".join(json.dumps(one) + "\n" for one in lines))
            self._begun = True
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise FullconvError(f"{self._path}: cannot be written ({error.strerror}); free some space") from error

    def _take_up(self) -> None:
        job, *lines = _lines(self._path) or [{}]
        now = json.loads(json.dumps(_job(self._segmenter, self._asked)))
        other = [name for name in now if now[name] != job.get(name)]
        if other:
            said = [f"{name.replace('_', '-')}: {job.get(name)}, now {now[name]}" for name in other if name != "model"]
            said += ["another model"] * ("model" in other)
            raise UsageError(
                f"--resume: what is in {self._out} was made otherwise ({first_few(said)}); ask for the same, or leave "
                "out --resume to begin again"
            )
        self._done = {line["image"][0]: line for line in lines}

    def _remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise FullconvError(f"{self._path}: cannot be removed ({error.strerror}); choose another --out") from error


def _lines(path: Path) -> list[dict[str, Any]]:
    """What can be read: the last line may be half-written."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _job(segmenter: Segmenter, asked: Settings) -> dict[str, Any]:
    """All that masks depend on but the image."""
    settings = {name: value for name, value in dataclasses.asdict(asked).items() if name != "areas"}
    return {"model": model_digest(segmenter), "computed_by": str(segmenter.runner), **settings}


def _identity(image: Input) -> list[Any]:
    file = image.path.stat()
    return [str(image.path.resolve()), file.st_size, file.st_mtime_ns]
