"""The devices of a run and their arithmetic, as lightning's Fabric offers them."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from lightning.fabric import Fabric

from fullconv.device import as_torch_calls_it, choose_precision, devices_here, no_device
from fullconv.errors import UsageError
from fullconv.training.config import TrainConfig

FABRIC_S = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


def launch(config: TrainConfig) -> Fabric:
    """Start the processes of a run; every one of them returns from here.

    Raises:
        UsageError: no such devices on this machine, or more processes than images in a batch.
    """
    for name in ("lightning.fabric", "lightning.pytorch"):  # both announce the precision, which our own line says
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.WARNING)
    fabric = _fabric(config)
    processes = config.nodes * len(getattr(fabric.strategy, "parallel_devices", None) or [0])
    if config.batch_size < processes:  # before they start
        raise UsageError(f"a batch of {config.batch_size} cannot be shared by {processes} processes; enlarge it")
    fabric.launch()
    return fabric


def _fabric(config: TrainConfig) -> Fabric:
    devices: Any = config.devices
    if config.devices == "auto" and config.device in ("auto", "cpu") and not torch.cuda.is_available():
        devices = 1  # lightning's auto would start one process per core
    elif config.devices.isdigit():
        devices = int(config.devices)
    device = torch.device("cuda" if torch.cuda.is_available() and config.device != "cpu" else "cpu")
    precision: Any = FABRIC_S[choose_precision(config.precision, device)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Fabric(
                accelerator=as_torch_calls_it(config.device), devices=devices, num_nodes=config.nodes,
                strategy=config.strategy, precision=precision,
            )  # fmt: skip
    except Exception as error:  # lightning has exceptions of its own, of no common kind
        kinds = {"auto", *(device.partition(":")[0] for device in devices_here())}
        if as_torch_calls_it(config.device) not in kinds:
            raise no_device(config.device) from error
        raise UsageError(
            f"{config.devices} devices of {config.device}: not available on this machine "
            f"({str(error).splitlines()[0]}); use --devices auto and --device auto, or cpu"
        ) from error
