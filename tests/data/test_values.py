"""Data sets of other than 8-bit images: from the files to what the network sees."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv.checking.check import check
from fullconv.checking.values import value_lines
from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.evaluation.matching import with_classes_of
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.images.raster import refuse_other_bands
from fullconv.images.raster_tiff import TiffReader
from fullconv.spec import Values
from tests.builders.bands import MASK, Draw, folder, levels, nodata_and_inf, reflectance, said, write
from tests.builders.models import make


def test_range_is_percentiles_of_train_alone(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    spec = open_dataset(root)
    pooled = [tifffile.imread(item.image.path).reshape(-1, 3) for item in spec.splits["train"]]
    expected = np.percentile(np.concatenate(pooled), (0.1, 99.9), axis=0).T
    assert spec.values is not None
    assert np.allclose(spec.values.range, expected, rtol=1e-5)
    assert spec.channels == 3
    assert levels(spec) == 256
    assert "percentiles 0.1 and 99.9 of all 5 images of train" in said(spec)
    assert open_dataset(root).values == spec.values
    (val,) = spec.splits["val"]
    write(val.image.path, np.full((32, 32, 3), 60_000, np.uint16))
    assert open_dataset(root).values == spec.values


@pytest.mark.parametrize(
    ("draw", "suffix", "channels"),
    [
        (lambda r: r.integers(0, 4096, (32, 32)).astype(np.uint16), ".png", 3),
        (lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16), ".tif", 5),
        (lambda r: r.integers(0, 256, (32, 32)).astype(np.int32), ".tif", 3),
        (lambda r: r.integers(-900, 900, (32, 32, 2)).astype(np.int16), ".tif", 2),
        (lambda r: r.random((32, 32, 3)).astype(np.float32), ".tif", 3),
        (lambda r: r.normal(size=(32, 32, 7)), ".npy", 7),
        (lambda r: r.integers(0, 256, (32, 32, 6)).astype(np.uint8), ".npy", 6),
    ],
)
def test_values_of_any_kind_reach_the_network_in_many_levels(
    draw: Draw, suffix: str, channels: int, tmp_path: Path
) -> None:
    spec = open_dataset(folder(tmp_path / "data", draw, suffix=suffix))
    assert spec.channels == channels
    assert levels(spec) >= 200
    report = check(spec)
    assert report.problems == []
    assert report.values is not None
    assert report.values.reached(0) >= 200
    assert report.values.levels.sum() == 6 * 32 * 32 * channels
    assert [finding for finding in report.findings if finding.kind == "range"] == []


def test_bytes_stored_wider_keep_their_values(tmp_path: Path) -> None:
    spec = open_dataset(folder(tmp_path / "data", lambda r: r.integers(0, 256, (32, 32, 3)).astype(np.int32)))
    assert spec.values == Values(((0, 255),))
    item = spec.splits["train"][0]
    assert np.array_equal(read_sample(spec, item).image, tifffile.imread(item.image.path))


@pytest.mark.parametrize("stated", ["dataset.yaml", "tag"])
def test_nodata_is_void_and_no_part_of_the_range(stated: str, tmp_path: Path) -> None:
    tag = {"extratags": [(42113, "s", 0, "-9999", True)]} if stated == "tag" else {}
    root = folder(tmp_path / "data", nodata_and_inf, **tag)
    if stated == "dataset.yaml":
        (root / "dataset.yaml").write_text("nodata: -9999\n")
    spec = open_dataset(root)
    assert spec.values is not None
    assert spec.values.nodata == (-9999,)
    assert all(0 <= low < 0.01 and 0.39 < high < 0.4 for low, high in spec.values.range)
    assert ("GDAL_NODATA" in said(spec)) == (stated == "tag")
    labels = read_sample(spec, spec.splits["train"][0]).labels
    expected = MASK.copy()
    expected[:3] = expected[5, 5] = 255
    assert np.array_equal(labels, expected)
    report = check(spec)
    assert report.void["train"] == 5 * (3 * 32 + 1)
    assert report.values is not None
    assert report.values.blank == 6 * (3 * 32 + 1)
    assert report.values.nothing.tolist() == [6 * 97, 6 * 98, 6 * 97]


def test_nodata_of_8_bit_images(tmp_path: Path) -> None:
    def draw(random: np.random.Generator) -> np.ndarray:
        array = random.integers(1, 256, (32, 32, 3)).astype(np.uint8)
        array[4], array[5, :, 0] = 0, 0
        return array

    root = folder(tmp_path / "data", draw, suffix=".png")
    assert open_dataset(root).values is None
    (root / "dataset.yaml").write_text("nodata: 0\n")
    spec = open_dataset(root)
    sample = read_sample(spec, spec.splits["train"][0])
    assert (sample.labels[4] == 255).all()
    assert np.array_equal(sample.labels[5:], MASK[5:])


def test_mixed_kinds_are_refused_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    names = [item.image.path for item in open_dataset(root).splits["train"]]
    write(names[0], np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(DataError, match=rf"images of different values.*{names[0].name} holds uint8|holds uint16"):
        open_dataset(root)
    write(names[0], np.full((32, 32, 3), 0.5, np.float32))
    with pytest.raises(DataError, match="state 'range"):
        open_dataset(root)
    (root / "dataset.yaml").write_text("range: [0, 4000]\n")  # one range for both, as somebody says
    assert read_sample(open_dataset(root), open_dataset(root).splits["train"][0]).image.shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("range: [5, 5]", "low, then high"),
        ("range: [[0, 1], [0, 1]]", "range names 2 bands, the images have 3"),
        ("nodata: [1, 2]", "nodata names 2 bands"),
        ("range: high", "field range"),
        ("nodata: [x]", "field nodata"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(line: str, words: str, tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    (root / "dataset.yaml").write_text(line + "\n")
    with pytest.raises(DataError, match=words):
        open_dataset(root)


def test_a_range_of_bytes_for_bytes_and_no_other(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", lambda r: r.integers(0, 100, (32, 32, 3)).astype(np.uint8), suffix=".png")
    (root / "dataset.yaml").write_text("range: [0, 100]\n")
    spec = open_dataset(root)
    item = spec.splits["train"][0]
    assert np.array_equal(read_sample(spec, item).image, np.rint(np.asarray(Image.open(item.image.path)) * 255.0 / 100))
    (root / "dataset.yaml").write_text("range: [0, 4000]\n")
    with pytest.raises(DataError, match="holds 8-bit values, where the range"):
        open_dataset(root)


def test_mixture_has_one_range(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", reflectance), folder(tmp_path / "b", lambda r: reflectance(r) * 2)
    spec = open_dataset(f"{a}+{b}")
    pooled = [tifffile.imread(item.image.path)[..., 0].ravel() for item in spec.splits["train"]]
    assert spec.values is not None
    assert np.allclose(spec.values.range[0], np.percentile(np.concatenate(pooled), (0.1, 99.9)), rtol=1e-5)
    (a / "dataset.yaml").write_text("range: [0, 4000]\n")
    assert open_dataset(f"{a}+{b}").values == Values(((0, 4000),))
    (b / "dataset.yaml").write_text("range: [0, 8000]\n")
    with pytest.raises(DataError, match="different ranges"):
        open_dataset(f"{a}+{b}")
    c = folder(tmp_path / "c", lambda r: r.integers(0, 256, (32, 32, 3)).astype(np.uint8), suffix=".png")
    with pytest.raises(DataError, match="holds 8-bit images"):
        open_dataset(f"{a}+{c}")


def test_bands_have_names_in_the_check_the_model_and_the_copy(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", lambda r: r.integers(0, 4000, (32, 32, 4)).astype(np.uint16))
    (root / "dataset.yaml").write_text("bands: [red, green, blue, nir]\n")
    spec = open_dataset(root)
    assert spec.channels == 4
    assert spec.values is not None
    assert spec.values.bands == ("red", "green", "blue", "nir")
    assert "bands: red, green, blue, nir" in said(spec)
    assert Values.from_dict(json.loads(json.dumps(spec.values.to_dict()))).bands == spec.values.bands
    report = check(spec)
    assert report.values is not None
    assert "  band 4 (nir): " in value_lines(spec, report.values)[3]
    convert(root, tmp_path / "copy")
    assert open_dataset(tmp_path / "copy").values == spec.values
    assert "bands: red, green, blue, nir" in said(open_dataset(tmp_path / "copy"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bands: [red, nir]", "bands has 2 names, the images have 3 bands; name each of them"),
        ("bands: [a, a, b]", "bands are names, each of its own; found 'a', 'a', 'b'"),
    ],
)
def test_names_of_bands_that_cannot_be(tmp_path: Path, line: str, words: str) -> None:
    root = folder(tmp_path / "data", reflectance)
    (root / "dataset.yaml").write_text(f"channels: 3\n{line}\n")
    with pytest.raises(DataError, match=re.escape(words)):
        open_dataset(root)


def ome(root: Path, *names: list[str] | None, description: str = "channels: 4") -> Path:
    """Images of four channels, one page each; image ``k`` calls them ``names[k % len(names)]``."""
    folder(root, reflectance)
    for k, path in enumerate(sorted((root / "images").iterdir())):
        array = np.random.default_rng(k).integers(200, 4000, (4, 32, 32)).astype(np.uint16)
        called = names[k % len(names)]
        metadata: dict[str, object] = (
            {"axes": "CYX"} if called is None else {"axes": "CYX", "Channel": {"Name": called}}
        )
        tifffile.imwrite(path, array, photometric="minisblack", ome=True, metadata=metadata)
    (root / "dataset.yaml").write_text(description + "\n")
    return root


def test_bands_are_called_as_ome_metadata_say(tmp_path: Path) -> None:
    names = ["DAPI", "GFP", "Cy5", "TRITC"]
    spec = open_dataset(ome(tmp_path / "a", names))
    assert spec.values is not None
    assert spec.values.bands == tuple(names)
    assert "bands are called as the files' own OME metadata say\nbands: DAPI, GFP, Cy5, TRITC" in said(spec)
    path = tmp_path / "a" / "images" / "0.tif"
    reader = TiffReader(path)
    assert reader.info.bands == tuple(names)
    refuse_other_bands(reader.info, 4, spec.values)
    with pytest.raises(DataError, match="calls its bands DAPI, GFP, Cy5, TRITC, the model takes GFP, DAPI, Cy5, TRITC"):
        refuse_other_bands(reader.info, 4, Values(((0, 1),), bands=("GFP", "DAPI", "Cy5", "TRITC")))
    reader.close()


def test_ome_metadata_without_names_or_with_others(tmp_path: Path) -> None:
    plain = open_dataset(ome(tmp_path / "a", None))
    assert plain.values is not None
    assert plain.values.bands == ()
    mixed = open_dataset(ome(tmp_path / "b", ["a", "b", "c", "d"], ["a", "b", "c", "e"]))
    assert mixed.values is not None
    assert mixed.values.bands == ()
    assert "differ in the names of their bands (a, b, c, d; a, b, c, e), so none are taken" in said(mixed)
    own = open_dataset(ome(tmp_path / "c", ["0", "1", "2", "3"], description="bands: [blue, green, red, nir]"))
    assert own.values is not None
    assert own.values.bands == ("blue", "green", "red", "nir")
    assert "OME metadata call the bands 0, 1, 2, 3; the names of dataset.yaml are taken" in said(own)
    with pytest.raises(DataError, match="calls the bands b, a, c, d, the files' own OME metadata a, b, c, d; give"):
        open_dataset(ome(tmp_path / "d", ["a", "b", "c", "d"], description="bands: [b, a, c, d]"))


def test_bytes_have_named_bands_too(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", lambda r: r.integers(0, 256, (32, 32, 3)).astype(np.uint8))
    (root / "dataset.yaml").write_text("bands: [nir, red, green]\n")
    spec = open_dataset(root)
    assert spec.values == Values()
    image = read_sample(spec, spec.splits["val"][0]).image
    assert np.array_equal(image, tifffile.imread(spec.splits["val"][0].image.path))


def test_data_with_other_bands_than_a_model_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", lambda r: r.integers(0, 256, (32, 32, 3)).astype(np.uint8))
    (root / "dataset.yaml").write_text("bands: [red, green, nir]\n")
    model = make()
    model.preprocessing = dataclasses.replace(model.preprocessing, values=Values(bands=("nir", "red", "green")))
    with pytest.raises(
        DataError, match="has the bands red, green, nir, the model takes nir, red, green; give it these"
    ):
        with_classes_of(model, open_dataset(root))


def test_what_a_file_calls_alpha_can_be_a_band(tmp_path: Path) -> None:
    """GDAL calls the fourth of four bytes alpha where nobody says otherwise, be it near infrared."""
    root = folder(
        tmp_path / "data", lambda r: r.integers(0, 256, (32, 32, 4)).astype(np.uint8), photometric="rgb",
        extrasamples=["unassalpha"],
    )  # fmt: skip
    spec = open_dataset(root)
    assert spec.channels == 3
    assert "alpha channel is left out; 'channels: 4' in dataset.yaml keeps it as a band" in said(spec)
    (root / "dataset.yaml").write_text("channels: 4\n")
    spec = open_dataset(root)
    image = read_sample(spec, spec.splits["val"][0]).image
    assert np.array_equal(image, tifffile.imread(spec.splits["val"][0].image.path))
