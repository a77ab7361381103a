"""Options that say something of another one, or do not go with it: refused before PyTorch is loaded, too."""

from __future__ import annotations

import os
from pathlib import Path

from fullconv.errors import UsageError
from fullconv.polygons.trace import TOLERANCE

INSTANCES = "instances.json"
"""Where the objects of all images are written."""
OF_ALL = f"{INSTANCES} holds the objects of all images; leave out --resume"


def refuse_alone(
    *,
    overlay: bool,
    overlay_classes: bool,
    polygons: bool,
    tolerance: float,
    min_area: int,
    instances: bool,
    views: bool,
    areas: str | os.PathLike[str] | None,
    resume: bool = False,
) -> None:
    """Of what ``predict`` is asked for.

    Args:
        overlay_classes, polygons, views: whether they are given.

    Raises:
        UsageError: an option without the one that it is of, or beside one that it does not go with; a folder where
            ``areas`` is to be written.
    """
    if overlay_classes and not overlay:
        raise UsageError("--overlay-classes says what --overlay paints; give --overlay too")
    if instances and views:
        raise UsageError("--instances finds objects in each image as it is; leave --scales and --flip out")
    if instances and resume:
        raise UsageError(OF_ALL)
    if not polygons and (tolerance != TOLERANCE or min_area):
        raise UsageError("--tolerance and --min-area say how polygons are made; give --polygons too")
    if areas is not None and Path(areas).is_dir():
        raise UsageError(f"--areas {areas} is a folder; name the CSV file to write")
