"""What a model says of itself, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fullconv.errors import first_few
from fullconv.runner import Runner, TorchRunner
from fullconv.spec import ClassSet, Preprocessing
from fullconv.views import behind

NAMED = 8
"""So many classes are named."""


def facts(header: Mapping[str, Any], runner: Runner) -> dict[str, str]:
    """What people ask for first, ``{what: in words}``.

    Args:
        header: what a model file says (:meth:`fullconv.Segmenter.header`).
        runner: who computes it.
    """
    config, provenance = header["model"], header["provenance"]
    classes, preprocessing = ClassSet.from_dict(header["classes"]), Preprocessing.from_dict(header["preprocessing"])
    network = f"{config['name']} on {config['encoder']}"
    inner = behind(runner)
    if isinstance(inner, TorchRunner):
        network += f", {sum(weight.numel() for weight in inner.network.parameters()) / 1e6:.1f} M parameters"
    channels = f"{preprocessing.channels} channel{'s' if preprocessing.channels > 1 else ''}"
    values = preprocessing.values
    kind = f"range {values}" if values and values.range else "8 bits"
    size = "every image whole, at {} x {}".format(*preprocessing.resize) if preprocessing.resize else "any size"
    lines = {
        "network": network,
        "classes": f"{len(classes)}: {first_few(list(classes.names), NAMED)}",
        "input": f"{channels} of {kind}, {size}",
        "computed by": str(runner),
    }
    if trained := _trained(provenance):
        lines["trained"] = trained
    if header["weights_licence"]:
        lines["licence of the weights"] = header["weights_licence"]
    return lines


def sees(preprocessing: Preprocessing, runner: Runner) -> str:
    """How far a network sees."""
    if preprocessing.resize is not None:
        return "every image whole, at {} x {}: it never goes in tiles".format(*preprocessing.resize)
    return str(runner.context)


def in_lines(title: str, facts: Mapping[str, str]) -> str:
    """A title, and a line for each fact."""
    return "\n  ".join([title, *(f"{name}: {value}" for name, value in facts.items())])


def _trained(provenance: Mapping[str, Any]) -> str:
    """On what, and how good the model is; empty where nothing is known."""
    if "data" not in provenance:
        return str(provenance.get("source", ""))
    said = f"on {provenance['data']}"
    if "train_images" in provenance:
        said += f" ({provenance['train_images']} image{'s' * (provenance['train_images'] != 1)})"
    if "epoch" in provenance:
        said += f", epoch {provenance['epoch']}"
    score = (provenance.get("scores") or {}).get("mean_iou")
    against = f" against {provenance['scored_against']}" if "scored_against" in provenance else ""
    return said if score is None else f"{said}: val mean IoU {score:.4f}{against}"
