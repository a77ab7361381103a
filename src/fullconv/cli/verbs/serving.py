"""``serve``, ``cvat-function``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullconv.cli.help import Help
from fullconv.cli.verbs.arguments import Precision, Runner, Served
from fullconv.cli.verbs.shared import app, starting
from fullconv.there import refuse_existing

SERVE = (
    "fullconv serve runs/mine",
    "fullconv serve road=runs/mine other=model.onnx --port 9000",
    "fullconv serve runs/mine --host 0.0.0.0 --api-key-file key.txt",
)


@app.command(help_formatter=Help(*SERVE))
def serve(
    *models: Served,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    precision: Precision = "auto",
    runner: Runner = "auto",
    api_key_file: Path | None = None,
    cors: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    label_studio: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    megabytes: float = 32,
    megapixels: float = 40,
    queue: int = 64,
    timeout: float = 60,
) -> int:
    """Answer requests for MODELS over HTTP, with a page at / for people, until Ctrl-C.

    Stopping finishes what was accepted. A model whose file changes is loaded again; until then the old one answers.

    Parameters
    ----------
    models
        Model files, run folders or torchvision/NAME; NAME=MODEL says what clients call it.
    host
        Where to listen; by default only this machine can ask. 0.0.0.0 is every network: set a key then.
    port
        0 is any free one.
    device
        auto, cpu, cuda, ...
    precision
        auto, bf16, fp16 (CUDA) or fp32.
    runner
        Who computes: torch, onnxruntime or openvino; auto is PyTorch, and of exported files the fastest installed.
    api_key_file
        A file with a word that clients have to send; else the environment variable FULLCONV_API_KEY.
    cors
        Other sites whose pages may ask: https://example.org.
    label_studio
        Be a machine learning backend of the Label Studio at this address (http://localhost:8080); images are fetched
        from there and from further addresses given here, and from nowhere else.
    megabytes
        Of a request, at most.
    megapixels
        Of an image, at most, as its header says.
    queue
        Requests at once; further ones are told when to come again.
    timeout
        Seconds until an answer.
    """
    with starting():
        import fullconv.pretrained  # noqa: F401  # what takes long of all that is loaded next
        from fullconv.serving.serve import serve as answer

    answer(
        models, host=host, port=port, device=device, precision=precision, runner=runner, api_key_file=api_key_file,
        cors=cors or (), label_studio=label_studio or (), megabytes=megabytes, megapixels=megapixels, queue=queue,
        timeout=timeout,
    )  # fmt: skip
    return 0


@app.command(help_formatter=Help("fullconv cvat-function runs/mine cvat", "fullconv cvat-function road=runs/mine cvat"))
def cvat_function(model: Served, out: Path, /) -> int:
    """Write what CVAT needs to pre-label by MODEL into the new folder OUT.

    OUT/function.py is for cvat-cli task auto-annotate TASK --function-file, OUT/nuclio for nuctl deploy on CVAT's
    server.

    Parameters
    ----------
    model
        A model file, a run folder or torchvision/NAME; NAME=MODEL says what CVAT shows.
    out
        The folder to make.
    """
    refuse_existing(out)
    import fullconv

    with starting():
        folder = fullconv.cvat_function(model, out)
    print(f"{folder / 'function.py'}: cvat-cli task auto-annotate TASK --function-file {folder / 'function.py'}")
    print(f"{folder / 'nuclio'}: nuctl deploy --project-name cvat --path {folder / 'nuclio'} --platform local")
    return 0
