"""Whether an optional package is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullconv.libraries import installed


def test_a_folder_of_that_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run folder holds one called tensorboard, and ``python -m`` looks for modules where it is called."""
    (tmp_path / "no_package").mkdir()
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert not installed("no_package")
    assert installed("a_package")
    assert not installed("nothing_of_that_name")
