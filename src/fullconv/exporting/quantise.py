"""Weights and activations in 8 bits, after training (NNCF): what the network computes, not what surrounds it."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fullconv.errors import FullconvError
from fullconv.libraries import library

if TYPE_CHECKING:
    import onnx

IMAGES = 300
"""So many are enough for the ranges of activations."""
ENLARGEMENTS = ["ConvolutionBackpropData", "GroupConvolutionBackpropData"]
"""OpenVINO's names of transposed convolutions."""


def quantised(model: onnx.ModelProto, images: Iterable[np.ndarray]) -> Any:
    """The artefact as a model of OpenVINO whose network computes in int8.

    Args:
        images: uint8 ``[height, width, channels]``, which show what values the activations take.

    Raises:
        UsageError: a library is not installed.
        FullconvError: NNCF cannot quantise this network.
    """
    openvino, nncf = (library(name, "export --int8") for name in ("openvino", "nncf"))
    converted = openvino.Core().read_model(model.SerializeToString())
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(converted)  # else NNCF finds no biases, and corrects none
    shown = [image[None] for image in images]
    logging.getLogger("nncf").setLevel(logging.ERROR)
    # enlargements within the network cost little time and, in int8, more mean IoU than all else
    surroundings = nncf.IgnoredScope(patterns=["fullconv/.*"], types=ENLARGEMENTS, validate=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # bars
            return nncf.quantize(
                converted, nncf.Dataset(shown), subset_size=len(shown), ignored_scope=surroundings,
                preset=nncf.QuantizationPreset.MIXED, fast_bias_correction=False,
            )  # fmt: skip
    except Exception as error:  # NNCF and OpenVINO have kinds of their own
        reason = " ".join(str(error).split())[:300]
        raise FullconvError(f"NNCF cannot quantise this network ({reason}); leave --int8 out") from error
