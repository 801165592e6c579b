"""Writing a torch network as one ONNX file, by either of torch's exporters.

The TorchScript exporter (opset 18) takes 0.1 to 0.3 s, and torch has deprecated it. The dynamo
exporter (opset 20) takes seconds and is the one torch maintains; it folds batch normalisation and
writes about half the nodes. Both outputs are the same function within 1e-5.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from orchestrator.errors import CompileError
from orchestrator_onnxruntime.compact import compact_onnx

__all__ = ["Exporter", "export"]

Exporter = Literal["dynamo", "torchscript"]

_INPUT, _OUTPUT = "image", "logits"


def export(network: nn.Module, example: Tensor, path: Path, exporter: Exporter) -> None:
    """Write `network` to `path` with an open batch; `example` is (1, C, H, W).

    The input is called "image", the output "logits". The file appears whole or not at all, and
    the network keeps its training modes. Raises CompileError.
    """
    _refuse_meta(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A batch of one invites exporters to treat it as fixed.
    images = torch.cat([example, example])
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        unfinished = Path(folder) / path.name
        try:
            with _evaluating(network), torch.no_grad(), _quiet():
                _WRITERS[exporter](network, images, unfinished)
        except Exception as error:
            raise CompileError(_explanation(network, exporter, error)) from error
        compact_onnx(unfinished)
        os.replace(unfinished, path)


def _with_torchscript(network: nn.Module, images: Tensor, path: Path) -> None:
    torch.onnx.export(
        network,
        (images,),
        str(path),
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_axes={_INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}},
        opset_version=18,
        dynamo=False,
    )


def _with_dynamo(network: nn.Module, images: Tensor, path: Path) -> None:
    torch.onnx.export(
        network,
        (images,),
        str(path),
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


_WRITERS = {"torchscript": _with_torchscript, "dynamo": _with_dynamo}


def _refuse_meta(network: nn.Module) -> None:
    for name, tensor in network.state_dict(keep_vars=True).items():
        if tensor.is_meta:
            raise CompileError(
                f"{name} is on the meta device and has no values to write; give the network "
                'weights first, for example network.to_empty(device="cpu") and an initialisation.'
            )


def _explanation(network: nn.Module, exporter: Exporter, error: Exception) -> str:
    other = "torchscript" if exporter == "dynamo" else "dynamo"
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"the {exporter} exporter does not take {type(network).__name__} with an open batch "
        f"({type(error).__name__}: {reason[0]}). Replace the operation it names, or try "
        f"device.onnxruntime.exporter={other}."
    )


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each module's own mode: exporters restore the root's only."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither the deprecation of the exporter that was asked for, nor notes on torchvision."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"You are using the legacy TorchScript")
            warnings.filterwarnings("ignore", message=r"The feature will be removed")
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            # A shape that became a constant is caught by comparing outputs, not by a warning.
            warnings.filterwarnings("ignore", category=TracerWarning)
            # A slice with steps, as in merged patches, is left as it is.
            warnings.filterwarnings("ignore", message=r"Constant folding")
            yield
    finally:
        logger.setLevel(level)
