from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.images.mask_reading import read_mask
from fullconv.imported import from_elsewhere
from fullconv.models import download
from fullconv.models.mask_rcnn import MASK_RCNN
from fullconv.models.smp_network import SmpNetwork
from fullconv.models.torchvision_network import torchvision_networks
from fullconv.ops import upsample
from fullconv.pretrained import from_torchvision
from fullconv.runner import normalise
from fullconv.segmenter import Segmenter


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, torch.nn.Module]:
    """Random networks in the place of torchvision's downloads, and an empty cache."""
    made: dict[str, torch.nn.Module] = {}

    def state(name: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        arguments = {} if name.startswith("lraspp") else {"aux_loss": True}
        made[name] = torchvision.models.get_model(
            name, weights=None, weights_backbone=None, num_classes=21, **arguments
        ).eval()
        return made[name].state_dict()

    monkeypatch.setattr(download, "torchvision_weights", state)
    monkeypatch.setenv("FULLCONV_CACHE", str(tmp_path / "cache"))
    return made


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"])
@pytest.mark.parametrize("size", [(96, 128), (75, 101)])
def test_answers_as_torchvision_s_own(name: str, size: tuple[int, int], weights: dict) -> None:
    segmenter = fullconv.load(f"torchvision/{name}", "cpu", "fp32")
    pixels = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    with torch.inference_mode():
        logits, window = segmenter.runner.coarse_logits(pixels)
        expected = weights[name](normalise(pixels, segmenter.preprocessing))["out"]
        torch.testing.assert_close(upsample(logits, size, window), expected, rtol=1e-4, atol=1e-4)
    assert segmenter.classes.names[15] == "person"
    assert "BSD-3-Clause" in segmenter.licence


def test_one_command_from_a_photo_to_labels(weights: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    command = ["predict", "torchvision/lraspp_mobilenet_v3_large", str(tmp_path / "photo.png")]
    assert run([*command, "--out", str(tmp_path / "masks")]) == 0
    assert read_mask(tmp_path / "masks" / "photo.png").size == (70, 90)
    kept = tmp_path / "cache/models/torchvision/lraspp_mobilenet_v3_large.safetensors"
    assert Segmenter.load(kept, "cpu").provenance["source"].startswith("torchvision lraspp")
    weights.clear()
    assert run([*command, "--out", str(tmp_path / "again")]) == 0
    assert not weights  # from the cache, no second download
    assert run(["info", "torchvision/lraspp_mobilenet_v3_large"]) == 0
    assert "BSD-3-Clause" in capsys.readouterr().out


def test_refuses(weights: dict) -> None:
    assert len(torchvision_networks()) >= 6
    with pytest.raises(UsageError, match="no segmentation network called 'fcn_resnet5'; did you mean fcn_resnet50"):
        fullconv.load("torchvision/fcn_resnet5")
    with pytest.raises(UsageError, match="no segmentation network called 'fasterrcnn_resnet50_fpn'"):
        fullconv.load("torchvision/fasterrcnn_resnet50_fpn")
    with pytest.raises(UsageError, match="takes no weights"):
        fullconv.build_model("torchvision", 3, "fcn_resnet50", "imagenet")


SMP_NETWORKS = [
    ("Unet", {"encoder_name": "mobilenet_v2", "classes": 3}),
    ("FPN", {"encoder_name": "resnet18", "classes": 4}),
    ("DeepLabV3", {"encoder_name": "resnet18", "classes": 2, "decoder_channels": 32}),
    ("Unet", {"encoder_name": "resnet18", "classes": 1, "activation": "sigmoid"}),
    ("DPT", {"encoder_name": "tu-vit_tiny_patch16_224", "classes": 3, "dynamic_img_size": True}),
]


def saved_by_smp(architecture: str, args: dict, folder: Path) -> torch.nn.Module:
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    network = getattr(smp, architecture)(encoder_weights=None, **args).eval()
    for module in network.modules():  # otherwise every image gives nearly the same
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize(("architecture", "args"), SMP_NETWORKS)
def test_answers_as_segmentation_models_own(
    architecture: str, args: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = saved_by_smp(architecture, args, tmp_path / "theirs")
    names = [f"c{i}" for i in range(max(2, args["classes"]))]
    command = ["import", str(tmp_path / "theirs"), str(tmp_path / "ours.safetensors"), "--classes", ",".join(names)]
    assert run(command) == 0
    said = capsys.readouterr().out
    assert "assumed: mean: ImageNet's, std: ImageNet's" in said
    assert ("left out: activation sigmoid" in said) == ("activation" in args)
    segmenter = fullconv.load(tmp_path / "ours.safetensors", "cpu", "fp32")
    assert segmenter.classes.names == tuple(names)
    pixels = torch.randint(0, 256, (1, 3, 96, 64), dtype=torch.uint8)
    with torch.inference_mode():
        logits, window = segmenter.runner.coarse_logits(pixels)
        found = upsample(logits, (96, 64), window).softmax(1)
        theirs = network(normalise(pixels, segmenter.preprocessing))
    expected = theirs.softmax(1)
    if args["classes"] == 1:
        expected = torch.cat([1 - theirs, theirs], 1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    odd = torch.randint(0, 256, (1, 3, 75, 101), dtype=torch.uint8)[0].permute(1, 2, 0).numpy()
    assert segmenter.predict(odd).labels.shape == (75, 101)


def test_every_network_of_segmentation_models_takes_any_size_and_answers_as_its_own() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    for maker in smp.MODEL_ARCHITECTURES_MAPPING.values():
        name = maker.__name__
        # DPT's embedding of places is interpolated where the size is not that of its training
        size, encoder = (224, "tu-vit_tiny_patch16_224") if name == "DPT" else (128, "resnet18")
        torch.manual_seed(0)
        theirs = maker(encoder, encoder_weights=None, classes=3).eval()
        ours = fullconv.build_model("smp", 3, name, model_args={"encoder_name": encoder}).network.eval()
        ours.load_state_dict(SmpNetwork.own_names(theirs.state_dict()))
        pixels = torch.randn(1, 3, size, size)
        with torch.inference_mode():
            torch.testing.assert_close(ours(pixels), theirs(pixels), msg=lambda text, name=name: f"{name}: {text}")
            for odd in ((1, 1), (75, 33)):
                height, width = ours(torch.randn(1, 3, *odd)).shape[-2:]
                assert (height >= odd[0], width >= odd[1]) == (True, True), name


@pytest.mark.parametrize(
    ("network", "channels", "args", "words"),
    [
        ("DPT", 3, {"encoder_name": "tu-vit_small_patch14_dinov2"}, r"network DPT .* any size .*divisible by patch"),
        ("DPT", 3, {"encoder_name": "resnet18"}, "DPT does not take these arguments.*start with 'tu-'"),
        ("Unet", 2, {"encoder_name": "resnet18", "in_channels": 3}, "name 3 in_channels for images of 2"),
    ],
)
def test_what_segmentation_models_cannot_do_is_refused_when_building(
    network: str, channels: int, args: dict, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        fullconv.build_model("smp", 3, network, in_channels=channels, model_args=args)


def test_networks_of_others_take_the_channels_of_the_data() -> None:
    two = fullconv.build_model("smp", 3, "Unet", in_channels=2, model_args={"encoder_name": "resnet18"})
    assert two.network(torch.randn(2, 2, 40, 40)).shape[:2] == (2, 3)
    with pytest.raises(UsageError, match="take images of 3 channels, found 1"):
        fullconv.build_model("torchvision", 3, "fcn_resnet50", in_channels=1)


def test_a_folder_of_segmentation_models_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "theirs"
    saved_by_smp(*SMP_NETWORKS[0], theirs)
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    assert run(["predict", str(theirs), str(tmp_path / "photo.png"), "--out", str(tmp_path / "masks")]) == 2
    assert "fullconv import" in capsys.readouterr().err
    ours = str(tmp_path / "ours.safetensors")
    (tmp_path / "graph.onnx").write_bytes(b"\x08\x07")
    for folder in ("saved", "run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    save_file({"a": torch.ones(1)}, tmp_path / "run" / "best.safetensors", {"fullconv": "{}"})
    for command, words in [
        ([str(theirs), ours, "--classes", "a,b"], "needs 3 class names"),
        ([str(tmp_path), ours], "expected config.json and model.safetensors"),
        ([str(theirs), ours], "needs --classes"),
        ([str(tmp_path / "none"), ours], "no such file or folder"),
        ([str(tmp_path / "graph.onnx"), ours], "a graph of ONNX"),
        ([str(tmp_path / "saved"), ours], "without variables"),
        ([str(tmp_path / "run"), ours], "a run of fullconv"),
        ([str(tmp_path / "run" / "best.safetensors"), ours], "a model of fullconv already"),
        ([str(tmp_path), ours, "--classes", "a,b"], "expected config.json and model.safetensors"),
        ([str(theirs), str(tmp_path / "ours"), "--classes", "a,b,c"], "ends in .safetensors"),
        ([str(theirs), ours, "--classes", "a,b,c", "--mean", "x"], "numbers separated by commas"),
    ]:
        assert run(["import", *command]) == 2
        assert words in capsys.readouterr().err
    config = (theirs / "config.json").read_text()
    for broken, words in [
        ("{", "not readable"),
        ("{}", "_model_class"),
        (config.replace("mobilenet_v2", "resnet18"), "does not fit"),
    ]:
        (theirs / "config.json").write_text(broken)
        assert run(["import", str(theirs), ours, "--classes", "a,b,c"]) == 2 or words == "not readable"
        assert words in capsys.readouterr().err
    (theirs / "config.json").write_text(config.replace('"Unet"', '"Vnet"'))
    assert run(["import", str(theirs), ours, "--classes", "a,b,c"]) == 2
    assert "no network called 'Vnet'" in capsys.readouterr().err
    assert not Path(ours).exists()


def test_an_imported_network_predicts_at_once_and_is_a_start_for_other_classes(tmp_path: Path) -> None:
    saved_by_smp(*SMP_NETWORKS[0], tmp_path / "theirs")
    segmenter = from_elsewhere(tmp_path / "theirs", ["a", "b", "c"])
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    first = segmenter.predict(image, probabilities=True).probabilities
    again = segmenter.to("cpu", "fp32").predict(image, probabilities=True).probabilities
    np.testing.assert_allclose(first, again, atol=2e-3)  # the same but for the layout in memory
    segmenter.save(tmp_path / "start.safetensors")
    run_folder = fullconv.train(
        "shapes:height=64,width=64,train=4,val=2", tmp_path / "run", model="smp", encoder="Unet", epochs=1,
        batch_size=4, init_from=str(tmp_path / "start.safetensors"), workers=0, quiet=True,
    )  # fmt: skip
    listing = (run_folder.path / "weights.txt").read_text()
    assert "copied   encoder.features.0.0.weight" in listing
    assert "left     head.0.weight: runs over the classes, of which the source has none by name" in listing
    with pytest.raises(UsageError, match="mean needs 1 number or 3, one for each channel, found 2"):
        from_elsewhere(tmp_path / "theirs", ["a", "b", "c"], mean=[0.5, 0.5])
    with pytest.raises(UsageError, match="every class needs a name"):
        from_elsewhere(tmp_path / "theirs", ["a", "", "c"])


def test_networks_with_global_pooling_train(tmp_path: Path) -> None:
    run_folder = fullconv.train(
        "shapes:height=64,width=64,train=4,val=2", tmp_path / "run", model="torchvision",
        encoder="deeplabv3_mobilenet_v3_large", epochs=1, batch_size=4, workers=0, quiet=True,
    )  # fmt: skip
    assert run_folder.best.is_file()


@pytest.mark.parametrize("name", list(MASK_RCNN))
def test_mask_rcnn_from_torchvision_s_own_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers in a file as torchvision publishes it, where torch keeps its downloads."""
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=91)
    torch.manual_seed(0)
    theirs = theirs.to_empty(device="cpu").requires_grad_(False)
    for key, value in theirs.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(1e-6, 1e-3)  # small enough for the number that is added to it to show
        elif value.is_floating_point():
            value.uniform_(-0.01, 0.01)
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), file)
    segmenter = from_torchvision(name)
    assert len(segmenter.classes) == 81
    assert segmenter.classes.names[:3] == ("background", "person", "bicycle")
    assert segmenter.classes.names[80] == "toothbrush"
    assert "BSD-3-Clause" in segmenter.licence
    network = segmenter.network
    assert (network.min_size, network.max_size) == (800, 1333)
    if name == "maskrcnn_resnet50_fpn":  # trained so; torchvision does the same to its own
        for module in theirs.backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    pixels = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected, found = theirs.eval().backbone(pixels), network._pyramid(pixels)
    assert list(found) == list(expected)
    for level, value in found.items():
        torch.testing.assert_close(value, expected[level], rtol=1e-3, atol=1e-4 * float(value.abs().max()))
    last = theirs.roi_heads.box_predictor
    assert torch.equal(network.roi_heads.box_predictor.cls_score.weight[80], last.cls_score.weight[90])
    assert torch.equal(network.roi_heads.box_predictor.bbox_pred.bias[-4:], last.bbox_pred.bias[-4:])


def test_mask_rcnn_without_a_network_says_where_the_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(download, "reachable", lambda url: False)
    with pytest.raises(UsageError, match=r"put maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth into"):
        from_torchvision("maskrcnn_resnet50_fpn")
