"""A figure for each class: a tuple in the order of their ids, whose entries have names too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

from fullconv.spec import ClassSet


class PerClass(tuple[float, ...]):
    """``figures[3]`` is that of class 3, ``figures["road"]`` that of the class of this name.

    In all else it is the tuple; it shows itself with the names.

    Attributes:
        classes: whose figures they are.
    """

    classes: ClassSet

    def __new__(cls, figures: Iterable[float], classes: ClassSet | None = None) -> Any:
        """The figures in the order of ids; a plain tuple where nothing is said of classes (``dataclasses.asdict``)."""
        if classes is None:
            return tuple(figures)
        made = super().__new__(cls, figures)
        made.classes = classes
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.classes  # for copies and pickles

    def __repr__(self) -> str:
        named = zip(self.classes.names, self, strict=True)
        return f"PerClass({', '.join(f'{name} {figure:.4f}' for name, figure in named)})"

    @overload
    def __getitem__(self, place: str | SupportsIndex) -> float: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...

    def __getitem__(self, place: str | SupportsIndex | slice) -> float | tuple[float, ...]:
        """Of a class by name or id; a slice is a plain tuple.

        Raises:
            UsageError: no class has this name; the nearest are given.
        """
        return super().__getitem__(self.classes.ids([place])[0] if isinstance(place, str) else place)
