"""Label Studio's JSON export: a list of tasks with their annotations.

Format: Label Studio's documentation, "Export annotations" and the pages of its tags; ``x`` and ``y`` of an ellipse are
its centre, whatever the page says. The licence is that of whoever made the labels.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fullconv.data.dataset import Item
from fullconv.data.drawing import Annotations
from fullconv.data.sources import FileImage
from fullconv.errors import DataError, first_few, plural
from fullconv.formats.description import Description
from fullconv.formats.problems import Problems
from fullconv.formats.read.base import Found, child, image_files
from fullconv.formats.read.exports import classes_of, inside, marked, split_in_words
from fullconv.formats.read.label_studio_results import DRAWN, annotation_of, labels_of, other_labels
from fullconv.formats.read.names import Names, composed, spot
from fullconv.images.files import IMAGE_SUFFIXES, drawn_size
from fullconv.palette import is_background
from fullconv.text import head_of, parse_json, read_text

FEW = 20
RULES = (
    "the first that is not cancelled (none is marked as ground truth)",
    "the one marked as ground truth",
    "the first of those marked as ground truth",
)
"""Which of several annotations counts where none, one or more are marked."""
UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
BRUSH_PNG = "task-*-annotation-*-by-*.png"
PNG_FOLDERS = ("masks", "mask", "labels", "annotations")
BITMAPS = ("bitmask", "bitmasklabels")
Task = dict[str, Any]


def recognise_label_studio(root: Path, description: Description, problems: Problems) -> Found | None:
    """Label Studio: the JSON export, images in ``images`` or beside; several exports are splits by their names.

    Polygons, brushes, rectangles and ellipses are drawn in their order, later over earlier; points and choices (tags)
    are kept, and not drawn; other results are left out. Of several annotations of a task the first marked as ground
    truth counts, else the first that is not cancelled. Classes are the labels found, in alphabetical order, after the
    background. "Brush labels to PNG" is refused: its names hold no image.
    """
    exports = _exports(root)
    if not exports:
        folders = (root, child(root, PNG_FOLDERS))
        picture = next((p for folder in folders if folder for p in folder.glob(BRUSH_PNG)), None)
        if picture is not None:
            raise DataError(
                f"{picture}: Label Studio's 'Brush labels to PNG' names tasks, not images; export as 'JSON' (it holds "
                "the same brushes) and put it beside images/"
            )
        return None
    if len(exports) > 1 and not all(split_in_words(path.stem) for path in exports):
        raise DataError(
            f"{root}: {len(exports)} Label Studio exports ({first_few([path.name for path in exports])}); keep one, or "
            "name them train.json and val.json"
        )
    reasons = ["JSON list of tasks: Label Studio, regions in their order, drawn by Pillow with their outlines"]
    chosen = {path: _chosen(path, tasks, reasons) for path, tasks in exports.items()}
    first = next(iter(exports))
    results = [result for pairs in chosen.values() for _, results in pairs for result in results]
    drawn = {name for result in results for name in labels_of(result)[:1]}
    labels = sorted(drawn or {name for result in results for name in other_labels(result)[:1]})
    labels.sort(key=lambda label: not is_background(label))
    classes, background = classes_of(labels, (), description, first, reasons)
    ids = {label: classes.names.index(label) for label in labels}
    images, left_out = _Images(root), Counter[str]()
    splits: dict[str, list[Item]] = {}
    for path, pairs in chosen.items():
        split = split_in_words(path.stem) if len(exports) > 1 else ""
        members = splits.setdefault(split, [])
        for task, results in pairs:
            with problems.catching("unreadable"):
                members.append(_item(path, task, results, images, ids, background, left_out))
    if left_out:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items()))
        reasons.append(f"results that are not labelled regions are in the label map left out: {counts}")
    boxes = sum(result.get("type") == "rectanglelabels" and bool(labels_of(result)) for result in results)
    if boxes:
        reasons.append(f"{boxes} rectangles are boxes, filled in the label map")
    return Found("label_studio", reasons, marked(splits, reasons), classes)


def _exports(root: Path) -> dict[Path, list[Task]]:
    """The folder's JSON exports; a folder of many JSON files has one per image, and is not looked into."""
    paths = sorted(root.glob("*.json"))
    found: dict[Path, list[Task]] = {}
    for path in paths if len(paths) <= FEW else ():
        head = head_of(path)
        if not (head.startswith("[") and head[1:].lstrip().startswith("{")):
            continue
        text = read_text(path)
        try:
            tasks = parse_json(text)
        except ValueError as error:
            if '"annotations"' not in head and '"annotation_id"' not in head:
                continue
            raise DataError(f"{path}: not readable JSON ({error}); export it again") from error
        if all(isinstance(task, dict) and {"annotator", "annotation_id"} <= set(task) for task in tasks):
            raise DataError(f"{path}: Label Studio's 'JSON-MIN', which merges the annotations; export as 'JSON'")
        if all(isinstance(t, dict) and {"data", "predictions"} <= set(t) and "annotations" not in t for t in tasks):
            raise DataError(
                f"{path}: tasks to import into Label Studio, with predictions and no annotations yet; put its export, "
                "as 'JSON', in this file's place"
            )
        if all(isinstance(t, dict) and isinstance(t.get("annotations"), list) and "data" in t for t in tasks):
            found[path] = tasks
    return found


def _chosen(path: Path, tasks: list[Task], reasons: list[str]) -> list[tuple[Task, list[dict[str, Any]]]]:
    """Tasks with the results of the annotation that counts."""
    found, rules, predictions = [], Counter[str](), 0
    for task in tasks:
        wrong = [e for e in task["annotations"] if not isinstance(e, dict) or not isinstance(e.get("result", []), list)]
        if wrong:
            raise DataError(f"{path}: task {task.get('id')} has an annotation without a list of results; export again")
        valid = [entry for entry in task["annotations"] if not entry.get("was_cancelled")]
        truth = [entry for entry in valid if entry.get("ground_truth") is True]
        predictions += not valid and bool(task.get("predictions"))
        if len(valid) > 1:
            rules[RULES[min(len(truth), 2)]] += 1
        if valid:
            chosen = (truth or valid)[0]
            found.append((task, [result for result in chosen.get("result", []) if isinstance(result, dict)]))
    for task, results in found:
        bitmap = next((result["type"] for result in results if result.get("type") in BITMAPS), None)
        if bitmap:
            raise DataError(f"{path}: task {task.get('id')} holds a {bitmap}, which is not read; use BrushLabels")
    if not found:
        raise DataError(f"{path}: none of its tasks ({len(tasks)}) has an annotation; label some, and export again")
    if len(found) < len(tasks):
        more = f", {predictions} of them with predictions only" if predictions else ""
        left = plural(len(tasks) - len(found), "task without an annotation (or cancelled)", "is")
        reasons.append(f"{path.name}: {left} left out{more}")
    several = ", ".join(f"{count} {rule}" for rule, count in rules.items())
    if rules:
        reasons.append(
            f"{path.name}: {plural(sum(rules.values()), 'task', 'has')} several annotations, of which one counts: "
            f"{several}"
        )
    empty = sum(not any(labels_of(result) for result in results) for _, results in found)
    if empty:
        reasons.append(
            f"{path.name}: {plural(empty, 'annotation', 'holds')} no region: all of such an image is what no region "
            "covers"
        )
    double = sum(len(labels_of(result)) > 1 for _, results in found for result in results)
    if double:
        reasons.append(f"{path.name}: {plural(double, 'region', 'has')} several labels; the first counts")
    return found


class _Images:
    """The image files by name, those of ``images`` before those beside the export."""

    def __init__(self, root: Path) -> None:
        self.root = root
        folder = child(root, ("images",))
        by_name: dict[str, list[Path]] = {}
        beside = [p for p in sorted(root.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        for path in [*(image_files(folder) if folder else ()), *beside]:
            by_name.setdefault(composed(path.name), []).append(path)
        self.by_name = Names(by_name.items())
        self.used: dict[Path, Any] = {}

    def find(self, path: Path, task: Task) -> Path:
        """The image of a task, by the base name of one of its data, with or without the prefix of an upload.

        Raises:
            DataError: none is named or there, several have the name, or it is another task's.
        """
        number, data = task.get("id"), task["data"]
        values = [*(data.values() if isinstance(data, dict) else ()), task.get("file_upload")]
        named = [place for value in values if (place := _place(value)) is not None]
        if not named:
            raise DataError(f"{path}: task {number} names no image file (one image a task is expected)")
        name = named[0].name
        parts = named[0].parts
        ends = (spot(self.root.joinpath(*parts[start:])) for start in range(len(parts)))
        there = next((end for end in ends if end is not None and end.is_file()), None)
        known = self.by_name
        found = [there] if there else known.get(name) or known.get(UPLOAD_PREFIX.sub("", name)) or []
        if not found:
            raise DataError(f"{path}: the image {name} of task {number} is missing; put it into images/")
        if len(found) > 1 and found[0].parent != self.root and found[1].parent != self.root:
            raise DataError(
                f"{path}: {len(found)} files of images/ are named {found[0].name}; give them different names"
            )
        if found[0] in self.used:
            other = self.used[found[0]]
            raise DataError(f"{path}: tasks {other} and {number} are both of {found[0].name}; remove one, export again")
        self.used[found[0]] = number
        return found[0]


def _place(value: object) -> PurePosixPath | None:
    """The path in a path or an address, where it is that of an image; it leads nowhere outside."""
    if not isinstance(value, str):
        return None
    parts = urlsplit(value)
    local = parse_qs(parts.query).get("d")  # local storage: /data/local-files/?d=folder/name.jpg
    place = inside(local[0] if local else unquote(parts.path))
    return place if place.suffix.lower() in IMAGE_SUFFIXES else None


def _item(
    path: Path,
    task: Task,
    results: list[dict[str, Any]],
    images: _Images,
    ids: dict[str, int],
    background: int,
    left_out: Counter[str],
) -> Item:
    image = images.find(path, task)
    where = f"{path}: task {task.get('id')}"
    sides = next(((r.get("original_height"), r.get("original_width")) for r in results), (None, None))
    size, _ = drawn_size(image, sides)
    items, objects, groups = [], dict[str, int](), dict[str, int]()
    for result in results:
        try:
            item = annotation_of(result, ids, size, where)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{where}: result {result.get('id')} cannot be read ({type(error).__name__}: {error}); export it again"
            ) from error
        if item is None or not item.drawn:
            kind = str(result.get("type"))
            left_out[f"{kind} without a label or an inside" if kind in DRAWN else kind] += 1
        if item is None:
            continue
        instance = objects.setdefault(str(result.get("id", len(objects))), len(objects))
        parent = result.get("parentID")
        group = None if parent is None else groups.setdefault(str(parent), len(groups))
        items.append(replace(item, instance=None if item.kind == "tag" else instance, group=group))
    annotations = Annotations(where, size, tuple(items), "labelme", background, image=image)
    return Item(image.stem, FileImage(image), annotations)
