"""ONNX Runtime and OpenVINO as runners: the artefact's coarse logits, all else is the segmenter's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fullconv.errors import ModelFileError, UsageError
from fullconv.exported.geometry import IMAGES, LOGITS, Places
from fullconv.geometry import Window
from fullconv.libraries import installed, library
from fullconv.machine import usable_cores
from fullconv.models.context import Context
from fullconv.names import RUNNERS


class ExportedRunner:
    """What both share.

    Args:
        run: uint8 ``n H W c`` and names of outputs -> these outputs.
        places: of the network.
        said: who computes, in what arithmetic and where.
        precision: that arithmetic.
        source: the file, or its bytes; empty where nobody asks which model it is.
        side_by_side: see :attr:`fullconv.runner.Runner.side_by_side`.
    """

    device = torch.device("cpu")

    def __init__(
        self, run: Callable[[np.ndarray, tuple[str, ...]], list[np.ndarray]], places: Places, said: str,
        precision: str, source: Path | bytes = b"", side_by_side: bool = False,
    ) -> None:  # fmt: skip
        self.run = run
        self.source = source
        self.places = places
        self.precision = precision
        self.side_by_side = side_by_side
        self._said = said

    def __str__(self) -> str:
        return self._said

    @property
    def coarsest_stride(self) -> int:
        return self.places.coarsest_stride

    @property
    def context(self) -> Context:
        return self.places.context

    def coarse_logits(self, pixels: Tensor) -> tuple[Tensor, Window]:
        """As :meth:`fullconv.runner.Runner.coarse_logits`; the artefact takes bytes alone.

        Raises:
            ValueError: the pixels are no bytes.
        """
        if pixels.dtype != torch.uint8:
            raise ValueError(f"an exported network takes uint8 pixels, found {pixels.dtype}")
        images = np.ascontiguousarray(pixels.cpu().permute(0, 2, 3, 1).numpy())
        (found,) = self.run(images, (LOGITS,))
        logits = torch.from_numpy(found)
        height, width = pixels.shape[-2:]
        return logits, self.places.window((logits.shape[2], logits.shape[3]), (height, width))

    def find_not_finite(self, again: Callable[[], object]) -> tuple[str, str]:
        """As :meth:`fullconv.runner.Runner.find_not_finite`; layers cannot be asked here."""
        return "the scores", "predict with the .safetensors file that it was made from, which names the layer"


def choose_runner(name: str, suffix: str, refused: Collection[str] = ()) -> str:
    """Who computes a file: ``auto`` is the fastest that is installed.

    Args:
        suffix: of the file; OpenVINO's own (``.xml``) are read by it alone.
        refused: who computes other labels of it than PyTorch, as its gate found.

    Raises:
        UsageError: no such runner, or one that cannot read such files.
    """
    able = ("openvino",) if suffix == ".xml" else tuple(runner for runner in RUNNERS if runner not in refused)
    if name in refused:
        raise UsageError(f"runner {name} computes other labels of this file than PyTorch; use {' or '.join(able)}")
    if name == "auto":
        return next((runner for runner in able if installed(runner)), able[-1])
    if name not in able:
        raise UsageError(f"runner {name!r} does not compute {suffix} files; use auto or {' or '.join(able)}")
    return name


def open_runner(
    name: str, model: Path | bytes, places: Places, precision: str = "auto", *, int8: bool = False
) -> ExportedRunner:
    """A runner of ``RUNNERS`` for a file, or for the bytes of an ONNX model.

    Args:
        precision: ``auto`` is fp32, what the file holds and its gate has checked.
        int8: the file's network is quantised: what is left is computed in ``precision``.

    Raises:
        UsageError: its library is not installed, or does not compute in this precision.
        ModelFileError: a file that it cannot read.
    """
    precision = "fp32" if precision == "auto" else precision
    opened = _with_openvino if name == "openvino" else _with_onnxruntime
    try:
        run, said = opened(model, precision)
    except UsageError:
        raise
    except Exception as error:  # each library has kinds of its own
        where = model if isinstance(model, Path) else "the exported network"
        raise ModelFileError(f"{where}: {name} cannot read it ({' '.join(str(error).split())[-300:]})") from error
    said, precision = (part.replace("fp32", "int8") if int8 else part for part in (said, precision))
    return ExportedRunner(run, places, said, precision, model, side_by_side=True)


def _threads() -> int:
    """Of a pass that this thread asks for: as many as PyTorch would take, one in a stream."""
    return min(torch.get_num_threads(), usable_cores())


def _with_onnxruntime(model: Path | bytes, precision: str) -> tuple[Any, str]:
    runtime = library("onnxruntime", "the runner onnxruntime")
    if precision != "fp32":
        raise UsageError(f"onnxruntime computes on a CPU in fp32, found {precision}; leave --precision out")
    only = runtime.RunOptions()
    only.only_execute_path_to_fetches = True  # the coarse logits cost no enlargement
    sessions: dict[int, Any] = {}

    def session() -> Any:
        threads = _threads()
        with opening:
            if threads not in sessions:
                options = runtime.SessionOptions()
                options.intra_op_num_threads = threads
                options.log_severity_level = 3
                source = model if isinstance(model, bytes) else str(model)
                sessions[threads] = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            return sessions[threads]

    def run(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        found: list[np.ndarray] = session().run(list(outputs), {IMAGES: images}, only)
        return found

    opening = threading.Lock()
    session()  # what cannot be read is said at once
    return run, f"onnxruntime {runtime.__version__}, fp32 on cpu"


def _with_openvino(model: Path | bytes, precision: str) -> tuple[Any, str]:
    openvino = library("openvino", "the runner openvino")
    if precision not in ("fp32", "bf16"):
        raise UsageError(f"openvino computes on a CPU in fp32 or bf16, found {precision}")
    core = openvino.Core()
    whole = core.read_model(model if isinstance(model, bytes) else str(model))
    compiled: dict[tuple[int, tuple[str, ...]], Any] = {}
    compiling, requests = threading.Lock(), threading.local()

    def request(outputs: tuple[str, ...]) -> Any:
        """This thread's own; of what is not asked for nothing is computed."""
        threads = _threads()
        which = threads, outputs
        with compiling:
            if which not in compiled:
                part = openvino.Model([whole.output(name) for name in outputs], whole.get_parameters())
                passes = usable_cores() if threads == 1 else 1  # at a time
                settings = {
                    "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
                    "INFERENCE_NUM_THREADS": threads * passes,
                    **({"PERFORMANCE_HINT": "LATENCY"} if passes == 1 else {"NUM_STREAMS": passes}),
                }
                compiled[which] = core.compile_model(part, "CPU", settings)
        mine: dict[Any, Any] = requests.__dict__
        if which not in mine:
            mine[which] = compiled[which].create_infer_request()
        return mine[which]

    def run(images: np.ndarray, outputs: tuple[str, ...]) -> list[np.ndarray]:
        found = request(outputs).infer([images], share_inputs=True)
        return [np.array(found[index]) for index in range(len(outputs))]

    return run, f"openvino {openvino.__version__.split('-')[0]}, {precision} on cpu"
