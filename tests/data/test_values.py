"""Data sets of other than 8-bit images: from the files to what the network sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullconv.checking.check import check
from fullconv.checking.page import write_page
from fullconv.checking.values import judge_range, value_lines
from fullconv.data import Augmentation, DatasetSpec, read_sample
from fullconv.data.cache import decoded
from fullconv.errors import DataError, UsageError
from fullconv.formats.convert import convert
from fullconv.formats.open import open_dataset
from fullconv.spec import Values
from tests.builders.bands import MASK, Draw, folder, nodata_and_inf, reflectance, write


def levels(spec: DatasetSpec) -> int:
    """Of the first channel, over all images of train."""
    return len(np.unique([read_sample(spec, item).image[..., 0] for item in spec.splits["train"]]))


def said(spec: DatasetSpec) -> str:
    return "\n".join(spec.reasons)


def test_range_is_percentiles_of_train_alone(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    spec = open_dataset(root)
    pooled = [tifffile.imread(item.image).reshape(-1, 3) for item in spec.splits["train"]]
    expected = np.percentile(np.concatenate(pooled), (0.1, 99.9), axis=0).T
    assert spec.values is not None
    assert np.allclose(spec.values.range, expected, rtol=1e-5)
    assert spec.channels == 3
    assert levels(spec) == 256
    assert "percentiles 0.1 and 99.9 of all 5 images of train" in said(spec)
    assert open_dataset(root).values == spec.values
    (val,) = spec.splits["val"]
    write(val.image, np.full((32, 32, 3), 60_000, np.uint16))
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
    assert np.array_equal(read_sample(spec, item).image, tifffile.imread(item.image))


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


def test_a_stated_range_wins_and_is_judged(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    for line, words in (
        ("range: [0, 65535]", "nearly all lies in 1"),
        ("range: [[0, 4000], [0, 4000], [0, 1000]]", "cuts off 78.7% of band 3"),
        ("range: [0, 4000]", ""),
    ):
        (root / "dataset.yaml").write_text(line + "\n")
        spec = open_dataset(root)
        report = check(spec)
        found = [finding.text for finding in report.findings if finding.kind == "range"]
        assert words in "".join(found)
        assert bool(found) == bool(words)
        assert report.problems == []
        assert report.values is not None
        assert all("range: [200, 3999]" in fix for _, fix in judge_range(spec, report.values))
    assert np.array_equal(
        read_sample(spec, spec.splits["val"][0]).image,
        np.rint(255.0 * tifffile.imread(spec.splits["val"][0].image) / 4000),
    )


@pytest.mark.parametrize(
    ("value", "lowest", "highest", "rest"), [(-9999, 0, 100, 3), (0, 5000, 6000, 43), (65535, 10, 4000, 16)]
)
def test_one_value_far_from_all_others_is_named(
    value: int, lowest: int, highest: int, rest: int, tmp_path: Path
) -> None:
    def draw(random: np.random.Generator) -> np.ndarray:
        image = random.integers(lowest, highest, (32, 32)).astype(np.int32)
        image[:4] = value
        return image

    root = folder(tmp_path / "a", draw)
    spec = open_dataset(root)
    ((line, fix),) = judge_range(spec, check(spec).values)
    assert line.startswith(f"12.50% of band 1 are {value}, far from all others, which lie in ")
    assert abs(int(line.split("lie in ")[1].split()[0]) - rest) <= 1
    assert fix == f"if these pixels hold nothing, write 'nodata: {value}' into dataset.yaml"
    (root / "dataset.yaml").write_text(f"nodata: {value}\n")
    spec = open_dataset(root)
    assert not judge_range(spec, check(spec).values)
    assert levels(spec) >= min(100, highest - lowest)
    (root / "dataset.yaml").write_text(f"range: [{lowest}, {highest}]\n")
    spec = open_dataset(root)
    ((line, fix),) = judge_range(spec, check(spec).values)
    assert "cuts off 12.5%" in line
    assert fix.startswith(f"write 'nodata: {value}' into dataset.yaml if ")


def test_an_image_of_two_values_or_with_a_dark_ground_is_left_alone(tmp_path: Path) -> None:
    for name, highest in (("two", 1), ("dark", 4000)):
        spec = open_dataset(
            folder(
                tmp_path / name, lambda random, n=highest: (random.integers(0, n + 1, (32, 32)) * 7).astype(np.uint16)
            )
        )
        assert not judge_range(spec, check(spec).values)


def test_mixed_kinds_are_refused_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    names = [item.image for item in open_dataset(root).splits["train"]]
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
    assert np.array_equal(read_sample(spec, item).image, np.rint(np.asarray(Image.open(item.image)) * 255.0 / 100))
    (root / "dataset.yaml").write_text("range: [0, 4000]\n")
    with pytest.raises(DataError, match="holds 8-bit values, where the range"):
        open_dataset(root)


def test_cache_follows_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    root = folder(tmp_path / "data", nodata_and_inf)
    for line in ("range: [0, 0.4]\nnodata: -9999\n", "range: [0, 1]\n"):
        (root / "dataset.yaml").write_text(line)
        spec = open_dataset(root)
        kept = decoded(spec)
        for plain, cached in zip(spec.splits["train"], kept.splits["train"], strict=True):
            a, b = read_sample(spec, plain), read_sample(kept, cached)
            assert np.array_equal(a.image, b.image)
            assert np.array_equal(a.labels, b.labels)


def test_mixture_has_one_range(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", reflectance), folder(tmp_path / "b", lambda r: reflectance(r) * 2)
    spec = open_dataset(f"{a}+{b}")
    pooled = [tifffile.imread(item.image)[..., 0].ravel() for item in spec.splits["train"]]
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


@pytest.mark.parametrize(
    ("draw", "suffix", "targets"),
    [
        (nodata_and_inf, ".tif", ("folder", "webdataset", "voc", "coco")),
        (lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16), ".tif", ("folder", "webdataset")),
        (lambda r: r.integers(0, 4096, (32, 32)).astype(np.uint16), ".png", ("folder", "voc")),
    ],
)
def test_a_copy_keeps_the_values(draw: Draw, suffix: str, targets: tuple[str, ...], tmp_path: Path) -> None:
    root = folder(tmp_path / "data", draw, suffix=suffix)
    if draw is nodata_and_inf:
        (root / "dataset.yaml").write_text("nodata: [-9999, -9999, -9999]\n")
    spec = open_dataset(root)
    for target in targets:
        again = open_dataset(convert(root, tmp_path / target, target).out)
        assert (again.values, again.channels) == (spec.values, spec.channels), target
        assert spec.values is not None
        assert spec.values.source
        assert "(stated)" in said(again)
        for split in ("train", "val"):
            names = {item.id: item for item in again.splits[split]}
            for item in spec.splits[split]:
                a, b = read_sample(spec, item), read_sample(again, names[item.id])
                assert np.array_equal(a.image, b.image), target
                if target != "coco":  # has no void
                    assert np.array_equal(a.labels, b.labels), target
    with pytest.raises(UsageError, match=r"8 bits|channels"):
        convert(root, tmp_path / "cityscapes", "cityscapes")


def test_a_copy_out_of_a_container_keeps_the_values(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16))
    convert(root, tmp_path / "shards", "webdataset")
    convert(tmp_path / "shards", tmp_path / "again", "folder")
    for item in open_dataset(root).splits["train"]:
        copy = tmp_path / "again" / "images" / item.image.name
        assert copy.read_bytes() == item.image.read_bytes()


def test_turned_images_are_copied_upright_with_their_values(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4000, (32, 32, 3)).astype(np.uint16)
    root = folder(tmp_path / "data", lambda r: array, extratags=[(274, "H", 1, 6, True)])
    for k in range(6):
        with Image.open(root / "masks" / f"{k}.png") as mask:
            mask.load()
        mask.getexif()[274] = 6
        mask.save(root / "masks" / f"{k}.png", exif=mask.getexif())
    spec = open_dataset(root)
    again = open_dataset(convert(root, tmp_path / "copy", "folder").out)
    copy = again.splits["train"][0]
    assert np.array_equal(np.load(copy.image), np.rot90(array, -1))
    a, b = read_sample(spec, spec.splits["train"][0]), read_sample(again, copy)
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.labels, b.labels)


def test_parquet_cells_of_16_bits(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    root = folder(tmp_path / "data", lambda r: r.integers(0, 4000, (32, 32, 5)).astype(np.uint16))
    cells = [
        {
            name: {"bytes": (root / part / f"{k}{suffix}").read_bytes(), "path": None}
            for name, part, suffix in (("image", "images", ".tif"), ("label", "masks", ".png"))
        }
        for k in range(6)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(cells), tmp_path / "train.parquet")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    spec = open_dataset(tmp_path)
    assert spec.channels == 5
    assert levels(spec) == 256
    again = open_dataset(convert(spec, tmp_path / "copy", "folder").out)
    assert again.splits["train"][0].image.suffix == ".tif"
    assert np.array_equal(
        read_sample(spec, spec.splits["train"][0]).image, read_sample(again, again.splits["train"][0]).image
    )


def test_the_page_shows_a_histogram_per_band(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", nodata_and_inf)
    (root / "dataset.yaml").write_text("range: [0, 0.2]\nnodata: -9999\n")
    report = check(open_dataset(root))
    write_page(report, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("of 256 levels reach the network") == 3
    assert page.count('fill="#b3261e"><title>above the range: ') == 3  # half of 0 to 0.4
    assert "582 of 6,144 hold nothing" in page
    lines = value_lines(report.dataset, report.values) if report.values else []
    assert len(lines) == 4
    assert lines[0].startswith("  band 1: ")
    assert "of the pixels hold nothing" in lines[3]


def test_counts_are_those_of_the_stored_values(tmp_path: Path) -> None:
    """Beside a count by hand."""
    root = folder(tmp_path / "data", reflectance)
    (root / "dataset.yaml").write_text("range: [1000, 3000]\n")
    counts = check(open_dataset(root)).values
    assert counts is not None
    array = np.stack([tifffile.imread(path) for path in sorted((root / "images").iterdir())]).reshape(-1, 3)
    assert counts.below.tolist() == (array < 1000).sum(0).tolist()
    assert counts.above.tolist() == (array > 3000).sum(0).tolist()
    assert counts.lowest.tolist() == array.min(0).tolist()
    assert counts.highest.tolist() == array.max(0).tolist()
    exact = np.rint((255.0 * (array - 1000.0) / 2000).clip(0, 255)).astype(int)
    assert np.array_equal(counts.levels, [np.bincount(exact[:, band], minlength=256) for band in range(3)])


def test_check_reads_the_others_as_most_are(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    write(root / "images" / "3.tif", np.zeros((32, 32, 3), np.uint8))
    report = check(root)
    assert [finding.kind for finding in report.findings if finding.problem] == ["values", "unreadable"]
    assert "3.tif" in report.problems[0]
    assert "3.tif: holds 8-bit values" in report.problems[1]
    assert report.images["train"] + report.images["val"] == 6


def test_a_wrong_range_is_one_problem_and_not_one_per_image(tmp_path: Path) -> None:
    root = folder(tmp_path / "data", reflectance)
    for line in ("range: [4000, 0]", "range: [[0, 1], [0, 2]]"):
        (root / "dataset.yaml").write_text(line + "\n")
        report = check(root)
        assert [finding.kind for finding in report.findings if finding.problem] == ["values"]
        assert report.values is not None


def test_brightness_and_contrast_change_in_all_bands_alike() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 5)).astype(np.uint8)
    image[..., 4] = image[..., 0]
    augmentation = Augmentation(colour=0.3)
    labels = np.zeros((8, 9), np.uint8)
    changed, _ = augmentation(image, labels, np.random.default_rng(3), 255)
    assert (changed != image).mean() > 0.5
    assert np.array_equal(changed[..., 4], changed[..., 0])
    order = np.argsort(image[..., 1].ravel(), kind="stable")
    assert (np.diff(changed[..., 1].ravel()[order].astype(int)) >= 0).all()  # a rising curve, as for grey
    grey, _ = augmentation(image[..., :1], labels, np.random.default_rng(3), 255)
    mean = image.mean() - image[..., 0].mean()
    assert np.abs(grey[..., 0].astype(int) - changed[..., 0]).max() <= 1 + abs(0.3 * 1.3 * mean)
