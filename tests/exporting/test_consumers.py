"""Exports for other programs, read by those programs: their labels are those of ``predict``, pixel for pixel."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import fullconv
from fullconv.cli.main import run
from fullconv.errors import UsageError
from fullconv.spec import ClassSet, Preprocessing, Values
from tests.builders.commands import complaint
from tests.builders.consumers import patches, python_with, run_script
from tests.builders.exporting import no_cost
from tests.builders.exports import tiny

SIZES = ((2, 40), (33, 65), (200, 131), (64, 96))

MODEL_API = """
import sys
import numpy as np
from model_api.adapters import OpenvinoAdapter, create_core
from model_api.models import SegmentationModel
settings = {"INFERENCE_PRECISION_HINT": "f32"}  # else bf16 where the processor has it
adapter = OpenvinoAdapter(create_core(), sys.argv[1], device="CPU", plugin_config=settings)
model = SegmentationModel.create_model(adapter)
images = np.load(sys.argv[2])
np.savez(sys.argv[3], labels=np.array(model.params.labels), **{name: model(images[name]) for name in images})
"""


def test_model_api_gives_the_labels_of_predict(tmp_path: Path) -> None:
    """In its own interpreter where FULLCONV_MODEL_API names one, else in this."""
    python = python_with("model_api", "FULLCONV_MODEL_API")
    model = tiny(classes=ClassSet(("far sky", "road", "b", "c", "d", "e")))
    out = tmp_path / "m.xml"
    fullconv.export(model, "openvino", out, consumer="model-api")
    images = {f"{height}x{width}": patches(height, width) for height, width in SIZES}
    np.savez(tmp_path / "in.npz", **images)
    run_script(python, MODEL_API, out, tmp_path / "in.npz", tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    assert found["labels"].tolist() == ["far_sky", "road", "b", "c", "d", "e"]
    for name, image in images.items():
        assert np.array_equal(found[name], model.predict(image).labels), name
    with pytest.raises(UsageError, match="written for model-api"):
        fullconv.load(out)


DEEPNESS = """
import json, sys
import numpy as np
from deepness.processing.models.model_base import ModelBase
from deepness.processing.models.segmentor import Segmentor
file = sys.argv[1]
model = Segmentor(file)
tiles = np.load(sys.argv[2])
(scores,) = model.process(tiles)
scores[scores < model.get_metadata_segmentation_threshold()] = 0.0  # as MapProcessorSegmentation does
np.save(sys.argv[3], scores.argmax(1))
said = {
    "type": ModelBase.get_model_type_from_metadata(file), "tile": model.get_metadata_tile_size(),
    "input": list(model.get_input_shape()), "batch": model.get_model_batch_size(), "names": model.outputs_names,
    "classes": model.get_number_of_output_channels(), "sigmoid": model.outputs_are_sigmoid,
    "overlap": model.get_metadata_tiles_overlap(), "resolution": model.get_metadata_resolution(),
    "small": model.get_metadata_segmentation_small_segment(),
}
print(json.dumps(said), file=open(sys.argv[4], "w"))
"""


def test_deepness_gives_the_labels_of_predict(tmp_path: Path) -> None:
    """By the plugin's own class, of a checkout of PUTvision/qgis-plugin-deepness that FULLCONV_DEEPNESS names."""
    plugin = Path(os.environ.get("FULLCONV_DEEPNESS", "nowhere")) / "src"
    if not (plugin / "deepness" / "processing" / "models" / "segmentor.py").is_file():
        pytest.skip("FULLCONV_DEEPNESS names no checkout of PUTvision/qgis-plugin-deepness")
    model, out = tiny(), tmp_path / "m.onnx"
    report = fullconv.export(model, out=out, consumer="deepness", tile=133, resolution=12.5)
    assert not report.notes
    tiles = np.stack([patches(133, 133), patches(150, 144)[-133:, -133:]])
    np.save(tmp_path / "in.npy", tiles)
    said = tmp_path / "said.json"
    run_script(sys.executable, DEEPNESS, out, tmp_path / "in.npy", tmp_path / "out.npy", said, path=str(plugin))
    for labels, tile in zip(np.load(tmp_path / "out.npy"), tiles, strict=True):
        assert np.array_equal(labels, model.predict(tile).labels)
    found = json.loads(said.read_text())
    assert 0 < model.tiling((999, 999), 133).overlap <= 133 * found.pop("overlap") / 100 <= 133 / 2
    assert found == {
        "type": "Segmentor", "tile": 133, "input": ["n", 3, 133, 133], "batch": None, "names": [list("abcdef")],
        "classes": [6], "sigmoid": [False], "resolution": 12.5, "small": 0,
    }  # fmt: skip
    with pytest.raises(UsageError, match="written for deepness"):
        fullconv.load(out)


def test_what_deepness_cannot_run_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    wide = tiny()
    wide.preprocessing = Preprocessing(values=Values(range=((0, 3000),)))
    for model, options, expected in (
        (tiny(resize=(64, 64)), {}, "cuts maps into tiles, and this model was trained on whole images"),
        (wide, {}, r"gives bytes, and this model's values are \[0, 3000\]"),
        (tiny(classes=ClassSet(("road",))), {}, "takes 2 to 255 classes, found 1"),
        (tiny(), {"tile": 5}, "--tile is the side of a tile, 8 to 65536 pixels, found 5"),
        (tiny(), {"resolution": 0.0}, "--resolution is in centimetres a pixel, above 0, found 0"),
    ):
        with pytest.raises(UsageError, match=expected):
            fullconv.export(model, out=out, consumer="deepness", **options)
        assert not out.exists()


TRITON = """
import json, sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())
print(json_format.MessageToJson(config, preserving_proto_field_name=True), file=open(sys.argv[2], "w"))
"""


def test_triton_reads_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration by its own protocol, its model by the runtime that its backend runs."""
    runtime = pytest.importorskip("onnxruntime")
    python = python_with("tritonclient.grpc.model_config_pb2", "FULLCONV_TRITON")
    no_cost(monkeypatch)
    model = tiny(classes=ClassSet(('the "far" sky', "road", "b", "c", "d", "straße")))
    fullconv.export(model, out=tmp_path / "street", consumer="triton", probabilities=True)
    written = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert written == ["street/1/model.onnx", "street/config.pbtxt"]
    run_script(python, TRITON, tmp_path / "street" / "config.pbtxt", tmp_path / "config.json")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["backend"] == "onnxruntime"
    assert "dynamic_batching" in config
    said = {key: value["string_value"] for key, value in config["parameters"].items()}
    assert json.loads(said["class_names"]) == list(model.classes.names)
    session = runtime.InferenceSession(str(tmp_path / "street" / "1" / "model.onnx"))
    kinds = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)"}
    for entries, values in ((config["input"], session.get_inputs()), (config["output"], session.get_outputs())):
        stated = {
            entry["name"]: (kinds[entry["data_type"]], [int(side) for side in entry["dims"]]) for entry in entries
        }
        of_model = {v.name: (v.type, [-1 if isinstance(side, str) else side for side in v.shape[1:]]) for v in values}
        assert stated == of_model
    image = patches(33, 65)
    (labels,) = session.run(["labels"], {"images": np.stack([image] * int(config["max_batch_size"]))})
    assert np.array_equal(labels[-1], model.predict(image).labels)


def test_a_folder_for_the_hub(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import ModelCard
    from safetensors.torch import load_file

    no_cost(monkeypatch)
    trained = fullconv.load(model, "cpu", "fp32")
    trained.provenance = {"data": "shapes", "scores": {"mean_iou": 0.625, "val_loss": 0.1, "fw_iou": None}}
    trained.save(tmp_path / "m.safetensors")
    out = tmp_path / "street"
    command = ["export", str(tmp_path / "m.safetensors"), "--for", "hub", "--to", "onnx", "--out", str(out)]
    assert run(command) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md",
        "config.json",
        "model.onnx",
        "model.safetensors",
    ]
    card = ModelCard.load(out / "README.md")
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "image-segmentation"
    assert card.data.library_name == "fullconv"
    (score,) = card.data.eval_results
    assert (score.metric_type, score.metric_value, score.dataset_name) == ("mean_iou", 0.625, "shapes")
    assert "| 2 | car | `#0000c8` |" in card.text
    assert json.loads((out / "config.json").read_text())["id2label"] == {
        "0": "sky",
        "1": "road",
        "2": "car",
        "3": "tree",
    }
    assert load_file(out / "model.safetensors").keys() == trained.network.state_dict().keys()
    for name in (out, tmp_path / "m.safetensors"):
        assert run(["predict", str(name), str(images), "--out", str(tmp_path / name.stem / "masks")]) == 0
    for file in (out / "masks").glob("*.png"):
        assert file.read_bytes() == (tmp_path / "m" / "masks" / file.name).read_bytes()
    capsys.readouterr()
    assert run(["info", str(out)]) == 0


@pytest.mark.parametrize(
    ("licence", "data", "stated", "name"),
    [
        ("Apache-2.0", "", "apache-2.0", None),
        ("BSD-3-Clause (torchvision; trained on COCO)", "", "bsd-3-clause", None),
        ("", "", "unknown", None),
        ("Apache-2.0", "KITTI: CC BY-NC-SA 3.0", "other", "weights: Apache-2.0; data: KITTI: CC BY-NC-SA 3.0"),
        ("of my firm", "", "other", "weights: of my firm; data: not stated"),
    ],
)
def test_the_licence_of_a_card(licence: str, data: str, stated: str, name: str | None) -> None:
    from huggingface_hub import ModelCard

    from fullconv.model_card import card_of, licence_note

    model = tiny()
    model.licence = licence
    model.provenance = {"data_licence": data} if data else {}
    text = card_of(model.header(), "street", [])
    assert yaml.safe_load(text.split("---\n")[1])["license"] == stated
    card = ModelCard(text)
    assert card.data.license == stated
    assert card.data.license_name == name
    assert f"- of the data: {data or 'not stated'}" in card.text
    assert bool(licence_note(model.header())) == (stated in ("unknown", "other"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "onnx", "--for", "model-api"], "is written with --to openvino, found --to onnx"),
        (["--to", "torch", "--for", "triton"], "is written with --to onnx, found --to torch"),
        (["--for", "coral"], "--for must be model-api, deepness, triton, hub, found 'coral'"),
        (["--for", "deepness", "--scores"], "--for deepness settles the outputs"),
        (["--for", "triton", "--tile", "256"], "--tile and --resolution are of --for deepness"),
    ],
)
def test_arguments_that_cannot_be(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", __file__, "--out", str(tmp_path / "m.onnx"), *arguments]) == 2
    assert expected in complaint(capsys)
