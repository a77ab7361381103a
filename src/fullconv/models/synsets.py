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
        children: ids of the synsets one step below.
        index: the ImageNet-1k class (0 to 999), or None for an ancestor.
    """

    id: str
    words: str
    children: tuple[str, ...]
    index: int | None


@cache
def synsets() -> dict[str, Synset]:
    """All of them by id: 1,000 classes and 860 ancestors.

    Source: WordNet 3.0 (see ``tables/LICENSE.wordnet``), the ILSVRC 2012 classes.
    """
    text = (files("fullconv.models") / "tables" / "synsets.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {
        name: Synset(name, words, tuple(children.split()), int(index) if index else None)
        for name, index, words, children in rows
    }


def find_synset(name: str) -> Synset:
    """A synset by id (``n02084071``), by its words, or by any one of them (``dog``; case does not matter).

    Of several synsets that share a word, the one of which it is the first word is taken, then the one that covers
    the most classes.

    Raises:
        UsageError: there is none; it names the nearest.
    """
    table = synsets()
    if name in table:
        return table[name]
    wanted = name.strip().lower()
    found = [s for s in table.values() if wanted == s.words.lower() or wanted in _words(s)]
    if found:
        return max(found, key=lambda s: (_words(s)[0] == wanted, len(classes_of([s]))))
    vocabulary = {word for s in table.values() for word in _words(s)} | set(table)
    near = difflib.get_close_matches(wanted, vocabulary, 4, cutoff=0.6)
    hint = f"did you mean {first_few(near)}?" if near else "give a WordNet id such as n02084071, or a word"
    raise UsageError(f"no synset is called {name!r}; {hint}")


def classes_of(chosen: Sequence[Synset]) -> list[int]:
    """The ImageNet-1k classes at or below any of the synsets, in order, each once."""
    table, pending, seen = synsets(), list(chosen), set()
    indices: set[int] = set()
    while pending:
        synset = pending.pop()
        if synset.id in seen:
            continue
        seen.add(synset.id)
        if synset.index is not None:
            indices.add(synset.index)
        pending.extend(table[child] for child in synset.children)
    return sorted(indices)


def _words(synset: Synset) -> list[str]:
    return [word.strip() for word in synset.words.lower().split(",")]
