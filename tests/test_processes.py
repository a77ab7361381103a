"""Scripts where processes are spawned: the README's runs as it stands; one without a guard is told so in a line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fullconv.errors import FullconvError, UsageError
from fullconv.processes import raise_if_a_process_is_gone

README = Path(__file__).resolve().parents[1] / "README.md"


def readme_script() -> str:
    """Its Python block, with a small network and one step in place of a download and hours."""
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    call = 'fullconv.train("my_data")'
    assert block[1].count(call) == 1
    small = 'encoder="resnet10t", model="fcn32s", epochs=1, crop=(32, 32), workers=1, check=False'
    return block[1].replace(call, f"{call[:-1]}, {small})")


def run_script(text: str, folder: Path, method: str) -> subprocess.CompletedProcess[str]:
    """Run a script where processes start by ``method``, as they do by default on other systems."""
    (folder / "script.py").write_text(text)
    (folder / "start").mkdir()
    (folder / "start" / "sitecustomize.py").write_text(
        "import multiprocessing\n"
        "if multiprocessing.parent_process() is None and multiprocessing.get_start_method(True) is None:\n"
        f"    multiprocessing.set_start_method({method!r})\n"
    )
    source = str(README.parent / "src")
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'start'}{os.pathsep}{source}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


def test_the_readme_s_script_runs_as_it_stands(make_folder, tmp_path: Path) -> None:
    """Spawned; a fork server prepares its processes in the same way."""
    data = make_folder(4, name="my_data")
    (tmp_path / "holiday").mkdir()
    (data / "images" / "scene_0.png").rename(tmp_path / "holiday" / "beach.png")
    (data / "masks" / "scene_0.png").unlink()
    done = run_script(readme_script() + "\n    print('scored', scores.images)\n", tmp_path, "spawn")
    assert done.returncode == 0, done.stderr
    assert "scored 1" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "runs").glob("my_data-*"))) == 1


def test_a_script_without_a_guard_is_told_so_in_a_line(make_folder, tmp_path: Path) -> None:
    make_folder(4, name="my_data")
    lines = [line for line in readme_script().splitlines() if "__main__" not in line]
    text = "\n".join(line.removeprefix("    ") for line in lines)
    done = run_script(text, tmp_path, "spawn")
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if "put its calls under" in line]
    # the process that was started says it, and, as the last line of its error, the script
    assert said[0].startswith("fullconv: this script was run again")
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.splitlines()[-1] == said[-1]
    assert said[-1].startswith("fullconv.errors.UsageError: a reading process ended at its start")
    assert not list((tmp_path / "runs").glob("my_data-*"))


def test_other_ends_of_a_process_are_said() -> None:
    killed = RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. ")
    with pytest.raises(FullconvError, match=r"ended a reading process, usually because memory ran out"):
        raise_if_a_process_is_gone(killed)
    with pytest.raises(FullconvError, match=r"workers=0") as found:
        raise_if_a_process_is_gone(RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly"))
    assert not isinstance(found.value, UsageError)
    raise_if_a_process_is_gone(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
