"""What the commands say of a folder, and what they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.cli.main import run


def checked(root: Path, capsys: pytest.CaptureFixture[str], code: int = 0, *more: str) -> dict[str, Any]:
    """What ``fullconv check`` found, as its JSON file has it; its words are under ``printed``."""
    report = root.parent / "report.json"
    assert run(["check", str(root), "--json", str(report), *more]) == code
    printed = capsys.readouterr()
    found = json.loads(report.read_text()) if report.is_file() else {}
    return {**found, "printed": " ".join((printed.out + printed.err).split())}


def converted(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[list[int]], str]:
    """Class names, the pixels of every class in every mask, and the words of ``fullconv convert``."""
    out = root.parent / f"{root.name}_copy"
    assert run(["convert", str(root), str(out)]) == 0
    printed = capsys.readouterr().out
    classes = yaml.safe_load((out / "dataset.yaml").read_text(encoding="utf-8"))["classes"]
    counts = []
    for path in sorted((out / "masks").rglob("*.png")):
        with Image.open(path) as picture:
            counts.append(np.bincount(np.asarray(picture).ravel(), minlength=len(classes)).tolist())
    return list(classes), counts, " ".join(printed.split())


TINY = ["--encoder", "resnet10t", "--model", "fcn16s", "--epochs", "1", "--batch-size", "4", "--workers", "0"]


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fullconv: ")]
    assert len(lines) == 1, lines
    return lines[0]
