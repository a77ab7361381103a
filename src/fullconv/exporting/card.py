"""The model card of a folder for the Hugging Face Hub: front matter that programs read, and text for people."""

from __future__ import annotations

import json
import math
from typing import Any

import yaml

from fullconv.segmenter import Segmenter

LICENCES = (
    "apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "openrail", "gpl-3.0", "agpl-3.0",
)  # fmt: skip
"""Identifiers of the Hub, which are small."""
SCORES = {
    "mean_iou": "mean IoU", "fw_iou": "frequency-weighted IoU", "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
}  # fmt: skip


def card_of(segmenter: Segmenter, name: str, files: list[str]) -> str:
    """``README.md``.

    Args:
        name: of the model, the folder's.
        files: what else lies in the folder.
    """
    front = yaml.safe_dump(_front_matter(segmenter, name), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{_text(segmenter, name, files)}"


def licence_of(segmenter: Segmenter) -> dict[str, str]:
    """``license`` of the front matter, with ``license_name`` where the Hub has no identifier.

    That of the weights, if no terms of the data are known; both have to be read where some are.
    """
    stated, data = segmenter.licence, str(segmenter.provenance.get("data_licence", ""))
    plain = stated.split(" (")[0].strip().lower()
    if not data and (not stated or plain == "not stated"):
        return {"license": "unknown"}
    if plain in LICENCES and not data:
        return {"license": plain}
    return {"license": "other", "license_name": f"weights: {stated or 'not stated'}; data: {data or 'not stated'}"}


def licence_note(segmenter: Segmenter) -> list[str]:
    """What whoever shares the folder has to decide."""
    found = licence_of(segmenter)["license"]
    if found in ("unknown", "other"):
        return [f"README.md says license: {found}; the terms are for you to state before you share it"]
    return []


def scores_of(segmenter: Segmenter) -> dict[str, float]:
    """Scores on val that training kept, by their names in it."""
    found = segmenter.provenance.get("scores")
    known = found if isinstance(found, dict) else {}
    values = {name: known.get(name) for name in SCORES}
    return {n: float(v) for n, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def _front_matter(segmenter: Segmenter, name: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        **licence_of(segmenter), "library_name": "fullconv", "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", segmenter.config["name"], segmenter.config["encoder"]],
    }  # fmt: skip
    if scores := scores_of(segmenter):
        data = str(segmenter.provenance.get("data") or "not stated")
        said["model-index"] = [{
            "name": name,
            "results": [{
                "task": {"type": "image-segmentation", "name": "semantic segmentation"},
                "dataset": {"name": data, "type": data, "split": "val"},
                "metrics": [{"type": key, "value": value, "name": SCORES[key]} for key, value in scores.items()],
            }],
        }]  # fmt: skip
    return said


def _text(segmenter: Segmenter, name: str, files: list[str]) -> str:
    classes, provenance = segmenter.classes, segmenter.provenance
    rows = [
        f"| {index} | {name.replace('|', '/')} | `#{r:02x}{g:02x}{b:02x}` |"
        for index, (name, (r, g, b)) in enumerate(zip(classes.names, classes.palette, strict=True))
    ]
    scores = [f"| {SCORES[key]} | {value:.4f} |" for key, value in scores_of(segmenter).items()]
    against = f" (against {provenance['scored_against']})" if "scored_against" in provenance else ""
    parts = [
        f"# {name}",
        f"Semantic segmentation: {segmenter.config['name']} on {segmenter.config['encoder']}, "
        f"{len(classes)} classes, {segmenter.preprocessing.channels} channels. Files: {', '.join(files)}.",
        "    pip install fullconv\n    fullconv predict . photos --out masks",
        "## Classes", "\n".join(["| id | name | colour |", "|---|---|---|", *rows]),
        f"Id {classes.ignore_index} is no class: pixels that were not counted.",
        "## Input", f"`{json.dumps(segmenter.preprocessing.to_dict())}`: bytes are divided by 255, then normalised.",
        "## Scores",
        "\n".join([f"On val{against}, as training kept them:", "", "| score | |", "|---|---|", *scores])
        if scores else "None are known.",
        "## Licences",
        f"- of the weights that training started from: {segmenter.licence or 'not stated'}\n"
        f"- of the data: {provenance.get('data_licence') or 'not stated'}",
        "## Provenance", f"```json\n{json.dumps(provenance, indent=2, ensure_ascii=False)}\n```",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"
