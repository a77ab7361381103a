"""The histogram of each band."""

from __future__ import annotations

from pathlib import Path

from fullconv.checking.check import check
from fullconv.checking.page import write_page
from fullconv.checking.values import value_lines
from fullconv.formats.open import open_dataset
from tests.builders.bands import folder, nodata_and_inf


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
