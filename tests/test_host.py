"""A library in somebody's program: the program's settings stay as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import gc, logging, multiprocessing, os, random, signal, socket, sys, tempfile, threading, warnings
import lightning.fabric, matplotlib, numba, numpy, PIL.Image, pycocotools.mask, timm, torch, torchvision

def umask():
    value = os.umask(0)
    os.umask(value)
    return value

def settings():
    return {
        "Pillow's limit": PIL.Image.MAX_IMAGE_PIXELS, "Pillow's truncated files": PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
        "warnings": list(warnings.filters), "showwarning": warnings.showwarning,
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch dtype": torch.get_default_dtype(), "torch device": torch.get_default_device(),
        "matmul precision": torch.get_float32_matmul_precision(), "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32),
        "sharing": torch.multiprocessing.get_sharing_strategy(), "torch random": torch.get_rng_state().tolist(),
        "random": random.getstate(), "numpy random": str(numpy.random.get_state()), "numpy errors": numpy.geterr(),
        "numpy printing": str(numpy.get_printoptions()),
        "matplotlib": {name: str(value) for name, value in dict.items(matplotlib.rcParams)},
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "loggers": {name: logging.getLogger(name).level for name in ("timm", "lightning", "lightning.fabric", "PIL")},
        "environment": dict(os.environ), "folder": os.getcwd(), "path": list(sys.path), "umask": umask(),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, sys.stdout, sys.stderr),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "python": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits(), gc.get_threshold()),
        "processes": multiprocessing.get_start_method(allow_none=True), "temporary": tempfile.tempdir,
        "sockets": socket.getdefaulttimeout(), "affinity": os.sched_getaffinity(0),
    }

def unchanged(before, what):
    after = settings()
    assert not [name for name in before if before[name] != after[name]], (what, {
        name: (str(before[name])[:200], str(after[name])[:200]) for name in before if before[name] != after[name]})

os.environ.setdefault("FULLCONV_CACHE", sys.argv[1])
PIL.Image.MAX_IMAGE_PIXELS = 1000  # the host is strict
before = settings()
import fullconv
for name in fullconv.__all__:
    getattr(fullconv, name)
import fullconv.cli.command, fullconv.prediction.files, fullconv.models.classifier, fullconv.pretrained
unchanged(before, "import")
import numpy as np
from fullconv.models import build_model
from fullconv.segmenter import Segmenter
from PIL import Image
folder = sys.argv[1]
PIL.Image.MAX_IMAGE_PIXELS = None
for kind, high in (("images", 256), ("masks", 2)):
    os.makedirs(f"{folder}/data/{kind}")
    for number in range(4):
        values = np.random.default_rng(number).integers(0, high, (40, 60), np.uint8)
        Image.fromarray(values).save(f"{folder}/data/{kind}/{number}.png")
PIL.Image.MAX_IMAGE_PIXELS = 1000
classes = fullconv.ClassSet(("ground", "road"))
torch.manual_seed(0)
segmenter = Segmenter(build_model("fcn32s", 2, "resnet10t"), classes, fullconv.Preprocessing())
segmenter.save(f"{folder}/m.safetensors")
before = settings()
warnings.simplefilter("error")
before["warnings"] = list(warnings.filters)
report = fullconv.check(fullconv.open_dataset(f"{folder}/data"))
unchanged(before, "check")
segmenter = fullconv.load(f"{folder}/m.safetensors")
assert segmenter.predict(f"{folder}/data/images/0.png").labels.shape == (40, 60)
unchanged(before, "predict")
"""


def test_importing_checking_and_predicting_change_no_setting_of_the_process(tmp_path: Path) -> None:
    """Also with a host that lets Pillow open 1,000 pixels: our own limit holds for what fullconv opens."""
    script = tmp_path / "host.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "FULLCONV_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
