"""Data and options of short training runs."""

from __future__ import annotations

from fullconv.data import Shapes
from fullconv.formats.open import shapes_dataset
from fullconv.training.interrupt import InterruptRequest

DATA = shapes_dataset(Shapes(height=64, width=64, train=20, val=3))
SMALL = {
    "encoder": "resnet10t", "model": "fcn16s", "epochs": 3, "batch_size": 6, "workers": 0, "ema": 0.9,
    "optimizer": "adamw", "encoder_args": {"drop_path_rate": 0.2}, "clip_norm": 1.0, "quiet": True,
}  # fmt: skip
FOUR_SCENES = shapes_dataset(Shapes(height=32, width=32, train=4, val=1))
FEW_STEPS = {
    "encoder": "resnet10t", "model": "fcn4s", "epochs": 2, "batch_size": 2, "workers": 0, "ema": 0.9, "check": False,
    "optimizer": "adamw", "clip_norm": 1.0, "quiet": True, "precision": "fp32", "scale": (1, 1),
}  # fmt: skip


class Asked(InterruptRequest):
    """Ctrl-C after so many questions."""

    def __init__(self, left: int) -> None:
        self.left = left
        super().__init__()

    @property
    def asked(self) -> bool:
        self.left -= 1
        return self.left < 0

    @asked.setter
    def asked(self, value: bool) -> None: ...
