"""Writing a torch network as OpenVINO's two files.

Of the three ways in, all give the same function within 1e-6, and once the batch is closed, files
that are equally fast (within 5 % over ten networks of seven families at 64 pixels, OpenVINO
2026.4). CPU seconds of the export differ:

    network           onnx   torch   exported program
    EdgeViT           0.64    1.36               5.90
    EfficientFormer   0.28    0.80               3.42
    Mobile-Former     1.12    1.72               9.59
    MobileNetV3       0.47    1.63               6.86
    ShuffleNetV2      0.35    1.24               3.15
    Swin              0.94    0.86               5.49

So "onnx" is the usual one: torch's TorchScript exporter (opset 18), whose file OpenVINO reads.
Torch has deprecated it: "torch", OpenVINO's own way, is for what it refuses, and for the day it is
gone.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from orchestrator import evaluated, refuse_meta
from orchestrator.errors import CompileError
from orchestrator_openvino.loader import DEVICE, core, openvino
from orchestrator_openvino.permutations import keep_permutations

__all__ = ["Exporter", "export", "save"]

Exporter = Literal["onnx", "torch"]

# As a share of the largest answer; rounding is far below.
_APART = 0.01
_INPUT, _OUTPUT = "image", "logits"
_COUNTED = re.compile(r"[A-Za-z]+_\d+")


def export(network: nn.Module, example: Tensor, path: Path, exporter: Exporter) -> None:
    """Write `network` to `path` (.xml) and its weights beside it; `example` is (1, C, H, W).

    Both files appear whole or not at all. Raises CompileError.
    """
    refuse_meta(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A batch of one invites tracing to treat it as fixed.
    images = torch.cat([example, example])
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        try:
            with evaluated(network), torch.no_grad(), _quiet():
                model = _WAYS[exporter](network, images, Path(folder))
        except Exception as error:
            raise CompileError(_explanation(network, exporter, error)) from error
        model.inputs[0].set_names({_INPUT})
        model.outputs[0].set_names({_OUTPUT})
        save(model, path)


def save(model: Any, path: Path) -> None:
    """Write OpenVINO's `model` to `path` and the .bin beside it, whole or not at all."""
    _name_by_place(model)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".save-") as folder:
        written = Path(folder) / path.name
        # Weights of 16 bits would be another function.
        openvino.save_model(model, str(written), compress_to_fp16=False)
        # Last comes the file that is opened.
        os.replace(written.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(written, path)


def _name_by_place(model: Any) -> None:
    """Rename what OpenVINO counted through the process, so that equal networks are equal files."""
    for place, node in enumerate(model.get_ordered_ops()):
        if _COUNTED.fullmatch(node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}.{place}")


def _by_onnx(network: nn.Module, images: Tensor, folder: Path) -> Any:
    path = folder / "network.onnx"
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
    keep_permutations(path)
    return openvino.convert_model(str(path))


def _by_torch(network: nn.Module, images: Tensor, folder: Path) -> Any:
    model = openvino.convert_model(network, example_input=(images,), input=[-1, *images.shape[1:]])
    _refuse_another(model, network, images)
    return model


def _refuse_another(model: Any, network: nn.Module, images: Tensor) -> None:
    """Raise ValueError for a model of another function; what is wrong is in `permutations`.

    A permutation cannot be kept here, as OpenVINO has moved it already.
    """
    drawn = np.random.default_rng(0).standard_normal(images.shape).astype(np.float32)
    told = core().compile_model(model, DEVICE, {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = network(torch.from_numpy(drawn)).numpy()
    apart = float(np.abs(told([drawn])[0] - wanted).max() / np.abs(wanted).max())
    if not apart <= _APART:
        raise ValueError(f"OpenVINO's answers are {apart:.2g} of the network's largest off")


_WAYS = {"onnx": _by_onnx, "torch": _by_torch}


def _explanation(network: nn.Module, exporter: Exporter, error: Exception) -> str:
    other = "torch" if exporter == "onnx" else "onnx"
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"{type(network).__name__} does not come to OpenVINO by way of {exporter} with an open "
        f"batch ({type(error).__name__}: {reason[0]}). Replace the operation it names, or try "
        f"device.openvino.exporter={other}."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither the deprecation of what was asked for, nor what tracing says of fixed shapes."""
    with warnings.catch_warnings():
        for message in (
            r"You are using the legacy TorchScript",
            r"The feature will be removed",
            r".*isinstance\(treespec, LeafSpec\)",
            r"Constant folding",
            r"`torch\.jit\.\w+` is (deprecated|not supported)",
        ):
            warnings.filterwarnings("ignore", message=message)
        # A shape that became a constant is caught by comparing answers, not by a warning.
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield
