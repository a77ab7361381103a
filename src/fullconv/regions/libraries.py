"""The libraries of the extra ``regions``, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from fullconv.errors import UsageError

PACKAGES = {"cv2": "opencv-contrib-python-headless", "skimage": "scikit-image", "sklearn": "scikit-learn"}
"""Which package brings a module."""


def library(name: str, what_for: str) -> Any:
    """A module of the extra.

    Args:
        name: of the module.
        what_for: what the user wants of it, for the message.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = PACKAGES[name.partition(".")[0]]
        raise UsageError(
            f"{what_for} needs the package {package}, which is not installed ({error}); pip install 'fullconv[regions]'"
        ) from error
