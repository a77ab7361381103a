"""Words of messages: counts with their nouns, and lists that are cut."""

from __future__ import annotations

import pytest

from fullconv.cli.main import run
from fullconv.errors import first_few, plural
from tests.builders.commands import complaint


@pytest.mark.parametrize(
    ("count", "what", "verb", "said"),
    [
        (1, "class", "", "1 class"),
        (2, "class", "", "2 classes"),
        (0, "image without a mask", "", "0 images without a mask"),
        (1, "image without a mask", "is", "1 image without a mask is"),
        (1, "image", "has", "1 image has"),
        (12345, "image", "has", "12,345 images have"),
        (3, "entry", "names", "3 entries name"),
        (2, "box", "", "2 boxes"),
        (2, "array", "", "2 arrays"),
    ],
)
def test_a_count_with_its_noun(count: int, what: str, verb: str, said: str) -> None:
    assert plural(count, what, verb) == said


def test_long_lists_are_cut() -> None:
    assert first_few(list("abc")) == "a, b, c"
    assert first_few(list("abcdefgh"), 6) == "a, b, c, d, e, f and 2 more"


def test_what_a_pattern_of_the_shell_became_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "shapes", *(f"{number}.png" for number in range(8))]) == 2
    assert complaint(capsys) == (
        "fullconv: check: 0.png, 1.png, 2.png, 3.png, 4.png, 5.png and 2 more are more than it takes; "
        "fullconv check --help shows the usage"
    )
