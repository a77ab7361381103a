"""The commands as a user types them, with their exit codes and their one line of complaint."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullconv
from fullconv.bars import Bar
from fullconv.cli.main import run
from fullconv.cli.verbs.shared import say
from fullconv.device import devices_here
from tests.builders.commands import TINY, complaint
from tests.builders.folders import Make


def test_help_starts_without_torch() -> None:
    script = "import sys; from fullconv.cli.main import run; run(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for verb in ("train", "evaluate", "predict", "check", "info", "demo"):
        assert verb in done.stdout


def test_the_whole_way(make_folder: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = make_folder(6), tmp_path / "run"
    assert (
        run(["train", str(data), "--out", str(out), *TINY, "--crop", "32", "64", "--model-args.head-channels", "8"])
        == 0
    )
    took = r"^train: 8 images at [\d.]+ (images/s|s an image), [\d:]+ in all, peak memory .* [MG]iB, "
    assert re.search(took, capsys.readouterr().out, re.MULTILINE)
    assert run(["evaluate", str(out), str(data), "--json", str(tmp_path / "s.json"), "--workers", "0"]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["mean_iou"] == pytest.approx(json.loads((out / "scores.json").read_text())["mean_iou"])
    capsys.readouterr()
    images = str(data / "images" / "*.png")
    assert run(["predict", str(out), images, "--out", str(tmp_path / "m"), "--overlay", "--probabilities"]) == 0
    written = sorted(p.name for p in (tmp_path / "m").glob("scene_*"))
    assert written[:3] == ["scene_0.npz", "scene_0.overlay.png", "scene_0.png"]
    assert len(written) == 18
    with Image.open(tmp_path / "m" / "scene_0.png") as mask:
        assert (mask.mode, mask.size) == ("P", (64, 48))
    with np.load(tmp_path / "m" / "scene_0.npz") as file:
        chances = file["probabilities"]
    assert (chances.dtype, chances.shape) == (np.float16, (5, 48, 64))
    assert run(["info", str(out)]) == 0
    assert "fcn16s on resnet10t" in capsys.readouterr().out


IN_A_TERMINAL = """
import os, pty, sys
child, terminal = pty.fork()
if not child:
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
shown = b""
while b"begun" not in shown:
    shown += os.read(terminal, 1000)
os.write(terminal, b"\\x03")
try:
    while part := os.read(terminal, 1000):
        shown += part
except OSError:  # it has ended
    pass
os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
"""
WITHOUT_A_BAR = """
import signal, time
from fullconv.cli import command, main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
command.app = lambda *words, **options: print("begun", flush=True) or time.sleep(60)
main.main()
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
def test_what_is_said_after_ctrl_c_begins_a_line() -> None:
    command = [sys.executable, "-c", IN_A_TERMINAL, WITHOUT_A_BAR]
    shown = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert "^C" in shown
    *_, last = (line for line in shown.split("\n") if line.strip())
    said = last.strip().rpartition("\r")[2]
    assert said == "fullconv: interrupted; nothing was left half-written; start again with: fullconv"


def test_bars_show_the_time_since_the_command_began(monkeypatch: pytest.MonkeyPatch) -> None:
    now, shown = [50.0], []

    def verb(arguments: object, **options: object) -> None:
        for _ in range(2):
            now[0] += 9
            with Bar("x", "") as bar:
                shown.append(bar._before)

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("fullconv.cli.command.app", verb)
    run([])
    run([])
    assert shown == [9, 18, 9, 18]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "nowhere"], 2, "no such folder or archive"),
        (["train", "shapes", "--epochs", "0"], 2, "greater than or equal to 1"),
        (["train", "shapes", "--epoch", "3"], 2, "--epoch"),
        (["train", "shapes", "--recipe", "nowhere.yaml"], 2, "no such file; give a YAML file"),
        (["train", "shapes", "--encoder", "resnet35"], 2, "did you mean"),
        (["train", "shapes", "--resume", "--out", "nowhere"], 2, "no run to resume"),
        (["train", "EMPTY"], 3, "no data set recognised"),
        (["check", "nowhere"], 2, "no such folder"),
        (["evaluate", "nowhere.safetensors", "shapes"], 2, "no such model"),
        (["evaluate", "MODEL", "shapes"], 3, "has 5 classes"),
        (["predict", "MODEL", "nowhere.png", "--out", "OUT"], 2, "no such file, folder or glob"),
        (["predict", "MODEL", "EMPTY", "--out", "OUT"], 2, "no images in this folder"),
        (["predict", "MODEL", "--out", "OUT"], 2, "no images given"),
        (["predict", "MODEL", "MODEL"], 2, "--out"),
        (["predict", "MODEL", "MODEL", "--out", "OUT", "--tile", "8"], 2, "tile must be a whole number"),
        (
            ["predict", "MODEL", "MODEL", "--out", "OUT", "--tile", "64", "--overlap", "64"],
            2,
            "0 to 32 with tiles of 64",
        ),
        (["predict", "MODEL", "MODEL", "--out", "OUT", "--device", "abacus"], 2, "not available"),
        (["info", "TEXT"], 2, "not a readable safetensors"),
        (["nonsense"], 2, "there is no command nonsense; there are check, "),
        (["trian", "shapes"], 2, "there is no command trian; did you mean train?"),
        (["-v"], 2, "fullconv --version says which version this is"),
        (["train", "shapes", "-v"], 2, "train has no option -v; all there is to say is said anyway"),
        (["train", "shapes", "--lr", "0.1"], 2, "train has no option --lr; did you mean --rate?"),
        (["evaluate", "m", "--html", "x"], 2, "evaluate has no option --html; did you mean --report or --json?"),
        (["check", "shapes", "--report", "x"], 2, "check has no option --report; did you mean --html or --json?"),
        (["train", "shapes", "--accelerator", "cuda"], 2, "train has no option --accelerator; did you mean --device"),
        (["train", "shapes", "--lr=0.1"], 2, "train has no option --lr; did you mean --rate?"),
        (["train", "shapes", "--batch", "4"], 2, "did you mean --batch-size?"),
        (["train", "shapes", "--imgsz", "640"], 2, "did you mean --resize or --crop?"),
        (["train", "shapes", "--gpu", "0"], 2, "did you mean --device or --devices?"),
        (["predict", "MODEL", "--imgsz", "640"], 2, "did you mean --tile?"),
        (["predict", "--source", "MODEL"], 2, "IMAGES stands without one: fullconv predict MODEL IMAGES"),
        (["train", "--data", "shapes"], 2, "DATA stands without one: fullconv train DATA"),
        (["train", "shapes", "--zzz"], 2, "train has no option --zzz; fullconv train --help lists them"),
        (
            ["predict", "MODEL", "MODEL", "--out", "OUT", "--polygons", "geojsn"],
            2,
            "fullconv: --polygons: expected 'geojson', 'gpkg', 'coco', 'labelme', 'yolo' or 'qupath' (found 'geojsn'); "
            "did you mean geojson?",
        ),
        (["train", "shapes", "--schedule", "one-cycl"], 2, "(found 'one-cycl'); did you mean one-cycle?"),
        (["check", "shapes", "--labels", "zzz"], 2, "'points' or 'auto' (found 'zzz')"),
        (
            ["predict", "MODEL", "MODEL", "--out", "OUT", "--tile", "x"],
            2,
            "--tile: expected a whole number (found 'x')",
        ),
        (["evaluate", "MODEL", "shapes", "more"], 2, "evaluate: more is more than it takes"),
    ],
)
def test_wrong_usage_is_one_line_and_the_right_code(
    arguments: list[str], code: int, words: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("hello, this is not a model")
    places = {
        "MODEL": model,
        "EMPTY": tmp_path / "empty",
        "OUT": tmp_path / "out",
        "TEXT": tmp_path / "text.safetensors",
    }
    assert run([str(places.get(argument, argument)) for argument in arguments]) == code
    assert words in complaint(capsys)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(devices_here() != ["cpu"], reason="there is a GPU")
@pytest.mark.parametrize("device", ["gpu", "cuda", "mps"])
@pytest.mark.parametrize("verb", ["train shapes", "predict MODEL IMAGES"])
def test_a_device_that_is_not_there_is_a_short_line(
    verb: str, device: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = verb.replace("MODEL", str(model)).replace("IMAGES", str(tmp_path)).split()
    assert run([*words, "--out", str(tmp_path / "out"), "--device", device]) == 2
    expected = f"device {device!r} is not available on this machine (PyTorch finds cpu); use auto or cpu"
    assert complaint(capsys) == f"fullconv: {expected}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_bad_file_is_one_line_from_workers_too(workers: str, make_folder: Make, tmp_path: Path, capsys) -> None:
    data, model = make_folder(6), tmp_path / "m.safetensors"
    (data / "classes.txt").write_text("ground\ndisc\nring\nd\ne\n")
    built = fullconv.build_model("fcn32s", 5, "resnet10t")
    fullconv.Segmenter(built, fullconv.open_dataset(data).classes, fullconv.Preprocessing()).save(model)
    item = fullconv.open_dataset(data).split("val")[0]
    item.image.path.write_bytes(item.image.path.read_bytes()[:300])
    assert run(["evaluate", str(model), str(data), "--workers", workers]) == 3
    assert "truncated, it ends too early" in complaint(capsys)


def test_real_images_of_every_folder(shared: Path, model: Path, tmp_path: Path) -> None:
    images = [
        str(shared / "data" / "heatmap" / "twocats.jpg"),
        str(shared / "data" / "kitti_road" / "data_road" / "testing"),
    ]
    assert run(["predict", str(model), *images, "--out", str(tmp_path / "m")]) == 0
    assert len(list((tmp_path / "m").rglob("*.png"))) == 5


def test_lines_break_between_words_at_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "  fix: give it the bands that it was trained on, see fullconv train --help and /a/path-that/is/long.png"
    monkeypatch.setenv("COLUMNS", "40")
    log, screen = io.StringIO(), io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    for stream in (log, screen):
        say(line, stream)
    assert log.getvalue() == f"{line}\n"
    shown = screen.getvalue().splitlines()
    assert max(map(len, shown)) <= 40
    assert " ".join(shown).split() == line.split()
    assert [len(one) - len(one.lstrip()) for one in shown] == [2, 4, 4, 4]


@pytest.mark.parametrize(
    ("given", "found"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_that_wait_sleep_before_torch_is_loaded(given: dict[str, str], found: str | None) -> None:
    """OpenMP reads it once; what the user says counts."""
    code = (
        "import os, sys; from fullconv.cli import main; sys.argv[1:] = ['--version']; seen = []\n"
        "main.run = lambda words: seen.append('torch' in sys.modules) or 0\n"
        "try: main.main()\nexcept SystemExit: print(seen, os.environ.get('GOMP_SPINCOUNT'))"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    told = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **given}, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == f"[False] {found}"


def test_ctrl_c_is_answered_in_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fullconv.models.synsets.called", interrupted)
    assert run(["synsets", "dog"]) == 130
    left = "nothing was left half-written; start again with: fullconv synsets dog"
    assert capsys.readouterr().err == f"fullconv: interrupted; {left}\n"


@pytest.mark.parametrize("module", ["cyclopts", "fullconv.cli.verbs", "rich.console"])
def test_ctrl_c_while_the_program_is_loaded_is_answered_in_a_line(module: str) -> None:
    code = f"""
import builtins, runpy, sys
load = builtins.__import__
def until(name, *more, **others):
    if name == {module!r}:
        raise KeyboardInterrupt
    return load(name, *more, **others)
builtins.__import__ = until
sys.argv[1:] = ["models"]
runpy.run_module("fullconv", run_name="__main__")
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (told.returncode, told.stdout, told.stderr) == (130, "", "fullconv: interrupted before it began\n")
