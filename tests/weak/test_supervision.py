"""What the items of a data set teach with: their own annotations, or what is derived from their masks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from fullconv.data import read_sample
from fullconv.data.annotations import Annotation
from fullconv.data.dataset import AnnotationSource
from fullconv.data.mixing import mix
from fullconv.formats.open import open_dataset
from fullconv.weak import Supervised, Supervision, kept, supervise, supervised
from tests.builders.weak import BOX, LINES, OUTLINE, SIZE, TAG, VOID, dense, drawn, labels_of, mask, spec

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

POINTS = (Annotation(2, "point", (np.array([(6.5, 8.5)]),)), Annotation(0, "point", (np.array([(26.5, 8.5)]),)))


def kinds_of(found: Supervision) -> dict[str, str]:
    return {name: kind for (_, name), kind in found.kinds.items()}


def test_auto_takes_from_each_image_what_it_has(tmp_path: Path) -> None:
    train: dict[str, AnnotationSource] = {
        "masked": mask(tmp_path, "masked", dense()),
        "outlined": drawn(OUTLINE, BOX),
        "lined": drawn(*LINES, BOX),
        "pointed": drawn(*POINTS, TAG),
        "boxed": drawn(BOX, TAG),
        "tagged": drawn(TAG, has_label_map=False),
        "empty": drawn(has_label_map=False),
    }
    found = supervise(spec(tmp_path, train, {"v": mask(tmp_path, "v", dense())}), "auto")
    assert kinds_of(found) == {
        "masked": "masks", "outlined": "masks", "lined": "scribbles", "pointed": "points", "boxed": "boxes",
        "tagged": "tags",
    }  # fmt: skip
    assert [item.id for item in found.spec.split("train")] == list(kinds_of(found))
    assert found.against == "masks"
    assert found.lines == (
        "learns from masks of 2 images; scribbles of 1 image; points of 1 image; boxes of 1 image; tags of 1 image",
        "  strokes are 3 pixels wide, points 3x3; what none covers is void",
        "  outside of all boxes is background",
        "1 train image has boxes beside strokes or points, which are not used; --labels boxes uses them",
    )
    (empty,) = found.faults
    assert empty.line == (
        f"{tmp_path}: 1 of 7 train images have no annotation, left out (empty); annotate them; one that shows nothing "
        "of any class needs a mask"
    )
    np.testing.assert_array_equal(labels_of(found, "masked"), dense())
    lined, pointed, boxed = (labels_of(found, name) for name in ("lined", "pointed", "boxed"))
    assert set(np.unique(lined)) == {0, 1, VOID}
    assert set(np.unique(pointed)) == {0, 2, VOID}
    assert (pointed != VOID).sum() == 18
    expected = np.zeros(SIZE, np.uint8)
    expected[5:15, 4:12] = 1
    np.testing.assert_array_equal(boxed, expected)
    assert (labels_of(found, "tagged") == VOID).all()
    annotation = found.spec.split("train")[-1].annotation
    assert isinstance(annotation, Supervised)
    assert annotation.tags() == {2}


def test_images_without_an_annotation_among_outlines_are_said_to_be_background(tmp_path: Path) -> None:
    sources: dict[str, AnnotationSource] = {"outlined": drawn(OUTLINE), "empty": drawn(), "other": drawn()}
    val: dict[str, AnnotationSource] = {"v": drawn(OUTLINE)}
    for labels in ("auto", "boxes"):
        found = supervise(spec(tmp_path, sources, val), labels)
        said = [line for line in found.lines if "no annotation" in line]
        assert said == ["2 of 3 train images have no annotation, in data with outlines: all is background"]


@pytest.mark.parametrize("kind", ["boxes", "tags", "scribbles", "points"])
def test_a_kind_is_derived_from_masks_where_an_image_has_none_of_it(kind: str, tmp_path: Path) -> None:
    own = {"boxes": (BOX,), "tags": (TAG,), "scribbles": LINES, "points": POINTS}[kind]
    train: dict[str, AnnotationSource] = {
        "own": drawn(*own), "masked": mask(tmp_path, "masked", dense()), "other": drawn(OUTLINE),
    }  # fmt: skip
    found = supervise(spec(tmp_path, train, {"v": mask(tmp_path, "v", dense())}), kind)
    assert set(kinds_of(found).values()) == {kind}
    own_ones = [item.annotation.own for item in found.spec.split("train")]
    assert own_ones == [True, False, False]
    assert found.lines[0] == f"learns from {kind} of 1 image; {kind} of 2 images, derived from masks"
    sources = [item.annotation for item in found.spec.split("train")]
    assert all(isinstance(source, Supervised) for source in sources)
    own_source, masked, other = sources
    if kind == "boxes":
        assert own_source.boxes() == ((1, 4, 5, 12, 15),)
        assert masked.boxes() == ((1, 4, 3, 16, 12), (2, 8, 14, 28, 20))
        assert other.boxes() == ((2, 2, 2, 14, 10),)
    if kind == "tags":
        assert [source.tags() for source in sources] == [{2}, {0, 1, 2}, {0, 2}]
    if kind in ("scribbles", "points"):
        labels = labels_of(found, "masked")
        assert (labels[labels != VOID] == dense()[labels != VOID]).all()
        assert set(np.unique(labels)) == {0, 1, 2, VOID}


def test_masks_of_nearly_nothing_are_scribbles(tmp_path: Path) -> None:
    thin = np.full(SIZE, VOID, np.uint8)
    thin[5, 2:20], thin[18, 2:20] = 1, 0
    data = spec(tmp_path, {"a": mask(tmp_path, "a", thin)}, {"v": mask(tmp_path, "v", thin)})
    for labels in ("auto", "scribbles"):
        found = supervise(data, labels)
        assert kinds_of(found) == {"a": "scribbles"}
        assert found.lines == (
            "learns from scribbles of 1 image",
            "no val image has a mask: the val scores are against scribbles, not masks",
        )
        np.testing.assert_array_equal(labels_of(found, "a"), thin)
    scored = supervise(spec(tmp_path, {"a": mask(tmp_path, "a", thin)}, {"v": mask(tmp_path, "v", dense())}), "auto")
    assert (scored.against, scored.lines) == ("masks", ("learns from scribbles of 1 image",))
    data = spec(tmp_path, {"a": mask(tmp_path, "a", thin)}, {"v": mask(tmp_path, "v", thin)})
    assert (labels_of(supervise(data, "points"), "a") != VOID).sum() == 4  # two pixels of each line, deepest at its end


@dataclasses.dataclass(frozen=True)
class Painted:
    """A brush's pixels."""

    rows: tuple[int, int]

    def decode(self, size: tuple[int, int], where: str) -> np.ndarray:
        mask = np.zeros(size, bool)
        mask[slice(*self.rows)] = True
        return mask


def test_brushes_that_paint_background_too_but_little_are_strokes_where_scribbles_are_asked_for(tmp_path: Path) -> None:
    def brush(label: int, *rows: int) -> Annotation:
        return Annotation(label, "mask", stored=Painted((rows[0], rows[1])), drawn=True)

    val: dict[str, AnnotationSource] = {"v": mask(tmp_path, "v", dense())}
    strokes = spec(tmp_path, {"a": drawn(brush(0, 1, 3), brush(1, 8, 11)), "b": drawn(brush(2, 8, 9))}, val)
    found = supervise(strokes, "scribbles")
    assert found.lines[0] == "learns from scribbles of 2 images"
    assert [int((labels_of(found, "a") == label).sum()) for label in (0, 1, VOID)] == [64, 96, 19 * 32]
    assert kinds_of(supervise(strokes, "auto")) == {"a": "masks", "b": "masks"}
    no_ground = spec(tmp_path, {"a": drawn(brush(1, 8, 11))}, val)
    assert supervise(no_ground, "scribbles").lines[0].endswith("derived from masks")


def test_poses_are_boxes_and_no_points(tmp_path: Path) -> None:
    boxed = dataclasses.replace(BOX, instance=0)
    joints = Annotation(1, "point", (np.array([(6.5, 8.5), (9.5, 9.5)]),), instance=0)
    val: dict[str, AnnotationSource] = {"v": drawn(OUTLINE)}
    assert kinds_of(supervise(spec(tmp_path, {"a": drawn(boxed, joints)}, val), "auto")) == {"a": "boxes"}
    loose = dataclasses.replace(joints, instance=7)
    assert kinds_of(supervise(spec(tmp_path, {"a": drawn(boxed, loose)}, val), "auto")) == {"a": "points"}


def test_val_is_scored_by_masks_as_far_as_there_are_any(tmp_path: Path) -> None:
    train: dict[str, AnnotationSource] = {"a": drawn(BOX)}
    some = supervise(spec(tmp_path, train, {"v": drawn(OUTLINE), "w": drawn(BOX), "x": drawn(BOX)}), "auto")
    assert some.against == "masks"
    assert [item.id for item in some.spec.split("val")] == ["v"]
    assert "2 of 3 val images have no mask: left out of the score" in some.lines
    none = supervise(spec(tmp_path, train, {"v": drawn(BOX), "w": drawn(has_label_map=False)}), "auto")
    assert none.against == "boxes"
    assert [item.id for item in none.spec.split("val")] == ["v"]
    assert "1 of 2 val images have no annotation: left out of the score" in none.lines
    assert "no val image has a mask: the val scores are against boxes, not masks" in none.lines


def test_a_mixture_of_data_sets_mixes_kinds(tmp_path: Path) -> None:
    masks = spec(tmp_path / "m", {"a": drawn(OUTLINE)}, {"v": drawn(OUTLINE)})
    boxes = spec(tmp_path / "b", {"a": drawn(BOX)}, {"v": drawn(BOX)})
    found = supervise(mix([masks, boxes]), "auto")
    assert found.kinds == {(0, "0/a"): "masks", (1, "1/a"): "boxes"}
    assert found.against == "masks"
    part = labels_of(found, "1/a")
    assert (part == 1).sum() == 80
    assert (part == 0).sum() == part.size - 80


def test_derived_labels_are_kept_as_long_as_the_files_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    derived = list[int]()
    rule = supervised.scribbles_of
    monkeypatch.setattr(supervised, "scribbles_of", lambda *given: derived.append(1) or rule(*given))
    data = spec(tmp_path, {"a": mask(tmp_path, "a", dense())}, {"v": mask(tmp_path, "v", dense())})
    found = supervise(data, "scribbles")
    first, again = labels_of(found, "a"), labels_of(supervise(data, "scribbles"), "a")
    np.testing.assert_array_equal(first, again)
    assert len(derived) == 1
    labels_of(supervise(data, "points"), "a")  # another rule
    assert len(derived) == 1
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:20])  # damaged
    np.testing.assert_array_equal(labels_of(found, "a"), first)
    assert len(derived) == 2
    mask(tmp_path, "a", np.flipud(dense()))
    changed = labels_of(found, "a")
    assert len(derived) == 3
    assert (changed[changed != VOID] == np.flipud(dense())[changed != VOID]).all()
    monkeypatch.setattr(kept, "VERSION", kept.VERSION + 1)  # the rule itself is another
    labels_of(found, "a")
    assert len(derived) == 4
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "no folder"))
    np.testing.assert_array_equal(labels_of(found, "a"), changed)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not there")
@pytest.mark.parametrize("kind", ["boxes", "tags", "scribbles", "points"])
def test_real_outlines_teach_as_less(kind: str) -> None:
    for name in ("labelme", "coco_polygons"):
        data = open_dataset(SHARED / name)
        found = supervise(data, kind)
        assert set(kinds_of(found).values()) == {kind}
        for item, whole in zip(found.spec.split("train"), data.split("train"), strict=True):
            labels, truth = read_sample(found.spec, item).labels, read_sample(data, whole).labels
            assert isinstance(item.annotation, Supervised)
            assert item.annotation.tags() == set(np.unique(truth).tolist()) - {data.classes.ignore_index}
            if kind in ("scribbles", "points"):
                marked = labels != data.classes.ignore_index
                assert (labels[marked] == truth[marked]).all()
            if kind == "boxes":
                objects = json.loads(json.dumps(item.annotation.boxes()))
                shown = {label for label, *_ in objects}
                assert shown == item.annotation.tags() - {data.classes.background}
