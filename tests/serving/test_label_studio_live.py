"""A real Label Studio asks for predictions, and gives them back as the masks that were predicted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from fullconv.segmenter import Segmenter
from fullconv.serving import serve
from fullconv.serving.fetching import Fetcher
from fullconv.serving.guard import Allowed
from fullconv.serving.limits import Limits
from tests.builders.consumers import patches, python_with, run_script
from tests.builders.serving import application, server

TOKEN = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import io, json, re, sys, zipfile
import numpy as np, requests
from PIL import Image
from label_studio_sdk.converter.brush import decode_rle

studio, token, backend, *images = sys.argv[1:]
asking = requests.Session()
asking.headers["Authorization"] = f"Token {token}"

def asked(method, path, **more):
    reply = asking.request(method, studio + path, timeout=120, **more)
    assert reply.ok, (path, reply.status_code, reply.text[:600])
    return reply

names = ["ground", "disc", "ring"]
labels = "".join(f'<Label value="{name}"/>' for name in names)
config = f'<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i">{labels}</BrushLabels></View>'
project = asked("POST", "/api/projects", json={"title": "shapes", "label_config": config}).json()["id"]
asked("POST", f"/api/projects/{project}/import", files=[(path, open(path, "rb")) for path in images])
asked("POST", "/api/ml", json={
    "url": backend, "project": project, "title": "fullconv", "auth_method": "BASIC_AUTH", "basic_auth_user": "any",
    "basic_auth_pass": "secret"})
every = {"selectedItems": {"all": True, "excluded": []}, "filters": {"conjunction": "and", "items": []}}
for action in ("retrieve_tasks_predictions", "predictions_to_annotations"):
    asked("POST", f"/api/dm/actions?id={action}&project={project}", json=every)

right, exported = {}, asked("GET", f"/api/projects/{project}/export?exportType=JSON").json()
assert len(exported) == len(images)
for task in exported:
    path = next(path for path in images if task["data"]["image"].endswith(path.rpartition("/")[2]))
    right[task["id"]] = np.load(path + ".npy")
    found = np.full(right[task["id"]].shape, 255)
    for region in task["annotations"][0]["result"]:
        shape = region["original_height"], region["original_width"], 4
        mask = decode_rle(region["value"]["rle"]).reshape(shape)[..., 3] > 0
        found[mask] = names.index(region["value"]["brushlabels"][0])
    assert np.array_equal(found, right[task["id"]])
masks = zipfile.ZipFile(io.BytesIO(asked("GET", f"/api/projects/{project}/export?exportType=BRUSH_TO_PNG").content))
shown = {task: np.full(labels.shape, 255) for task, labels in right.items()}
for name in masks.namelist():
    task, label = re.fullmatch(r"task-(\\d+)-.*-b-(\\w+)-0.png", name).groups()
    shown[int(task)][np.asarray(Image.open(io.BytesIO(masks.read(name)))) > 0] = names.index(label)
assert all(np.array_equal(shown[task], labels) for task, labels in right.items())
"""


@contextmanager
def label_studio(python: str, folder: Path) -> Iterator[int]:
    """A Label Studio of its own, that lets backends be on this machine; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder), "ML_BLOCK_LOCAL_IP": "false", "USE_DEFAULT_BANNED_SUBNETS": "false",
        "COLLECT_ANALYTICS": "false", "SENTRY_DSN": "", "LATEST_VERSION_CHECK": "false",
    }  # fmt: skip
    command = [
        str(Path(python).absolute().with_name("label-studio")), "start", "-b", "--data-dir", str(folder),
        "--port", str(port), "--internal-host", "127.0.0.1", "--username", "a@example.org", "--password", "a-long-word",
        "--user-token", TOKEN, "--enable-legacy-api-token",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **told}, start_new_session=True, cwd=folder
        )
        try:
            for _ in range(600):
                assert running.poll() is None, (folder / "log").read_text()[-2000:]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except (OSError, urllib.error.URLError):
                    time.sleep(0.5)
            yield port
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(60)


def test_masks_come_back_pixel_for_pixel(file: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    python = python_with("label_studio", "FULLCONV_LABEL_STUDIO_PYTHON")
    images = []
    for number, size in enumerate(((41, 64), (64, 50))):
        pixels = patches(*size)
        images.append(tmp_path / f"image{number}.png")
        Image.fromarray(pixels).save(images[-1])
        np.save(f"{images[-1]}.npy", segmenter.predict(pixels).labels)
    lines, bound = list[str](), serve.listening("127.0.0.1", 0)
    (tmp_path / "studio").mkdir()
    with bound, label_studio(python, tmp_path / "studio") as port:
        studio, found = f"http://localhost:{port}", server([file])
        app = application(found, Allowed(key="secret"), Fetcher([studio], Limits()), say=lines.append)
        listening = serve.uvicorn_server(app)
        thread = threading.Thread(target=serve.run, args=(listening, bound))
        thread.start()
        try:
            run_script(python, SCRIPT, studio, TOKEN, serve.address(bound).rstrip("/"), *images)
        finally:
            listening.should_exit = True
            thread.join(60)
    assert not lines
