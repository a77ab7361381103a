"""The model card that lies beside a model: front matter that programs read, and text for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from fullconv.errors import plural

LICENCES = (
    "apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "openrail", "gpl-3.0", "agpl-3.0",
)  # fmt: skip
"""Identifiers of the Hub, which are small."""
SCORES = {
    "mean_iou": "mean IoU", "fw_iou": "frequency-weighted IoU", "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
}  # fmt: skip
FILE = "README.md"
Header = Mapping[str, Any]
"""What a model says of itself: :meth:`fullconv.Segmenter.header`."""


def card_of(header: Header, name: str, files: Sequence[str]) -> str:
    """``README.md``.

    Args:
        name: of the model, the folder's.
        files: what else lies in the folder.
    """
    front = yaml.safe_dump(_front_matter(header, name), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{_text(header, name, files)}"


def licence_of(header: Header) -> dict[str, str]:
    """``license`` of the front matter, with ``license_name`` where the Hub has no identifier.

    That of the weights, if no terms of the data are known; both have to be read where some are.
    """
    stated, data = header.get("weights_licence") or "", str(header["provenance"].get("data_licence", ""))
    plain = stated.split(" (")[0].strip().lower()
    if not data and (not stated or plain == "not stated"):
        return {"license": "unknown"}
    if plain in LICENCES and not data:
        return {"license": plain}
    return {"license": "other", "license_name": f"weights: {stated or 'not stated'}; data: {data or 'not stated'}"}


def licence_note(header: Header) -> list[str]:
    """What whoever shares the folder has to decide."""
    found = licence_of(header)["license"]
    if found in ("unknown", "other"):
        return [f"{FILE} says license: {found}; the terms are for you to state before you share it"]
    return []


def scores_of(header: Header) -> dict[str, float]:
    """Scores on val that training kept, by their names in it."""
    found = header["provenance"].get("scores")
    known = found if isinstance(found, dict) else {}
    values = {name: known.get(name) for name in SCORES}
    return {n: float(v) for n, v in values.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def _front_matter(header: Header, name: str) -> dict[str, Any]:
    model = header["model"]
    said: dict[str, Any] = {
        **licence_of(header), "library_name": "fullconv", "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", model["name"], model["encoder"]],
    }  # fmt: skip
    if scores := scores_of(header):
        data = str(header["provenance"].get("data") or "not stated")
        said["model-index"] = [{
            "name": name,
            "results": [{
                "task": {"type": "image-segmentation", "name": "semantic segmentation"},
                "dataset": {"name": data, "type": data, "split": "val"},
                "metrics": [{"type": key, "value": value, "name": SCORES[key]} for key, value in scores.items()],
            }],
        }]  # fmt: skip
    return said


def _text(header: Header, name: str, files: Sequence[str]) -> str:
    model, classes, provenance = header["model"], header["classes"], header["provenance"]
    rows = [
        f"| {index} | {name.replace('|', '/')} | `#{r:02x}{g:02x}{b:02x}` |"
        for index, (name, (r, g, b)) in enumerate(zip(classes["names"], classes["palette"], strict=True))
    ]
    channels = len(header["preprocessing"]["mean"])
    parts = [
        f"# {name}",
        f"Semantic segmentation: {model['name']} on {model['encoder']}, {plural(len(rows), 'class')}, "
        f"{plural(channels, 'channel')}. Files: {', '.join(files)}.",
        "With fullconv installed:\n\n    fullconv predict . photos --out masks",
        "## Classes", "\n".join(["| id | name | colour |", "|---|---|---|", *rows]),
        f"Id {classes['ignore_index']} is no class: pixels that were not counted.",
        "## Input", f"`{json.dumps(header['preprocessing'])}`: bytes are divided by 255, then normalised.",
        "## Scores", _scores(header),
        "## Training", _training(header, files),
        "## Licences",
        f"- of the weights that training started from: {header.get('weights_licence') or 'not stated'}\n"
        f"- of the data: {provenance.get('data_licence') or 'not stated'}",
        "## Provenance", f"```json\n{json.dumps(_known(provenance), indent=2, ensure_ascii=False)}\n```",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _scores(header: Header) -> str:
    provenance = header["provenance"]
    scores, bounds = scores_of(header), provenance.get("intervals")
    if not scores:
        return "None are known."
    against = f" (against {provenance['scored_against']})" if "scored_against" in provenance else ""
    chosen = "; val also chose the epoch, so they are a little too good" if "epoch" in provenance else ""
    rows = [f"| {SCORES[key]} | {value:.4f} | {_interval(bounds, key)} |" for key, value in scores.items()]
    return "\n".join([
        f"On val{against}, as training kept them{chosen}.", "",
        "| score | | range (95 %) |", "|---|---|---|", *rows, "",
        "The range is that of the score over all images of the kind of val, of which val is a sample (95 %, by the "
        "bootstrap over its images). It leaves out that another training would score otherwise. How the model does on "
        "other data is not known.",
    ])  # fmt: skip


def _known(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Without intervals that too few images could not give."""
    bounds = provenance.get("intervals")
    if not isinstance(bounds, dict):
        return dict(provenance)
    known = {name: ends for name, ends in bounds.items() if None not in ends}
    rest = {name: said for name, said in provenance.items() if name != "intervals"}
    return {**rest, "intervals": known} if known else rest


def _interval(bounds: object, name: str) -> str:
    if not isinstance(bounds, dict) or name not in bounds:
        return "not known"
    low, high = bounds[name]
    return "too few images" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _training(header: Header, files: Sequence[str]) -> str:
    provenance = header["provenance"]
    data, images = provenance.get("data") or "not known", provenance.get("train_images")
    said = [
        f"By fullconv {header.get('fullconv', '?')} on {data}"
        + (f", {images} image{'s' * (images != 1)}." if images else ".")
    ]
    options = provenance.get("options")
    if isinstance(options, dict):
        told = ", ".join(f"{name} {value}" for name, value in options.items())
        said.append(f"Options other than the defaults: {told or 'none'}.")
    else:
        said.append("With which options is not known.")
    if "config.yaml" in files:
        said.append("Again: `fullconv train DATA --config config.yaml`.")
    return " ".join(said)
