"""A network as it would be before training: a copy with fresh weights, drawn from a fixed seed.

A proxy judges the architecture. It may be given a network that is trained, or pruned after it was
built, so every proxy draws weights of its own: the same shapes get the same score. Convolutions
and linear layers are drawn without bias by the rule the proxy asks for; every other layer resets
itself; bare parameters, which no rule knows, become N(1, 0.02²) where they are vectors (a layer's
scale stays about one, a token is random once it is normalised), N(0, 0.02²) where they are tables
(position embeddings), and zero where they are called a bias.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from orchestrator.errors import CandidateError

__all__ = ["WEIGHTED", "Rule", "untrained"]

# He et al. 2015 (arXiv:1502.01852): N(0, 2 / fan in); unit: N(0, 1).
Rule = Literal["he", "unit"]

WEIGHTED = (_ConvNd, nn.Linear)
_DEVIATION = 0.02


@contextmanager
def untrained(network: nn.Module, rule: Rule, *, seed: int = 0) -> Iterator[nn.Module]:
    """A copy on the CPU with fresh weights; torch's global random state is kept meanwhile.

    In evaluation mode, except that batch norm uses the statistics of the batch. Raises
    CandidateError for a network on the meta device, which cannot be run.
    """
    if any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
        raise CandidateError(
            "the network is on the meta device, where nothing can be computed; a proxy needs a "
            "network with memory. Build it on the CPU."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = copy.deepcopy(network).to("cpu").eval().requires_grad_(True)
        with torch.no_grad():
            for module in fresh.modules():
                _reset(module, rule)
        yield fresh


def _reset(module: nn.Module, rule: Rule) -> None:
    if isinstance(module, WEIGHTED):
        fan_in = module.weight[0].numel()
        module.weight.normal_(std=math.sqrt(2 / fan_in) if rule == "he" else 1.0)
        if module.bias is not None:
            module.bias.zero_()
        return
    if isinstance(module, _BatchNorm):
        module.train()
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if callable(reset):
        reset()
        return
    for name, parameter in module.named_parameters(recurse=False):
        _redraw(name, parameter)


def _redraw(name: str, parameter: Tensor) -> None:
    if name.endswith("bias"):
        parameter.zero_()
        return
    vector = sum(side > 1 for side in parameter.shape) <= 1
    parameter.normal_(mean=1.0 if vector else 0.0, std=_DEVIATION)
