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
from fullconv.formats.read.camvid import CAMVID_CLASSES
from fullconv.formats.read.camvid_original import CAMVID_32, CamvidLabels, _segnet_split

# the 11 classes and void, as SegNet's masks have them where its frames show the class, else as MathWorks' example does
MERGED = {
    "Sky": {"Sky"},
    "Building": {"Bridge", "Building", "Wall", "Tunnel"},
    "Pole": {"Column_Pole", "TrafficCone"},
    "Road": {"Road", "LaneMkgsDriv", "LaneMkgsNonDriv"},
    "Pavement": {"Sidewalk", "ParkingBlock", "RoadShoulder"},
    "Tree": {"Tree", "VegetationMisc"},
    "SignSymbol": {"SignSymbol", "Misc_Text", "TrafficLight"},
    "Fence": {"Fence"},
    "Car": {"Car", "SUVPickupTruck", "Truck_Bus", "Train"},
    "Pedestrian": {"Pedestrian"},
    "Bicyclist": {"Bicyclist", "MotorcycleScooter"},
    "": {"Void", "Archway", "OtherMoving", "Child", "CartLuggagePram", "Animal"},
}
NAMES = list(CAMVID_32)
FRAMES = (
    "0001TP_008520", "0001TP_008550", "0006R0_f00930", "0016E5_07920", "0016E5_07959", "0016E5_08159",
    "0016E5_08190", "Seq05VD_f00000",
)  # fmt: skip


def write_camvid(root: Path, frames: tuple[str, ...] = FRAMES, images: str = "701_StillsRaw_full") -> np.ndarray:
    """Frames whose masks show all 32 colours as stripes; the stripes' numbers ``[32, 64]``."""
    (root / images).mkdir(parents=True)
    (root / "LabeledApproved_full").mkdir()
    stripes = np.repeat(np.arange(32)[:, None], 64, axis=1)
    colours = np.array([colour for colour, _ in CAMVID_32.values()], np.uint8)
    for frame in frames:
        Image.fromarray(np.full((32, 64, 3), 90, np.uint8)).save(root / images / f"{frame}.png")
        Image.fromarray(colours[stripes]).save(root / "LabeledApproved_full" / f"{frame}_L.png")
    lines = (f"{r} {g} {b}\t\t{name}" for name, ((r, g, b), _) in CAMVID_32.items())
    (root / "label_colors.txt").write_text("\r\n".join(lines))
    return stripes


def test_the_table_is_complete() -> None:
    assert len(CAMVID_32) == 32
    assert len({colour for colour, _ in CAMVID_32.values()}) == 32
    found: dict[str, set[str]] = {}
    for name, (_, merged) in CAMVID_32.items():
        found.setdefault(merged, set()).add(name)
    assert found == MERGED


@pytest.mark.parametrize("images", ["701_StillsRaw_full", "images"])
def test_masks_are_merged_and_frames_divided_as_segnet_did(images: str, tmp_path: Path) -> None:
    stripes = write_camvid(tmp_path, images=images)
    spec = open_dataset(tmp_path)
    assert (spec.layout, spec.classes) == ("camvid_original", CAMVID_CLASSES)
    ids = {split: [item.id for item in items] for split, items in spec.splits.items()}
    assert ids == {
        "train": ["0001TP_008520", "0006R0_f00930", "0016E5_07920", "0016E5_08190"],
        "val": ["0016E5_07959", "0016E5_08159"],
        "test": ["0001TP_008550", "Seq05VD_f00000"],
    }
    merged = {name: 255 if new == "" else spec.classes.names.index(new) for new in MERGED for name in MERGED[new]}
    labels = read_sample(spec, pickle.loads(pickle.dumps(spec.split("val")[0]))).labels
    np.testing.assert_array_equal(labels, np.array([merged[name] for name in NAMES])[stripes])
    assert any("as SegNet did" in reason for reason in spec.reasons)


def test_the_rule_gives_segnet_s_own_lists(shared: Path) -> None:
    for split, count in (("train", 367), ("val", 101)):
        listed = (shared / "data" / "camvid" / f"{split}.txt").read_text().split()[::2]
        assert [_segnet_split(Path(name).stem) for name in listed] == [split] * count


def test_lists_and_foreign_names(tmp_path: Path) -> None:
    write_camvid(tmp_path / "a")
    (tmp_path / "a" / "train.txt").write_text("701_StillsRaw_full/0006R0_f00930.png\n0016E5_07959\n")
    (tmp_path / "a" / "val.txt").write_text("Seq05VD_f00000.png x.png\n")
    spec = open_dataset(tmp_path / "a")
    assert [item.id for item in spec.split("train")] == ["0006R0_f00930", "0016E5_07959"]
    assert [item.id for item in spec.split("val")] == ["Seq05VD_f00000"]
    (tmp_path / "a" / "val.txt").write_text("Seq05VD_f99999\n")
    with pytest.raises(DataError, match=r"1 of 1 entries name no image \(Seq05VD_f99999\)"):
        open_dataset(tmp_path / "a")
    write_camvid(tmp_path / "b", tuple(f"street_{i}" for i in range(5)))
    spec = open_dataset(tmp_path / "b")
    assert (len(spec.split("train")), len(spec.split("val"))) == (4, 1)
    assert any("its split is not used" in reason for reason in spec.reasons)


def test_all_32_classes_by_dataset_yaml(tmp_path: Path) -> None:
    stripes = write_camvid(tmp_path)
    classes = {name: list(colour) for name, (colour, _) in CAMVID_32.items() if name != "Void"}
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes, "ignore": [[0, 0, 0]]}, sort_keys=False))
    spec = open_dataset(tmp_path)
    assert len(spec.classes) == 31
    expected = np.array([255 if name == "Void" else list(classes).index(name) for name in NAMES])[stripes]
    np.testing.assert_array_equal(read_sample(spec, spec.split("train")[0]).labels, expected)
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["Road", "Sky"]}))
    with pytest.raises(DataError, match="classes has no colours"):
        open_dataset(tmp_path)


def test_a_few_blended_pixels_are_void_and_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x_L.png"
    mask = np.full((40, 50, 3), 128, np.uint8)  # Sky
    mask[3, 4:6] = (26, 26, 26)
    Image.fromarray(mask).save(path)
    source = CamvidLabels(path, (((128, 128, 128), 0), ((0, 0, 0), -1)))
    labels = source.label_map(11, 255)
    assert (labels[3, 4:6] == 255).all()
    assert (labels == 0).sum() == labels.size - 2
    mask[3, 6] = (1, 2, 3)
    Image.fromarray(mask).save(path)
    with pytest.raises(DataError, match=r"first \(26, 26, 26\) at row 3, column 4; save it without smoothing"):
        source.label_map(11, 255)
    Image.fromarray(np.full((4, 4), 9, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"100.0% of its pixels have none of CamVid's colours, first \(9, 9, 9\)"):
        source.label_map(11, 255)


def test_missing_masks_and_contradicting_colours(tmp_path: Path) -> None:
    write_camvid(tmp_path)
    listing = tmp_path / "label_colors.txt"
    for line, words in (
        ("64 0 128 Sky", r"Sky has colour \(64, 0, 128\), in CamVid that is Car"),
        ("1 2 3 Tram", r"Tram has colour \(1, 2, 3\), which CamVid's 32 classes do not"),
        ("Sky 128 128 128", "expected 'R G B name'"),
    ):
        listing.write_text(line)
        with pytest.raises(DataError, match=words):
            open_dataset(tmp_path)
    listing.unlink()
    (tmp_path / "LabeledApproved_full" / "0006R0_f00930_L.png").unlink()
    with pytest.raises(DataError, match=r"1 of 8 listed files are missing \(0006R0_f00930_L\.png\)"):
        open_dataset(tmp_path)
