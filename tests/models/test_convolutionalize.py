from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from fullconv.errors import ModelFileError, UsageError
from fullconv.models.classifier import build_classifier
from fullconv.models.convolutionalize import convolutionalize

LINEAR_HEADS = [
    "resnet10t", "mobilenetv2_050", "efficientnet_lite0",
    "torchvision/resnet18", "torchvision/mobilenet_v2", "torchvision/densenet121", "torchvision/shufflenet_v2_x0_5",
    "torchvision/regnet_y_400mf", "torchvision/squeezenet1_1",
]  # fmt: skip
OTHER_HEADS = ["mobilenetv3_small_050", "convnext_atto", "torchvision/mobilenet_v3_small", "torchvision/convnext_tiny"]


def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name.startswith("torchvision/"):
        return torchvision.models.get_model(name.removeprefix("torchvision/"), weights=None).eval()
    return timm.create_model(name, pretrained=False).eval()


@pytest.mark.parametrize("name", LINEAR_HEADS)
@pytest.mark.parametrize("size", [(224, 224), (160, 288)])
@torch.inference_mode()
def test_the_mean_over_places_is_the_classifier_s_answer(name: str, size: tuple[int, int]) -> None:
    original, image = classifier(name), torch.randn(2, 3, *size)
    network = convolutionalize(original)
    logits = network(image)
    assert logits.shape[:2] == (2, 1000)
    assert logits.shape[2] * logits.shape[3] > 1
    torch.testing.assert_close(logits.mean((2, 3)), original(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OTHER_HEADS)
@torch.inference_mode()
def test_a_head_with_norms_is_applied_at_every_place(name: str) -> None:
    """Where all places have the same features their mean is each of them, and the answers agree."""
    original = classifier(name)
    image = torch.randn(1, 3, 224, 224)
    assert convolutionalize(original)(image).shape == (1, 1000, 7, 7)
    if name.startswith("torchvision/"):
        original.features = Constant(original.features(image)[:, :, :1, :1], (7, 7))
    else:
        features = original.forward_features(image)[:, :, :1, :1].expand(-1, -1, 7, 7).clone()
        original.forward_features = lambda x: features + 0 * x.mean()
    expected = original(image)
    got = convolutionalize(original)(image)
    torch.testing.assert_close(got, expected[:, :, None, None].expand_as(got), rtol=1e-4, atol=1e-4)


class Constant(nn.Module):
    def __init__(self, values: torch.Tensor, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("values", values.expand(-1, -1, *size).clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values + 0 * x.mean()


@torch.inference_mode()
def test_vgg_s_single_place_is_its_answer_and_larger_images_have_more() -> None:
    original = classifier("torchvision/vgg11")
    network = convolutionalize(original)
    image = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(network(image)[:, :, 0, 0], original(image), rtol=1e-4, atol=1e-4)
    assert network(image).shape == (1, 1000, 1, 1)
    assert network(torch.randn(1, 3, 256, 288)).shape == (1, 1000, 2, 3)


@torch.inference_mode()
@pytest.mark.parametrize(("size", "places"), [((200, 300), (7, 10)), ((800, 600), (25, 19)), ((400, 640), (13, 20))])
def test_the_shapes_of_the_seed(size: tuple[int, int], places: tuple[int, int]) -> None:
    logits = convolutionalize(classifier("resnet10t"))(torch.randn(1, 3, *size))
    assert logits.shape == (1, 1000, *places)
    shares = logits.softmax(1).sum(1)
    torch.testing.assert_close(shares, torch.ones_like(shares))


def test_says_why_a_head_cannot_be_made_convolutional() -> None:
    with pytest.raises(UsageError, match="VisionTransformer"):
        convolutionalize(timm.create_model("vit_tiny_patch16_224", pretrained=False))

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.body(x).mean((2, 3)).cumsum(1))

    with pytest.raises(UsageError, match="a cumsum after pooling, which has no convolutional form"):
        convolutionalize(Odd())

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(3 * 224 * 224, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(x.flatten(1))

    with pytest.raises(UsageError, match="no feature map"):
        convolutionalize(Flat())


def test_weights_by_file_and_the_last_layer_from_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    original = classifier("torchvision/resnet18")
    save_file(original.state_dict(), tmp_path / "r18.safetensors")
    for name in ("torchvision/resnet18", "resnet18"):  # timm names its parameters alike
        built = build_classifier(name, str(tmp_path / "r18.safetensors"))
        image = torch.randn(1, 3, 224, 224)
        with torch.inference_mode():
            expected = original(image)
            torch.testing.assert_close(built.network(image).mean((2, 3)), expected, rtol=1e-4, atol=1e-4)
    w, b = torch.randn(512, 1000), torch.randn(1000)
    with h5py.File(tmp_path / "dense.h5", "w") as file:
        file["w"], file["b"] = w.numpy(), b.numpy()
    built = build_classifier("resnet18", "none", str(tmp_path / "dense.h5"))
    layer = built.network.get_submodule("fc")
    assert torch.equal(layer.weight[:, :, 0, 0], w.T)
    assert torch.equal(layer.bias, b)
    with pytest.raises(ModelFileError, match=r"w is \[512, 1000\]"):
        build_classifier("mobilenetv2_050", "none", str(tmp_path / "dense.h5"))
    with pytest.raises(ModelFileError, match="not an HDF5 file"):
        build_classifier("resnet18", "none", str(tmp_path / "r18.safetensors"))
    with pytest.raises(UsageError, match="no such file"):
        build_classifier("resnet18", "none", str(tmp_path / "none.h5"))


def test_refuses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no classifier is called 'resnet5'; did you mean"):
        build_classifier("resnet5", "none")
    with pytest.raises(UsageError, match="torchvision has no classifier called 'resnet19'; did you mean"):
        build_classifier("torchvision/resnet19", "none")
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(ModelFileError, match="does not fit resnet10t"):
        build_classifier("resnet10t", str(tmp_path / "odd.safetensors"))
