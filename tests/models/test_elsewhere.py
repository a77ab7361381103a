"""Weights of MindSpore and TensorFlow: written here byte by byte, and by the frameworks themselves where they are."""

from __future__ import annotations

import binascii
import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.errors import ModelFileError
from fullconv.models.elsewhere import find_bundle, read_bundle, read_mindspore
from tests.builders.elsewhere import bundle, message, mindspore_file, random

# -- writers, after the formats' descriptions -------------------------------------------------------------------------


# -- reading ----------------------------------------------------------------------------------------------------------

VALUES = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(4, 3, 2), "step": np.array(7, np.int64),
    "half": np.ones((2, 2), np.float16), "none": np.zeros((0, 3), np.float32),
}  # fmt: skip


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("checksum", [False, True])
def test_mindspore_s_parameters(slices: int, checksum: bool, tmp_path: Path) -> None:
    content = mindspore_file(VALUES, slices)
    content += message(1, message(1, b"note") + message(2, message(2, b"str") + message(3, b"hello")))
    if checksum:
        content += b"crc_num" + binascii.crc32(content).to_bytes(10, "big")
    (tmp_path / "m.ckpt").write_bytes(content)
    found = read_mindspore(tmp_path / "m.ckpt")
    assert set(found) == set(VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
    with pytest.raises(ModelFileError, match="more than 2"):
        read_mindspore(tmp_path / "m.ckpt", most=2)
    if checksum:
        (tmp_path / "m.ckpt").write_bytes(content.replace(b"a.weight", b"a.weighs"))
        with pytest.raises(ModelFileError, match="checksum"):
            read_mindspore(tmp_path / "m.ckpt")


def test_tensorflow_s_variables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = {
        "conv1/w": random(rng, 3, 3, 2, 4), "conv1/weird": random(rng, 5), "conv2/w": random(rng, 2, 2),
        "global_step": np.array(9, np.int64), "z": np.zeros((0, 4), np.float32),
    }  # fmt: skip
    bundle(tmp_path, values)
    index = tmp_path / "variables" / "variables.index"
    for place in (tmp_path, tmp_path / "variables", index):
        assert find_bundle(place) == index
    found = read_bundle(index)
    assert set(found) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
    with pytest.raises(ModelFileError, match="more than 3"):
        read_bundle(index, most=3)
    index.with_name("variables.data-00000-of-00001").unlink()
    with pytest.raises(ModelFileError, match="data-00000-of-00001 is missing"):
        read_bundle(index)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_give_one_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    bundle(folder, {name: value for name, value in VALUES.items() if value.dtype != np.float16})
    places: list[tuple[Path, Callable[[Path], object]]] = [
        (folder / "variables" / "variables.index", read_bundle), (folder / "m.ckpt", read_mindspore),
    ]  # fmt: skip
    places[1][0].write_bytes(mindspore_file(VALUES, 2))
    path, read = data.draw(st.sampled_from(places))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = bytearray(data.draw(st.binary(max_size=200)))
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    said = ""
    with contextlib.suppress(ModelFileError):
        try:
            read(path)
        except ModelFileError as error:
            said = str(error)
            raise
    assert "\n" not in said


# -- the networks -----------------------------------------------------------------------------------------------------


# -- the frameworks themselves ----------------------------------------------------------------------------------------
