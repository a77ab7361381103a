"""A file may name architecture only: whatever else it says never reaches timm, torchvision or SMP."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch
import timm
import torch
import torchvision
import yaml
from safetensors.torch import save_file
from timm.models._builder import build_model_with_cfg, load_pretrained

import fullconv
from fullconv.errors import ModelFileError, UsageError
from fullconv.imported import from_elsewhere
from fullconv.models import build_model
from fullconv.models.classifier import build_classifier
from fullconv.models.smp_network import SMP
from fullconv.models.timm_facts import TIMM
from fullconv.models.variants import MODELS, model_arguments
from fullconv.segmenter import Segmenter
from fullconv.spec import ClassSet, Preprocessing

OURS = {"model_name", "num_classes", "in_chans", "features_only", "out_indices"}
HARMLESS = set(TIMM) | set(SMP)


def parameters(*makers: Callable[..., Any]) -> set[str]:
    return {name for maker in makers for name in inspect.signature(maker).parameters}


def foreign_parameters() -> list[str]:
    """Every parameter of the doors of the three libraries, and every field of timm's pretrained_cfg."""
    names = parameters(timm.create_model, build_model_with_cfg, load_pretrained, torchvision.models.get_model)
    names |= {field.name for field in dataclasses.fields(timm.models.PretrainedCfg)}
    for name in torchvision.models.list_models(module=torchvision.models.segmentation):
        names |= parameters(torchvision.models.get_model_builder(name))
    for maker in segmentation_models_pytorch.MODEL_ARCHITECTURES_MAPPING.values():
        names |= parameters(maker.__init__)
    names |= {"weights_backbone", "feature_cls", "pretrained_window_sizes", "source", "kwargs"}
    return sorted(names - {"self"})


class Canary:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A pickle that writes the file ``ran`` beside it when it is loaded."""
    file = tmp_path / "canary.pth"
    file.write_bytes(pickle.dumps({"state_dict": Canary(tmp_path / "ran")}))
    pickle.loads(file.read_bytes())
    assert (tmp_path / "ran").exists()  # it works
    (tmp_path / "ran").unlink()
    return file


def values(canary: Path) -> list[Any]:
    return [
        str(canary),
        canary.as_uri(),
        {"file": str(canary)},
        {"url": canary.as_uri()},
        {"hf_hub_id": "a/b"},
        [str(canary)],
    ]


def test_the_lists_name_nothing_that_names_a_file() -> None:
    for name in HARMLESS:
        assert not any(
            part in name.replace("drop_path", "")
            for part in ("path", "file", "url", "cfg", "pretrained", "checkpoint", "cache", "hub")
        )
        assert "weight" not in name
    assert not HARMLESS & parameters(timm.create_model)
    assert not HARMLESS & parameters(load_pretrained)
    assert not set(TIMM) & OURS


@pytest.mark.parametrize("timm_class", ["resnet.ResNet", "convnext.ConvNeXt", "swin_transformer.SwinTransformer"])
def test_what_a_user_asks_timm_for_is_there(timm_class: str) -> None:
    module, _, name = timm_class.partition(".")
    takes = parameters(getattr(getattr(timm.models, module), name))
    assert len(takes & set(TIMM)) >= 8


@pytest.mark.parametrize("where", ["encoder_args", "model_args"])
def test_a_model_file_names_architecture_only(where: str, canary: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    built = build_model("fcn32s", 2, "resnet10t")
    Segmenter(built, ClassSet(("a", "b")), Preprocessing()).save(file)
    state = {"w": torch.zeros(1)}  # what is refused is refused before weights are looked at
    header = Segmenter.load(file).header()

    def refused(model: dict[str, Any]) -> str:
        save_file(state, file, {"fullconv": json.dumps({**header, "model": model})})
        with pytest.raises(ModelFileError) as caught:
            Segmenter.load(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    for name in foreign_parameters():
        for value in values(canary):
            assert name in refused({**header["model"], where: {name: value}})
    for name in set(TIMM if where == "encoder_args" else model_arguments("fcn32s")):
        refused({**header["model"], where: {name: str(canary)}})
    refused({**header["model"], "encoder_weights": str(canary)})
    refused({**header["model"], "encoder": f"local-dir:{tmp_path}"})
    refused({**header["model"], "encoder": "resnet10t.hf-hub:a/b"})
    refused({**header["model"], "name": "smp", "encoder": "Unet", "model_args": {"encoder_name": "tu-hf-hub:a/b"}})
    refused({**header["model"], "num_classes": 10**9})
    refused({**header["model"], "model_args": {"head_channels": 10**9}})
    refused({**header["model"], "encoder_args": {"drop_rate": float("nan")}})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("build", [lambda file: build_model("fcn32s", 2, "resnet10t", file),
                                   lambda file: build_classifier("resnet10t", file)])  # fmt: skip
def test_a_weights_file_names_architecture_only(build: Callable[[str], Any], canary: Path, tmp_path: Path) -> None:
    state = timm.create_model("resnet10t").state_dict()
    file = tmp_path / "w.safetensors"
    for name in foreign_parameters():
        for value in values(canary):
            save_file({"w": torch.zeros(1)}, file, {"timm": json.dumps({"args": {name: value}})})
            with pytest.raises(ModelFileError, match=name):
                build(str(file))
    save_file(state, file, {"timm": json.dumps({"architecture": f"local-dir:{tmp_path}"})})
    with pytest.raises(ModelFileError, match="not a network's name"):
        build(str(file))
    save_file(state, file, {"timm": json.dumps({"args": {"drop_path_rate": 0.1}})})
    build(str(file))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("model", [
    {"encoder": "vgg16", "encoder_args": {"fc_channels": 65536}}, {"encoder": "resnet10t", "num_classes": 60_000},
    {"encoder": "resnet18", "encoder_args": {"layers": [500, 500, 500, 500]}},
])  # fmt: skip
def test_a_header_cannot_ask_for_more_memory_than_its_weights_take(model: dict[str, Any], tmp_path: Path) -> None:
    header = Segmenter(build_model("fcn32s", 2, "resnet10t"), ClassSet(("a", "b")), Preprocessing()).header()
    described = json.dumps({**header, "model": {**header["model"], **model}})
    save_file({"w": torch.zeros(1)}, tmp_path / "m.safetensors", {"fullconv": described})
    with pytest.raises(ModelFileError, match=r"values, it holds 1;|does not take|names 2 classes"):
        Segmenter.load(tmp_path / "m.safetensors")


def test_a_recipe_names_architecture_only(canary: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    base = {"model": "fcn32s", "encoder": "resnet10t", "check": False, "workers": 0, "epochs": 1}
    for where in ("encoder_args", "model_args"):
        for name in foreign_parameters():
            recipe.write_text(yaml.safe_dump({**base, where: {name: str(canary)}}))
            with pytest.raises(UsageError, match=f"{where}.*{name}"):
                fullconv.train("shapes:train=1,val=1", tmp_path / "run", recipe=recipe, quiet=True)
    for encoder in (f"local-dir:{tmp_path}", "hf-hub:a/b"):
        recipe.write_text(yaml.safe_dump({**base, "encoder": encoder}))
        with pytest.raises(UsageError, match="not a network's name"):
            fullconv.train("shapes:train=1,val=1", tmp_path / "run", recipe=recipe, quiet=True)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "ran").exists()


def test_smp_s_config_names_architecture_only(canary: Path, tmp_path: Path) -> None:
    theirs = segmentation_models_pytorch.Unet("resnet18", encoder_weights=None, classes=2)
    theirs.save_pretrained(tmp_path / "m")
    file = tmp_path / "m" / "config.json"
    good = json.loads(file.read_text())
    from_elsewhere(tmp_path / "m", ["a", "b"])
    ignored = {"activation", "aux_params"}  # of heads that are dropped
    names = set(foreign_parameters()) | set(SMP)
    for name in sorted(names - ignored):
        for value in values(canary):
            file.write_text(json.dumps({**good, name: value}))
            with pytest.raises(ModelFileError):
                from_elsewhere(tmp_path / "m", ["a", "b"])
    for encoder in ("tu-hf-hub:a/b", f"tu-local-dir:{tmp_path}"):
        file.write_text(json.dumps({**good, "encoder_name": encoder}))
        with pytest.raises(ModelFileError, match="encoder_name cannot be"):
            from_elsewhere(tmp_path / "m", ["a", "b"])
    assert not (tmp_path / "ran").exists()


def test_every_network_s_own_arguments_are_known_by_type() -> None:
    for name in MODELS:
        for argument in model_arguments(name):
            with pytest.raises(UsageError, match=argument):
                build_model(name, 2, "resnet10t", model_args={argument: {"a": 1}})
    with pytest.raises(UsageError, match="it takes none"):
        build_model("segnet", 2, "vgg16", encoder_args={"fc_channels": 8})


@pytest.mark.parametrize(
    "said",
    [{"mean": ["a", 0, 0]}, {"mean": [float("nan")] * 3}, {"std": [0, 0, 0]}, {"std": [1e39] * 3}, {"mean": "0.5"}],
)
def test_mean_and_std_of_a_weights_file_are_numbers_or_refused(said: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(timm.create_model("resnet10t").state_dict(), file, {"timm": json.dumps(said)})
    for build in (
        lambda: build_model("fcn8s", 2, "resnet10t", str(file)),
        lambda: build_classifier("resnet10t", str(file)),
    ):
        with pytest.raises(ModelFileError, match="metadata"):
            build()
