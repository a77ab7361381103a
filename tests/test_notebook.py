"""The notebook of examples/ runs from its first cell to its last; here in little time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "03_first_hour.ipynb"
SIZE = "minutes, scenes = "


@pytest.fixture
def notebook() -> Any:
    nbformat = pytest.importorskip("nbformat", reason="nbformat (extra dev) is not installed")
    return nbformat.read(NOTEBOOK, as_version=4)


def test_outputs_are_stripped(notebook: Any) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's machinery
def test_it_runs_to_its_pictures(notebook: Any, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient (extra dev) is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel (extra dev) is not installed")
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source.startswith(SIZE)
    first.source = f"{SIZE}0.2, 16"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in data for data in shown) == 4  # epoch, prediction, confusion, worst
    html = "".join(data.get("text/html", "") for data in shown)
    assert all(word in html for word in ("Segmenter", "Scores of 3 images", "Run first_hour/run"))
    errors = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert not errors
    masks = {path.name for path in (tmp_path / "first_hour" / "masks").glob("*.png")}
    assert masks == {f"{index}{end}" for index in range(3) for end in (".png", ".overlay.png")}
