"""The run folder: everything that a training run leaves behind."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from fullconv.errors import UsageError
from fullconv.facts import in_lines
from fullconv.files import read_yaml
from fullconv.html.notebook import card, picture
from fullconv.pretrained import load
from fullconv.segmenter import Segmenter


class Run:
    """A run folder.

    ``config.yaml``, ``environment.json``, ``log.csv``, ``best.safetensors``, ``last.safetensors``,
    ``resume/state.pt``, ``pictures/epoch_001.png``, ..., ``curves.png``, ``scores.json``, ``tensorboard/``,
    ``README.md``, the model card.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return in_lines(f"Run({str(self.path)!r})", self._facts())

    def _repr_html_(self) -> str:
        """For notebooks: the same, and the curves."""
        curves = self.path / "curves.png"
        shown = [picture(curves.read_bytes(), "losses and scores by epoch")] if curves.is_file() else []
        return card(f"Run {self.path}", self._facts(), *shown)

    def _facts(self) -> dict[str, str]:
        """What is known of it, also while it goes, or of a folder that is no run."""
        try:
            config = read_yaml(self.config, UsageError, "options")
        except UsageError:
            return {"state": "there is no run (no config.yaml that can be read)"}
        facts = {"network": f"{config.get('model')} on {config.get('encoder')}"}
        log = self.path / "log.csv"
        if log.is_file() or not self.best.is_file():  # models of regions have no epochs
            done = len(log.read_text(encoding="utf-8").splitlines()) - 1 if log.is_file() else 0
            facts["epochs"] = f"{done} of {config.get('epochs')} done"
        with suppress(OSError, ValueError):  # none yet
            score, epoch = (self.scores.get(name) for name in ("mean_iou", "epoch"))
            said = "no mean IoU" if score is None else f"val mean IoU {score:.4f}"
            facts["best"] = said if epoch is None else f"{said} at epoch {epoch}"
        if self.best.is_file():
            facts["model"] = str(self.best)
        return facts

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def state(self) -> Path:
        return self.path / "resume" / "state.pt"

    @property
    def scores(self) -> dict[str, Any]:
        """The best epoch's scores, as :meth:`fullconv.Scores.to_dict` gives them, with its number."""
        content: dict[str, Any] = json.loads((self.path / "scores.json").read_text(encoding="utf-8"))
        return content

    def segmenter(self, device: str = "auto", precision: str = "auto") -> Segmenter:
        """The best model of the run."""
        return load(self.best, device, precision)
