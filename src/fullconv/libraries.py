"""Optional packages, imported when they are needed; where one is missing, which extra brings it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from fullconv.errors import UsageError

EXTRAS = {
    "cv2": ("opencv-contrib-python-headless", "weak"),
    "skimage": ("scikit-image", "weak"),
    "sklearn": ("scikit-learn", "regions"),
    "onnx": ("onnx", "export"),
    "onnxscript": ("onnxscript", "export"),
    "onnxruntime": ("onnxruntime", "export"),
    "openvino": ("openvino", "export"),
    "nncf": ("nncf", "export"),
    "shapely": ("shapely", "polygons"),
    "rasterio": ("rasterio", "polygons"),
    "pyogrio": ("pyogrio", "polygons"),
    "cvat_sdk": ("cvat-sdk", "cvat"),
    "fastapi": ("fastapi", "serve"),
    "uvicorn": ("uvicorn", "serve"),
    "prometheus_client": ("prometheus_client", "serve"),
    "python_multipart": ("python-multipart", "serve"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
    "wandb": ("wandb", "wandb"),
    "trackio": ("trackio", "trackio"),
}
"""Of a module: the package that it comes in, and the extra of ours that brings it."""


def library(name: str, what_for: str, extra: str = "") -> Any:
    """A module of an optional package.

    Args:
        name: of the module, one of :data:`EXTRAS` or within it.
        what_for: what the user wants of it, for the message.
        extra: a larger one to name there, which brings the other packages of the task too.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package, least = EXTRAS[name.partition(".")[0]]
        raise UsageError(
            f"{what_for} needs the package {package}, which is not installed ({error}); "
            f"pip install 'fullconv[{extra or least}]'"
        ) from error


def installed(name: str) -> bool:
    """Whether a module is there; a folder of that name without one is none (``tensorboard`` of a run folder)."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None
