"""Starting from a trained network whose classes are others: what belongs to a class is carried over by its name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fullconv.errors import first_few
from fullconv.models.network import SegmentationNetwork
from fullconv.models.weights import TransplantReport, transplant

FEW = 8
"""Classes that a line names."""


class ClassMatch(NamedTuple):
    """Which classes of a target are classes of a source.

    Attributes:
        places: ``{place in the target: place in the source}``.
        source, target: the names of both, in the order of their ids.
    """

    places: dict[int, int]
    source: tuple[str, ...]
    target: tuple[str, ...]

    @classmethod
    def of(cls, source: Sequence[str], target: Sequence[str]) -> ClassMatch:
        """By name: equal ones first, then those that differ in case or in the form of their accents only."""
        places = {i: source.index(name) for i, name in enumerate(target) if name in source}
        plain = [_plain(name) for name in source]
        for i, name in enumerate(target):
            same = [j for j, other in enumerate(plain) if other == _plain(name) and j not in places.values()]
            if i not in places and len(same) == 1:
                places[i] = same[0]
        return cls(places, tuple(source), tuple(target))

    def lines(self, every: bool) -> list[str]:
        """Classes carried over, new and left out; with ``every``, a line for each, with its places."""
        new = [name for i, name in enumerate(self.target) if i not in self.places]
        dropped = [name for j, name in enumerate(self.source) if j not in self.places.values()]
        if every:
            named = [
                f"  class    {name}: {f'{self.places[i]} -> {i}' if i in self.places else f'new, {i}'}"
                for i, name in enumerate(self.target)
            ]
            return [*named, *(f"  class    {name}: left out" for name in dropped)]
        lines = []
        if self.places:
            carried = [self.target[i] for i in sorted(self.places)]
            lines.append(f"  classes carried over by name ({len(carried)}): {first_few(carried, FEW)}")
        else:
            lines.append("  no class has the name of one that the source knows: all score layers start anew")
        if new:
            lines.append(f"  classes that start anew ({len(new)}): {first_few(new, FEW)}")
        if dropped:
            lines.append(f"  classes of the source left out ({len(dropped)}): {first_few(dropped, FEW)}")
        if new and dropped:
            lines.append("  a class that has only been renamed is carried over if the data give it its old name")
        return lines


def transplant_by_class(
    source: SegmentationNetwork,
    source_classes: Sequence[str],
    target: SegmentationNetwork,
    target_classes: Sequence[str],
) -> TransplantReport:
    """Copy every value of ``source`` that has a place in ``target``; along the classes, to the class of the same name.

    Which parameters run over the classes, and along which axes, the networks say (``class_axes``). Values of classes
    that only the target has stay as they are, also where they meet one of the others (a transposed convolution
    between classes). The rest is copied as by :func:`transplant`.
    """
    match = ClassMatch.of(source_classes, target_classes)
    values, places = source.state_dict(), target.state_dict()
    apart = {*source.class_axes, *target.class_axes}
    report = transplant({name: value for name, value in values.items() if name not in apart}, target)
    report.class_lines, report.every_class_line = match.lines(every=False), match.lines(every=True)
    for name, axes in target.class_axes.items():
        if name not in values:
            continue  # left: not in the source
        if source.class_axes.get(name) != axes:
            report.left[name] = "runs over the classes in another way in the source"
            continue
        value, place = source.by_class(name, values[name]), target.by_class(name, places[name])
        if any(a != b for i, (a, b) in enumerate(zip(value.shape, place.shape, strict=True)) if i not in axes):
            report.left[name] = f"shape {list(place.shape)}, the source has {list(value.shape)}"
            continue
        if not match.places:
            report.left[name] = "runs over the classes, of which the source has none by name"
            continue
        with torch.no_grad():
            places[name].copy_(target.from_class(name, _placed(value, place, axes, match)))
        del report.left[name]
        report.by_class.append(name)
    report.unused += [name for name in values if name in apart and name not in report.by_class]
    return report


def _placed(value: Tensor, place: Tensor, axes: tuple[int, ...], match: ClassMatch) -> Tensor:
    """``place`` with the values of the classes that both have."""
    taken = [np.arange(size) for size in value.shape]
    given = [np.arange(size) for size in place.shape]
    for axis in axes:
        given[axis] = np.array(list(match.places), dtype=np.int64)
        taken[axis] = np.array(list(match.places.values()), dtype=np.int64)
    result = place.clone()
    result[np.ix_(*given)] = value[np.ix_(*taken)].to(result)
    return result


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
