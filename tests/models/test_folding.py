"""Networks whose batch norms are folded give the scores of those as they are, and are for prediction alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fullconv.models import build_model
from fullconv.models.folding import FoldedConvolution, folded
from fullconv.models.network import SegmentationNetwork
from fullconv.ops import upsample
from fullconv.runner import TorchRunner
from fullconv.spec import Preprocessing
from tests.builders.networks import VARIANTS

NETWORKS: list[tuple[str, str, dict[str, Any]]] = [
    *VARIANTS,
    ("fcn8s", "densenet121", {}),
    ("fcn8s", "efficientnet_b0", {}),
    ("fcn8s", "tf_efficientnet_lite0", {}),
    ("torchvision", "lraspp_mobilenet_v3_large", {}),
    ("smp", "Unet", {"encoder_name": "resnet18"}),
]


def make(name: str, encoder: str, args: dict[str, Any]) -> SegmentationNetwork:
    """In evaluation; norms have seen some noise and no layer is zero."""
    torch.manual_seed(0)
    network = build_model(name, 4, encoder, model_args=args).network
    assert isinstance(network, SegmentationNetwork)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    for key in network.class_axes:
        value = network.get_parameter(key)
        if not value.any():
            nn.init.normal_(value)
    return network.eval()


def noise(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "encoder", "args"), NETWORKS)
@torch.inference_mode()
def test_scores_are_those_of_the_network_as_it_is(name: str, encoder: str, args: dict[str, Any]) -> None:
    network = make(name, encoder, args)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    quick = folded(network, 3)
    layers = [module for module in quick.modules() if isinstance(module, FoldedConvolution)]
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    as_it_is = network.chooses or encoder in ("convnext_atto", "test_vit")  # layer norms
    assert (quick is network) == as_it_is
    assert len(layers) > norms // 3 or as_it_is
    for size in ((150, 131), (33, 1)):
        pixels = noise(*size)
        wanted, found = network(pixels), quick(pixels)
        assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()), rtol=0)
        window = network.window(wanted.shape[-2:], size)
        scores, others = (upsample(logits.float(), size, window) for logits in (wanted, found))
        best = scores.topk(2, 1).values
        sure = best[:, 0] - best[:, 1] > 1e-3 * max(1.0, float(scores.abs().max()) / 100)
        assert torch.equal(scores.argmax(1)[sure], others.argmax(1)[sure])
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@torch.inference_mode()
def test_in_bf16_it_is_as_near_to_float32_as_the_network_is() -> None:
    network = make("fcn8s", "mobilenetv2_050", {"head_channels": 8})
    quick, pixels = folded(network, 3), noise(256, 256).contiguous(memory_format=torch.channels_last)
    wanted = network(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        far, near = (float((one(pixels).float() - wanted).abs().mean()) for one in (network, quick))
    assert 0 < near < 1.2 * far


@pytest.mark.parametrize("activation", [None, nn.ReLU6(), nn.SiLU()])
@torch.inference_mode()
def test_in_bf16_weights_are_cast_and_laid_out_once(activation: nn.Module | None) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(24).eval()
    layer = FoldedConvolution(nn.Conv2d(16, 24, 3, padding=1), norm, activation).eval()
    laid_out = []
    for side in (40, 9, 4):
        pixels = torch.randn(1, 16, side, side).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(pixels)
        wanted = torch.nn.functional.conv2d(
            pixels.bfloat16().float(), layer.weight.bfloat16().float(), layer.bias, padding=1
        )
        wanted = wanted if activation is None else activation(wanted)
        assert found.dtype == torch.bfloat16
        assert torch.allclose(found.float(), wanted, atol=0.03, rtol=0.01)
        laid_out += [weight for weight, _ in layer._kernels.values()]
    assert len({id(weight) for weight in laid_out}) == 1
    assert laid_out[0].is_mkldnn
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(1, 16, 1, 1))
    assert len(layer._kernels) == 1  # oneDNN is not right there


def test_a_runner_folds_for_prediction_alone_and_heeds_new_weights() -> None:
    network = make("fcn8s", "mobilenetv2_050", {})
    runner = TorchRunner(network, Preprocessing())
    pixels = torch.randint(0, 256, (1, 3, 70, 90), dtype=torch.uint8)
    assert runner.coarse_logits(pixels)[0].requires_grad
    with torch.inference_mode():
        seen: list[nn.Module] = []
        first = runner.coarse_logits(pixels)[0]
        layer = next(module for module in network.modules() if isinstance(module, (nn.BatchNorm2d)))
        handle = layer.register_forward_hook(lambda module, inputs, result: seen.append(module))
        assert torch.allclose(runner.coarse_logits(pixels)[0], first, atol=1e-3)
        assert seen == [layer]
        handle.remove()
        runner.coarse_logits(pixels)
        assert seen == [layer]
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias += 1
        changed = runner.coarse_logits(pixels)[0]
    assert not torch.allclose(changed, first, atol=1e-2)
    with torch.inference_mode():
        assert torch.allclose(changed, TorchRunner(network, Preprocessing()).coarse_logits(pixels)[0])


class Forks(SegmentationNetwork):
    """The result of a convolution is taken by its norm, and by somebody else."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.stride = self.coarsest_stride = 1
        self.first, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.second, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=in_place)

    def forward(self, pixels: Tensor) -> Tensor:
        found = self.first(pixels)
        found = self.norm(found) * found
        taken = self.second(found)
        also = taken.abs()
        return self.act(taken) + also


@pytest.mark.parametrize("in_place", [False, True])
@torch.inference_mode()
def test_what_others_take_too_is_not_folded(in_place: bool) -> None:
    network = Forks(in_place).eval()
    assert folded(network, 3) is network


@torch.inference_mode()
def test_what_torch_fx_traced_keeps_its_statistics() -> None:
    """A copy of such a module is in training, whatever the module was."""
    torch.manual_seed(0)
    network = build_model("unet", 4, "mobilenetv2_050", encoder_args={"taps": "expansion"}).network.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    quick = folded(network, 3)
    assert any(isinstance(module, FoldedConvolution) for module in quick.modules())
    assert not any(module.training for module in quick.modules())
    image = noise(64, 96)
    wanted, found = network(image), quick(image)
    assert (wanted - found).abs().max() <= 1e-4 * wanted.abs().max()
    for key, value in network.state_dict().items():
        assert torch.equal(before[key], value), key


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(16, 16), (17, 16), (16, 17), (17, 17)])
@pytest.mark.parametrize(("kernel", "groups"), [(3, 8), (5, 8), (3, 1)])
@torch.inference_mode()
def test_padding_as_tensorflow_s_needs_no_padded_copy(
    dtype: torch.dtype, size: tuple[int, int], kernel: int, groups: int
) -> None:
    torch.manual_seed(0)
    plain = Conv2dSame(8, 8, kernel, 2, groups=groups)
    layer = FoldedConvolution(plain, None, nn.ReLU6())
    pixels = torch.randn(2, 8, *size).contiguous(memory_format=torch.channels_last).to(dtype)
    padded = pad_same(pixels, [kernel, kernel], [2, 2])
    given: list[tuple[int, ...]] = []

    class Watched(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given.extend(tuple(arg.shape[2:]) for arg in args if isinstance(arg, Tensor) and arg.shape[:2] == (2, 8))
            return func(*args, **(kwargs or {}))

    with Watched():
        found = layer(pixels)
    wanted = layer._fused and torch.ops.mkldnn._convolution_pointwise(
        padded, plain.weight.to(dtype), plain.bias.to(dtype), [0, 0], [2, 2], [1, 1], groups, *layer._fused
    )
    if wanted is None:
        pytest.skip("this PyTorch has no oneDNN")
    assert torch.equal(found, wanted)  # the last bit included
    assert (tuple(padded.shape[2:]) in given) == (groups == 1)
