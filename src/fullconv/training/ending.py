"""The last lines of a run: where its pictures lie, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullconv.terminal import program
from fullconv.training.config import TrainConfig
from fullconv.training.run import Run


def ending(run: Run, data: str, masks: bool = True) -> list[str]:
    """Where pictures and curves are, and the next two commands.

    Args:
        data: how the data was named; where it was made in Python (empty), nothing can be typed with it, and ``Run``
            says where all lies.
        masks: whether the val images have masks, which ``evaluate`` needs.
    """
    if not data:
        return []
    shown = (("pictures", sheet(run)), ("pictures", run.path / "pictures/val.png"), ("curves", run.path / "curves.png"))
    lines = [f"{what}: {path}" for what, path in shown if path.is_file()]
    model, data = shlex.quote(str(run.path)), shlex.quote(data)
    first = f"evaluate {model} {data}" if masks else f"pseudo-label {model} {data} --out labelled"
    ours = program()
    return [*lines, "next:", f"  {ours} {first}", f"  {ours} predict {model} PHOTOS --out masks --overlay"]


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
