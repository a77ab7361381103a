"""The last lines of a run: where its pictures lie, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullconv.data import Item
from fullconv.images.files import IMAGE_SUFFIXES
from fullconv.terminal import program
from fullconv.training.config import TrainConfig
from fullconv.training.run import Run


def ending(run: Run, data: str, masks: bool = True, val: Sequence[Item] = ()) -> list[str]:
    """Where pictures and curves are, and the next two commands.

    Args:
        data: how the data was named; where it was made in Python (empty), nothing can be typed with it, and ``Run``
            says where all lies.
        masks: whether the val images have masks, which ``evaluate`` needs.
        val: the val images, of which ``predict`` takes one; where it is not known which there are, none.
    """
    if not data:
        return []
    shown = (("pictures", sheet(run)), ("pictures", run.path / "pictures/val.png"), ("curves", run.path / "curves.png"))
    lines = [f"{what}: {path}" for what, path in shown if path.is_file()]
    model, data = shlex.quote(str(run.path)), shlex.quote(data)
    first = f"evaluate {model} {data}" if masks else f"pseudo-label {model} {data} --out labelled"
    ours = program()
    lines += ["next:", f"  {ours} {first}"]
    photos = _photos(val)
    return [*lines, f"  {ours} predict {model} {photos} --out predicted --overlay"] if photos else lines


def _photos(val: Sequence[Item]) -> str:
    """A val image that is a file, to be typed; empty where all are drawn, and there are no photos of such things."""
    if val and not any(item.image.files for item in val):
        return ""
    alone = (item.image.files[0] for item in val if len(item.image.files) == 1)
    return next((shlex.quote(str(file)) for file in alone if file.suffix.lower() in IMAGE_SUFFIXES), "PHOTOS")


def sheet(run: Run) -> Path:
    """The contact sheet of the best epoch, of the last one that was drawn where that was not."""
    best = run.path / f"pictures/epoch_{run.scores.get('epoch', 0):03d}.png"
    drawn = sorted(best.parent.glob("epoch_*.png"), key=lambda path: (len(path.name), path.name))
    return best if best.is_file() or not drawn else drawn[-1]


def what_is_left(run: Run, config: TrainConfig, precision: str, history: Sequence[Mapping[str, float]]) -> str:
    """What a run that went wrong has kept, and what to try."""
    advice = [f"a smaller --rate (it was {config.rate:g})"]
    advice += ["--clip-norm 1"] * (not config.clip_norm)
    advice += ["--precision fp32"] * (precision != "fp32")
    tried = ", ".join(advice[:-1]) + " or " * (len(advice) > 1) + advice[-1]
    if not history:
        return f"no epoch was finished, nothing is kept; try {tried}"
    kept = f"{run.path} keeps its models up to epoch {history[-1]['epoch']}"
    return f"{kept}; go on from them with --init-from {run.path} and {tried}"
