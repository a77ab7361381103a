"""The bar: what it shows at 80 and 120 columns, and the line that a log gets."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from fullconv import bars
from fullconv.amounts import clock
from fullconv.bar_columns import SHORTEST
from fullconv.bars import Bar

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, emoji=False)


def lines(console: Console) -> list[str]:
    """Every line that was ever drawn."""
    assert isinstance(console.file, io.StringIO)
    return [line for line in re.split(r"[\r\n]+", CODES.sub("", console.file.getvalue())) if line.strip()]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock to be moved."""
    now = [100.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int, late: list[float]) -> None:
    console = terminal(width)
    with Bar("evaluate", device="cpu", console=console) as bar:
        assert bar._live is not None
        for done in range(0, 12001, 3000):
            bar(done, 12000)
            bar.rows(Path("a raster.tif"), done * 10**6, 12000 * 10**6)
            bar._live.refresh()
            late[0] += 3.0
    drawn = lines(console)
    assert max(len(line) for line in drawn if "━" in line) == width - bars.ROOM
    assert max(map(len, drawn)) <= width
    for words in ("evaluate ", " 6000/12000", "1,000 images/s", " 50%", "0:06, left 0:06"):
        assert any(words in line for line in drawn), words
    assert any("━" * (SHORTEST - 1) in line for line in drawn)
    halfway = next(line for line in drawn if "6000/12000, 1,000" in line)
    assert re.search(r"6000/12000, 1,000 images/s, 0:06, left 0:06, [\d.]+ [MG]iB, cpu$", halfway)  # the bar gives way
    assert "…" not in "".join(drawn)
    assert drawn[-1].startswith("evaluate: 12,000 images, 0:15, 800 images/s, ")


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_moves_from_step_to_step(width: int, late: list[float]) -> None:
    console = terminal(width)
    with Bar("training", device="cpu", each=8, counted="step", room=23, summary=False, console=console) as bar:
        assert bar._live is not None
        bar(0, 1000, left=math.nan)
        for done in (1, 2, 9, 10, 11, 40, 80, 99, 101, 500, 555, 700, 999):
            late[0] += 0.7 + done % 7 * 3
            phase = ("loss 2.307", "loss 0.9", "validating", "saving")[done % 4 * (done % 3 == 0)]
            left = 1300.0 - done if done > 2 else math.nan
            bar(done, 1000, words=f"epoch {done // 100 + 1}/10, {phase}", left=left)
            bar._live.refresh()
    drawn = [line for line in lines(console) if "epoch" in line]
    assert len({re.sub("━|╸|╺", "", line) for line in drawn}) >= 13
    assert {len(line) for line in drawn} == {width - bars.ROOM}
    for part in ("[━╸╺]", "left", " images/s,|$", r", [\d.]+ [MG]iB, cpu$"):
        assert len({found.start() if (found := re.search(part, line)) else -1 for line in drawn}) == 1, part
    told = (re.split("[━╸╺]+", line) for line in drawn)
    assert not [figures for _, figures in told if "  " in figures.strip()]


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_the_words_say_gives_way_before_any_other_figure(device: str, late: list[float]) -> None:
    drawn = {}
    for width in (80, 120):
        console = terminal(width)
        with Bar("training", device=device, each=8, first=300, counted="step", summary=False, console=console) as bar:
            assert bar._live is not None
            for done in (301, 390):
                late[0] += 50
                bar(done, 1380, words="epoch 7/30, loss 0.523", left=1500)
                bar._live.refresh()
        drawn[width] = next(line for line in lines(console) if "images/s" in line)
        said = f"{'step 390/1380, ' * (width == 120)}7.20 images/s, 01:40, left 25:00, "
        assert re.fullmatch(rf"epoch 7/30, loss 0.523 [━╸╺]{{4,}} +{said}[\d.]+ [MG]iB, {device}", drawn[width])
    assert drawn[120].count("━") > 20


def test_bars_of_one_command_share_a_clock(late: list[float]) -> None:
    consoles = [terminal(80) for _ in range(3)]
    with bars.one_clock():
        for console in consoles:
            late[0] += 10
            with bars.one_clock(), Bar("starting", "", summary=False, console=console) as bar:
                late[0] += 5
                bar.stage("weights", 0, None)
                late[0] += 5
                assert bar._live is not None
                bar._live.refresh()
    late[0] += 1000
    alone = terminal(80)
    with Bar("x", "", summary=False, console=alone) as bar:
        late[0] += 2
        assert bar._live is not None
        bar._live.refresh()
    for console, spent in zip([*consoles, alone], ("0:20", "0:40", "1:00", "0:02"), strict=True):
        assert re.search(rf" {spent}, [\d.]+ [MG]iB *$", [line for line in lines(console) if "━" in line][-1])


def test_a_long_name_leaves_room_for_the_bar(late: list[float]) -> None:
    console = terminal(80)
    with Bar("predict", console=console) as bar:
        assert bar._live is not None
        bar(0, 2)
        bar.rows(Path("x" * 200 + ".tif"), 10**7, 10**8)
        bar._live.refresh()
    assert all("━" in line and len(line) == 77 for line in lines(console)[1:])


def test_a_log_has_one_line_of_what_took_long(late: list[float]) -> None:
    console = Console(file=io.StringIO(), width=80)
    for seconds in (1.0, 75.0):
        with Bar("convert", "pairs", "cpu", console=console) as bar:
            bar(50, 100)
            late[0] += seconds
            bar(100, 100)
    (line,) = lines(console)
    assert re.fullmatch(r"convert: 100 pairs, 1:15, 1\.33 pairs/s, peak memory [\d.]+ [MG]iB, cpu", line)


def test_what_was_done_before_says_nothing_of_the_speed(late: list[float]) -> None:
    console = terminal(100)
    with Bar("training", device="cpu", each=4, first=100, console=console) as bar:
        assert bar._live is not None
        for done in (100, 110, 120):
            bar(done, 200, words="epoch 3/5  loss 0.123")
            bar._live.refresh()
            late[0] += 10
        bar(120, 200, left=77)
        bar._live.refresh()
    text = "\n".join(lines(console))
    assert "epoch 3/5  loss 0.123" in text
    assert "120/200, 4.00 images/s" in text
    assert "0:20, left 1:20" in text
    assert "left 1:17" in text
    assert text.splitlines()[-1].startswith("training: 80 images, 0:30, 2.67 images/s")


def test_an_error_is_not_followed_by_a_summary(late: list[float]) -> None:
    console = Console(file=io.StringIO(), width=80)
    bar = Bar("import", "", console=console)
    bar.__enter__()
    late[0] += 60
    bar.__exit__(KeyError, KeyError(), None)
    assert lines(console) == []


def test_compiling_is_said_once_where_a_bar_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_compiled", False)
    console = Console(file=io.StringIO(), width=80)
    bars.say_compiling()
    with Bar("predict", console=console):
        bars.say_compiling()
        bars.say_compiling()
    assert lines(console) == ["compiling kernels that are new on this machine (up to 20 s of a core)"]


def test_a_kernel_without_machine_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba import njit

    said: list[int] = []
    monkeypatch.setattr(bars, "say_compiling", lambda: said.append(1))
    import fullconv.ops.cpu.maths  # noqa: F401  # listens

    def ours(x):
        return x + 1

    def other(x):
        return x + 1

    ours.__module__ = "fullconv.made_here"
    assert njit(other)(1) == 2
    assert said == []
    assert njit(ours)(1) == 2
    assert said == [1]


def test_time_in_words() -> None:
    assert [clock(seconds) for seconds in (0.4, 5, 65, 3599, 3725)] == ["0:00", "0:05", "1:05", "59:59", "1:02:05"]
    assert [clock(65, width) for width in (4, 5, 7, 8)] == ["1:05", "01:05", "0:01:05", "00:01:05"]
    assert clock(3725, 5) == "1:02:05"


def test_stages_one_after_the_other_share_a_line(late: list[float]) -> None:
    console = terminal(80)
    with Bar("export", device="cpu", console=console) as bar:
        assert bar._live is not None
        bar.stage("tracing the network", 0, None)
        late[0] += 60
        bar._live.refresh()
        for done in (0, 5, 10):
            bar.stage("gate, openvino", done, 20)
            bar._live.refresh()
            late[0] += 5
    drawn = lines(console)
    assert max(map(len, drawn)) <= 80
    assert any(re.match(r"export: tracing the network ━+ 1:00, ", line) for line in drawn)
    assert any(re.search(r"gate, openvino ━.* 10/20, 1.00 images/s, 1:10, left 0:10", line) for line in drawn)
    assert re.fullmatch(r"export: 1:15, peak memory [\d.]+ [MG]iB, cpu", drawn[-1])


def test_of_a_few_the_pace_is_that_since_the_start(late: list[float]) -> None:
    console = terminal(80)
    with Bar("sweep", "epochs", console=console) as bar:
        assert bar._live is not None
        for done, seconds in ((0, 14.0), (1, 3.0), (2, 1.0)):  # the first one starts a process
            bar(done, 4)
            late[0] += seconds
        bar._live.refresh()
    assert "2/4, 8.50 s an epoch, 0:18, left 0:16" in " ".join(" ".join(lines(console)).split())


def test_what_is_left_goes_down_while_one_takes_long(late: list[float]) -> None:
    """Down to what the others take, and not up."""
    console = terminal(80)
    with Bar("evaluate", console=console) as bar:
        assert bar._live is not None
        bar(0, 4)
        bar._live.refresh()
        for _ in range(3):
            late[0] += 5
            bar._live.refresh()
        bar(1, 4)
        for _ in range(5):
            late[0] += 4
            bar._live.refresh()
    drawn = [line for line in lines(console) if "/4" in line]
    assert not any("left" in line for line in drawn if "0/4" in line)
    left = [line.partition("left ")[2].split(",")[0] for line in drawn if "1/4" in line]
    assert list(dict.fromkeys(left)) == ["0:41", "0:37", "0:33", "0:30"]


def test_what_is_done_of_an_image_counts(late: list[float]) -> None:
    """Also of one that an earlier run began, and while it is written."""
    console = terminal(80)
    with Bar("predict", console=console) as bar:
        assert bar._live is not None
        bar(0, 2)
        for done in (500, 600, 800, 1000):
            bar.rows(Path("a.tif"), done, 1000)
            bar._live.refresh()
            late[0] += 10
        bar._live.refresh()
        bar(1, 2)
        for done in (0, 100):
            bar.rows(Path("b.tif"), done, 1000)
            bar._live.refresh()
            late[0] += 10
    drawn = [line for line in lines(console) if line.startswith("predict ") and "/2" in line]
    said = list(dict.fromkeys(", ".join(re.findall("./2|left [0-9:]+", line)) for line in drawn))
    assert said[:5] == ["0/2", "0/2, left 2:20", "0/2, left 1:20", "0/2, left 1:00", "0/2, left 0:50"]
    assert said[5:7] == ["1/2, left 1:20", "1/2, left 1:15"]


def test_slow_ones_are_told_in_seconds_each(late: list[float]) -> None:
    console = Console(file=io.StringIO(), width=80)
    for unit, count in (("images", 2), ("epochs", 4), ("pairs", 1), ("images", 60)):
        with Bar("x", unit, console=console) as bar:
            bar(count, count)
            late[0] += 30
    rates = [line.split(", ")[2] for line in lines(console)]
    assert rates == ["15 s an image", "7.5 s an epoch", "30 s a pair", "2 images/s"]
