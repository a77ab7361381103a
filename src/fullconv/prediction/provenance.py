"""Where labels come from: which model made them, of which data, how."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fullconv.data.dataset import DatasetSpec
from fullconv.exported.runners import ExportedRunner
from fullconv.model_file import model_file
from fullconv.pretrained import find_model
from fullconv.runner import TorchRunner
from fullconv.segmenter import Segmenter
from fullconv.views import behind


def provenance_of(
    segmenter: Segmenter, model: Segmenter | str | os.PathLike[str], data: str | os.PathLike[str] | DatasetSpec,
    spec: DatasetSpec, asked: dict[str, Any], counts: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """``provenance.json`` of pseudo-labels, JSON-ready; ``asked`` are the settings, ``counts`` what was made."""
    file = None if isinstance(model, Segmenter) else model_file(find_model(model))
    return {
        "made_by": f"fullconv {version('fullconv')} pseudo-label",
        "model": {
            "file": None if file is None else str(model),
            "sha256": None if file is None else _sha256(file),
            "network": segmenter.config,
            "classes": list(segmenter.classes.names),
            "computed_by": str(segmenter.runner),
            "provenance": segmenter.provenance,
        },
        "data": {"name": spec.name, "given": str(spec.root if isinstance(data, DatasetSpec) else data)},
        "settings": asked,
        **counts,
    }


def _sha256(file: Path) -> str:
    """Of a model file; of OpenVINO's with the weights that lie beside."""
    digest = hashlib.sha256()
    for part in _parts(file):
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _parts(file: Path) -> Iterator[Path]:
    yield file
    if file.suffix == ".xml" and file.with_suffix(".bin").is_file():
        yield file.with_suffix(".bin")


def model_digest(segmenter: Segmenter) -> str:
    """Of everything that a model is, its weights too."""
    digest = hashlib.sha256(json.dumps(segmenter.header(), sort_keys=True, default=str).encode())
    runner = behind(segmenter.runner)
    if isinstance(runner, ExportedRunner):
        whole = _sha256(runner.source).encode() if isinstance(runner.source, Path) else runner.source
        digest.update(whole)
    elif isinstance(runner, TorchRunner):
        for name, value in segmenter.network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
