"""Which mask is whose: names that are equal, that differ by a form of their accents, by case, or by a word."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.errors import DataError
from fullconv.formats.problems import Strict
from fullconv.formats.read.names import Names, spot
from fullconv.formats.read.pairing import paired, paired_within
from fullconv.formats.read.pairing_rules import Words


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def pairs(root: Path, images: list[str], masks: list[str]) -> list[tuple[str, str]]:
    items = paired(touch(root / "images", *images), touch(root / "masks", *masks), Strict())
    return [(item.image.path.name, item.annotation.path.name) for item in items]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{}.png"),
        ("{}.jpg", "{}_mask.png"),
        ("img_{}.jpg", "mask_{}.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("IMG-{}.jpg", "Label-{}.png"),
        ("image{}.jpg", "gt{}.png"),
        ("area_rgb_{}.tif", "area_label_{}.tif"),  # a word between
        ("{}.jpg", "mask_{}.png"),
        ("site_{}_ortho.jpg", "site_{}_gt.png"),  # a word that all images have
        ("Tile_{}.PNG", "tile_{}.png"),
    ],
)
def test_a_word_on_one_side_or_both(tmp_path: Path, image: str, mask: str) -> None:
    numbers = ["1", "2", "10", "11"]
    expected = sorted((image.format(n), mask.format(n)) for n in numbers)
    assert sorted(pairs(tmp_path, [a for a, _ in expected], [b for _, b in expected])) == expected


def test_side_by_side_with_words_on_both(tmp_path: Path) -> None:
    for image, mask in (("{}_sat.jpg", "{}_mask.png"), ("img_{}.jpg", "mask_{}.png")):
        folder = touch(tmp_path / image[:3], *(name.format(n) for n in range(5) for name in (image, mask)))
        items = paired_within(folder, Strict())
        assert items is not None
        assert sorted((i.image.path.name, i.annotation.path.name) for i in items) == [
            (image.format(n), mask.format(n)) for n in range(5)
        ]


def test_two_places_are_no_pair(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image has a mask"):
        pairs(tmp_path, ["site1_003.png", "site1_004.png"], ["site2_003.png", "site2_004.png"])
    photos = touch(tmp_path / "photos", *(f"{a}_{n}.jpg" for a in ("left", "right") for n in range(4)))
    assert paired_within(photos, Strict()) is None


def test_images_without_a_mask_are_named_whatever_the_rule(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 4 images have no mask \(img_4.png\)"):
        pairs(tmp_path, [f"img_{n}.png" for n in range(1, 5)], [f"mask_{n}.png" for n in range(1, 4)])


def test_case_decides_only_where_no_name_is_equal(tmp_path: Path) -> None:
    reasons: list[str] = []
    items = paired(
        touch(tmp_path / "images", "A.png", "b.png", "c.png"),
        touch(tmp_path / "masks", "A.png", "a.png", "B.png", "c.png"),
        Strict(),
        reasons=reasons,
    )
    assert [(item.image.path.name, item.annotation.path.name) for item in items] == [
        ("A.png", "A.png"), ("b.png", "B.png"), ("c.png", "c.png"),
    ]  # fmt: skip
    assert reasons == ["1 mask is named in another case than expected (b.png: B.png)"]
    assert Names([("A", 1), ("a", 2)]).get("á") is None
    assert Names([("Ab", 1), ("aB", 2)]).get("ab") is None  # two may be meant


def test_two_forms_of_one_name_in_one_folder_are_refused(tmp_path: Path) -> None:
    both = [unicodedata.normalize(form, "été.png") for form in ("NFC", "NFD")]
    with pytest.raises(DataError, match="have one name; keep one mask per image"):
        pairs(tmp_path, both[:1], both)


names = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(names, min_size=1, max_size=6, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_names_are_found_in_either_form(words: list[str]) -> None:
    known = Names((unicodedata.normalize("NFD", word), word) for word in words)
    assert [known.get(unicodedata.normalize("NFC", word)) for word in words] == words


@given(st.lists(st.sampled_from(["img", "mask", "7", "08", "road"]), min_size=1, max_size=5))
def test_a_word_is_taken_out_once_or_not_at_all(parts: list[str]) -> None:
    key = "a/" + "_".join(parts)
    found = Words("img", "mask").mask(key)
    if parts.count("mask") == 1 and len(parts) > 1:
        assert found == "a/" + "_".join(part for part in parts if part != "mask")
    else:
        assert found is None


def test_spot_finds_every_part_of_a_path(tmp_path: Path) -> None:
    touch(tmp_path / unicodedata.normalize("NFD", "forêt") / "Été", "Photo.JPG")
    found = spot(tmp_path / "forêt" / "été" / "photo.jpg")
    assert found is not None
    assert found.name == "Photo.JPG"
    assert spot(tmp_path / "forêt" / "hiver" / "photo.jpg") is None


def test_the_folder_of_the_session_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "apart", "images/a/1.png", "masks/a/1_mask.png")
    touch(tmp_path / "beside", "1_sat.jpg", "1_mask.png", "2_sat.jpg", "2_mask.png")
    monkeypatch.chdir(tmp_path / "apart")
    (item,) = paired(Path("images"), Path("masks"), Strict())
    assert (item.id, item.annotation.path) == ("a/1", Path("masks/a/1_mask.png"))
    monkeypatch.chdir(tmp_path / "beside")
    items = paired_within(Path(), Strict())
    assert items is not None
    assert [(item.id, item.annotation.path.name) for item in items] == [
        ("1_sat", "1_mask.png"),
        ("2_sat", "2_mask.png"),
    ]
