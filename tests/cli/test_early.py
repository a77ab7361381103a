"""What is wrong with an argument is said before PyTorch is loaded, in the words in which it is said later."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
from safetensors.numpy import save_file

import fullconv
from fullconv.cli import main
from fullconv.cli.main import run
from fullconv.errors import FullconvError
from fullconv.models.variants import FOREIGN, MODELS
from fullconv.names import FOREIGN as FOREIGN_NAMES
from fullconv.names import NETWORKS, encoder_names, refuse_unknown_encoder
from tests.builders.commands import complaint

SCRIPT = """
import json, sys
sys.modules["torch"] = None  # importing it fails
from fullconv.cli.main import run
for line in json.loads(sys.argv[1]):
    assert run(line.split()) in (2, 3), line
"""
NO_MODEL = "no such model; give a .safetensors file that fullconv saved, a run folder, or an exported .onnx or .xml"
NO_DATA = "no such folder or archive; give a data folder, an archive or address of one, A+B, or shapes"
NO_RECIPE = "no such file; give a YAML file of options, or a name that fullconv recipes lists"
LINES = {
    "train": "no data given; name a folder of images and masks, an archive of one, or shapes",
    "train nothere": f"nothere: {NO_DATA}",
    "train shapes+nothere": f"nothere: {NO_DATA}",
    "train shapes --model unet2": "no model is called 'unet2'; did you mean unet? There are fcn32s, ",
    "train shapes --encoder resnet33": "no encoder is called 'resnet33'; did you mean resnet33ts, resnet34, resnet34d?",
    "train shapes --encoder-weights x.pth": "x.pth: no such weights file; give a .safetensors or .pth file, ",
    "train shapes --init-from nothere": f"nothere: {NO_MODEL}",
    "train shapes --recipe nothere": f"nothere: {NO_RECIPE}",
    "train shapes --config nothere": "nothere: no such file; --config takes the config.yaml of a run, or its folder",
    "train --resume nothere": "nothere: no run to resume (no config.yaml); name its folder: --resume RUN",
    "train shapes --epochs abc": "--epochs: expected a whole number (found 'abc')",
    "sweep shapes --over lr=1,2 --out o": "--over: there is no option 'lr'; did you mean rate?",
    "recipes nothere": f"nothere: {NO_RECIPE}",
    "info nothere": f"nothere: {NO_MODEL}",
    "predict nothere x.jpg --out o": f"nothere: {NO_MODEL}",
    "train shapes --model resnet": "no model is called 'resnet', which stands in names of encoders, such as resnet50: "
    "--model fcn8s --encoder resnet50",
    "train shapes --model efficientnet-b0": "no model is called 'efficientnet-b0', which stands in names of encoders, "
    "such as efficientnet_b0: --model fcn8s --encoder efficientnet_b0",
    "train shapes --model vgg16": "no model is called 'vgg16', which is an encoder: --model fcn8s --encoder vgg16",
    "train shapes --model dinov3": "no model is called 'dinov3', which stands in names of encoders, such as vit_small",
    "train shapes --encoder unet": "no encoder is called 'unet', which is a network: --model unet --encoder resnet50",
    "train shapes --encoder segnet": "no encoder is called 'segnet', which is a network: --model segnet --encoder vgg",
    "train shapes --encoder smp": "no encoder is called 'smp', which is a library, whose networks stand as --encoder",
    "predict torchvision/x x.jpg --out o": "x.jpg: no such file, folder or glob; give images that are there",
    "predict torchvision/x": "predict: --out OUT is missing; fullconv predict --help shows the usage",
    "predict torchvision/x --out o --precision x": "precision must be auto, bf16, fp16 or fp32, found 'x'",
    "predict torchvision/x --out o --runner x": "runner must be auto, torch, openvino or onnxruntime, found 'x'",
    "train shapes --crop 512": "train: --crop takes 2 values, found 512; fullconv train --help shows the usage",
    "evaluate": "evaluate: MODEL is missing; fullconv evaluate --help shows the usage",
    "evaluate torchvision/x": "only a run folder knows its data; give it: fullconv evaluate MODEL DATA",
    "evaluate shapes": "shapes: holds no model; the first argument is a model, the second the data: ",
    "predict shapes --out o": "shapes: holds no model; the first argument is a model, the second the images: ",
    "export shapes --to onnx --out o": "shapes: holds no model; the first argument is a model: ",
    "evaluate torchvision/x nothere": f"nothere: {NO_DATA}",
    "compare torchvision/x torchvision/y shapes": "shapes: data, where models are expected; give it as --data shapes",
    "check nothere": f"nothere: {NO_DATA}",
    "convert nothere o": f"nothere: {NO_DATA}",
    "export nothere --to onnx --out o": f"nothere: {NO_MODEL}",
    "export torchvision/x --to onx --out o": "--to must be onnx, openvino or torch, found 'onx'",
    "export torchvision/x --out o.bin": "o.bin: its ending does not say what to write; give it one of .onnx (onnx), ",
    "export torchvision/x o.onnx": "export: --out OUT is missing; did you mean --out o.onnx?",
    "export torchvision/x": "export: --out OUT is missing; fullconv export --help shows the usage",
    "pseudo-label nothere shapes --out o": f"nothere: {NO_MODEL}",
    "review nothere shapes --out o": f"nothere: {NO_MODEL}",
    "serve a=nothere": f"nothere: {NO_MODEL}",
    "import nothere o": "nothere: no such file or folder; docs/import.md lists what is read",
    "heatmap x.jpg --synset dog --out o": "x.jpg: no such file, folder or glob; give images that are there",
    "synsets dogg": "no synset is called 'dogg'; did you mean dog, dough, hotdog",
    "val": "there is no command val; did you mean evaluate?",
    "train shapes --out run": "run: exists, and a run never overwrites; fullconv train --resume run continues it",
    "train shapes --out full": "full: exists, and a run never overwrites; choose another --out",
    "train shapes --encoder-weights words.pth": "words.pth: cannot be read as a PyTorch state dict (no archive of ",
    "train shapes --encoder-weights words.safetensors": "words.safetensors: not a readable safetensors file (",
    "train shapes --encoder-weights folder.pth": "folder.pth: is a folder; give the weights file that lies in it",
    "train shapes --encoder-weights folder.safetensors": "folder.safetensors: is a folder; give the weights file that ",
    "train shapes --init-from words.safetensors": "words.safetensors: not a readable safetensors file (",
    "train shapes --init-from bare.safetensors": "bare.safetensors: weights that fullconv did not save; use them as ",
    "train shapes --recipe words.yaml": "words.yaml: expected training options such as 'epochs: 30'",
    "train shapes --recipe wrong.yaml": "wrong.yaml: there is no option 'lr'; did you mean rate?",
    "train shapes --recipe missing.yaml": "nothere.pth: no such weights file; give a .safetensors or .pth file, ",
    "train --config wrong.yaml": "wrong.yaml: there is no option 'lr'; did you mean rate?",
    "train shapes --track comet": "--track: expected auto, none, or tensorboard, mlflow, wandb, trackio, joined by ",
    "sweep shapes --over rate=-1,1 --out o": "the options: rate: expected",
    "sweep shapes --over encoder=resnet33,resnet34 --out o": "no encoder is called 'resnet33'; did you mean resnet33ts",
    "sweep shapes --over rate=1,2 --out o --recipe wrong.yaml": "wrong.yaml: there is no option 'lr'; did you ",
    "evaluate words.safetensors shapes": "words.safetensors: not a readable safetensors file (",
    "evaluate torchvision/x shapes --json full": "full: is a folder; give the name of the file to write",
    "export torchvision/x --to torch --out there.pt2": "there.pt2: exists; choose another name",
    "pseudo-label torchvision/x shapes --out full": "full: exists; choose another folder for the pseudo-labels",
    "review torchvision/x shapes --out full": "full: is a folder; give the name of the file to write",
    "review torchvision/x shapes --out o --to cvat --tasks full": "full: exists; choose another folder for the tasks",
    "predict torchvision/x full --out o --overlay-classes road": "--overlay-classes says what --overlay paints; give ",
    "predict torchvision/x full --out o --min-area 9": "--tolerance and --min-area say how polygons are made; give ",
    "predict torchvision/x full --out o --tolerance 2": "--tolerance and --min-area say how polygons are made; give ",
    "predict torchvision/x full --out o --instances --flip": "--instances finds objects in each image as it is; leave ",
    "predict torchvision/x full --out o --instances --scales 0.5 1": "--instances finds objects in each image as it ",
    "predict torchvision/x full --out o --instances --resume": "instances.json holds the objects of all images; leave ",
    "predict torchvision/x full --out o --areas full": "--areas full is a folder; name the CSV file to write",
    "review torchvision/x shapes --out o --to cvat": "--to names the tool and --tasks the folder to write; give both",
    "review torchvision/x shapes --out o --tasks o": "--to names the tool and --tasks the folder to write; give both",
    "import words.yaml bare.safetensors": "bare.safetensors: exists; choose another name",
    "cvat-function torchvision/x full": "full: exists; choose another name",
}
FILES = {
    "run/resume/state.pt": "",
    "full/file": "",
    "folder.pth/file": "",
    "folder.safetensors/file": "",
    "words.pth": "no weights",
    "words.safetensors": "no weights",
    "words.yaml": "some words",
    "wrong.yaml": "lr: 1",
    "missing.yaml": "encoder_weights: nothere.pth",
    "there.pt2": "",
}


def test_without_torch(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "bare.safetensors")
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([*LINES])], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == len(LINES)
    for line, found, words in zip(LINES, said, LINES.values(), strict=True):
        assert found.startswith(f"fullconv: {words}"), line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("evaluate data runs/mine --split train", "evaluate runs/mine data --split train"),
        ("evaluate data a.onnx", "evaluate a.onnx data"),
        ("predict data/a.png a.onnx --out o", "predict a.onnx data/a.png --out o"),
        ("review data runs/mine --out o", "review runs/mine data --out o"),
        ("pseudo-label data runs/mine --out o", "pseudo-label runs/mine data --out o"),
        ("predict data/ runs/mine --out masks", "predict runs/mine data/ --out masks"),
        ("predict ./data runs/mine --out masks", "predict runs/mine ./data --out masks"),
        ("evaluate data", "evaluate MODEL data"),
        ("evaluate data data", "evaluate MODEL data"),
    ],
)
def test_data_in_the_place_of_the_model_is_said_with_what_to_type(
    typed: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("data/a.png", "runs/mine/best.safetensors", "a.onnx"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    assert run(typed.split()) == 2
    said = complaint(capsys)
    assert said.startswith(
        f"fullconv: {Path(typed.split()[1])}: holds no model; the first argument is a model, the second the "
    )
    assert said.endswith(f" {meant}")


def test_recipes_are_listed_without_torch() -> None:
    script = SCRIPT.replace("in (2, 3)", "== 0")
    lines = json.dumps(["recipes", "recipes camvid_fcn8s_mobilenetv2", "synsets dog"])
    done = subprocess.run([sys.executable, "-c", script, lines], capture_output=True, text=True, check=True)
    assert "camvid_fcn8s_mobilenetv2" in done.stdout


def test_python_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls = {
        "train nothere": lambda: fullconv.train("nothere", quiet=True),
        "train shapes --encoder resnet33": lambda: fullconv.models.build_model("fcn8s", 2, "resnet33"),
        "train shapes --encoder unet": lambda: fullconv.models.build_model("fcn8s", 2, "unet"),
        "train shapes --model resnet": lambda: fullconv.models.build_model("resnet", 2),
        "train shapes --model unet2": lambda: fullconv.models.build_model("unet2", 2),
        "train shapes --init-from nothere": lambda: fullconv.load("nothere"),
        "train --resume nothere": lambda: fullconv.train(resume="nothere", quiet=True),
        "train shapes --config nothere": lambda: fullconv.train(config="nothere", quiet=True),
        "import nothere o": lambda: fullconv.import_model("nothere", "o.safetensors"),
    }
    for line, call in calls.items():
        with pytest.raises(FullconvError) as error:
            call()
        assert str(error.value).startswith(LINES[line])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder": "resnet19"}, "no encoder is called 'resnet19'; did you mean resnet"),
        ({"model": "fcn9s"}, "no model is called 'fcn9s'; did you mean fcn"),
    ],
)
def test_python_refuses_unknown_names_before_anything_is_said(
    options: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ({}, {"minutes": 1}):
        with pytest.raises(FullconvError) as error:
            fullconv.train("nothere", **options, **more)
        assert str(error.value).startswith(words)
    said = capsys.readouterr()
    assert said.out + said.err == ""


def test_names_are_those_that_are_built() -> None:
    assert (tuple(MODELS), tuple(FOREIGN)) == (NETWORKS, FOREIGN_NAMES)
    assert sorted(encoder_names()) == sorted(timm.list_models())
    for known in ("vgg16", "resnet50.a1_in1k", "ssl_resnext50_32x4d"):  # with a tag; a name that timm gave up
        refuse_unknown_encoder(known)


WATCHED = """
import json, sys
from fullconv import bars
from fullconv.cli.main import run

class Loading(BaseException):
    pass

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise Loading([bar.what for bar in bars._open])

sys.meta_path.insert(0, Finder())
for line in json.loads(sys.argv[1]):
    try:
        run(line.split())
        print("nothing loads PyTorch")
    except Loading as loading:
        print(*loading.args[0])
"""
VERBS = {
    "train shapes": "starting",
    "sweep shapes --over rate=1,2 --out o": "starting",
    "demo": "starting",
    "check shapes": "starting",
    "convert shapes o": "starting",
    "predict torchvision/x x.jpg --out o": "starting",
    "pseudo-label torchvision/x shapes --out o": "starting",
    "review torchvision/x shapes --out o": "starting",
    "evaluate torchvision/x shapes": "starting",
    "compare torchvision/x torchvision/y --data shapes": "starting",
    "export torchvision/x --to torch --out o.pt2": "export",
    "heatmap x.jpg --synset dog --out o": "starting",
    "info torchvision/x": "starting",
    "models": "starting",
    "import x.jpg o.safetensors": "import",
    "serve torchvision/x": "starting",
    "cvat-function torchvision/x o": "starting",
}


def test_a_bar_stands_while_pytorch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps([*VERBS])], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert dict(zip(VERBS, done.stdout.splitlines(), strict=True)) == VERBS


def test_leaving_looks_for_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "run", lambda arguments: 3)
    with pytest.raises(SystemExit) as left:
        main.main()
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    assert (left.value.code, frozen > 1000) == (3, True)
