"""``check``, ``convert``."""

from __future__ import annotations

from pathlib import Path

from fullconv.apps.verbs.shared import app, as_json, progress_bar
from fullconv.errors import DataError


@app.command
def check(data: str, /, *, json: Path | None = None, html: Path | None = None, fix: Path | None = None) -> int:
    """Read all of DATA and say what is in it, what would go wrong in training, and how to mend it.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
    json
        Also write the findings to this file.
    html
        Also write them to this file as a page with pictures; it needs no other file.
    fix
        Also write a mended copy of DATA to this new folder; DATA itself is never changed.
    """
    from fullconv.apps.tables import check_table
    from fullconv.data import check as read_all
    from fullconv.data.checking.mending import mend, refuse_existing
    from fullconv.data.checking.opening import open_for_check
    from fullconv.data.checking.page import write_page
    from fullconv.files import write_text

    spec, found = open_for_check(data)
    if fix is not None:
        refuse_existing(fix, spec)
    with progress_bar() as progress:
        report = read_all(spec, found=found, progress=progress)
    check_table(report)
    if json is not None:
        write_text(json, as_json(report.to_dict()))
    if html is not None:
        write_page(report, html)
        print(f"page: {html}")
    if fix is not None:
        print("\n".join(mend(report, fix).lines()))
    return DataError.exit_code if report.problems else 0


@app.command
def convert(data: str, out: Path, /, *, to: str = "folder", classes: str = "") -> int:
    """Write DATA in another layout into the new folder OUT, and say what the layout cannot hold.

    Parameters
    ----------
    data
        A folder of images and masks, an archive of one, several joined as A+B, an address of shards, or shapes.
    out
        The folder to make.
    to
        folder (holds everything), voc, cityscapes, coco, or webdataset (tar shards; holds everything).
    classes
        The classes of the copy by name, in the order of their ids: some of DATA's, or several as one, for example
        ``'road, vehicle=car+truck, rest=*'``, where ``*`` is what is not named. Others become void. By default all as
        they are.
    """
    from fullconv.data.convert import convert as write_all
    from fullconv.data.open import open_dataset

    spec = open_dataset(data)
    total = sum(len(items) for items in spec.splits.values())
    with progress_bar() as progress:
        told = None if progress is None else lambda count: progress(count, total)
        done = write_all(spec, out, to, told, classes=classes)
    print(f"{out}: {to}, " + ", ".join(f"{count} {split}" for split, count in done.images.items()))
    for line in (*spec.reasons, *done.notes):
        print(f"  {line}")
    return 0
