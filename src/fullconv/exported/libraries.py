"""The libraries of the extra ``export``, imported when they are needed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from fullconv.errors import UsageError


def library(name: str, what_for: str) -> Any:
    """A library of the extra.

    Args:
        name: of its module.
        what_for: what the user wants of it, for the message.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{what_for} needs {name}, which is not installed ({error}); pip install 'fullconv[export]'"
        ) from error


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
