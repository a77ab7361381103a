"""The way in from a shell. All else is imported within, so that Ctrl-C has its line from the start."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        from fullconv.machine import sleep_while_waiting

        sleep_while_waiting()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before there was anything to run
        over = "\r" * sys.stderr.isatty()  # the ^C that a terminal shows
        print(f"{over}fullconv: interrupted before it began", file=sys.stderr)
        code = 130
    gc.freeze()  # else Python looks through all of PyTorch for garbage before it leaves: 2 s
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command; returns 0 (fine), 1 (failed while running), 2 (usage), 3 (data), 4 (gate), 130 (interrupted)."""
    from fullconv.cli import command

    return command.run(arguments)
