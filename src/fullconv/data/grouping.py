"""Other classes by name: some of a data set's own, in another order, or several as one."""

from __future__ import annotations

import dataclasses

from fullconv.data.dataset import DatasetSpec
from fullconv.data.mixing import relabelled
from fullconv.errors import UsageError, first_few
from fullconv.images.encoding import MaskEncoding
from fullconv.spec import ClassSet

REST = "*"


def regrouped(spec: DatasetSpec, text: str) -> DatasetSpec:
    """The data set with the classes that a text names, in its order; pixels of all others become void.

    Args:
        spec: any data set.
        text: ``road, vehicle=car+truck+bus, rest=*``: a class of the data set, or a new one made of several; ``*`` is
            every class that is not named. Case does not matter.

    Raises:
        UsageError: a name that the data set does not have, one named twice, or a group of which a part of a mixture
            labels some members only.
    """
    exact = {name: index for index, name in enumerate(spec.classes.names)}
    own = {name.casefold(): index for name, index in exact.items()}
    groups: dict[str, list[int]] = {}
    for entry in text.split(","):
        name, equals, members = (part.strip() for part in entry.partition("="))
        wanted = [member.strip() for member in members.split("+")] if equals else [name]
        strange = [member for member in wanted if member.casefold() not in own and member != REST]
        if not name or name in groups or strange or name == REST:
            wrong = f"there is no class {strange[0]!r}" if strange else f"{name!r} is empty or named twice"
            wrong = "write rest=*" if name == REST else wrong
            raise UsageError(f"--classes: {wrong}; the classes are {first_few(list(spec.classes.names), 40)}")
        groups[name] = [exact.get(member, own[member.casefold()]) for member in wanted if member != REST]
        if REST in wanted:
            groups[name] += [-1]
    named = [index for members in groups.values() for index in members]
    twice = sorted({index for index in named if named.count(index) > 1})
    if twice:
        name = "*" if twice[0] < 0 else spec.classes.names[twice[0]]
        raise UsageError(f"--classes: {name!r} is in two places; a pixel has one class")
    others = [index for index in exact.values() if index not in named]
    groups = {name: [i for i in members if i >= 0] + others * (-1 in members) for name, members in groups.items()}
    return _with_groups(spec, groups)


def _with_groups(spec: DatasetSpec, groups: dict[str, list[int]]) -> DatasetSpec:
    empty = [name for name, members in groups.items() if not members]
    if empty:
        raise UsageError(f"--classes: nothing is left for {empty[0]!r}; remove it")
    for row in spec.labelled or ():
        for name, members in groups.items():
            if len({row[index] for index in members}) > 1:
                raise UsageError(
                    f"--classes: a part of {spec.root} labels some members of {name!r} only; leave it ungrouped"
                )
    palette = [spec.classes.palette[members[0]] for members in groups.values()]
    classes = ClassSet(tuple(groups), tuple(palette) if len(set(palette)) == len(palette) else ())
    table = [classes.ignore_index] * len(spec.classes)
    for place, members in enumerate(groups.values()):
        for index in members:
            table[index] = place
    rows = spec.labelled and tuple(tuple(row[members[0]] for members in groups.values()) for row in spec.labelled)
    splits = {
        split: [
            relabelled(item, item.source, spec, tuple(table), len(classes), item.id)
            for item in items
            if rows is None or any(rows[item.source])
        ]
        for split, items in spec.splits.items()
    }
    gone = sum(map(len, spec.splits.values())) - sum(map(len, splits.values()))
    bare = [split for split, items in splits.items() if spec.splits[split] and not items]
    if bare:
        raise UsageError(f"--classes: no image of split {bare[0]} is labelled with any of them; name others")
    lost = [name for index, name in enumerate(spec.classes.names) if table[index] == classes.ignore_index]
    said = ", ".join(
        name if [spec.classes.names[i] for i in members] == [name]
        else f"{name} ({'+'.join(spec.classes.names[i] for i in members)})"
        for name, members in groups.items()
    )  # fmt: skip
    line = f"classes by name: {said}" + (f"; void now: {first_few(lost, 40)}" if lost else "")
    line += f"; {gone} images of parts that label none of them are left out" if gone else ""
    reasons = [*spec.reasons, line]
    return dataclasses.replace(
        spec, classes=classes, encoding=MaskEncoding(), splits=splits, declared=True,
        labelled=rows or None, reasons=tuple(reasons),
    )  # fmt: skip
