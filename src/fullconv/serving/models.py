"""The models of a server, by name; each is loaded again when its file changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fullconv.errors import UsageError, first_few
from fullconv.pretrained import find_model, load
from fullconv.segmenter import Segmenter
from fullconv.serving.metrics import Metrics
from fullconv.serving.problems import Problem
from fullconv.serving.sources import Stamp, named, stamp, version_of

LOG = logging.getLogger("fullconv.serve")
TRIES = 3
EVERY = 2.0
"""Seconds between two looks at the files."""


@dataclass(frozen=True)
class Served:
    """A model as it was when a request was accepted."""

    name: str
    segmenter: Segmenter
    version: str


class Models:
    """Models by name.

    Args:
        given: files, run folders or ``torchvision/NAME``, or ``NAME=`` one of them.
        open_model: loads one (:func:`fullconv.load`).
        metrics: where loads are counted.
        say: takes a line for who runs the server.

    Raises:
        UsageError: two of one name; a model that cannot be loaded, here and in :func:`fullconv.load`.
    """

    def __init__(
        self,
        given: Iterable[str],
        open_model: Callable[[Path], Segmenter] = load,
        metrics: Metrics | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._open, self._metrics, self._say = open_model, metrics or Metrics(), say
        self.files: dict[str, Path] = {}
        for one in given:
            name, path = named(one)
            if name in self.files:
                raise UsageError(f"{path}: another model is called {name} too; give NAME={path}")
            self.files[name] = find_model(path)
        if not self.files:
            raise UsageError("no model given; name at least one model file or run folder")
        self._served: dict[str, Served] = {}
        self._stamps: dict[str, Stamp] = {}
        self.faults: dict[str, str] = {}
        for name in self.files:
            self._served[name] = self._load(name)

    @property
    def names(self) -> list[str]:
        return list(self.files)

    def get(self, name: str = "") -> Served:
        """The model of a name, or the first.

        Raises:
            Problem: 404, there is none.
        """
        found = self._served.get(name or self.names[0])
        if found is None:
            raise Problem(404, f"no model is called {name[:60]!r}; there are {first_few(self.names, 10)}")
        return found

    def refresh(self) -> None:
        """Load what has changed; where that fails the model stays as it was, and ``faults`` says why."""
        for name in self.files:
            try:
                now = stamp(self.files[name])
            except (OSError, UsageError) as error:
                self._fault(name, str(error))
                continue
            if now == self._stamps[name]:
                continue
            self._stamps[name] = now  # a broken file is not read again until it changes
            try:
                served = self._load(name)
            except Exception as error:  # whatever a broken file makes of the libraries that read it
                self._fault(name, str(error))
                self._metrics.loads.labels(name, "refused").inc()
                continue
            before, self._served[name] = self._served[name], served
            self.faults.pop(name, None)
            self._say(f"{name}: loaded again, version {served.version} after {before.version}")

    def watch(self, stop: threading.Event, every: float = EVERY) -> None:
        """Refresh until ``stop``."""
        while not stop.wait(every):
            try:
                self.refresh()
            except Exception:  # whatever it is, the next look is as good as the first
                LOG.exception("the models' files could not be looked at")

    def _load(self, name: str) -> Served:
        """The model, and the version of the very file that it was read from.

        Raises:
            UsageError: the file changes all the time, and here what opening it raises.
        """
        file = self.files[name]
        for _ in range(TRIES):
            before = stamp(file)
            segmenter, version = self._open(file), version_of(file)
            if stamp(file) == before:
                self._stamps[name] = before
                self._metrics.loads.labels(name, "loaded").inc()
                return Served(name, segmenter, version)
        raise UsageError(f"{file}: it changed each of {TRIES} times while it was read")

    def _fault(self, name: str, why: str) -> None:
        line = " ".join(why.split())[:500]
        if self.faults.get(name) != line:
            self.faults[name] = line
            self._say(f"{name}: version {self._served[name].version} stays, the file cannot be used: {line}")
