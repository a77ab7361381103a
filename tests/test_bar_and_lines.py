"""Lines that are printed above a bar while its own thread draws it."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, ConsoleRenderable, RenderHook

from fullconv.bars import Bar


def screen(console: Console) -> list[str]:
    """What a terminal shows of all that was written to it."""
    assert isinstance(console.file, io.StringIO)
    rows, row = [""], 0
    for code in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", console.file.getvalue()):
        if code == "\n":
            row += 1
            rows += [""] * (row == len(rows))
        elif code == "\x1b[1A":
            row -= 1
        elif code in ("\r", "\x1b[2K"):
            rows[row] = ""  # what is drawn again has the same width
        elif code[0] != "\x1b":
            rows[row] += code
    return rows


class InBetween(RenderHook):
    """Draws a bar in another thread while a line is printed, as its own thread may at any time."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh, self._printing = refresh, threading.current_thread()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        if threading.current_thread() is self._printing:
            other = threading.Thread(target=self._refresh)
            other.start()
            other.join()
        return renderables


def test_no_line_is_lost_or_left_where_the_bar_of_an_image_comes_and_goes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, emoji=False)
    with Bar("heatmap", summary=False, console=console) as bar:
        assert bar._live is not None
        for number in range(3):
            for done in (1, 2):
                bar.rows(Path(f"{number}.jpg"), done, 2)
                console.push_render_hook(InBetween(bar._live.refresh))
                bar.say(f"{number}.jpg: part {done}\nand a second line")
                console.pop_render_hook()
            bar(number + 1, 3)
    said = [f"{number}.jpg: part {done}" for number in range(3) for done in (1, 2)]
    shown = [line.strip() for line in screen(console) if line.strip()]
    assert shown == [line for one in said for line in (one, "and a second line")]
