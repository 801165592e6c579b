"""Released state dicts under a space's own names: tables of renames, and layouts of tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from orchestrator.errors import BuildError

__all__ = ["BLOCK", "Renames", "head_by_head", "renamed", "unknown_naming"]

# A pattern of `re`, and what replaces whatever it finds in a name; None leaves the tensor out.
Renames: TypeAlias = Sequence[tuple[str, str | None]]

# A transformer block as timm names its parts, `blocks/transformer.py` the same.
BLOCK: Renames = (
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.attn\.qkv\.", ".attention.qkv."),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.mlp\.fc1\.", ".mlp.expand."),
    (r"\.mlp\.fc2\.", ".mlp.project."),
)


def renamed(state: Mapping[str, Tensor], rules: Renames) -> dict[str, Tensor]:
    """Every name after all `rules` in turn; a name that no rule finds stays as it is.

    Nothing is checked here: who loads the answer compares all names and shapes with the network's.
    """
    answer = {}
    for name, tensor in state.items():
        new = _after(name, rules)
        if new is not None:
            answer[new] = tensor
    return answer


def _after(name: str, rules: Renames) -> str | None:
    for pattern, replacement in rules:
        if replacement is not None:
            name = re.sub(pattern, replacement, name)
        elif re.search(pattern, name):
            return None
    return name


def head_by_head(fused: Tensor, heads: int) -> Tensor:
    """Rows of all queries, all keys, all values → query, key and value of one head after another.

    `fused` is a weight or bias of a projection whose first dimension is 3 · heads · width.
    """
    split = torch.unflatten(fused, 0, (3, heads, -1))  # (3, heads, width, …)
    return torch.flatten(split.transpose(0, 1), 0, 2).contiguous()


def unknown_naming(family: str, naming: str, known: Sequence[str]) -> BuildError:
    """The error of a naming that `family` cannot translate."""
    return BuildError(
        f"tensors named as {naming} found, {family} translates {', '.join(known)}. Choose one of "
        "the checkpoints that the family lists."
    )
