"""Masks that hold more ids than classes are named: one line that says how many names are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fullconv.errors import first_few, plural
from fullconv.formats.contents import Contents
from fullconv.formats.inspecting import inspect_masks
from fullconv.formats.problems import OpeningKind, Problems
from fullconv.images.encoding import MaskEncoding
from fullconv.palette import is_background

MOST_IDS = 20


def refuse_missing_names(
    root: Path, masks: Sequence[Path], inspected: Sequence[Contents], encoding: MaskEncoding,
    names: Sequence[str], problems: Problems,
) -> None:  # fmt: skip
    """A problem where ids go on behind the last that has a name; stray ones are named with their mask where it is read.

    A question where one name is missing: with an unnamed background at 0, it is the first, and all others are one off.

    Args:
        root: the data set.
        masks: all of them; read only where some of ``inspected`` hold such ids.
        inspected: what some masks hold.
        encoding: how they are read, by numbers; with the file that names the classes.
        names: those that it gives, for the ids 0, 1, ...
    """
    if not encoding.named_in or encoding.values or encoding.colours or problems.asked():
        return
    if not _missing(inspected, encoding, len(names)):
        return
    if len(inspected) < len(masks):
        inspected = inspect_masks(masks, problems, len(masks), needed=False, known=(encoding, len(names)))
    missing = _missing(inspected, encoding, len(names))
    if not missing:
        return
    known = set(range(missing[-1] + 1)) | _void(encoding)
    holders = [found for found in inspected if set(found.values) & set(missing)]
    listing, description = root / encoding.named_in, root / "dataset.yaml"
    void = sorted(_void(encoding) & {value for found in inspected for value in found.values})
    ids = first_few([str(value) for value in (*missing, *void)], MOST_IDS)
    ignore = f"where such pixels have no label, write 'ignore: [{ids}]' into {description}"
    where = f"in {len(holders)} of {len(inspected)} masks, such as {holders[0].mask.path.name}"
    named, last = f"{listing}: names {plural(len(names), 'class')}", missing[-1]
    zero = any(0 in found.values for found in inspected) and 0 not in _void(encoding)
    if len(missing) == 1 and zero and not is_background(names[0]):
        kind: OpeningKind = "background"
        entry = "entry of classes" if listing == description else "line"
        text = (
            f"{named}, and the masks hold values from 0 to {last} ({last} {where}); is 0 a background that has no name?"
        )
        fix = f"then write its name as the first {entry}, else the name of {last} as the last, or, {ignore}"
    else:
        kind = "names"
        values = f"values {missing[0]} to {last} have none" if len(missing) > 1 else f"value {last} has none"
        text = (
            f"{named}, for values from 0 to {len(names) - 1}: {plural(len(missing), 'name', 'is')} missing, {values} "
            f"({where})"
        )
        lines = "" if len(missing) == 1 else ", a line each"
        add = ("it" if len(missing) == 1 else "them") + (" to classes" if listing == description else lines)
        fix = f"add {add}, or, {ignore}"
    problems.report(kind, text, fix, [Path(found.path) for found in holders if set(found.values) <= known])


def _void(encoding: MaskEncoding) -> set[int | float]:
    return {255, 65535} if encoding.void_values is None else set(encoding.void_values)


def _missing(inspected: Sequence[Contents], encoding: MaskEncoding, names: int) -> list[int]:
    """The ids from the first without a name to the largest up to which at least half are in use."""
    held = {value for found in inspected for value in found.values}
    more = sorted(int(value) for value in held - _void(encoding) if value >= names)
    ends = [value + 1 for used, value in enumerate(more, 1) if 2 * used > value - names]
    return list(range(names, ends[-1])) if ends else []
