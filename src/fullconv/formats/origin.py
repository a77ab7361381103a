"""Where masks come from, if a model made them (``provenance.json`` of ``fullconv pseudo-label``)."""

from __future__ import annotations

from pathlib import Path

from fullconv.errors import DataError
from fullconv.text import note, parse_json, read_text

PROVENANCE = "provenance.json"


def pseudo_labels(root: Path) -> list[str]:
    """A line about masks that a model made, where the folder says so."""
    path = root / PROVENANCE
    if not path.is_file():
        return []
    try:
        content = parse_json(read_text(path, DataError))
        predicted, own = content["images"]["predicted"], content["images"]["own_masks"]
        model = content["model"]["file"] or "a model in memory"
        void = content["pixels"]["void"] / max(content["pixels"]["predicted"], 1)
        masks = f"{predicted:d} of {predicted + own:d} masks"
        said = f"{masks} are pseudo-labels by {model}, {void:.1%} of their pixels are void"
    except (DataError, ValueError, LookupError, TypeError):
        note(path, used=False)  # another program's file of this name
        return []
    return [f"{PROVENANCE}: {said}"]
