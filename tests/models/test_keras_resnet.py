"""Keras's ResNet-50 from its ``.h5`` files; beside Keras itself where it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from fullconv.cli.main import run
from fullconv.errors import FullconvError, ModelFileError, UsageError
from fullconv.heatmapper import HeatMapper
from fullconv.models.classifier import build_classifier
from fullconv.models.keras_resnet import _layer_names, keras_resnet50, read_resnet50
from fullconv.runner import normalise

Write = Callable[[Path, dict[str, list[np.ndarray]]], None]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Random, with norms that are not the identity."""
    torch.manual_seed(0)
    made = keras_resnet50().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.weight, 0.2, 0.6)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.bias, std=0.1)
    return made


def as_keras(network: nn.Module, old: bool = False, head: str = "") -> dict[str, list[np.ndarray]]:
    """Its arrays by Keras's layers, in Keras's layout."""
    state, layers = network.state_dict(), {}
    for ours, theirs in {**_layer_names(old), **({"fc": head} if head else {})}.items():
        parts = (
            ("weight", "bias", "running_mean", "running_var") if f"{ours}.running_mean" in state else ("weight", "bias")
        )
        arrays = [state[f"{ours}.{part}"].numpy() for part in parts]
        if arrays[0].ndim == 4:
            arrays[0] = arrays[0][:, ::-1] if ours == "conv1" else arrays[0]  # blue first
            arrays[0] = arrays[0].transpose(2, 3, 1, 0)
        layers[theirs] = [arrays[0].T if arrays[0].ndim == 2 else arrays[0], *arrays[1:]]
    return layers


def keras_2(path: Path, layers: dict[str, list[np.ndarray]], inside: str = "") -> None:
    kinds = {2: ("kernel:0", "bias:0"), 4: ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0")}
    with h5py.File(path, "w") as file:
        root = file.create_group(inside) if inside else file
        names = ["input_1", *layers]
        root.attrs["layer_names0"] = [name.encode() for name in names[:50]]  # long lists come in pieces
        root.attrs["layer_names1"] = [name.encode() for name in names[50:]]
        root.create_group("input_1").attrs["weight_names"] = []
        for name, arrays in layers.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{kind}".encode() for kind in kinds[len(arrays)]]
            for kind, array in zip(kinds[len(arrays)], arrays, strict=True):
                group[f"{name}/{kind}"] = array


def whole_model(path: Path, layers: dict[str, list[np.ndarray]]) -> None:
    keras_2(path, layers, "model_weights")


def keras_3(path: Path, layers: dict[str, list[np.ndarray]]) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("layers/activation/vars").attrs["name"] = "conv1_relu"
        for index, (name, arrays) in enumerate(layers.items()):
            group = file.create_group(f"layers/layer_{index}/vars")
            group.attrs["name"] = name
            for place, array in enumerate(arrays):
                group[str(place)] = array


@pytest.mark.parametrize("write", [keras_2, whole_model, keras_3])
@pytest.mark.parametrize(("old", "head"), [(False, "predictions"), (True, "")])
def test_every_layout_gives_the_same_network(
    write: Write, old: bool, head: str, network: nn.Module, tmp_path: Path
) -> None:
    write(tmp_path / "r.h5", as_keras(network, old, head))
    found = read_resnet50(tmp_path / "r.h5")
    expected = {n: v for n, v in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    if old:  # the same norm with an epsilon of 1e-3
        expected = {n: v + 1e-3 - 1.001e-5 if n.endswith("running_var") else v for n, v in expected.items()}
    if not head:
        expected = {n: v for n, v in expected.items() if not n.startswith("fc.")}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=0)


@torch.inference_mode()
def test_it_strides_in_the_first_convolution_unlike_torchvision_s(network: nn.Module) -> None:
    image = torch.randn(1, 3, 64, 96)
    theirs = torchvision.models.resnet50().eval()
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1.001e-5
    theirs.load_state_dict(network.state_dict())  # the very same weights
    assert (network(image) - theirs(image)).abs().max() > 0.05 * network(image).std()
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    torch.testing.assert_close(network(image), theirs(image))


def test_the_command_takes_body_and_head(
    network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keras_2(tmp_path / "notop.h5", as_keras(network))
    with h5py.File(tmp_path / "weights_dense.h5", "w") as file:
        file["w"], file["b"] = network.fc.weight.detach().numpy().T, network.fc.bias.detach().numpy()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    command = ["heatmap", str(tmp_path / "a.png"), "--synset", "dog", "--sizes", "64x96", "--precision", "fp32"]
    body = ["--encoder", "keras_resnet50", "--encoder-weights", str(tmp_path / "notop.h5")]
    head = ["--head-weights", str(tmp_path / "weights_dense.h5")]
    assert run([*command, *body, *head, "--out", str(tmp_path / "maps")]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert all("no place reaches 0.5" in line for line in warnings)  # of random weights; none about them
    with np.load(tmp_path / "maps" / "a.npz") as file:
        found = file["64x96"]
    mapper = HeatMapper(build_classifier("keras_resnet50", str(tmp_path / "notop.h5"), head[1]))
    expected = mapper.probabilities(np.asarray(Image.open(tmp_path / "a.png")), (64, 96))[151:269].sum(0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert run([*command, *body, "--out", str(tmp_path / "more")]) == 2
    assert "has no last layer; give one with --head-weights" in capsys.readouterr().err
    imported = tmp_path / "imported.safetensors"
    assert run(["import", body[3], str(imported), *head]) == 0
    assert "--encoder keras_resnet50" in capsys.readouterr().out
    again = HeatMapper(build_classifier("keras_resnet50", str(imported)))
    image = np.asarray(Image.open(tmp_path / "a.png"))
    assert torch.equal(again.probabilities(image, (64, 96)), mapper.probabilities(image, (64, 96)))
    with pytest.raises(UsageError, match="holds weights of keras_resnet50, not of resnet50"):
        build_classifier("resnet50", str(imported))
    assert run(["import", body[3], str(tmp_path / "x.safetensors")]) == 2
    assert "has no last layer" in capsys.readouterr().err
    assert run(["import", body[3], str(tmp_path / "x.safetensors"), *head, "--classes", "a,b"]) == 2
    assert "leave --classes, --mean and --std out" in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()
    other = ["--encoder", "resnet50", "--encoder-weights", "none", *head, "--out", str(tmp_path / "other")]
    assert run([*command, *other]) == 0
    error = capsys.readouterr().err
    assert "warning: a last layer fits the body that it was trained on" in error
    assert sum("no place reaches 0.5" not in line for line in error.splitlines()) == 1


def test_refuses(network: nn.Module, tmp_path: Path) -> None:
    whole = as_keras(network)
    keras_2(tmp_path / "r.h5", whole)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "r.h5").read_bytes()[:100_000])
    keras_2(tmp_path / "other.h5", {"block1_conv1": whole["conv1_conv"]})
    theano = {name: [a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for a in arrays] for name, arrays in whole.items()}
    keras_2(tmp_path / "theano.h5", theano)
    with h5py.File(tmp_path / "dense.h5", "w") as file:
        file["w"] = np.zeros((4, 2))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["layer_names"] = ["conv1_conv"]
        file["conv1_conv"] = h5py.ExternalLink("r.h5", "/conv1_conv")
    cases: list[tuple[Callable[[], Any], type[FullconvError], str]] = [
        (lambda: read_resnet50(tmp_path / "none.h5"), UsageError, "no such file"),
        (lambda: read_resnet50(tmp_path / "cut.h5"), ModelFileError, "or a truncated one"),
        (
            lambda: read_resnet50(tmp_path / "other.h5"),
            ModelFileError,
            "no layer 'conv1_conv'; expected Keras's ResNet50",
        ),
        (lambda: read_resnet50(tmp_path / "theano.h5"), ModelFileError, "Theano's order"),
        (lambda: read_resnet50(tmp_path / "dense.h5"), ModelFileError, "no layers of Keras"),
        (lambda: read_resnet50(tmp_path / "link.h5"), ModelFileError, "lies in another file"),
        (lambda: build_classifier("resnet50", str(tmp_path / "r.h5")), UsageError, "use --encoder keras_resnet50"),
        (lambda: build_classifier("keras_resnet50"), UsageError, "has no download here"),
        (lambda: build_classifier("resnet10t", "none", str(tmp_path / "dense.h5")), ModelFileError, "no array 'b'"),
    ]
    for call, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="needs keras")


def shaken(model: Any) -> Any:
    """Random weights of a size that keeps the activations in range."""
    rng = np.random.default_rng(0)
    values = []
    for variable in model.weights:
        kind, shape = variable.path.rpartition("/")[2], variable.shape
        if kind == "kernel":
            values.append(rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape))
        elif kind in ("gamma", "moving_variance"):
            values.append(rng.uniform(0.3, 1.0, shape))
        else:
            values.append(rng.normal(0, 0.1, shape))
    model.set_weights(values)
    return model


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_answers_as_keras_itself(keras: Any, ending: str, tmp_path: Path) -> None:
    """Preprocessing, body and heat map, from a file that Keras wrote."""
    whole = shaken(keras.applications.ResNet50(weights=None))
    file = tmp_path / f"resnet{ending}"
    whole.save_weights(file) if ending == ".weights.h5" else whole.save(file)
    body = keras.Model(whole.input, whole.get_layer("conv5_block3_out").output)
    kernel, bias = whole.get_layer("predictions").get_weights()
    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    seen = keras.applications.resnet50.preprocess_input(image.astype("float32")[None])
    features = np.asarray(body.predict(seen, verbose=0))[0]
    scores = features @ kernel + bias
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    mapper = HeatMapper(build_classifier("keras_resnet50", str(file)))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    found = _features(mapper.network, normalise(pixels, mapper.preprocessing))
    np.testing.assert_allclose(found[0].permute(1, 2, 0), features, rtol=1e-4, atol=1e-4 * features.max())
    heat = mapper.heat(image, "n02084071", sizes=[(224, 224)]).maps[224, 224]
    np.testing.assert_allclose(heat, shares[..., 151:269].sum(-1), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def _features(network: nn.Module, image: Tensor) -> Tensor:
    """What goes into the last convolution."""
    kept: list[Tensor] = []
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    handle = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    network(image)
    handle.remove()
    return kept[0]
