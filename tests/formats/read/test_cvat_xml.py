from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fullconv.data import read_sample
from fullconv.errors import DataError
from fullconv.formats.open import open_dataset

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools

META = """<meta><task><labels>
<label><name>road</name><color>#ff0080</color><type>any</type></label>
<label><name>car</name><color>#010203</color><type>polygon</type></label>
<label><name>good</name><color>#aaaaaa</color><type>tag</type></label>
</labels></task></meta>"""


def make(root: Path, *images: str, meta: str = META, head: str = "") -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    text = f'<?xml version="1.0" encoding="utf-8"?>{head}<annotations><version>1.1</version>{meta}{"".join(images)}'
    (root / "annotations.xml").write_text(text + "</annotations>")
    return root


def image(root: Path, name: str, shapes: str, extra: str = "", folder: str = "images") -> str:
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(path)
    return f'<image id="0" name="{name}" {extra} width="12" height="10">{shapes}</image>'


def read(root: Path) -> np.ndarray:
    spec = open_dataset(root)
    return read_sample(spec, pickle.loads(pickle.dumps(spec.split("train")[0]))).labels


def expected(**boxes: tuple[slice, slice]) -> np.ndarray:
    labels = np.zeros((10, 12), np.uint8)
    for name, box in boxes.items():
        labels[box] = {"road": 1, "car": 2}[name.rstrip("_")]
    return labels


def test_labels_with_their_colours(tmp_path: Path) -> None:
    box = '<box label="car" xtl="2" ytl="3" xbr="6" ybr="8" z_order="0"/>'
    spec = open_dataset(make(tmp_path / "t", image(tmp_path / "t", "a.png", box), image(tmp_path / "t", "b.png", "")))
    assert spec.layout == "cvat_xml"
    assert spec.classes.names == ("background", "road", "car")  # a tag has no inside: no class
    assert spec.classes.palette == ((0, 0, 0), (255, 0, 128), (1, 2, 3))
    assert any("1 of 2 images have no region" in reason for reason in spec.reasons)
    assert any("labels of a type without an area are no classes: 1" in reason for reason in spec.reasons)
    assert any("pycocotools" in reason for reason in spec.reasons)


def test_boxes_and_polygons_are_drawn_by_z_order_then_in_order(tmp_path: Path) -> None:
    shapes = """<box label="car" xtl="2" ytl="3" xbr="6" ybr="8" z_order="1"/>
    <polygon label="road" points="0,0;12,0;12,5;0,5" z_order="0"/>
    <tag label="good"/><polyline label="road" points="0,0;5,5" z_order="9"/>
    <points label="car" points="1,1" z_order="9"/><polygon label="car" points="1,1;2,2" z_order="9"/>"""
    root = make(tmp_path / "t", image(tmp_path / "t", "a.png", shapes))
    np.testing.assert_array_equal(read(root), expected(road=np.s_[:5, :], car=np.s_[3:8, 2:6]))
    counts = "1 points, 1 polygon of fewer than 3 points, 1 polyline, 1 tag"
    assert any(reason.endswith(f"left out: {counts}") for reason in open_dataset(root).reasons)
    make(
        tmp_path / "t", image(tmp_path / "t", "a.png", shapes.replace('z_order="1"', "")), '<track id="0" label="car"/>'
    )
    assert "1 track beside the images is left out: such belong to a video" in open_dataset(root).reasons
    np.testing.assert_array_equal(read(root), expected(car=np.s_[3:8, 2:6], road=np.s_[:5, :]))


def test_masks_are_run_lengths_of_their_box_row_by_row(tmp_path: Path) -> None:
    part = np.random.default_rng(0).random((4, 5)) > 0.5
    part[0, 0] = True  # so that the first run, of zeros, is empty
    flat = part.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = ", ".join(map(str, [0, *np.diff([0, *edges, flat.size])]))
    mask = f'<mask label="car" rle="{runs}" left="%d" top="%d" width="5" height="4" z_order="0"/>'
    labels = np.zeros((10, 12), np.uint8)
    labels[3:7, 6:11][part] = 2
    np.testing.assert_array_equal(read(make(tmp_path / "t", image(tmp_path / "t", "a.png", mask % (6, 3)))), labels)
    labels = np.zeros((10, 12), np.uint8)
    labels[8:, 10:][part[:2, :2]] = 2  # beyond the image it is cut off
    np.testing.assert_array_equal(read(make(tmp_path / "t", image(tmp_path / "t", "a.png", mask % (10, 8)))), labels)
    labels = np.zeros((10, 12), np.uint8)
    labels[:3, :4][part[1:, 1:]] = 2
    np.testing.assert_array_equal(read(make(tmp_path / "t", image(tmp_path / "t", "a.png", mask % (-1, -1)))), labels)


def test_ellipses_and_turned_boxes(tmp_path: Path) -> None:
    ellipse = '<ellipse label="car" cx="6" cy="5" rx="4" ry="2" rotation="%s"/>'
    labels = read(make(tmp_path / "t", image(tmp_path / "t", "a.png", ellipse % 0)))
    rows, columns = np.mgrid[:10, :12] + 0.5
    inside = ((columns - 6) / 4) ** 2 + ((rows - 5) / 2) ** 2
    assert (labels[inside < 0.8] == 2).all()
    assert (labels[inside > 1.25] == 0).all()
    labels = read(make(tmp_path / "t", image(tmp_path / "t", "a.png", ellipse % 90)))
    inside = ((columns - 6) / 2) ** 2 + ((rows - 5) / 4) ** 2
    assert (labels[inside < 0.8] == 2).all()
    assert (labels[inside > 1.25] == 0).all()
    box = '<box label="road" xtl="2" ytl="4" xbr="10" ybr="6" rotation="%s"/>'
    labels = read(make(tmp_path / "t", image(tmp_path / "t", "a.png", box % 90)))
    np.testing.assert_array_equal(labels, expected(road=np.s_[1:9, 5:7]))
    labels = read(make(tmp_path / "t", image(tmp_path / "t", "a.png", box % 30)))
    assert labels[6, 8] == 1  # clockwise on the screen: the right end goes down
    assert labels[3, 8] == 0


def test_subsets_and_folders_are_splits(tmp_path: Path) -> None:
    root = tmp_path / "t"
    make(
        root,
        image(root, "a.png", "", 'subset="Train"', "images/Train"),
        image(root, "b.png", "", 'subset="Validation"', "images/Validation"),
        image(root, "test/c.png", "", 'subset="default"', "images"),
        image(root, "d.png", "", 'subset="default"', "."),
    )
    spec = open_dataset(root)
    found = {split: [item.id for item in items] for split, items in spec.splits.items()}
    assert found == {"train": ["a"], "val": ["b"], "test": ["test/c"]}
    assert any("1 image of other subsets (default) is left out" in reason for reason in spec.reasons)


def test_labels_found_where_none_are_stated_and_dataset_yaml(tmp_path: Path) -> None:
    root = tmp_path / "t"
    shapes = (
        '<box label="sky" xtl="0" ytl="0" xbr="12" ybr="5"/><box label="Background" xtl="0" ytl="8" xbr="1" ybr="9"/>'
    )
    make(root, image(root, "a.png", shapes), meta="<meta><task/></meta>")
    spec = open_dataset(root)
    assert spec.classes.names == ("Background", "sky")
    np.testing.assert_array_equal(read(root), np.repeat([1, 0], 5)[:, None].repeat(12, 1))
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["sky"]}))
    with pytest.raises(DataError, match=r"1 label is not among the classes of dataset.yaml \(Background\)"):
        open_dataset(root)
    make(root, image(root, "a.png", shapes.split("/>")[0] + "/>"), meta="")
    np.testing.assert_array_equal(read(root), np.repeat([0, 255], 5)[:, None].repeat(12, 1))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ('<box label="tree" xtl="2" ytl="3" xbr="6" ybr="8"/>', "has label 'tree', which the file does not name"),
        ('<box label="car" xtl="2" ytl="3" xbr="6"/>', "shape 0 (box) cannot be read (KeyError: 'ybr')"),
        ('<polygon label="car" points="1,2;1e12,3;4,5"/>', "beyond 1e+06 pixels"),
        ('<ellipse label="car" cx="nan" cy="1" rx="2" ry="2"/>', "a coordinate that is not a number"),
        ('<polygon label="car" points="1,2;x,3;4,5"/>', "shape 0 (polygon) cannot be read (ValueError"),
        ('<mask label="car" rle="1, 2" left="0" top="0" width="2" height="2"/>', "3 pixels for a box of 2x2"),
    ],
)
def test_bad_shapes(shapes: str, words: str, tmp_path: Path) -> None:
    root = make(tmp_path / "t", image(tmp_path / "t", "a.png", shapes))
    with pytest.raises(DataError, match=r"image a\.png") as error:
        open_dataset(root)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_files(tmp_path: Path) -> None:
    root = tmp_path / "t"
    make(root, image(root, "a.png", ""), head='<!DOCTYPE x [<!ENTITY a "b">]>')
    with pytest.raises(DataError, match=r"annotations.xml: has a document type \(DTD\).*refused"):
        open_dataset(root)
    make(root, '<track id="0" label="car"/>')
    with pytest.raises(DataError, match="tracks of a video found, expected images; export it as 'CVAT for images"):
        open_dataset(root)
    make(root, image(root, "a.png", "").replace("</image>", ""))
    with pytest.raises(DataError, match="not readable XML"):
        open_dataset(root)
    make(root, image(root, "a.png", "").replace('"12"', '"13"'))
    with pytest.raises(DataError, match=r"labelled at 13x10, but a.png is 12x10"):
        open_dataset(root)
    make(root, image(root, "a.png", ""), '<image id="1" name="../gone.png" width="12" height="10"/>')
    with pytest.raises(DataError, match=r"1 of 2 images are missing \(../gone.png\)"):
        open_dataset(root)
    (root / "annotations.xml").write_text("<other/>")
    with pytest.raises(DataError, match="no data set recognised"):
        open_dataset(root)
