"""Small files that would become large: refused from their headers, in one line, whatever the host program allows."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from PIL import Image
from scipy.io import savemat

from fullconv.errors import DataError, FullconvError, UsageError
from fullconv.files import read_value, read_yaml
from fullconv.formats.containers.matlab import read_mat
from fullconv.formats.containers.parquet import Cell
from fullconv.formats.open import open_dataset
from fullconv.formats.read.cvat_xml import BoxRuns
from fullconv.formats.read.labelme import PngMask
from fullconv.images.encoded import EncodedFile
from fullconv.images.files import image_size, open_array, open_image
from fullconv.images.formats import FORMATS
from fullconv.images.mask_reading import read_mask
from fullconv.images.pixels import read_image
from fullconv.text import parse_json
from tests.builders.bombs import ALIASES, little_memory, png_bomb


@pytest.mark.parametrize(
    "text",
    [
        ALIASES,
        "a: &a [*a]",
        f"a: &a {'x' * 10_000}\nb: [{', '.join(['*a'] * 5000)}]",
        "a: " + "[" * 50_000,
        "a: " + "{b: " * 1000,
        "a: " + "1" * 5000,
        "a: 2001-99-99",
        "? {a: b}\n: c",
        "a: *missing",
        "a: !!python/object/apply:os.system [ls]",
    ],
)
def test_yaml_that_grows_is_refused(text: str, tmp_path: Path) -> None:
    with little_memory(), pytest.raises(yaml.YAMLError):
        read_value(text)
    (tmp_path / "y.yaml").write_text(text)
    for kind in (UsageError, DataError):
        with pytest.raises(kind, match=r"y\.yaml: not valid YAML") as caught:
            read_yaml(tmp_path / "y.yaml", kind, "anything")
        assert "\n" not in str(caught.value)


def test_yaml_as_people_write_it_is_read() -> None:
    assert read_value("a: &x [1, 2]\nb: *x\nc: {<<: {d: 1}, e: 1e-3}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": 1e-3},
    }
    assert len(read_value("names: [" + ", ".join(f"class {i}" for i in range(20_000)) + "]")["names"]) == 20_000
    with pytest.raises(yaml.YAMLError, match="more than 3 values"):
        read_value("[1, 2, 3]", most=3)


def test_json_that_is_nested_without_end_is_no_json() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        parse_json("[" * 100_000)


def test_a_recipe_and_a_dataset_yaml_with_an_alias_bomb(tmp_path: Path) -> None:
    from fullconv.training.config import TrainConfig

    (tmp_path / "dataset.yaml").write_text(ALIASES)
    (tmp_path / "images").mkdir()
    with little_memory(), pytest.raises(DataError, match="aliases expanded"):
        open_dataset(tmp_path)
    with pytest.raises(UsageError, match="aliases expanded"):
        TrainConfig.load(tmp_path / "dataset.yaml", {})


@pytest.mark.parametrize("read", [read_image, read_mask, image_size])
@pytest.mark.parametrize("host", [None, 100, 10**12])
def test_our_limit_holds_whatever_the_host_s_is(
    read: Callable[[Path], Any], host: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", host)
    (tmp_path / "bomb.png").write_bytes(png_bomb(66_000, 66_000))
    with little_memory(), pytest.raises(DataError, match=r"66000x66000 pixels, more than the limit of 536870912"):
        read(tmp_path / "bomb.png")
    (tmp_path / "good.png").write_bytes(png_bomb(100, 64))
    read(tmp_path / "good.png")
    assert host == Image.MAX_IMAGE_PIXELS


def test_images_between_pillow_s_limit_and_ours_are_opened(tmp_path: Path) -> None:
    """20,000 x 20,000: Pillow refuses 179 Mpixel by itself."""
    (tmp_path / "large.png").write_bytes(png_bomb(20_000, 20_000))
    assert image_size(tmp_path / "large.png") == (20_000, 20_000)
    with pytest.raises(DataError, match="more than the limit of 1000"), open_image(tmp_path / "large.png", most=1000):
        pass


@pytest.mark.parametrize("kind", sorted({*FORMATS, "MPO"} - {"MPO"}))
def test_every_format_opens_as_pillow_opens_it(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    file = tmp_path / "picture"
    Image.fromarray(values).save(file, format=kind)
    memory = cast(Path, EncodedFile(file.read_bytes(), "memory"))
    with Image.open(file) as theirs, open_image(file) as ours, open_image(memory) as inside:
        assert (ours.format, ours.mode, ours.size) == (theirs.format, theirs.mode, theirs.size)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
        np.testing.assert_array_equal(np.asarray(inside), np.asarray(theirs))


def test_a_file_that_would_start_a_program_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    with pytest.raises(DataError, match="not an image that can be read"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("memory", [True, False])
def test_an_array_shorter_than_its_header_takes_no_memory(memory: bool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (20_000, 20_000, 3)})
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    path = cast(Path, EncodedFile(buffer.getvalue(), "memory", ".npy")) if memory else tmp_path / "a.npy"
    with little_memory(), pytest.raises(DataError, match="more than its"):
        open_array(path)
    np.savez(tmp_path / "b.npy.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="not a readable"):
        open_array(tmp_path / "b.npy.npz")


def test_masks_much_larger_than_their_image_are_refused() -> None:
    text = base64.b64encode(png_bomb(66_000, 66_000)).decode()
    with little_memory(), pytest.raises(DataError, match="66000x66000 pixels, more than the limit of 400"):
        PngMask(text, (0, 0)).decode((10, 10), "x.json shape 0")
    runs = np.array([0, 10**12], np.int64)
    with little_memory(), pytest.raises(DataError, match="1000000x1000000 in an image of 10x10"):
        BoxRuns(runs, 0, 0, 10**6, 10**6).decode((10, 10), "annotations.xml: image a")
    with pytest.raises(DataError, match="no base64"):
        PngMask("ä", (0, 0)).decode((10, 10), "x.json shape 0")


def test_a_labelme_file_with_a_png_bomb(tmp_path: Path) -> None:
    shape = {"label": "a", "points": [[0, 0], [9, 9]], "shape_type": "mask",
             "mask": base64.b64encode(png_bomb(66_000, 66_000)).decode()}  # fmt: skip
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    content = {"shapes": [shape], "imagePath": "a.jpg", "imageData": None, "imageHeight": 20, "imageWidth": 20}
    (tmp_path / "a.json").write_text(json.dumps(content))
    spec = open_dataset(tmp_path)
    item = next(iter(spec.splits.values()))[0]
    assert item.labels is not None
    with little_memory(), pytest.raises(DataError, match="more than the limit of 1600"):
        item.labels.read(2, 255)
    (tmp_path / "a.jpg").unlink()
    content |= {"shapes": [], "imageData": base64.b64encode(png_bomb(66_000, 66_000)).decode()}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with little_memory(), pytest.raises(FullconvError, match="more than the limit of 536870912"):
        open_dataset(tmp_path)


def test_a_matlab_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "m.mat", {"a": np.zeros(20 << 20, np.uint8)}, do_compression=True)
    assert (tmp_path / "m.mat").stat().st_size < 100_000
    with little_memory(32 << 20), pytest.raises(DataError, match="would become"):
        read_mat(tmp_path / "m.mat", "a", most=10 << 20)
    assert read_mat(tmp_path / "m.mat", "a", most=40 << 20).size == 20 << 20
    (tmp_path / "m.mat").write_bytes((tmp_path / "m.mat").read_bytes()[:5000])
    with pytest.raises(DataError, match="damaged"):
        read_mat(tmp_path / "m.mat", "a", most=10 << 20)


def test_a_parquet_group_that_unpacks_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [{"bytes": bytes(1 << 22), "path": "a"} for _ in range(4)]
    table = pyarrow.table({"image": pyarrow.array(cells)})
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet", compression="zstd", use_dictionary=False)
    assert Cell(tmp_path / "p.parquet", 0, 0, "image").file()
    monkeypatch.setattr("fullconv.formats.containers.parquet.LARGE", 1 << 20)
    (tmp_path / "p.parquet").rename(tmp_path / "q.parquet")
    with pytest.raises(DataError, match=r"image: .* would become"):
        Cell(tmp_path / "q.parquet", 0, 0, "image").file()


def test_a_size_that_a_list_of_annotations_states_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "images" / "a.png")
    side = 10**9
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": side, "width": side}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 9, 9, 0, 9]]}],
    }
    (tmp_path / "result.json").write_text(json.dumps(content))
    labels = open_dataset(tmp_path).split("train")[0].labels
    assert labels is not None
    with little_memory(), pytest.raises(DataError, match=r"result\.json: image a\.png.*1000000000x1000000000"):
        labels.read(2, 255)
