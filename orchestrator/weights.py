"""Files of weights: safetensors, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from orchestrator.errors import RunError

__all__ = ["write_weights"]


def write_weights(
    tensors: Mapping[str, Tensor], path: Path, *, notes: Mapping[str, str] | None = None
) -> None:
    """Write all or nothing: another process never sees half a file.

    Tensors must not share memory. Raises RunError for a disk that is full or not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = safetensors.torch.save(dict(tensors), metadata=dict(notes or {}))
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            try:
                file.write(content)
            except BaseException:
                part.unlink()
                raise
        os.replace(part, path)
    except OSError as error:
        raise RunError(
            f"cannot write trained weights to {path}: {error}. Free some space or choose another "
            "run.dir, then resume."
        ) from error
