"""Polygons and areas that predict writes: on the earth, in pixels, by blocks, and what is refused."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import tifffile
from PIL import Image
from rasterio.features import rasterize
from rasterio.warp import transform

from fullconv.cli.main import run
from fullconv.formats.open import open_dataset
from fullconv.polygons.contents import ENDINGS
from fullconv.polygons.trace import trace
from fullconv.prediction import label_file
from fullconv.prediction.files import predict
from fullconv.prediction.inputs import Input
from fullconv.prediction.label_file import LabelFile
from fullconv.prediction.polygon_files import write_for_all, write_polygons
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet
from tests.builders import models
from tests.builders.commands import complaint
from tests.builders.geotiff import HEIGHT, PIXELS, WIDTH, geotiff, only_the_labels
from tests.builders.polygons import drawn

TILED: dict[str, Any] = {"tile": 128, "overlap": 64}
NAMES = models.CLASSES.names


def features(path: Path) -> list[tuple[Any, int]]:
    content = json.loads(path.read_text())
    ids = [feature["properties"]["id"] for feature in content["features"]]
    return list(zip(shapely.from_geojson(json.dumps(content)).geoms, ids, strict=True))


def seen(labels: np.ndarray) -> np.ndarray:
    """Labels as polygons show them: nothing of the background."""
    background = models.CLASSES.background
    return labels if background is None else np.where(labels == background, 255, labels)


def test_geojson_of_a_raster_is_longitude_and_latitude(tmp_path: Path, model: Segmenter) -> None:
    result = predict(model, geotiff(tmp_path / "a.tif"), tmp_path / "m", polygons="geojson", tolerance=0, **TILED)
    assert any("longitude and latitude" in note for note in result.notes)
    assert any("tolerance 0 pixels" in note for note in result.notes)
    found = features(tmp_path / "m" / "a.geojson")
    shapes = [shape for shape, _ in found]
    left, bottom, right, top = shapely.total_bounds(shapes)
    x, y = transform("EPSG:32633", "EPSG:4326", [5e5, 5e5 + WIDTH / 2], [5e6, 5e6 - HEIGHT / 2])
    assert (left, right) == pytest.approx((min(x), max(x)), abs=2e-5)  # a rectangle of UTM is none of degrees
    assert (bottom, top) == pytest.approx((min(y), max(y)), abs=2e-5)
    assert shapely.coverage_is_valid(shapes)
    labels = tifffile.imread(tmp_path / "m" / "a.tif")

    def to_pixels(points: np.ndarray) -> np.ndarray:
        x, y = transform("EPSG:4326", "EPSG:32633", *points.T)
        return np.stack(((np.array(x) - 5e5) / 0.5, (5e6 - np.array(y)) / 0.5), 1)

    again = rasterize([(shapely.transform(shape, to_pixels), label) for shape, label in found], labels.shape, 255)
    assert np.array_equal(again, seen(labels))


def test_gpkg_has_map_coordinates_and_the_projection(tmp_path: Path, model: Segmenter) -> None:
    predict(model, geotiff(tmp_path / "a.tif"), tmp_path / "m", polygons="gpkg", min_area=40, **TILED)
    only_the_labels(tmp_path / "m", "a.gpkg", "a.tif")
    meta, _, shapes, (names, ids) = pyogrio.raw.read(tmp_path / "m" / "a.gpkg")
    assert rasterio.crs.CRS.from_user_input(meta["crs"]).to_epsg() == 32633
    assert meta["fields"].tolist() == ["class", "id"]
    assert [NAMES[label] for label in ids] == names.tolist()
    shapes = shapely.from_wkb(shapes)
    assert shapely.coverage_is_valid(shapes)
    assert shapely.unary_union(shapes).area == pytest.approx(HEIGHT * WIDTH / 4)
    assert shapely.total_bounds(shapes).tolist() == [5e5, 5e6 - HEIGHT / 2, 5e5 + WIDTH / 2, 5e6]


@pytest.mark.parametrize("kind", ["labelme", "coco", "yolo", "qupath"])
def test_images_get_files_that_open(tmp_path: Path, model: Segmenter, kind: str) -> None:
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "in" / "may").mkdir(parents=True)
    for name in ("a.png", "may/a.png"):
        Image.fromarray(PIXELS[:60, :80]).save(tmp_path / "in" / name)
    out = tmp_path / "m"
    command = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "in"), "--out", str(out)]
    assert run([*command, "--polygons", kind, "--tolerance", "0"]) == 0
    labels = np.asarray(Image.open(out / "may" / "a.png"))
    if kind == "labelme":
        content = json.loads((out / "may" / "a.json").read_text())
        assert (out / "may" / content["imagePath"]).resolve() == tmp_path / "in" / "may" / "a.png"
        assert (content["imageHeight"], content["imageWidth"]) == (60, 80)
        assert (out / "labels.txt").read_text().split() == ["__ignore__", *NAMES]
    elif kind == "coco":
        content = json.loads((out / "polygons.json").read_text())
        assert [image["file_name"] for image in content["images"]] == ["a.png", "may/a.png"]
        (tmp_path / "in" / "polygons.json").write_text(json.dumps(content))
        spec = open_dataset(tmp_path / "in")
        names = np.array(["background", *NAMES])
        again = spec.splits["train"][0].annotation.label_map(len(spec.classes), 255)
        assert (np.array(spec.classes.names)[again] == names[1:][labels]).all()
    elif kind == "yolo":
        lines = (out / "may" / "a.txt").read_text().splitlines()
        assert {int(line.split()[0]) for line in lines} == set(np.unique(labels))
        assert "names" in (out / "data.yaml").read_text()
    else:
        found = json.loads((out / "may" / "a.geojson").read_text())["features"]
        ids = {"".join(feature["properties"]["classification"]["name"]) for feature in found}
        assert ids == {NAMES[label] for label in np.unique(labels)}


def test_a_level_of_a_pyramid_is_told_in_pixels_of_the_image(tmp_path: Path, model: Segmenter) -> None:
    path = geotiff(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    predict(model, path, tmp_path / "n", level=1, polygons="qupath", **TILED)
    content = json.loads((tmp_path / "n" / "a.geojson").read_text())
    shapes = shapely.from_geojson(json.dumps(content)).geoms
    assert shapely.total_bounds(list(shapes)).tolist() == [0, 0, WIDTH, HEIGHT]


def test_larger_rasters_are_traced_in_squares(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_file, "BLOCK", 128)
    result = predict(model, geotiff(tmp_path / "a.tif"), tmp_path / "m", polygons="qupath", tolerance=3, **TILED)
    assert any("traced in squares" in note for note in result.notes)
    content = json.loads((tmp_path / "m" / "a.geojson").read_text())
    shapes = list(shapely.from_geojson(json.dumps(content)).geoms)
    assert shapely.unary_union(shapes).equals(shapely.box(0, 0, WIDTH, HEIGHT))
    assert sum(shapely.area(shapes)) == pytest.approx(HEIGHT * WIDTH)


def test_prediction_has_polygons_and_areas(model: Segmenter) -> None:
    found = model.predict(PIXELS[:50, :60])
    assert np.array_equal(drawn(found.polygons(0), (50, 60)), seen(found.labels))
    areas = found.areas()
    assert list(areas) == list(NAMES)
    assert sum(area.pixels for area in areas.values()) == 3000
    assert areas[NAMES[0]].share == (found.labels == 0).mean()


def test_areas_of_a_projected_raster_have_square_metres(tmp_path: Path, model: Segmenter) -> None:
    pixels = np.maximum(PIXELS, 1)
    pixels[:, 200:] = 0
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "in").mkdir()
    geotiff(tmp_path / "in" / "a.tif", pixels, nodata=0)
    Image.fromarray(PIXELS[:50, :60]).save(tmp_path / "in" / "b.png")
    command = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "in"), "--out", str(tmp_path / "m")]
    assert run([*command, "--areas", str(tmp_path / "areas.csv"), "--tile", "128", "--overlap", "64"]) == 0
    with (tmp_path / "areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["class"]) for row in rows] == [(name, c) for name in ("a.tif", "b.png") for c in NAMES]
    labels = tifffile.imread(tmp_path / "m" / "a.tif")
    for index, row in enumerate(rows[: len(NAMES)]):
        count = int((labels == index).sum())
        assert int(row["pixels"]) == count
        assert float(row["share"]) == pytest.approx(count / (HEIGHT * 200), abs=1e-6)
        assert float(row["square_metres"]) == count / 4
    assert {row["square_metres"] for row in rows[len(NAMES) :]} == {""}


def placed(path: Path, crs: int | None) -> Path:
    scale = 1e-5 if crs == 4326 else 0.5
    pixels = np.moveaxis(PIXELS[:64, :80], 2, 0)
    profile = {"driver": "GTiff", "height": 64, "width": 80, "count": 3, "dtype": "uint8", "crs": crs}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(scale, 0, 10, 0, -scale, 50)) as file:
        file.write(pixels)
    return path


@pytest.mark.parametrize(
    ("crs", "said", "metres"),
    [
        (None, "no projection (CRS) is stated", None), (4326, "coordinates are degrees", None),
        (3857, "metres of EPSG:3857 grow", 0.25), (2263, "", 0.25 * 0.3048006096**2),
    ],
)  # fmt: skip
def test_square_metres_are_never_guessed(
    tmp_path: Path, model: Segmenter, crs: int | None, said: str, metres: float | None
) -> None:
    path = placed(tmp_path / "a.tif", crs)
    result = predict(model, path, tmp_path / "m", areas=tmp_path / "areas.csv")
    assert any(said in note for note in result.notes)
    with (tmp_path / "areas.csv").open() as file:
        for row in csv.DictReader(file):
            wanted = "" if metres is None else pytest.approx(int(row["pixels"]) * metres)
            assert (row["square_metres"] if metres is None else float(row["square_metres"])) == wanted


def test_without_a_projection_geojson_is_in_pixels_and_it_is_said(tmp_path: Path, model: Segmenter) -> None:
    result = predict(model, placed(tmp_path / "a.tif", None), tmp_path / "m", polygons="geojson")
    assert any("its polygons are in pixels" in note for note in result.notes)
    shapes = [shape for shape, _ in features(tmp_path / "m" / "a.geojson")]
    assert shapely.total_bounds(shapes).tolist() == [0, 0, 80, 64]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--polygons", "svg"], "svg"),
        (["--tolerance", "2"], "give --polygons too"),
        (["--min-area", "20"], "give --polygons too"),
        (["--polygons", "coco", "--tolerance", "-1"], "the tolerance of polygons"),
        (["--polygons", "coco", "--tolerance", "nan"], "the tolerance of polygons"),
        (["--polygons", "coco", "--min-area", "-1"], "the smallest area of polygons"),
        (["--areas", "."], "is a folder; name the CSV file"),
    ],
)
def test_bad_options_are_one_line_and_write_nothing(
    tmp_path: Path, model: Segmenter, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    model.save(tmp_path / "model.safetensors")
    Image.fromarray(PIXELS[:50, :60]).save(tmp_path / "a.png")
    command = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "a.png"), "--out", str(tmp_path / "m")]
    assert run([*command, *options]) == 2
    assert said in complaint(capsys)
    assert not (tmp_path / "m").exists()


def test_a_missing_package_names_the_extra(tmp_path: Path, model: Segmenter, monkeypatch: Any, capsys: Any) -> None:
    import sys

    model.save(tmp_path / "model.safetensors")
    Image.fromarray(PIXELS[:50, :60]).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "shapely", None)
    command = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "a.png"), "--out", str(tmp_path / "m")]
    assert run([*command, "--polygons", "geojson"]) == 2
    assert "pip install 'fullconv[polygons]'" in complaint(capsys)
    assert not (tmp_path / "m").exists()


def test_annotations_beside_the_images_are_not_replaced(tmp_path: Path, model: Segmenter, capsys: Any) -> None:
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS[:50, :60]).save(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "a.json").write_text("{}")
    command = ["predict", str(tmp_path / "model.safetensors"), str(tmp_path / "in"), "--out", str(tmp_path / "in")]
    assert run([*command, "--polygons", "labelme"]) == 2
    assert "may be somebody's annotations" in complaint(capsys)
    assert (tmp_path / "in" / "a.json").read_text() == "{}"
    assert not (tmp_path / "in" / "a.png").exists()


@pytest.mark.parametrize("kind", ["coco", "geojson"])
def test_a_run_that_goes_on_has_the_polygons_and_areas_of_all(tmp_path: Path, model: Segmenter, kind: str) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(PIXELS[number * 60 : number * 60 + 60, :80]).save(tmp_path / "in" / f"{number}.png")
    whole = {"polygons": kind, "min_area": 9, "areas": tmp_path / "whole.csv"}
    predict(model, tmp_path / "in", tmp_path / "whole", **whole)
    (tmp_path / "in" / "1.png").rename(tmp_path / "kept.png")
    predict(model, tmp_path / "in", tmp_path / "m", polygons=kind, min_area=9)
    (tmp_path / "kept.png").rename(tmp_path / "in" / "1.png")
    asked = {"polygons": kind, "min_area": 9, "areas": tmp_path / "areas.csv"}
    result = predict(model, tmp_path / "in", tmp_path / "m", resume=True, **asked)
    assert result.skipped == 2
    lines = (tmp_path / "areas.csv").read_text().splitlines()
    assert sorted(lines) == sorted((tmp_path / "whole.csv").read_text().splitlines())
    for name in ("0.geojson", "1.geojson", "2.geojson") if kind == "geojson" else ("polygons.json",):
        found, wanted = (json.loads((tmp_path / folder / name).read_text()) for folder in ("m", "whole"))
        assert set(found) == set(wanted)
        assert len(found.get("annotations", [])) == len(wanted.get("annotations", []))
        assert found.get("features") == wanted.get("features")


@pytest.mark.parametrize("kind", ENDINGS)
def test_an_image_of_background_alone_has_files_without_polygons(tmp_path: Path, kind: str) -> None:
    classes = ClassSet(("background", "cat"))
    labels = LabelFile(Input(tmp_path / "a.png", Path("a.png")), tmp_path / "m" / "a.png", (4, 6), (4, 6), None)
    written = write_polygons(kind, labels, trace(np.zeros((4, 6), np.uint8), classes), classes, tmp_path / "m")
    write_for_all(kind, [written], classes, tmp_path / "m")
    if kind == "gpkg":
        assert len(pyogrio.raw.read(tmp_path / "m" / "a.gpkg")[2]) == 0
        with closing(sqlite3.connect(tmp_path / "m" / "a.gpkg")) as database:
            assert database.execute("select srs_id from gpkg_geometry_columns").fetchall() == [(-1,)]
    elif kind == "yolo":
        assert (tmp_path / "m" / "a.txt").read_text() == ""
    else:
        (file,) = (tmp_path / "m").glob("*json")
        content = json.loads(file.read_text())
        assert [content[key] for key in ("features", "shapes", "annotations") if key in content] == [[]]


def test_masks_are_ours_however_large_pillow_takes_a_picture_for_an_attack(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow warns from 90 Mpixel on and refuses twice as many: a limit for strangers' files."""
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    result = predict(model, tmp_path / "large.png", tmp_path / "out", polygons="geojson")
    assert not result.failed
    assert (tmp_path / "out" / "large.geojson").is_file()
