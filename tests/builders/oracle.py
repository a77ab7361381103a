"""A model that knows the truth, because its images show it, and fails in a chosen way on a grid of any stride."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

from fullconv.geometry import Window
from fullconv.models.context import Context
from fullconv.runner import RunModel
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

STEP = 20
"""Between the grey values of two classes."""
Change = Callable[[Tensor], Tensor]
"""``[n, classes, height, width]``, 1 where the truth is that class -> the same with faults."""


class Oracle:
    """A runner: the share of each class around every place of a grid."""

    precision = "fp32"
    device = torch.device("cpu")
    context = Context(0, True)
    side_by_side = False

    def __init__(self, classes: int, stride: int, change: Change | None) -> None:
        self.classes, self.coarsest_stride, self.change = classes, stride, change

    def __str__(self) -> str:
        return "an oracle"

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        truth = one_hot(pixels[:, 0].long() // STEP, self.classes).permute(0, 3, 1, 2).float()
        changed = self.change(truth) if self.change else truth
        return 20 * avg_pool2d(changed, self.coarsest_stride), Window(0, 0, *pixels.shape[2:])

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        raise AssertionError


def oracle(names: Sequence[str], stride: int = 1, change: Change | None = None) -> Segmenter:
    runner = Oracle(len(names), stride, change)
    model = RunModel(runner, {"name": "oracle", "encoder": "none", "model_args": {}})
    return Segmenter(model, ClassSet(tuple(names)), Preprocessing())


def shown(root: Path, names: Sequence[str], labels: Sequence[np.ndarray]) -> Path:
    """A folder of masks, all of them val, and of images that show them in grey; 255 is void."""
    for index, ids in enumerate(labels):
        grey = np.where(ids == 255, 0, ids * STEP).astype(np.uint8)
        for folder, values in (("images", np.repeat(grey[..., None], 3, 2)), ("masks", ids)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / folder / f"{index}.png")
    (root / "val.txt").write_text("".join(f"{index}\n" for index in range(len(labels))))
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": list(names)}))
    return root
