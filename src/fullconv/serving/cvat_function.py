"""``fullconv cvat-function``: a folder with what CVAT needs to label by a model."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import yaml

from fullconv.files import new_folder
from fullconv.pretrained import find_model, load
from fullconv.serving.cvat import labels_of
from fullconv.serving.sources import files_of, named
from fullconv.there import refuse_existing

FUNCTION = '''"""cvat-cli task auto-annotate TASK --function-file function.py"""

from pathlib import Path

from fullconv.serving.cvat import Function


def create() -> Function:
    return Function(str(Path(__file__).parent / "nuclio" / "{model}"))
'''
MAIN = '''"""The nuclio function; CVAT calls it for each image."""

import json

from fullconv.errors import FullconvError
from fullconv.serving.cvat import answer, open_beside


def init_context(context):
    context.user_data.model = open_beside(__file__)


def handler(context, event):
    try:
        body, status = answer(context.user_data.model, event.body), 200
    except FullconvError as error:
        body, status = {"error": str(error)}, 400
    return context.Response(body=json.dumps(body), headers={}, content_type="application/json", status_code=status)
'''


def cvat_function(model: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write ``function.py`` for cvat-cli, and the folder ``nuclio`` for ``nuctl deploy``, both with the model.

    Args:
        model: a model file, a run folder or ``torchvision/NAME``.
        out: the new folder.

    Returns:
        The folder.

    Raises:
        UsageError: the folder is there already, or a model that cannot be loaded.
    """
    target = Path(out)
    refuse_existing(target)
    name, path = named(os.fspath(model))
    found = find_model(path)
    segmenter = load(found, "cpu")
    files = files_of(found)
    with new_folder(target) as folder:
        nuclio = folder / "nuclio"
        nuclio.mkdir()
        for file in files:
            shutil.copyfile(file, nuclio / f"model{file.suffix}")
        (folder / "function.py").write_text(FUNCTION.format(model=f"model{files[0].suffix}"), encoding="utf-8")
        (nuclio / "main.py").write_text(MAIN, encoding="utf-8")
        config = nuclio_config(name, labels_of(segmenter.classes))
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=1000)
        (nuclio / "function.yaml").write_text(text, encoding="utf-8")
    return target


def nuclio_config(name: str, labels: list[tuple[int, str]]) -> dict[str, object]:
    """The content of ``function.yaml``: CVAT reads the labels from its annotations."""
    word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
    spec = [{"id": index, "name": label, "type": "mask"} for index, label in labels]
    directives = [
        {"kind": "WORKDIR", "value": "/opt/nuclio"},
        {"kind": "RUN", "value": "pip install --no-cache-dir 'fullconv[export]'"},
    ]
    return {
        "metadata": {
            "name": f"fullconv-{word}", "namespace": "cvat",
            "annotations": {"name": f"{name} (fullconv)", "type": "detector", "spec": json.dumps(spec)},
        },
        "spec": {
            "description": f"Semantic segmentation by {name}", "runtime": "python:3.11", "handler": "main:handler",
            "eventTimeout": "60s",
            "build": {
                "image": f"cvat.fullconv.{word}", "baseImage": "python:3.11-slim",
                "directives": {"preCopy": directives},
            },
            "triggers": {
                "myHttpTrigger": {
                    "numWorkers": 1, "kind": "http", "workerAvailabilityTimeoutMilliseconds": 10000,
                    "attributes": {"maxRequestBodySize": 33554432},
                }
            },
            "platform": {
                "attributes": {"restartPolicy": {"name": "always", "maximumRetryCount": 3}, "mountMode": "volume"}
            },
        },
    }  # fmt: skip
