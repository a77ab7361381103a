"""The line about an option that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fullconv.training.option_names import near_options, synonyms_of

POSITIONAL = {
    "DATA": ("data", "dataset", "data_dir", "data_root", "root", "train_dir", "input", "i", "path"),
    "MODEL": ("model", "weights", "checkpoint", "ckpt", "w", "m", "load", "pretrained"),
    "IMAGES": ("images", "image", "source", "input", "i", "img", "files", "folder", "data"),
    "OUT": ("out", "output", "o", "output_dir", "save_dir"),
}
"""What stands without an option."""
QUIET = ("v", "verbose", "debug")


def unknown_option(verb: str, word: str, flags: Iterable[str], places: Sequence[str]) -> str:
    """One line on an option that the verb has not: what was meant.

    Args:
        verb: the verb; empty for the program itself.
        word: as typed, ``--lr`` or ``--lr=3``.
        flags: the options of the verb.
        places: what it takes without an option: ``DATA``, ``MODEL``, ...
    """
    typed = word.partition("=")[0]
    name = typed.lstrip("-").replace("-", "_").casefold()
    command = f"fullconv {verb}".strip()
    no = f"{verb or 'the program itself'} has no option {typed}"
    if name in QUIET:
        return f"{no}; all there is to say is said anyway, and fullconv --version says which version this is"
    known = {flag.lstrip("-").replace("-", "_"): flag for flag in flags}
    meant = [known[option] for option in synonyms_of(name) if option in known]
    if not meant and (place := next((p for p in places if name in POSITIONAL.get(p, ())), "")):
        return f"{no}; {place} stands without one: {command} {' '.join(places)}"
    meant = meant or [known[option] for option in near_options(name, known)]
    if meant:
        return f"{no}; did you mean {' or '.join(meant[:2])}? {command} --help lists them"
    return f"{no}; {command} --help lists them"
