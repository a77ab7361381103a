"""The page at ``/``: what it loads, and how it works in a browser."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullconv.segmenter import Segmenter
from fullconv.serving import serve
from fullconv.serving.guard import Allowed
from tests.builders.consumers import python_with, run_script
from tests.builders.models import picture
from tests.builders.serving import Client, application, server


def test_the_pages_load_nothing_from_elsewhere(client: Client) -> None:
    for path, media_type in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css"),
                             ("/docs", "text/html"), ("/docs.js", "text/javascript")):  # fmt: skip
        reply = client.get(path)
        assert reply.headers["content-type"].startswith(media_type)
        text = reply.body.decode()
        assert not re.search(r"https?:|//[a-z]+\.|style=|onclick=\"", text), path
        assert "script-src 'self'" in reply.headers["content-security-policy"]
    for path in ("/static/page.js", "/page.html", "/..%2fapp.py", "/page.js/../../app.py"):
        assert client.get(path).status == 404


SCRIPT = """
import sys, re
from pathlib import Path
from playwright.sync_api import sync_playwright

url, chromium, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
one, two, broken = folder / "one.png", folder / "two.png", folder / "broken.png"
asked, faults = [], []

def opened(context):
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(url)
    page.locator("#model option").first.wait_for(state="attached")
    return page

def colour(page, x, y):
    pen = "document.getElementById('view').getContext('2d')"
    return page.evaluate(f"([x, y]) => [...{pen}.getImageData(x, y, 1, 1).data]", [x, y])

with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    context = browser.new_context(accept_downloads=True)
    page, other = opened(context), opened(context)
    page.set_input_files("#files", one)
    other.set_input_files("#files", two)  # two tabs at once
    for tab, name in ((page, "one.png: 40 x 30"), (other, "two.png: 24 x 20")):
        tab.get_by_text(name).wait_for()
    assert page.locator("#areas tbody tr").count() == 3

    page.focus("#view")  # by keyboard
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    said = page.inner_text("#under")
    x, y = map(int, re.search(r"column (\\d+), row (\\d+)", said).groups())
    assert (x, y) == (21, 0), said
    print(said.split(",")[0], x, y)
    page.hover("#view", position={"x": 3, "y": 3})
    assert "column 0, row 0" in page.inner_text("#under") or "sure" in page.inner_text("#under")

    before = colour(page, x, y)
    page.fill("#opacity", "100")
    full = colour(page, x, y)
    page.fill("#opacity", "0")
    none = colour(page, x, y)
    assert before != full != none, (before, full, none)
    page.fill("#opacity", "1")
    faint = colour(page, x, y)[:3]  # below a class the image is grey
    assert max(faint) - min(faint) <= 5 < max(none[:3]) - min(none[:3]), (faint, none)
    page.fill("#opacity", "100")
    page.get_by_role("checkbox", name=said.split(",")[0]).uncheck()  # the legend
    assert colour(page, x, y) == none
    page.check("input[value=confidence]")
    page.get_by_role("checkbox", name=said.split(",")[0]).check()
    assert colour(page, x, y) not in (none, full)

    for name, end in (("Mask", "png"), ("GeoJSON", "geojson"), ("COCO", "json"), ("Overlay as seen", "overlay.png")):
        with page.expect_download() as found:
            page.get_by_role("button", name=name).click()
        assert found.value.suggested_filename == f"one.{end}", found.value.suggested_filename
        found.value.save_as(folder / f"got.{end}")

    page.set_input_files("#files", [two, broken])  # a batch, one of which fails
    page.get_by_text("3 of 3 done").wait_for()
    assert "broken.png" in page.inner_text("#error"), page.inner_text("#error")
    assert "two.png: 24 x 20" in page.inner_text("#said")
    assert not faults, faults
    assert all(one.startswith((url, "blob:", "data:")) for one in asked), asked
    browser.close()
"""


def test_in_a_browser(file: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    python = python_with("playwright.sync_api", "FULLCONV_PLAYWRIGHT_PYTHON")
    for name, size in (("one", (30, 40)), ("two", (20, 24))):
        Image.fromarray(picture(*size)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "one.png").read_bytes()[:100])
    bound = serve.listening("127.0.0.1", 0)
    listening = serve.uvicorn_server(application(server([file]), Allowed()))
    thread = threading.Thread(target=serve.run, args=(listening, bound))
    thread.start()
    try:
        run_script(python, SCRIPT, serve.address(bound), chromium, tmp_path)
    finally:
        listening.should_exit = True
        thread.join(60)
        bound.close()
    with Image.open(tmp_path / "got.png") as mask:
        assert np.array_equal(np.asarray(mask), segmenter.predict(picture(30, 40)).labels)
    with Image.open(tmp_path / "got.overlay.png") as seen:
        assert seen.size == (40, 30)
