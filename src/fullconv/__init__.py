"""fullconv: semantic segmentation, from a folder of images to a network that labels every pixel.

    import fullconv

    if __name__ == "__main__":  # in a script: reading processes import it again
        run = fullconv.train("my_photos", epochs=30)
        segmenter = fullconv.load(run.best)
        segmenter.predict("photo.jpg").save("photo.png")

Names are imported on first use, so that ``import fullconv`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullconv.checking.check import check
    from fullconv.cli.demo import demo
    from fullconv.cli.models import import_model, info
    from fullconv.crf import CRF, dense_crf
    from fullconv.evaluation.compare import compare
    from fullconv.evaluation.evaluate import evaluate
    from fullconv.evaluation.metrics import Scores
    from fullconv.exporting.export import export
    from fullconv.formats.convert import convert
    from fullconv.formats.open import open_dataset
    from fullconv.heatmapper import HeatMap, HeatMapper
    from fullconv.label_map import Prediction
    from fullconv.models import build_model
    from fullconv.models.catalogue import known_weights
    from fullconv.models.synsets import id_to_words, synsets
    from fullconv.prediction.files import predict
    from fullconv.prediction.heat_maps import heatmap
    from fullconv.prediction.pseudo_label import pseudo_label
    from fullconv.pretrained import load
    from fullconv.refinement import Superpixels
    from fullconv.reviewing.review import review
    from fullconv.segmenter import Segmenter
    from fullconv.serving.cvat_function import cvat_function
    from fullconv.serving.serve import serve
    from fullconv.spec import ClassSet, Preprocessing
    from fullconv.training import Run, TrainConfig, train
    from fullconv.training.recipes import recipes
    from fullconv.training.sweep import sweep
    from fullconv.views import Views

_HOMES = {
    "CRF": "fullconv.crf",
    "ClassSet": "fullconv.spec",
    "HeatMap": "fullconv.heatmapper",
    "HeatMapper": "fullconv.heatmapper",
    "Prediction": "fullconv.label_map",
    "Preprocessing": "fullconv.spec",
    "Run": "fullconv.training.run",
    "Scores": "fullconv.evaluation.metrics",
    "Segmenter": "fullconv.segmenter",
    "Superpixels": "fullconv.refinement",
    "TrainConfig": "fullconv.training.config",
    "Views": "fullconv.views",
    "build_model": "fullconv.models",
    "check": "fullconv.checking.check",
    "compare": "fullconv.evaluation.compare",
    "convert": "fullconv.formats.convert",
    "cvat_function": "fullconv.serving.cvat_function",
    "demo": "fullconv.cli.demo",
    "dense_crf": "fullconv.crf",
    "evaluate": "fullconv.evaluation.evaluate",
    "export": "fullconv.exporting.export",
    "heatmap": "fullconv.prediction.heat_maps",
    "id_to_words": "fullconv.models.synsets",
    "import_model": "fullconv.cli.models",
    "info": "fullconv.cli.models",
    "known_weights": "fullconv.models.catalogue",
    "load": "fullconv.pretrained",
    "open_dataset": "fullconv.formats.open",
    "predict": "fullconv.prediction.files",
    "pseudo_label": "fullconv.prediction.pseudo_label",
    "recipes": "fullconv.training.recipes",
    "review": "fullconv.reviewing.review",
    "serve": "fullconv.serving.serve",
    "sweep": "fullconv.training.sweep",
    "synsets": "fullconv.models.synsets",
    "train": "fullconv.training",
}

__all__ = [
    "CRF",
    "ClassSet",
    "HeatMap",
    "HeatMapper",
    "Prediction",
    "Preprocessing",
    "Run",
    "Scores",
    "Segmenter",
    "Superpixels",
    "TrainConfig",
    "Views",
    "build_model",
    "check",
    "compare",
    "convert",
    "cvat_function",
    "demo",
    "dense_crf",
    "evaluate",
    "export",
    "heatmap",
    "id_to_words",
    "import_model",
    "info",
    "known_weights",
    "load",
    "open_dataset",
    "predict",
    "pseudo_label",
    "recipes",
    "review",
    "serve",
    "sweep",
    "synsets",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fullconv' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
