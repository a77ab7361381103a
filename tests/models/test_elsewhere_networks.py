"""Networks of MindSpore and TensorFlow as models of ours, and files that the frameworks wrote."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fullconv.cli.main import run
from fullconv.errors import ModelFileError, UsageError
from fullconv.imported import from_elsewhere
from fullconv.models import build_model, read_weights
from fullconv.models.elsewhere import read_bundle, read_mindspore
from fullconv.ops import upsample
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter
from fullconv.spec import Preprocessing
from tests.builders.elsewhere import Arrays, bundle, mindspore_file, random

WIDTHS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def mindspore_fcn(rng: np.random.Generator, fc: int = 8, classes: int = 3) -> dict[str, np.ndarray]:
    """The parameters of the tutorial's FCN-8s, under its names."""
    found, channels = {}, 3

    def layer(name: str, place: int, kernel: int, width: int) -> None:
        nonlocal channels
        found[f"{name}.{place}.weight"] = random(rng, width, channels, kernel, kernel)
        norm = f"{name}.{place + 1}"
        found[f"{norm}.gamma"], found[f"{norm}.beta"] = 1 + abs(random(rng, width)) / 5, random(rng, width)
        found[f"{norm}.moving_mean"] = random(rng, width)
        found[f"{norm}.moving_variance"] = 1 + abs(random(rng, width)) / 5
        channels = width

    for block, (width, count) in enumerate(WIDTHS, 1):
        for place in range(count):
            layer(f"conv{block}", 3 * place, 3, width)
    layer("conv6", 0, 7, fc)
    layer("conv7", 0, 1, fc)
    for name, width in (("score_fr", fc), ("score_pool4", 512), ("score_pool3", 256)):
        found[f"{name}.weight"] = random(rng, classes, width, 1, 1)
    for name, kernel in (("upscore2", 4), ("upscore_pool4", 4), ("upscore8", 16)):
        found[f"{name}.weight"] = random(rng, classes, classes, kernel, kernel)
    return found


def as_the_tutorial_computes(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """FCN-8s of the tutorial, layer by layer."""

    def run(x: Tensor, name: str) -> Tensor:
        place = 0
        while f"{name}.{place}.weight" in p:
            weight, norm = p[f"{name}.{place}.weight"], f"{name}.{place + 1}."
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
            x = F.batch_norm(
                x, p[norm + "moving_mean"], p[norm + "moving_variance"], p[norm + "gamma"], p[norm + "beta"]
            )
            x, place = F.relu(x), place + 3
        return x

    taps = []
    for block in range(1, 6):
        x = F.max_pool2d(run(x, f"conv{block}"), 2)
        taps.append(x)
    x = F.conv2d(run(run(x, "conv6"), "conv7"), p["score_fr.weight"])
    x = F.conv2d(taps[3], p["score_pool4.weight"]) + F.conv_transpose2d(x, p["upscore2.weight"], stride=2, padding=1)
    x = F.conv2d(taps[2], p["score_pool3.weight"]) + F.conv_transpose2d(
        x, p["upscore_pool4.weight"], stride=2, padding=1
    )
    return F.conv_transpose2d(x, p["upscore8.weight"], stride=8, padding=4)


def scores(segmenter: Segmenter, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        logits = segmenter.network(pixels)
        return upsample(
            logits, tuple(pixels.shape[-2:]), segmenter.network.window(logits.shape[-2:], pixels.shape[-2:])
        )


def test_mindspore_s_fcn8s_becomes_a_model_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = mindspore_fcn(np.random.default_rng(0))
    (tmp_path / "fcn8s.ckpt").write_bytes(mindspore_file({**arrays, "moments.score_fr.weight": np.ones(3, np.float32)}))
    assert run(["import", str(tmp_path / "fcn8s.ckpt"), str(tmp_path / "m.safetensors"), "--classes", "a,b,c"]) == 0
    said = capsys.readouterr().out
    assert "3 classes" in said
    assert "left out: 1 parameters of no layer (moments.score_fr.weight)" in said
    assert "assumed: trained on images read blue first" in said
    segmenter = Segmenter.load(tmp_path / "m.safetensors", "cpu", "fp32")
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    expected = as_the_tutorial_computes(
        {name: torch.from_numpy(value) for name, value in arrays.items()}, pixels.flip(1)
    )
    torch.testing.assert_close(scores(segmenter, pixels), expected, rtol=1e-3, atol=1e-3)
    assert segmenter.preprocessing.mean == (0.485, 0.456, 0.406)
    with pytest.raises(UsageError, match="needs 3 class names"):
        from_elsewhere(tmp_path / "fcn8s.ckpt", ["a", "b"])
    with pytest.raises(UsageError, match="std needs 1 number or 3, one for each channel, found 2"):
        from_elsewhere(tmp_path / "fcn8s.ckpt", ["a", "b", "c"], [0.5], [0.5, 0.5])
    part = {name: value for name, value in arrays.items() if not name.startswith(("score", "up", "conv6", "conv7"))}
    (tmp_path / "vgg.ckpt").write_bytes(mindspore_file(part))
    with pytest.raises(ModelFileError, match="--encoder-weights"):
        from_elsewhere(tmp_path / "vgg.ckpt", ["a", "b", "c"])
    built = build_model("fcn8s", 2, "vgg16", str(tmp_path / "vgg.ckpt"), encoder_args={"fc_channels": 8})
    assert "26 copied" in built.notes[0]
    del part["conv3.1.beta"]
    (tmp_path / "vgg.ckpt").write_bytes(mindspore_file(part))
    with pytest.raises(ModelFileError, match=r"conv3\.1 is incomplete"):
        read_weights(tmp_path / "vgg.ckpt")


def tensorflow_vgg(rng: np.random.Generator, fc: int = 8) -> dict[str, np.ndarray]:
    """The variables of the KITTI tutorials' VGG16: height, width, in, out."""
    found, channels = {}, 3
    layers = [(f"conv{b}_{i}", "filter", 3, w) for b, (w, n) in enumerate(WIDTHS, 1) for i in range(1, n + 1)]
    for name, weight, kernel, width in [*layers, ("fc6", "weights", 7, fc), ("fc7", "weights", 1, fc)]:
        value = random(rng, width, channels, kernel, kernel).transpose(2, 3, 1, 0)
        found[f"{name}/{weight}"], found[f"{name}/biases"] = np.ascontiguousarray(value), random(rng, width)
        channels = width
    return found


def test_a_vgg16_of_tensorflow_is_an_encoder_s_start(tmp_path: Path) -> None:
    arrays = tensorflow_vgg(np.random.default_rng(0))
    bundle(tmp_path / "vgg", arrays)
    built = build_model("fcn8s", 2, "vgg16", str(tmp_path / "vgg"))
    assert built.notes[0].endswith(": 30 copied")
    assert built.config["encoder_args"] == {"fc_channels": 8}
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.integers(0, 256, (1, 3, 64, 96), np.uint8))
    x = image.float().flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    taps = {}
    for block in range(1, 6):
        names = [f"conv{block}_{i}" for i in range(1, WIDTHS[block - 1][1] + 1)]
        for name in names:
            weight = torch.from_numpy(arrays[f"{name}/filter"]).permute(3, 2, 0, 1)
            x = F.relu(F.conv2d(x, weight, torch.from_numpy(arrays[f"{name}/biases"]), padding=1))
        taps[2**block] = x = F.max_pool2d(x, 2)
    for name, kernel in (("fc6", 7), ("fc7", 1)):
        weight = torch.from_numpy(arrays[f"{name}/weights"]).permute(3, 2, 0, 1)
        x = F.relu(F.conv2d(x, weight, torch.from_numpy(arrays[f"{name}/biases"]), padding=kernel // 2))
    taps[32] = x
    with torch.inference_mode():
        found = built.network.eval().features(normalise(image, Preprocessing(built.mean, built.std)))
    for stride in (8, 16, 32):
        torch.testing.assert_close(found[stride], taps[stride], rtol=1e-3, atol=0.05)  # of values of about 100
    with pytest.raises(UsageError, match="use --encoder vgg16"):
        build_model("fcn8s", 2, "resnet18", str(tmp_path / "vgg"))
    with pytest.raises(UsageError, match="--encoder vgg16 --encoder-weights"):
        from_elsewhere(tmp_path / "vgg", ["a", "b"])
    bundle(tmp_path / "other", {"dense/kernel": random(rng, 3, 3)})
    with pytest.raises(ModelFileError, match="dense/kernel; expected a VGG16"):
        build_model("fcn8s", 2, "vgg16", str(tmp_path / "other"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.h5", "of Keras"), ("m.weights.h5", "of Keras"), ("m.keras", "of Keras"), ("m.pb", "saved_model"),
        ("m.onnx", "of ONNX"), ("m.caffemodel", "of Caffe"), ("m.pdparams", "PaddlePaddle"), ("m.mindir", r"\.ckpt"),
        ("m.ckpt.data-00000-of-00001", r"\.index"), ("m.ckpt.meta", r"\.index"), ("m.npz", "NumPy"),
        ("m.pth", "--encoder-weights"), ("m.bin", "--encoder-weights"), ("m.ckpt", "MindSpore"),
    ],
)  # fmt: skip
def test_every_kind_of_file_says_what_to_do(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff" * 50)
    with pytest.raises(UsageError, match=words):
        from_elsewhere(tmp_path / name, ["a", "b"])
    if name not in ("m.pth", "m.bin"):
        with pytest.raises(UsageError, match=words):
            read_weights(tmp_path / name)
    (tmp_path / "lightning.ckpt").write_bytes(b"\x80\x04junk")
    with pytest.raises(UsageError, match="PyTorch state dict"):
        read_weights(tmp_path / "lightning.ckpt")


MINDSPORE = """
import sys, numpy as np, mindspore as ms
arrays = np.load(sys.argv[1])
parameters = [{"name": name, "data": ms.Tensor(arrays[name])} for name in arrays.files]
ms.save_checkpoint(parameters, sys.argv[2], crc_check=True)
"""


TENSORFLOW = """
import sys, numpy as np, tensorflow as tf
tf1 = tf.compat.v1
tf1.disable_eager_execution()
arrays = np.load(sys.argv[1])
with tf1.Session() as session:
    for name in arrays.files:
        tf1.get_variable(name, initializer=arrays[name])
    session.run(tf1.global_variables_initializer())
    builder = tf1.saved_model.builder.SavedModelBuilder(sys.argv[2])
    builder.add_meta_graph_and_variables(session, ["vgg16"])
    builder.save()
"""


@pytest.mark.parametrize(
    ("framework", "script", "make"),
    [("mindspore", MINDSPORE, mindspore_fcn), ("tensorflow", TENSORFLOW, tensorflow_vgg)],
)
def test_files_that_the_framework_wrote(
    framework: str, script: str, make: Callable[[np.random.Generator], Arrays], tmp_path: Path
) -> None:
    """Where it is installed here, or its Python is named by ``MINDSPORE_PYTHON`` or ``TENSORFLOW_PYTHON``."""
    python = os.environ.get(f"{framework.upper()}_PYTHON")
    if python is None and importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    arrays = make(np.random.default_rng(0))
    np.savez(tmp_path / "arrays.npz", **arrays)
    out = tmp_path / ("m.ckpt" if framework == "mindspore" else "m")
    command = [python or sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "arrays.npz"), str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, timeout=300, capture_output=True, env=environment)
    found = read_mindspore(out) if framework == "mindspore" else read_bundle(out / "variables" / "variables.index")
    assert set(found) == set(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
