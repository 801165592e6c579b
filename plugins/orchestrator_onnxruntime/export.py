"""Writing a torch network as one ONNX file, by either of torch's exporters.

What the search measures must be what ships, so one exporter writes both. It is TorchScript (opset
18), whose arithmetic on shapes is then folded (see `shape_folding`). With ONNX Runtime 1.32, one
thread, medians of three interleaved sessions, 32×32 pixels, files in turn:

    network            export, CPU s         ms, and × the faster
                      folded   dynamo     folded       dynamo       unfolded ×
    DeiT                0.22     5.10   0.123 1.03   0.119 1.00           1.21
    EdgeViT             0.41     6.29   0.320 1.04   0.309 1.00           1.21
    EfficientFormer     0.16     3.45   0.139 1.03   0.136 1.00           1.21
    EfficientFormerV2   0.66     6.50   0.252 1.08   0.233 1.00           1.41
    EfficientNet        0.27     4.58   0.218 1.00   0.224 1.03           1.00
    MnasNet             0.11     2.75   0.081 1.00   0.088 1.10           1.00
    Mobile-Former       0.83     8.74   0.315 1.05   0.300 1.00           1.47
    MobileNetV1         0.28     4.16   0.172 1.00   0.185 1.08           1.00
    ShuffleNetV2        0.58     6.87   0.103 1.16   0.088 1.00           1.81

Over 16 families the folded file takes 1.04 times as long as the faster one (1.16 at most), dynamo's
(opset 20) 1.02 (1.10 at most), which gains where attention is, loses where pooling is, and costs 15
times as much, twice a candidate. The last column is TorchScript as it comes, 1.20 times over 34
networks: a search that measured it while dynamo's shipped could misjudge families against each
other. Torch has deprecated TorchScript: `exporter=dynamo` is for what it refuses, and for the day
it is gone. Both give the same function within 1e-5. `benchmarks/exporters.py` measures this anew.
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

import onnx
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from orchestrator import evaluated, refuse_meta
from orchestrator.errors import CompileError
from orchestrator_onnxruntime.compact import compact_onnx
from orchestrator_onnxruntime.shape_folding import fold_shapes

__all__ = ["Exporter", "export"]

Exporter = Literal["dynamo", "torchscript"]

_INPUT, _OUTPUT = "image", "logits"


def export(network: nn.Module, example: Tensor, path: Path, exporter: Exporter) -> None:
    """Write `network` to `path` with an open batch; `example` is (1, C, H, W).

    The input is called "image", the output "logits". The file appears whole or not at all, and
    the network keeps its training modes. Raises CompileError.
    """
    refuse_meta(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A batch of one invites exporters to treat it as fixed.
    images = torch.cat([example, example])
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        unfinished = Path(folder) / path.name
        try:
            with evaluated(network), torch.no_grad(), _quiet():
                _WRITERS[exporter](network, images, unfinished)
        except Exception as error:
            raise CompileError(_explanation(network, exporter, error)) from error
        if exporter == "torchscript":
            _fold(unfinished)
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


def _fold(path: Path) -> None:
    model = onnx.load(str(path))
    try:
        fold_shapes(model)
    except Exception as error:
        text = f"ONNX Runtime does not run what the torchscript exporter wrote: {error}"
        raise CompileError(text) from error
    onnx.save(model, str(path))


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


def _explanation(network: nn.Module, exporter: Exporter, error: Exception) -> str:
    other = "torchscript" if exporter == "dynamo" else "dynamo"
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"the {exporter} exporter does not take {type(network).__name__} with an open batch "
        f"({type(error).__name__}: {reason[0]}). Replace the operation it names, or try "
        f"device.onnxruntime.exporter={other}."
    )


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
