"""Files of trained weights as tensors by name: safetensors, or a pickle that may hold no code."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from orchestrator.errors import WeightsError, plural

__all__ = ["SUFFIXES", "read_state"]

SAFE = ".safetensors"
PICKLES = (".pth", ".pt", ".bin")
SUFFIXES = (SAFE, *PICKLES)

# Under which name people put the weights, where a file holds more than these.
_WRAPPINGS = ("state_dict", "model", "model_state_dict", "module", "net")
# What training on several devices puts before every name.
_PARALLEL = "module."


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU; raises WeightsError.

    A pickle is read by torch's reader of weights only, which refuses everything that could run
    code; it is never read another way.
    """
    if path.suffix not in SUFFIXES:
        raise WeightsError(
            f"{path} ends with {path.suffix or 'nothing'!r}, expected {', '.join(SUFFIXES)}, or "
            "the folder of a bundle."
        )
    if not path.is_file():
        raise WeightsError(f"{path} is not there, expected a file of weights.")
    state = _safe(path) if path.suffix == SAFE else _pickled(path)
    if not state:
        raise WeightsError(f"{path} holds no tensors by name, expected those of a network.")
    _check_finite(path, state)
    return state


def _check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError here, as a training would blame its learning rate."""
    wrong = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if wrong:
        raise WeightsError(
            f"{path}: {len(wrong)} of {plural(len(state), 'tensor')} hold what is no finite "
            f"number, the first of them {wrong[0]}. A training that diverged leaves such; give "
            "another file."
        )


def _safe(path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise WeightsError(_damaged(path, error)) from error
    return found


def _pickled(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old protocols, which it reads all the same
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_refused(path, error)) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(_damaged(path, error)) from error
    return _unwrapped(found)


def _unwrapped(found: Any) -> dict[str, Tensor]:
    """The mapping of names to tensors in what a file holds, wherever people put it."""
    while isinstance(found, Mapping) and not any(isinstance(v, Tensor) for v in found.values()):
        inner = [found[name] for name in _WRAPPINGS if isinstance(found.get(name), Mapping)]
        if not inner:
            return {}
        found = inner[0]
    if not isinstance(found, Mapping):
        return {}
    state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if all(name.startswith(_PARALLEL) for name in state):
        return {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    return state


def _refused(path: Path, error: Exception) -> str:
    """What a pickle asked for, by torch's own words; a damaged one asks for nothing."""
    told = re.search(r"(?:GLOBAL|instantiate class) (\S+)", str(error))
    if told is None:
        plain = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
        return _damaged(path, ValueError(plain[1] if plain else error))
    return (
        f"{path} is a pickle with code in it: it asks for {told[1]}, and nothing but tensors is "
        "read. Use it only if you trust its source: save its weights where they were made with "
        "safetensors.torch.save_file(network.state_dict(), 'weights.safetensors'), and give that."
    )


def _damaged(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        return f"{path} is empty, expected a file of weights. Fetch it again."
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    # Of a file that is no pickle at all, torch tells the first byte it did not know.
    why = first if first and not first.isdigit() else "torch cannot read it"
    return f"{path} is damaged or no file of weights: {why}. Fetch it again."
