"""The values of images, counted band by band, and what a bad range is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fullconv.checking.check import check
from fullconv.checking.values import judge_range
from fullconv.data import read_sample
from fullconv.formats.open import open_dataset
from tests.builders.bands import folder, levels, reflectance, write


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
        np.rint(255.0 * tifffile.imread(spec.splits["val"][0].image.path) / 4000),
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
