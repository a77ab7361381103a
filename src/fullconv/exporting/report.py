"""What an export wrote, and what the gate found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fullconv.errors import plural
from fullconv.exporting.cost import SIDE, Cost
from fullconv.exporting.gate import Compared


@dataclass
class ExportReport:
    """What was written and what the gate found.

    Attributes:
        file: the artefact; OpenVINO's has its ``.bin`` beside it. For some programs it is a folder.
        compared: the images that it was compared on, by runner.
        costs: of one image of 512x512, by who computes; PyTorch in fp32 among them.
        mean_iou: PyTorch's and the artefact's on the data of ``check``, by runner.
        refused: who computes other labels with an ONNX file that another runner computes right, and why.
        notes: what is worth saying of the artefact.
    """

    file: Path
    compared: dict[str, list[Compared]] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    mean_iou: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all that was written."""
        parts = [self.file, self.file.with_suffix(".bin")] if self.file.suffix == ".xml" else [self.file]
        files = [file for part in parts for file in (part.rglob("*") if part.is_dir() else [part])]
        return sum(file.stat().st_size for file in files if file.is_file())

    def lines(self) -> list[str]:
        """For people."""
        said = [f"{self.file}: {self.size / 1e6:.1f} MB"]
        for name, rows in self.compared.items():
            sure, pixels = sum(row.sure for row in rows), sum(row.pixels for row in rows)
            differ = sum(row.differ for row in rows)
            said.append(
                f"  {name}: labels of {plural(len(rows), 'image')}: {differ:,} of {sure:,} differ from PyTorch's where "
                f"the margin is above 0.001 ({pixels - sure:,} pixels are not)"
            )
            if not sure:
                said.append("  warning: no pixel has such a margin, so nothing was proved; is the network trained?")
        said += [f"  will not be computed by {name}: {reason}" for name, reason in self.refused.items()]
        said += [f"  one image of {SIDE}x{SIDE}: {name}: {found}" for name, found in self.costs.items()]
        said += [f"  mean IoU: {name}: {found:.4f}" for name, found in self.mean_iou.items()]
        return said + [f"  {note}" for note in self.notes]
