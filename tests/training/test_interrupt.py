"""Ctrl-C while the main thread is deep in a computation, where Python hears no signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from fullconv.training.interrupt import InterruptRequest
from fullconv.training.leaving import Leaving
from fullconv.training.report import Reporter
from fullconv.training.run_folder import RunFolder

DEEP = """
import hashlib, os, signal, sys, threading
from fullconv.training.interrupt import InterruptRequest
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in a shell's background
with InterruptRequest() as interrupt:
    interrupt.answer = lambda: print("answered", flush=True)
    interrupt.last_words = lambda: print("last words", flush=True)
    if os.fork() == 0:  # hears the terminal's signals too
        os.kill(os.getpid(), 2)
        os._exit(0)
    os.wait()
    threading.Timer(1, print, ("deep",), {"flush": True}).start()  # once the next line computes
    hashlib.pbkdf2_hmac("sha512", b"", b"", 10**9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_it_is_answered_and_obeyed_within_one_long_call() -> None:
    with subprocess.Popen([sys.executable, "-c", DEEP], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "deep\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "answered\n"  # the fork's own signal was not ours
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "last words\n"
            assert process.wait() == 130
        finally:
            process.kill()


def test_the_second_raises_where_python_hears_it() -> None:
    before = signal.default_int_handler
    outside = signal.signal(signal.SIGINT, before)  # ignored where the tests run in a shell's background
    with InterruptRequest() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    signal.signal(signal.SIGINT, outside)
    assert signal.set_wakeup_fd(-1) == -1


def test_it_is_said_what_a_second_one_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    leaving = Leaving(run, "camvid", Reporter(Console(width=80)), True)
    leaving.answer()
    assert capsys.readouterr().out.endswith("Ctrl-C again stops at once and keeps nothing\n")
    leaving.saved = 46
    leaving.answer()
    assert capsys.readouterr().out.endswith("Ctrl-C again stops at once and goes back to step 46\n")
    leaving.last_words()
    assert run.path.is_dir()
    assert capsys.readouterr().err.endswith(f"back at step 46; go on with: fullconv train --resume {run.path}\n")
    leaving.saved = None
    leaving.last_words()
    assert not run.path.exists()
