"""``--for hub``: a folder for the Hugging Face Hub, or for anybody: weights, ``config.json``, a model card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fullconv.exported.geometry import Places
from fullconv.exported.runners import ExportedRunner
from fullconv.exporting.artefact import Asked, write_artefact
from fullconv.exporting.gate import SIZES, generated_images, pass_gate
from fullconv.exporting.report import ExportReport
from fullconv.exporting.stages import counted
from fullconv.exporting.targets import SUFFIXES
from fullconv.files import new_folder
from fullconv.model_card import FILE, card_of, licence_note
from fullconv.model_file import HUB
from fullconv.segmenter import Segmenter

NAME = "hub"


def write_for_hub(segmenter: Segmenter, to: str, out: Path, asked: Asked, report: ExportReport) -> None:
    """The folder, after the gate.

    Args:
        to: a target whose file is written too, as ``model.onnx`` or the like; empty: none.

    Raises:
        GateError: other labels; nothing is written.
    """
    with new_folder(out) as folder:
        segmenter.save(folder / HUB)
        reread = _reread(segmenter, folder / HUB)
        images = counted(asked.told, "gate, torch", generated_images(segmenter.preprocessing.channels), len(SIZES))
        report.compared[str(reread)] = pass_gate(segmenter, reread, images)
        if to:
            write_artefact(segmenter, to, folder / f"model{SUFFIXES[to]}", asked, report)
        (folder / "config.json").write_text(_config(segmenter), encoding="utf-8")
        files = sorted(file.name for file in folder.iterdir())
        (folder / FILE).write_text(card_of(segmenter.header(), out.name, files), encoding="utf-8")
    report.notes += licence_note(segmenter.header())


def _config(segmenter: Segmenter) -> str:
    """The header of the model, beside what other libraries look for."""
    names = segmenter.classes.names
    said = {
        "library_name": "fullconv",
        "architectures": [segmenter.config["name"]],
        "num_labels": len(names),
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        **segmenter.header(),
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def _reread(segmenter: Segmenter, file: Path) -> ExportedRunner:
    """The written weights, for the gate."""
    loaded = Segmenter.load(file, "cpu", "fp32")
    ours = segmenter.torch_runner

    def labels(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        side = max(*images.shape[1:3], loaded.runner.coarsest_stride)
        return [np.stack([loaded.predict_pixels(image, tile=side).labels for image in images])]

    return ExportedRunner(labels, Places.of(ours.network, ours.context), f"{HUB} read again", "fp32")
