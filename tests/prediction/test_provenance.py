from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fullconv.exported.geometry import Places
from fullconv.exported.runners import ExportedRunner
from fullconv.prediction.provenance import model_digest
from fullconv.runner import RunModel
from fullconv.segmenter import Segmenter
from fullconv.views import Views
from tests.builders.models import make


def exported(ours: Segmenter, source: Path | bytes) -> Segmenter:
    places = Places.of(ours.network, ours.runner.context)
    runner = ExportedRunner(lambda images, outputs: [np.zeros(1)], places, "another", "fp32", source)
    return Segmenter(RunModel(runner, ours.config), ours.classes, ours.preprocessing)


def test_other_weights_are_another_model() -> None:
    first, second = make(), make()
    assert model_digest(first) == model_digest(second)
    with torch.no_grad():
        next(second.network.parameters())[0] += 1e-3
    assert model_digest(first) != model_digest(second)
    assert model_digest(first.with_views(Views((1,), True))) == model_digest(first)
    assert model_digest(second.with_views(Views((1,), True))) != model_digest(first)


def test_an_exported_file_is_what_it_holds_and_not_only_what_it_says(tmp_path: Path) -> None:
    ours = make()
    (tmp_path / "a.xml").write_text("<net/>")
    (tmp_path / "a.bin").write_bytes(b"weights")
    first = model_digest(exported(ours, tmp_path / "a.xml"))
    assert first == model_digest(exported(ours, tmp_path / "a.xml"))
    (tmp_path / "a.bin").write_bytes(b"others ")
    assert first != model_digest(exported(ours, tmp_path / "a.xml"))
    assert model_digest(exported(ours, b"one")) != model_digest(exported(ours, b"two"))
