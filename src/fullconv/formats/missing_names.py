"""Masks that hold more ids than classes are named: one line that says how many names are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fullconv.errors import first_few, plural
from fullconv.formats.contents import Contents, inspect_masks
from fullconv.formats.problems import Problems
from fullconv.images.encoding import MaskEncoding

MOST_IDS = 20


def refuse_missing_names(
    root: Path, masks: Sequence[Path], inspected: Sequence[Contents], encoding: MaskEncoding, names: int,
    problems: Problems,
) -> None:  # fmt: skip
    """A problem where ids go on behind the last that has a name; stray ones are named with their mask where it is read.

    Args:
        root: the data set.
        masks: all of them; read only where some of ``inspected`` hold such ids.
        inspected: what some masks hold.
        encoding: how they are read, by numbers; with the file that names the classes.
        names: how many classes it names.
    """
    if not encoding.named_in or encoding.values or encoding.colours or problems.asked():
        return
    if not _missing(inspected, encoding, names):
        return
    if len(inspected) < len(masks):
        inspected = inspect_masks(masks, problems, len(masks), needed=False)
    missing = _missing(inspected, encoding, names)
    if not missing:
        return
    known = set(range(missing[-1] + 1)) | _void(encoding)
    holders = [found for found in inspected if set(found.values) & set(missing)]
    values = f"values {missing[0]} to {missing[-1]} have none" if len(missing) > 1 else f"value {missing[0]} has none"
    listing, description = root / encoding.named_in, root / "dataset.yaml"
    add = ("it" if len(missing) == 1 else "them") + (" to classes" if listing == description else ", a line each")
    void = sorted(_void(encoding) & {value for found in inspected for value in found.values})
    ids = first_few([str(value) for value in (*missing, *void)], MOST_IDS)
    problems.report(
        "names",
        f"{listing}: names {plural(names, 'class')}, for values from 0 to {names - 1}: "
        f"{plural(len(missing), 'name', 'is')} missing, {values} (in {len(holders)} of {len(inspected)} masks, such as "
        f"{holders[0].mask.path.name})",
        f"add {add}, or, where such pixels have no label, write 'ignore: [{ids}]' into {description}",
        [Path(found.path) for found in holders if set(found.values) <= known],
    )


def _void(encoding: MaskEncoding) -> set[int | float]:
    return {255, 65535} if encoding.void_values is None else set(encoding.void_values)


def _missing(inspected: Sequence[Contents], encoding: MaskEncoding, names: int) -> list[int]:
    """The ids from the first without a name to the largest up to which at least half are in use."""
    held = {value for found in inspected for value in found.values}
    more = sorted(int(value) for value in held - _void(encoding) if value >= names)
    ends = [value + 1 for used, value in enumerate(more, 1) if 2 * used > value - names]
    return list(range(names, ends[-1])) if ends else []
