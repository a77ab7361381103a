"""Which images are meant, and where the files of each go."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fullconv.errors import UsageError
from fullconv.prediction import inputs
from fullconv.prediction.inputs import find_inputs, left_out, listed, refuse_to_overwrite


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def places(root: Path, *given: str, out: Path | None = None) -> list[str]:
    return [image.place.as_posix() for image in find_inputs([root / one for one in given], out)]


def test_folders_and_globs_keep_what_lies_below_them(tmp_path: Path) -> None:
    touched(tmp_path, "in/a.jpg", "in/b/a.jpg", "in/b/c/a.jpg", "in/b/notes.txt")
    assert places(tmp_path, "in") == ["a", "b/a", "b/c/a"]
    assert places(tmp_path, "in/**/*.jpg") == ["a", "b/a", "b/c/a"]
    assert places(tmp_path, "i?/b/*.jpg") == ["in/b/a"]
    assert places(tmp_path, "in/b/a.jpg") == ["a"]


def test_files_of_one_name_keep_their_folders_and_in_one_folder_their_endings(tmp_path: Path) -> None:
    touched(tmp_path, "p/q/a.jpg", "p/r/a.jpg", "p/r/a.png", "p/r/b.png")
    assert places(tmp_path, "p/q/a.jpg", "p/r/a.jpg", "p/r/b.png") == ["q/a", "r/a", "b"]
    assert places(tmp_path, "p/r") == ["a.jpg", "a.png", "b"]
    assert places(tmp_path, "p/q", "p/r") == ["q/a", "r/a.jpg", "r/a.png", "b"]


NAMES = st.from_regex(r"([abA]/){0,2}[aA](\.png|-2)?\.(png|jpg)", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_no_two_images_share_a_place(names: list[str]) -> None:
    images = inputs._apart([inputs.Input(Path("/in", name), Path(name[name.rfind("/") + 1 :])) for name in names])
    assert [image.path for image in images] == [Path("/in", name) for name in names]
    assert len({str(image.place).casefold() for image in images}) == len(images)


def test_masks_of_an_earlier_run_are_no_images(tmp_path: Path) -> None:
    touched(tmp_path, "in/a.jpg", "in/masks/a.png", "in/masks/sub/b.png", "in/c.txt")
    out = tmp_path / "in" / "masks"
    assert places(tmp_path, "in", out=out) == places(tmp_path, "in/**/*.*g", out=out) == ["a"]
    assert left_out([tmp_path / "in"], out) == [
        "left out, not images: 1 file (c.txt)",
        "left out, in --out: 2 files, taken for results",
    ]
    assert places(tmp_path, "in/masks", out=tmp_path / "in") == ["a", "sub/b"]


def test_an_overlay_in_the_place_of_a_mask_is_refused(tmp_path: Path) -> None:
    touched(tmp_path, "in/a.jpg", "in/a.overlay.jpg")
    images = find_inputs([tmp_path / "in"])
    refuse_to_overwrite(images, tmp_path / "out", [".png"])
    with pytest.raises(UsageError, match=r"a\.overlay\.png would be written of two images"):
        refuse_to_overwrite(images, tmp_path / "out", [".png", ".overlay.png"])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (b"bytes", "found bytes"),
        (io.BytesIO(b"bytes"), "found BytesIO"),
        (torch.zeros(3, 4, 5), "found Tensor"),
        (["a.png", np.zeros((4, 5, 3))], "found ndarray"),
        (None, "found NoneType"),
        ([], "no images given"),
    ],
)
def test_what_names_no_file_is_refused(images: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        listed(images)


def test_an_address_is_called_so(tmp_path: Path) -> None:
    assert listed(tmp_path) == [tmp_path]
    with pytest.raises(UsageError, match=r"^https://example\.org/a\.jpg: an address, and none is fetched"):
        find_inputs(["https://example.org/a.jpg"])


def test_heic_is_named_and_counted(tmp_path: Path) -> None:
    touched(tmp_path, "in/a.HEIC", "in/b.heif", "in/c.txt")
    with pytest.raises(UsageError, match=r"no images but HEIC in this folder; save them as JPEG or PNG"):
        find_inputs([tmp_path / "in"])
    touched(tmp_path, "in/d.jpg")
    assert places(tmp_path, "in") == ["d"]
    assert left_out([tmp_path / "in"], tmp_path / "out") == [
        "left out, HEIC is not read: 2 files (a.HEIC, b.heif); save them as JPEG or PNG",
        "left out, not images: 1 file (c.txt)",
    ]
