"""Networks in outline are counted on shapes alone, and on tensors where that does not do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from orchestrator_objectives.counting import ExactCounter, executed
from orchestrator_objectives.memory_access import elements_moved
from orchestrator_objectives.operations import OperationCounting
from orchestrator_objectives.shaped import Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from orchestrator import outlined
from orchestrator.training.outlines import Outlines

IMAGE = (3, 8, 8)


def reshaped_in_place(x: Tensor) -> Tensor:
    y = x + 1
    y.squeeze_(0).unsqueeze_(0)
    y += x
    return y


SUITED: dict[str, Callable[[Tensor], Tensor]] = {
    "views": lambda x: x.permute(0, 2, 3, 1).reshape(1, -1, 3).mT.reshape(x.shape).contiguous(),
    "pieces": lambda x: torch.cat([2 * part - 1 for part in x.split(1, dim=1)], dim=1),
    "a tuple of torch's": lambda x: x - x.max(dim=1, keepdim=True).values,
    "unpacked": lambda x: torch.stack([each.abs() for each in x]),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "sizes": lambda x: x.view(x.size(0), x.shape[1], *x.shape[2:]).expand_as(x) + len(x) + x.dim(),
    "reshaped in place": reshaped_in_place,
    "made like it": lambda x: x + torch.zeros_like(x) + x.new_ones(1) + torch.ones(1).to(x),
    "padded": lambda x: F.pad(F.interpolate(x, scale_factor=2)[..., 1:-1, 1:-1], (-3, -3, -3, -3)),
}
UNSUITED: dict[str, Callable[[Tensor], Tensor]] = {
    "looks for what shapes have not": lambda x: x if x.is_mps or x.data_ptr() == 0 else x + 1,
    "written in C": lambda x: torch.ops.aten.relu(torch.Tensor.as_subclass(x, torch.Tensor)),
}


@outlined
class Calls(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 5, 1)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last((SUITED | UNSUITED)[self.name](self.conv(x)))
        return out


def plainly(name: str, cost: Callable[..., int]) -> int:
    def run(network: nn.Module, image: Tensor) -> int:
        counting = OperationCounting(cost=cost)
        with counting:
            network(image)
        return counting.total

    return executed(nn.Sequential(Calls(name)), IMAGE, run)


@pytest.mark.parametrize("name", [*SUITED, *UNSUITED])
def test_an_outline_counts_what_tensors_would(name: str) -> None:
    counter, outlines = ExactCounter(elements_moved), Outlines()
    found = [counter.count(outlines.draw(lambda: nn.Sequential(Calls(name))), IMAGE) for _ in "ab"]
    assert found == [plainly(name, elements_moved)] * 2
    assert counter._shapes_do == (name in SUITED)


def test_a_shaped_one_passes_for_a_tensor_and_takes_no_memory() -> None:
    shaped = Shaped.like(torch.empty(2, 3, device="meta"))
    assert isinstance(shaped, Tensor)
    assert (shaped.shape, shaped.stride(), shaped.numel()) == (torch.Size((2, 3)), (3, 1), 6)
    assert not hasattr(shaped, "__dict__")
