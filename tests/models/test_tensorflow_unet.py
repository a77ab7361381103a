"""The U-Net of TensorFlow's segmentation tutorial and of seed 001: layer by layer, and beside Keras if there."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.models import build_model
from fullconv.segmenter import Segmenter

ENCODER_ARGS = {"taps": "expansion", "pad_type": "same", "bn_eps": 1e-3}

# the tutorial's layers: MobileNetV2 up to block_16_project, then doublings of 512, 256, 128 and 64 channels with the
# taps 576, 192, 144 and 96 joined, and a last one to the 3 classes
MOBILENET = [  # per block: channels in, expanded, out; how often
    (32, 32, 16, 1), (16, 96, 24, 1), (24, 144, 24, 1), (24, 144, 32, 1), (32, 192, 32, 2), (32, 192, 64, 1),
    (64, 384, 64, 3), (64, 384, 96, 1), (96, 576, 96, 2), (96, 576, 160, 1), (160, 960, 160, 2), (160, 960, 320, 1),
]  # fmt: skip
DOUBLINGS = [(320, 512), (512 + 576, 256), (256 + 192, 128), (128 + 144, 64)]
LAST = (64 + 96, 3)


def build() -> Any:
    torch.manual_seed(0)
    return build_model("unet", 3, "mobilenetv2_100", encoder_args=ENCODER_ARGS, model_args={"upsampling": "tensorflow"})


def test_parameters_are_the_tutorial_s() -> None:
    network = build().network
    norm = 4  # scale, shift and two moving moments
    encoder = 27 * 32 + norm * 32
    for index, (inside, wide, out, count) in enumerate(MOBILENET):
        expand = inside * wide + norm * wide if index else 0
        encoder += count * (expand + 9 * wide + norm * wide + wide * out + norm * out)
    encoder -= norm * 320  # block_16_project is the convolution, before its norm
    decoder = sum(9 * a * b + norm * b for a, b in DOUBLINGS) + 9 * math.prod(LAST) + LAST[1]
    assert (encoder, decoder) == (1_841_984, 4_662_243)
    counts = {True: 0, False: 0}
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            counts[name.startswith("encoder.")] += value.numel()
    assert counts == {True: encoder, False: decoder}
    assert encoder + decoder == 6_504_227  # as the tutorial's summary prints it
    trained = sum(p.numel() for n, p in network.named_parameters() if not n.startswith("encoder."))
    assert trained == 4_660_323


@torch.inference_mode()
def test_taps_are_the_expansions_and_the_last_projection() -> None:
    encoder = build().network.eval().encoder
    taps = encoder(torch.randn(2, 3, 128, 128))
    shapes = {s: tuple(t.shape[1:]) for s, t in taps.items()}
    assert shapes == {2: (96, 64, 64), 4: (144, 32, 32), 8: (192, 16, 16), 16: (576, 8, 8), 32: (320, 4, 4)}
    assert shapes.keys() == encoder.channels.keys()
    for stride in (2, 4, 8, 16):
        assert taps[stride].min() == 0  # after a ReLU6
        assert taps[stride].max() <= 6
    assert taps[32].min() < 0
    names = set(encoder.state_dict())
    assert "body.blocks.6.0.conv_pwl.weight" in names
    assert not any(name.startswith(("body.blocks.6.0.bn3", "body.conv_head")) for name in names)


def test_norms_and_start_are_tensorflow_s() -> None:
    network = build().network
    norms = [m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and not n.startswith("encoder.")]
    assert [(m.num_features, m.eps, m.momentum) for m in norms] == [(c, 1e-3, 0.01) for c in (512, 256, 128, 64)]
    for stride in (16, 8, 4, 2):
        assert network.get_parameter(f"up.{stride}.layer.0.weight").std().item() == pytest.approx(0.02, rel=0.02)


def test_it_can_be_frozen_copied_saved_and_trained(shared: Path, tmp_path: Path) -> None:
    weights = str(shared / "weights/mobilenetv2_100-imagenet.safetensors")
    found = fullconv.train(
        "shapes:height=64,width=64,train=8,val=2", tmp_path / "run", model="unet", encoder="mobilenetv2_100",
        encoder_weights=weights, encoder_args={"taps": "expansion"}, model_args={"upsampling": "tensorflow"},
        encoder_rate=0.0, ema=0.9, epochs=1, batch_size=4, workers=0, quiet=True, precision="fp32",
    )  # fmt: skip
    listing = (found.path / "weights.txt").read_text()
    assert " left" not in listing
    assert "copied   body.blocks.6.0.conv_pwl.weight" in listing
    again = Segmenter.load(found.best, "cpu", "fp32").network
    start = build_model("unet", 5, "mobilenetv2_100", weights, encoder_args={"taps": "expansion"}).network
    for name, value in start.encoder.state_dict().items():
        assert torch.equal(again.encoder.state_dict()[name], value), name
    copied = copy.deepcopy(again)
    image = torch.randn(1, 3, 40, 72)
    assert torch.equal(copied.eval()(image), again.eval()(image))


def test_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    for encoder, args, words in (
        ("resnet18", {"taps": "expansion"}, "no inverted residuals"),
        ("mobilenetv2_050", {"taps": "all"}, "blocks or expansion"),
        ("mobilenetv2_050", {"taps": "expansion", "nonsense": 1}, "encoder_args"),
    ):
        with pytest.raises(UsageError, match=words):
            build_model("unet", 3, encoder, encoder_args=args)
    assert run(["train", "shapes", "--encoder", "resnet18", "--encoder-args.taps", "expansion", "--out", "none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def keras_unet(keras: Any) -> Any:
    """The tutorial's network, built of Keras's own layers."""
    base = keras.applications.MobileNetV2(input_shape=(128, 128, 3), include_top=False, weights=None)
    names = [f"block_{n}_expand_relu" for n in (1, 3, 6, 13)] + ["block_16_project"]
    *skips, x = keras.Model(base.input, [base.get_layer(name).output for name in names])(base.input)
    for filters, skip in zip((512, 256, 128, 64), reversed(skips), strict=True):
        x = keras.layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Concatenate()([x, skip])
    x = keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x)
    return keras.Model(base.input, x)


def test_equals_keras_layer_by_layer() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="needs keras")
    theirs = keras_unet(keras)
    ours = build().network.eval()
    rng = np.random.default_rng(0)
    weights = [
        0.5 + rng.random(v.shape) if "variance" in v.path else rng.normal(0, 0.1, v.shape) for v in theirs.weights
    ]
    theirs.set_weights(weights)
    state = {n: v for n, v in ours.state_dict().items() if not n.endswith("num_batches_tracked")}
    kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    pending = list(state)
    for variable, value in zip(theirs.weights, weights, strict=True):  # both list their layers in the same order
        name = next(
            n for n in pending if n.endswith(kinds.get(variable.name, "bias" if variable.name == "bias" else "weight"))
        )
        pending.remove(name)
        state[name].copy_(_torch_layout(value, state[name]))
    assert not pending
    image = rng.random((1, 128, 128, 3), dtype=np.float32)
    expected = np.asarray(theirs.predict(image, verbose=0))
    with torch.inference_mode():
        found = ours(torch.from_numpy(image).permute(0, 3, 1, 2))
    np.testing.assert_allclose(
        found.permute(0, 2, 3, 1).numpy(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def _torch_layout(value: np.ndarray, place: Tensor) -> Tensor:
    """Keras has (height, width, in, out), depthwise (height, width, channels, 1), transposed ones out before in."""
    tensor = torch.from_numpy(value)
    for order in ((3, 2, 0, 1), (2, 3, 0, 1)):
        if tensor.ndim == 4 and tensor.permute(order).shape == place.shape:
            return tensor.permute(order)
    assert tensor.shape == place.shape
    return tensor
