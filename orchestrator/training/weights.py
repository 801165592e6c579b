"""Files of weights: safetensors, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from orchestrator.files import write_whole

__all__ = ["write_weights"]


def write_weights(
    tensors: Mapping[str, Tensor], path: Path, *, notes: Mapping[str, str] | None = None
) -> None:
    """Write all or nothing: another process never sees half a file.

    Tensors must not share memory. Raises RunError for a disk that is full or not writable.
    """
    write_whole(path, safetensors.torch.save(dict(tensors), metadata=dict(notes or {})))
