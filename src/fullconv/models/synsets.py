"""The ImageNet-1k classes and their WordNet ancestors: from a name to the classes that it covers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fullconv.errors import UsageError, first_few


@dataclass(frozen=True)
class Synset:
    """A set of synonyms.

    Attributes:
        id: WordNet id, ``n02084071``.
        words: its synonyms, ``dog, domestic dog, Canis familiaris``.
        children: ids of the synsets one step below, in ImageNet's order.
        index: the ImageNet-1k class (0 to 999), or None for an ancestor.
    """

    id: str
    words: str
    children: tuple[str, ...]
    index: int | None


@cache
def all_synsets() -> dict[str, Synset]:
    """All of them by id: 1,000 classes and 860 ancestors.

    Source: WordNet 3.0 (see ``tables/LICENSE.wordnet``), the ILSVRC 2012 classes.
    """
    text = (files("fullconv.models") / "tables" / "synsets.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {
        name: Synset(name, words, tuple(children.split()), int(index) if index else None)
        for name, index, words, children in rows
    }


def synsets(name: str) -> dict[int, str]:
    """The ImageNet-1k classes at or below a synset: ``{251: "dalmatian, coach dog, carriage dog", 268: ...}``.

    Args:
        name: a WordNet id (``n02084071``) or a word (``dog``), as :func:`find_synset` takes it.

    Returns:
        Words by class id (0 to 999), depth first in ImageNet's order.

    Raises:
        UsageError: there is no such synset.
    """
    return {index: id_to_words(index) for index in classes_of([find_synset(name)])}


def id_to_words(index: int) -> str:
    """The words of an ImageNet-1k class: ``id_to_words(251)`` is ``"dalmatian, coach dog, carriage dog"``.

    Raises:
        UsageError: not a class from 0 to 999.
    """
    words = _words_by_id()
    if index not in words:
        raise UsageError(f"ImageNet's classes are numbered 0 to 999, found {index}")
    return words[index]


def find_synset(name: str) -> Synset:
    """A synset by id (``n02084071``), by its words, or by any one of them (``dog``; case does not matter).

    Raises:
        UsageError: there is none; it names the nearest.
    """
    return called(name)[0]


def called(name: str) -> list[Synset]:
    """All synsets of a name, the one that is most likely meant first.

    That is the one of which it is the first word, then the one that covers the most classes.

    Raises:
        UsageError: there is none; it names the nearest.
    """
    if not isinstance(name, str):
        raise UsageError(f"a synset is a WordNet id such as n02084071, or a word, found {str(name)[:60]!r}")
    table = all_synsets()
    if name in table:
        return [table[name]]
    wanted = name.strip().lower()
    found = [s for s in table.values() if wanted == s.words.lower() or wanted in _words(s)]
    if found:
        return sorted(found, key=lambda s: (_words(s)[0] == wanted, len(classes_of([s]))), reverse=True)
    vocabulary = {word for s in table.values() for word in _words(s)} | set(table)
    near = difflib.get_close_matches(wanted, vocabulary, 4, cutoff=0.6)
    hint = f"did you mean {first_few(near)}?" if near else "give a WordNet id such as n02084071, or a word"
    raise UsageError(f"no synset is called {name!r}; {hint}")


def classes_of(chosen: Sequence[Synset]) -> list[int]:
    """The ImageNet-1k classes at or below any of the synsets, depth first in ImageNet's order, each once."""
    table, pending, seen = all_synsets(), list(reversed(chosen)), set()
    indices: list[int] = []
    while pending:
        synset = pending.pop()
        if synset.id in seen:
            continue
        seen.add(synset.id)
        if synset.index is not None:
            indices.append(synset.index)
        pending.extend(table[child] for child in reversed(synset.children))
    return indices


@cache
def _words_by_id() -> dict[int, str]:
    return {s.index: s.words for s in all_synsets().values() if s.index is not None}


def _words(synset: Synset) -> list[str]:
    return [word.strip() for word in synset.words.lower().split(",")]
