"""Writing a torch network as a program that runs without its classes, or as compiled code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import evaluated, refuse_meta
from orchestrator.errors import CompileError

__all__ = ["export", "package", "read"]

_PACKAGER = Path(__file__).with_name("packager.py")
_PACKAGE_SECONDS = 1800


def export(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write `network` to `path` as torch.export's program with an open batch, whole or not at all.

    `example` is (1, C, H, W). Raises CompileError. Costs 1 to 3 CPU seconds.
    """
    refuse_meta(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        written = Path(folder) / path.name
        with _quiet():
            torch.export.save(_program(network, example), written)
        os.replace(written, path)


def package(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write `network` to `path` as AOTInductor's package: machine code for this processor.

    `example` is (1, C, H, W). Raises CompileError. Costs 15 to 30 CPU seconds, of a process of its
    own, as compilers leave much behind in memory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".package-") as folder:
        program, written = Path(folder) / "program.pt2", Path(folder) / path.name
        export(network, example, program)
        command = [sys.executable, str(_PACKAGER), str(program), str(written)]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=_PACKAGE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            text = f"torch's compiler took more than {_PACKAGE_SECONDS} s"
            raise CompileError(f"{text} over {type(network).__name__}.") from error
        if ended.returncode or not written.exists():
            reason = ended.stderr.strip().splitlines()[-1:] or [f"it ended with {ended.returncode}"]
            text = f"torch's compiler does not take {type(network).__name__}: {reason[0]}"
            raise CompileError(f"{text}. device=torch runs it without.")
        os.replace(written, path)


def read(path: Path) -> Any:
    """The program in a file; raises what torch raises."""
    with _quiet():
        return torch.export.load(path)


def _program(network: nn.Module, example: Tensor) -> Any:
    # A batch of one invites exporters to treat it as fixed.
    images = torch.cat([example, example])
    shapes = ({0: torch.export.Dim("batch")},)
    try:
        with evaluated(network), torch.no_grad():
            return torch.export.export(network, (images,), dynamic_shapes=shapes)
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CompileError(
            f"torch.export does not take {type(network).__name__} with an open batch "
            f"({type(error).__name__}: {reason[0]}). Replace the operation it names."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes to itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
        yield
