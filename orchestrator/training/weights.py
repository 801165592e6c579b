"""Files of weights: safetensors, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from orchestrator.errors import RunError
from orchestrator.files import write_whole
from orchestrator.records import Genotype

__all__ = ["WeightFolder", "write_weights"]


@dataclass(frozen=True)
class WeightFolder:
    """A run's trained weights, one file an architecture; fulfils `WeightStore`."""

    path: Path

    def keep(self, network: nn.Module, genotype: Genotype) -> None:
        """Keep weights under the key of the architecture without its compression."""
        # Cloned: the format refuses tensors that share memory, such as tied weights.
        state = {name: t.detach().contiguous().clone() for name, t in network.state_dict().items()}
        write_weights(state, self._file(genotype))

    def load(self, genotype: Genotype) -> Mapping[str, Tensor] | None:
        """What `keep` kept for this architecture; raises RunError for a damaged file."""
        path = self._file(genotype)
        if not path.exists():
            return None
        try:
            weights: Mapping[str, Tensor] = safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError) as error:
            raise RunError(
                f"{path} is no readable weights file ({error}), expected safetensors. Delete it; "
                "the finalist then starts from scratch."
            ) from error
        return weights

    def _file(self, genotype: Genotype) -> Path:
        return self.path / f"{genotype.plain().key}.safetensors"


def write_weights(
    tensors: Mapping[str, Tensor], path: Path, *, notes: Mapping[str, str] | None = None
) -> None:
    """Write all or nothing: another process never sees half a file.

    Tensors must not share memory. Raises RunError for a disk that is full or not writable.
    """
    write_whole(path, safetensors.torch.save(dict(tensors), metadata=dict(notes or {})))
