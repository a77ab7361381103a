"""LabelMe's JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fullconv.data.decode import image_size
from fullconv.data.description import Description
from fullconv.data.layouts.base import SPLIT_NAMES, Found, child, lines
from fullconv.data.regions import IGNORED, Drawing, Region, ring
from fullconv.data.spec import Item
from fullconv.errors import DataError, first_few
from fullconv.spec import ClassSet

BACKGROUND, UNLABELLED = "_background_", "__ignore__"
LINE_WIDTH, POINT_RADIUS = 10, 5


def recognise_labelme(root: Path, description: Description) -> Found | None:
    """LabelMe: one JSON file with ``shapes`` and ``imagePath`` for each image; ``labels.txt`` names the classes.

    Without ``labels.txt`` classes are the labels found, in alphabetical order, after the background. What no shape
    covers is background; ``__ignore__`` is unlabelled; shapes overlap in their order. Polygons, rectangles, circles,
    and the masks of LabelMe 5 are drawn, lines and points not: they have no inside.
    """
    folders = {split: folder for split, names in SPLIT_NAMES if (folder := child(root, names)) is not None}
    found = {split: _annotations(folder) for split, folder in folders.items()}
    if "train" not in found or not found["train"]:
        found = {"": _annotations(root)}
    files = [pair for pairs in found.values() for pair in pairs]
    if not files:
        return None
    names = _class_names(root, [content for _, content in files])
    ids = {name: index for index, name in enumerate(names)}
    skipped: list[str] = []
    splits = {split: [_item(path, content, ids, skipped) for path, content in pairs] for split, pairs in found.items()}
    reasons = [f"JSON files with shapes: LabelMe, drawn as LabelMe draws them, {len(names)} classes"]
    if skipped:
        reasons.append(f"{len(skipped)} shapes without an inside are left out ({first_few(skipped)})")
    return Found("labelme", reasons, splits, ClassSet(names))


def _annotations(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The folder's LabelMe files with their content."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: not readable JSON ({error}); save it again") from error
        if isinstance(content, dict) and {"shapes", "imagePath"} <= set(content):
            found.append((path, content))
    return found


def _class_names(root: Path, contents: list[dict[str, Any]]) -> tuple[str, ...]:
    listing = next((folder / "labels.txt" for folder in (root, root.parent) if (folder / "labels.txt").is_file()), None)
    if listing is not None:
        return tuple(name for name in lines(listing) if name != UNLABELLED)
    labels = {str(shape.get("label")) for content in contents for shape in content["shapes"]}
    return (BACKGROUND, *sorted(labels - {BACKGROUND, UNLABELLED}))


def _item(path: Path, content: dict[str, Any], ids: dict[str, int], skipped: list[str]) -> Item:
    image = path.parent / str(content["imagePath"]).replace("\\", "/")
    if not image.is_file():
        image = path.parent / image.name
    if not image.is_file():
        raise DataError(f"{path}: its image {content['imagePath']} is missing; put it beside, or correct imagePath")
    size = image_size(image)
    regions = []
    for number, shape in enumerate(content["shapes"]):
        label = str(shape.get("label"))
        if label not in ids and label != UNLABELLED:
            raise DataError(f"{path}: shape {number} has label {label!r}, which labels.txt does not name; add it there")
        region = _region(shape, ids.get(label, IGNORED), size)
        if region is None:
            skipped.append(f"{path.name} shape {number}")
        else:
            regions.append(region)
    background = ids.get(BACKGROUND, IGNORED)
    return Item(path.stem, image, labels=Drawing(str(path), size, tuple(regions), "labelme", background))


def _region(shape: dict[str, Any], label: int, size: tuple[int, int]) -> Region | None:
    """A shape as rings, as LabelMe's ``shape_to_mask`` draws it."""
    kind, points = shape.get("shape_type") or "polygon", np.asarray(shape.get("points", ()), float).reshape(-1, 2)
    if kind == "mask" and shape.get("mask") is not None:
        return Region(label, rle=_png_mask(shape["mask"], points, size))
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    elif kind == "circle" and len(points) == 2:
        radius, turns = float(np.hypot(*(points[1] - points[0]))), np.linspace(0, 2 * np.pi, 129)[:-1]
        points = points[0] + radius * np.stack([np.cos(turns), np.sin(turns)], 1)
    elif kind != "polygon":
        return None
    outline = ring(points)
    return None if outline is None else Region(label, (outline,))


def _png_mask(text: str, points: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """LabelMe 5's mask: a PNG in base64 that covers the box ``points``; as run lengths of the whole image."""
    import base64
    import io

    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        part = np.asarray(picture).astype(bool)
    left, top = (round(float(v)) for v in points[0])
    whole = np.zeros(size, bool)
    part = part[: size[0] - top, : size[1] - left]
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    flat = whole.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(size), "counts": [0, *runs] if flat[0] else runs}
