"""What may be given where an image is wanted, alone or several at once, and what is refused in which words."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fullconv.errors import DataError, UsageError
from fullconv.given import one_by_one, read_given
from fullconv.spec import Preprocessing, Values
from tests.builders.models import make, picture

RGB = Preprocessing()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_every_form_of_an_image_has_the_same_pixels(file: Path, tmp_path: Path) -> None:
    image, content = picture(20, 30), file.read_bytes()
    npy = io.BytesIO()
    np.save(npy, image)
    first = torch.from_numpy(image).permute(2, 0, 1)
    forms: list[Any] = [
        file, str(file), content, bytearray(content), memoryview(content), io.BytesIO(content), npy.getvalue(),
        Image.fromarray(image), image, first, first.contiguous(),
    ]  # fmt: skip
    for form in forms:
        assert np.array_equal(read_given(form, RGB), image)
    with file.open("rb") as open_file:
        assert np.array_equal(read_given(open_file, RGB), image)
    grey = torch.from_numpy(image[..., 0])
    for form in (grey, grey[None], image[..., 0], image[..., :1]):
        assert np.array_equal(read_given(form, RGB), np.repeat(image[..., :1], 3, 2))
    assert read_given(torch.zeros(4, 5, 6, dtype=torch.uint8), RGB).shape == (5, 6, 3)  # alpha is dropped, as of files


def test_an_open_file_is_read_from_where_it_is_and_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    with (
        (tmp_path / "bad.png").open("rb") as file,
        pytest.raises(DataError, match=r"bad\.png: not an image that can be read"),
    ):
        read_given(file, RGB)
    with pytest.raises(DataError, match=r"^the image: not an image that can be read"):
        read_given(b"no image", RGB)


def test_a_file_opened_as_text_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8 is no UTF-8")
    with (
        (tmp_path / "a.jpg").open(encoding="utf-8") as file,
        pytest.raises(UsageError, match=r"a\.jpg: opened as text; open it with mode 'rb'"),
    ):
        read_given(file, RGB)


def test_files_of_a_folder_that_are_no_images_are_named(file: Path, tmp_path: Path) -> None:
    for name in ("b.HEIC", "c.txt", "d.jp2"):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match="left out") as warned:
        assert len(make().predict(tmp_path)) == 1
    assert [str(one.message).removeprefix(f"{tmp_path}: ") for one in warned] == [
        "left out, HEIC is not read: 1 file (b.HEIC); save them as JPEG or PNG",
        "left out, rasters: 1 file (d.jp2); fullconv.predict labels them by window, in files",
        "left out, not images: 1 file (c.txt)",
    ]
    file.unlink()
    with pytest.raises(UsageError, match=r"no images but HEIC in this folder; save them as JPEG or PNG"):
        make().predict(tmp_path)


def test_floats_in_a_tensor_are_taken_by_a_model_of_a_range() -> None:
    ranged = Preprocessing(values=Values(range=((0.0, 1.0),), fill=(0, 0, 0)))
    image = torch.full((3, 2, 4), 0.2)
    assert np.array_equal(read_given(image, ranged), np.full((2, 4, 3), 51))
    assert np.array_equal(read_given(image.double(), ranged), read_given(image.numpy().transpose(1, 2, 0), ranged))
    assert np.array_equal(read_given(image.bfloat16(), ranged), np.full((2, 4, 3), 51))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.zeros(3, 4, 5), r"a tensor of float32 \[3, 4, 5\]: whether its values are 0 to 1, 0 to 255 or already"),
        (torch.zeros(5, 4, 3, dtype=torch.uint8), r"found \[5, 4, 3\]; give image\.permute\(2, 0, 1\)"),
        (torch.zeros(7, 4, 5, dtype=torch.uint8), r"expected a tensor \[3, height, width\], channels first, found \[7"),
        (torch.zeros(9, dtype=torch.uint8), r"expected a tensor \[3, height, width\], found \[9\]"),
        (torch.zeros(3, 4, 5, dtype=torch.int64), "holds int64 values, where 8-bit images are expected"),
        (np.zeros((3, 7, 9), np.uint8), r"which looks like \[channels, height, width\]; give array\.transpose"),
        (np.zeros((4, 5, 3)), "holds float64 values, where 8-bit images are expected"),
        ("https://example.org/a.jpg", r"https://example\.org/a\.jpg: an address.*give its bytes"),
        (Path("s3://bucket/a.jpg"), "an address, where an image is wanted"),
        ([], "a list, where one image is wanted"),
        (b"", "no bytes, where an image file is expected"),
        (io.StringIO("text"), "opened as text; open it with mode 'rb'"),
        (None, r"a tensor \[3, height, width\]; found NoneType"),
        ({"image": 1}, "found dict"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused_with_what_to_do(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_given(given, RGB)


def test_a_missing_file_and_a_folder_are_called_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_given(tmp_path / "none.png", RGB)
    with pytest.raises(UsageError, match="a folder, where an image is wanted; give one of its files"):
        read_given(tmp_path, RGB)
    with pytest.raises(UsageError, match="no images in this folder; expected"):
        one_by_one(tmp_path)


def test_a_glob_is_what_it_matches(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg"):
        Image.fromarray(picture(8, 9)).save(tmp_path / name)
    assert one_by_one(f"{tmp_path}/*.png") == ([tmp_path / "a.png", tmp_path / "b.png"], False)
    assert [one.name for one in make().predict(tmp_path / "*.png")] == [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]
    with pytest.raises(UsageError, match=r"\*\.tif: no such file, folder or glob; give images that are there"):
        make().predict(f"{tmp_path}/*.tif")
    Image.fromarray(picture(8, 9)).save(tmp_path / "[a].png")
    assert one_by_one(tmp_path / "[a].png") == ([tmp_path / "[a].png"], True)


@pytest.mark.parametrize("given", [lambda folder: folder, lambda folder: f"{folder}/*.png"])
def test_a_folder_goes_on_past_a_broken_file_and_names_it(given: Callable[[Path], Any], tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        Image.fromarray(picture(8, 9)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 of 3 images are left out: .*b\.png: not an image") as caught:
        found = make().predict(given(tmp_path))
    assert [Path(one.name).name for one in found] == ["a.png", "c.png"]
    assert caught[0].filename == __file__
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: not an image"):
        make().predict(given(tmp_path))


def test_a_list_keeps_its_places_and_refuses_a_broken_file(tmp_path: Path) -> None:
    Image.fromarray(picture(8, 9)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"^image 2 of 2: .*b\.png: not an image .*; take it out of the list$"):
        make().predict([tmp_path / "a.png", tmp_path / "b.png"])


STACK = np.stack([picture(8, 9), picture(8, 9)[::-1]])


@pytest.mark.parametrize(
    "form",
    [
        lambda folder: folder,
        lambda folder: str(folder),
        lambda folder: sorted(folder.glob("*.png")),
        lambda folder: (path for path in sorted(folder.glob("*.png"))),
        lambda folder: [path.read_bytes() for path in sorted(folder.glob("*.png"))],
        lambda folder: tuple(STACK),
        lambda folder: STACK,
        lambda folder: torch.from_numpy(STACK).permute(0, 3, 1, 2),
    ],
)
def test_several_images_give_a_list_in_order(form: Callable[[Path], Any], tmp_path: Path) -> None:
    for index, image in enumerate(STACK):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    segmenter = make()
    found = segmenter.predict(form(tmp_path), probabilities=True)
    assert len(found) == 2
    for prediction, image in zip(found, STACK, strict=True):
        assert np.array_equal(prediction.image, image)
        assert np.array_equal(prediction.labels, segmenter.predict(image).labels)
        assert prediction.probabilities is not None


def test_predictions_know_their_file(file: Path) -> None:
    segmenter = make()
    with file.open("rb") as opened:
        assert [segmenter.predict(opened).name, segmenter.predict(picture(8, 9)).name] == [str(file), ""]
    (found,) = segmenter.predict(file.parent)
    assert repr(found).startswith(f"Prediction({file}, 20x30: ")
    assert segmenter.predict([]) == []
    with pytest.raises(UsageError, match="a folder, where an image is wanted"):
        segmenter.predict([file.parent])


def test_a_name_that_belies_the_file_is_refused(file: Path, tmp_path: Path) -> None:
    prediction = make().predict(file)
    with pytest.raises(UsageError, match=r"a mask is written as PNG \(JPEG would change ids\); name it .*x\.png"):
        prediction.save(tmp_path / "x.jpg")
    with pytest.raises(UsageError, match=r"an overlay is written as PNG; name it .*x\.png"):
        prediction.save_overlay(tmp_path / "x.webp")
    assert list(tmp_path.iterdir()) == [file]
    prediction.save(tmp_path / "x.PNG")
    with Image.open(tmp_path / "x.PNG") as mask:
        assert np.array_equal(np.asarray(mask), prediction.labels)
