"""A network looked at as it will be used, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from orchestrator.errors import CompileError

__all__ = ["evaluated", "refuse_meta"]


@contextmanager
def evaluated(network: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode afterwards."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def refuse_meta(network: nn.Module) -> None:
    """Raise CompileError for a network that has shapes but no values, before an exporter does.

    What exporters say of it does not name the cause.
    """
    for name, tensor in network.state_dict(keep_vars=True).items():
        if tensor.is_meta:
            raise CompileError(
                f"{name} is on the meta device and has no values to write; give the network "
                'weights first, for example network.to_empty(device="cpu") and an initialisation.'
            )
