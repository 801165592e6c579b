"""SynFlow: how much flows through the weights of a network, summed over all of them.

H. Tanaka, D. Kunin, D. L. K. Yamins, S. Ganguli 2020, "Pruning neural networks without any data by
iteratively conserving synaptic flow", arXiv:2006.05467; as a score of architectures: M. S.
Abdelfattah, A. Mehrotra, Ł. Dudziak, N. D. Lane 2021, "Zero-Cost Proxies for Lightweight NAS",
arXiv:2101.08134; code: github.com/SamsungLabs/zero-cost-nas.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError
from orchestrator_proxies.untrained import untrained

__all__ = ["Synflow"]

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
# ReLU6 among them: their upper limit would stop the flow, and below it they change nothing here.
_LIMITED = (nn.Hardtanh,)
_SOFTMAXES = frozenset({torch.softmax, torch.special.softmax, Tensor.softmax, functional.softmax})


class Synflow(Objective):
    """log Σ |θ · ∂R/∂θ|, where R sums the outputs for an image of ones and weights |θ|.

    Normalisation is left out (batch, layer, group, instance, RMS), as in Abdelfattah et al.: it
    would undo the flow. So is the upper limit of ReLU6, which would end it. Biases are zero, and
    attention's softmax is a constant, so that what flows is what attention passes on and not the
    pattern. Other layers, the gates of channel attention among them, stay as they are. The sum
    spans hundreds of orders of magnitude, hence the logarithm. Needs no data.
    Cost: one image forward and backward, in double precision where single overflows.
    """

    name = "synflow"
    unit = "score"
    direction = "maximize"
    tier = "static"
    summary: ClassVar[str] = "zero-cost proxy: log of the synaptic flow (SynFlow)"

    def measure(self, subject: Subject) -> float:
        """The score; raises CandidateError if even double precision overflows."""
        with untrained(subject.network, "he") as network:
            _linearise(network)
            flow = 0.0
            for kind in (torch.float32, torch.float64):
                flow = _flow(network.to(kind), torch.ones(1, *subject.input_shape, dtype=kind))
                if math.isfinite(flow):
                    return math.log(max(flow, torch.finfo(kind).tiny))
        raise CandidateError(
            f"synflow is {flow}, expected a finite number: the flow through this network exceeds "
            "double precision. Use another proxy for it."
        )


@torch.no_grad()
def _linearise(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.abs_()
    for module in network.modules():
        if isinstance(module, (*_NORMS, *_LIMITED)):
            module.forward = _unchanged  # type: ignore[method-assign]


def _unchanged(inputs: Tensor) -> Tensor:
    return inputs


def _flow(network: nn.Module, image: Tensor) -> float:
    parameters = list(network.parameters())
    with torch.enable_grad(), _ConstantAttention():
        total = network(image).sum()
    if not total.requires_grad:
        return 0.0
    slopes = torch.autograd.grad(total, parameters, allow_unused=True)
    pairs = zip(parameters, slopes, strict=True)
    flows = [(p.detach() * s).abs().sum(dtype=torch.float64) for p, s in pairs if s is not None]
    return float(sum(flows))


class _ConstantAttention(TorchFunctionMode):
    """Without the slope of queries and keys: unnormalised, it explodes from block to block."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            query, key, *rest = args
            return func(query.detach(), key.detach(), *rest, **kwargs)
        output = func(*args, **kwargs)
        return output.detach() if func in _SOFTMAXES else output
