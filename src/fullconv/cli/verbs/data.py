"""``check``, ``convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fullconv.bars import Bar
from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Data
from fullconv.cli.verbs.shared import app, say, say_data, starting
from fullconv.errors import DataError

CHECK = (
    "fullconv check my_data",
    "fullconv check my_data --html check.html",
    "fullconv check my_data --fix my_data_fixed",
)
CONVERT = (
    "fullconv convert my_data my_data_coco --to coco",
    "fullconv convert my_data shards --to webdataset",
    "fullconv convert my_data streets --classes 'road, vehicle=car+truck, rest=*'",
)


@app.command(help_formatter=Help(*CHECK))
def check(
    data: Data,
    /,
    *,
    labels: Literal["masks", "boxes", "tags", "scribbles", "points", "auto"] = "auto",
    json: Path | None = None,
    html: Path | None = None,
    fix: Path | None = None,
) -> int:
    """Read all of DATA and say what is in it, what would go wrong in training, and how to fix it.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
    labels
        What the images shall teach with, as for train: what is missing or wrong for that is found.
    json
        Also write the findings to this file.
    html
        Also write them to this file as a page with pictures; it needs no other file.
    fix
        Also write a fixed copy of DATA to this new folder; DATA itself is never changed.
    """
    from fullconv.cli.tables import check_table

    with starting():
        from fullconv.checking.check import check as look
    with Bar("check", "pairs") as progress:
        report = look(data, labels=labels, json=json, html=html, fix=fix, progress=progress)
    check_table(report)
    if html is not None:
        say(f"page: {html}")
    for line in report.fixed:
        say(line)
    return DataError.exit_code if report.problems else 0


@app.command(help_formatter=Help(*CONVERT))
def convert(
    data: Data,
    out: Path,
    /,
    *,
    to: str = "folder",
    classes: str = "",
    tolerance: float | None = None,
    min_area: int = 0,
) -> int:
    """Write DATA in another layout into the new folder OUT, and say what the layout cannot hold.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
    out
        The folder to make.
    to
        folder (holds everything), webdataset (tar shards; holds everything), voc, cityscapes, coco, or back to the
        annotation tools: labelme, yolo, cvat (for images 1.1).
    tolerance
        Of labelme, yolo and cvat, in pixels: polygons that share their borders, of which corners that cut off less than
        its square go. By default outlines (of cvat: masks) show every pixel, exactly.
    min_area
        Of those, too, in pixels: smaller pieces become the neighbour with the longest shared border; the tolerance is 1
        then, if none is given. Needs the extra polygons.
    classes
        The classes of the copy by name, in the order of their ids: some of DATA's, or several as one, for example
        ``'road, vehicle=car+truck, rest=*'``, where ``*`` is what is not named. Others become void. By default all as
        they are.
    """
    with starting():
        from fullconv.formats.convert import convert as write
    with Bar("convert") as progress:
        done = write(data, out, to, classes=classes, tolerance=tolerance, min_area=min_area, progress=progress)
    say_data(done.source, done.reasons)
    say(f"{out}: {to}, " + ", ".join(f"{count} {split}" for split, count in done.images.items()))
    for line in done.notes:
        say(f"  {line}")
    return 0
