"""Mobile-Former's networks as their authors name and order them, under the names of ours.

Channels of maps and tokens stand in another order: heads take turns over ours, groups too. Every
order here is (channels,): which of the authors' channels stands at each place of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from orchestrator_spaces.blocks.bridge import BRIDGE_HEADS, FORMER_HEADS
from orchestrator_spaces.blocks.grouped_pointwise import group_of_part, published_order
from orchestrator_spaces.blocks.naming import unknown_naming

__all__ = ["translate_mobile_former"]

State = Mapping[str, Tensor]
# The last convolution's outputs for each of its inputs, in every published network.
HEAD_RATIO = 6


def translate_mobile_former(state: State, naming: str) -> dict[str, Tensor]:
    """Names, and the order of channels."""
    if naming != "authors":
        raise unknown_naming("mobile_former", naming, ["authors"])
    return dict(_Network(state).tensors())


@dataclass(frozen=True)
class _Site:
    """Where a block stands: its name here and there, and whether it expands with or without 1×1."""

    ours: str
    theirs: str
    kind: str


class _Network:
    """Reads a state dict in the authors' order and gives it in ours."""

    def __init__(self, state: State) -> None:
        self.state = state
        # 26M alone has groups: 1×1 convolutions that read a quarter of their input.
        head = state["classifier.conv.1.weight"]
        self.groups = head.shape[0] // HEAD_RATIO // head.shape[1]
        self.token = _interleaved(state["tokens.weight"].shape[1], FORMER_HEADS)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All of the network's, by our names."""
        yield "tokens", self.state["tokens.weight"][None, :, self.token]
        yield from self._convolution("stem", "stem", self._map("stem.0"))
        for site in self._sites():
            yield from self._block(site)
        yield from self._to_former("last_look", "local_global")
        yield from self._head()

    def _map(self, layer: str, axis: int = 0) -> Tensor:
        """The order of the channels that a layer gives, or reads with axis 1."""
        return self._channels(self.state[f"{layer}.weight"].shape[axis])

    def _channels(self, width: int) -> Tensor:
        return published_order(width, max(self.groups, BRIDGE_HEADS))

    def _sites(self) -> Iterator[_Site]:
        """Blocks in their stages: an entry begins one, and so does a block that changes the width.

        Networks whose first block keeps the size go on with another entry.
        """
        stage, depth = (-1 if "features.1.conv4.0.weight" in self.state else 0), 0
        index, width = 0, 0
        while any(name.startswith(f"features.{index}.") for name in self.state):
            theirs = f"features.{index}"
            kind = "lite" if f"{theirs}.conv.0.weight" in self.state else "block"
            kind = "entry" if f"{theirs}.conv4.0.weight" in self.state else kind
            last = {"lite": "conv.4", "entry": "conv4.0", "block": "conv3.0"}[kind]
            before, width = width, self.state[f"{theirs}.{last}.weight"].shape[0]
            if kind != "block" or width != before:
                stage, depth = stage + 1, 0
            ours = f"stages.{stage}.{kind}"
            if kind == "block":
                ours, depth = f"stages.{stage}.blocks.{depth}", depth + 1
            yield _Site(ours, theirs, kind)
            index += 1

    def _block(self, site: _Site) -> Iterator[tuple[str, Tensor]]:
        if site.kind == "lite":
            yield from self._expanding(f"{site.ours}.expanding", site.theirs, ("conv", "conv.4"))
            return
        yield from self._to_former(f"{site.ours}.to_former", f"{site.theirs}.local_global")
        yield from self._former(f"{site.ours}.former", f"{site.theirs}.global_block")
        yield from self._to_mobile(f"{site.ours}.to_mobile", f"{site.theirs}.global_local")
        mobile, theirs = f"{site.ours}.mobile", site.theirs
        if site.kind == "entry":
            yield from self._expanding(f"{mobile}.down", theirs, ("conv1", "conv2.0"), "hyper1")
            yield from self._expanding(f"{mobile}.inner", theirs, ("conv3", "conv4.0"), "hyper3")
        else:
            yield from self._inverted(mobile, theirs)

    def _inverted(self, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        expanded = self._map(f"{theirs}.conv1.0")
        given = self._channels(self.state[f"{theirs}.conv1.0.weight"].shape[1] * self.groups)
        yield from self._pointwise(f"{ours}.expand", f"{theirs}.conv1.0", given, "after")
        yield from self._slopes(f"{ours}.expand_activation", f"{theirs}.hyper1", expanded)
        yield from self._convolution(f"{ours}.depthwise", f"{theirs}.conv2", expanded)
        yield from self._slopes(f"{ours}.activation", f"{theirs}.hyper2", expanded)
        yield from self._pointwise(f"{ours}.project", f"{theirs}.conv3.0", expanded, "after")

    def _expanding(
        self, ours: str, theirs: str, layers: tuple[str, str], slopes: str = ""
    ) -> Iterator[tuple[str, Tensor]]:
        """A depthwise convolution with several outputs a channel, and a 1×1 one."""
        first, second = layers
        width = self._width_before(theirs, first)
        factor = self.state[f"{theirs}.{first}.0.weight"].shape[0] // width
        before, after = self._expanded(width, factor)
        ours = f"{ours}.layers.factor{factor}"
        yield from self._convolution(f"{ours}.depthwise", f"{theirs}.{first}", before)
        if slopes:
            yield from self._slopes(f"{ours}.activation", f"{theirs}.{slopes}", after)
        yield from self._pointwise(f"{ours}.project", f"{theirs}.{second}", after, "none")

    def _width_before(self, theirs: str, layer: str) -> int:
        """Channels that an expanding convolution is given; its weight does not tell."""
        if layer == "conv3":
            return self.state[f"{theirs}.conv2.0.weight"].shape[0]
        if layer == "conv1":
            return self.state[f"{theirs}.local_global.q.weight"].shape[0]
        return self.state["stem.0.weight"].shape[0]

    def _expanded(self, width: int, factor: int) -> tuple[Tensor, Tensor]:
        """The order of expanded channels, and what it is after the authors' shuffle.

        An input's outputs are dealt out so that each is in the group that it has here.
        """
        before = []
        for place, channel in enumerate(self._channels(width).tolist()):
            left = {k: self._group(k * width + channel, width * factor) for k in range(factor)}
            for copy in range(factor):
                group = (place * factor + copy) % self.groups
                chosen = next(k for k, theirs in left.items() if theirs == group)
                del left[chosen]
                before.append((channel, chosen))
        channels, copies = torch.tensor(before).T
        plain = channels * factor + copies
        return plain, (copies * width + channels if self.groups > 1 else plain)

    def _group(self, place: int, width: int) -> int:
        """Ours of a channel that the authors have at `place`."""
        if self.groups == 1:
            return 0
        return int(group_of_part(np.array(place // (width // self.groups)), self.groups))

    def _convolution(self, ours: str, theirs: str, order: Tensor) -> Iterator[tuple[str, Tensor]]:
        """A convolution and its norm of which only the outputs stand in another order."""
        yield f"{ours}.conv.weight", self.state[f"{theirs}.0.weight"][order]
        yield from self._norm(f"{ours}.norm", f"{theirs}.1", order)

    def _pointwise(
        self, ours: str, theirs: str, given: Tensor, shuffle: str
    ) -> Iterator[tuple[str, Tensor]]:
        """`given` is the order of what it reads; its norm comes before the authors' shuffle."""
        weight, groups = self.state[f"{theirs}.weight"], self.groups
        order = self._channels(len(weight))
        norm = theirs[:-1] + str(int(theirs[-1]) + 1)
        if groups == 1:
            yield f"{ours}.conv.weight", weight[order][:, given]
            yield from self._norm(f"{ours}.norm", norm, order)
            return
        each, columns = len(weight) // groups, weight.shape[1]
        grouped = torch.empty_like(weight)
        for part in range(groups):
            group = int(group_of_part(np.array(part), groups))
            read = given[group::groups] - part * columns
            rows = weight[part * each : (part + 1) * each]
            grouped[group * each : (group + 1) * each] = rows[:, read]
        yield f"{ours}.groups{groups}_{shuffle}.conv.weight", grouped
        if shuffle == "after":
            order = order % groups * each + order // groups
        yield from self._norm(f"{ours}.norm", norm, order)

    def _norm(self, ours: str, theirs: str, order: Tensor) -> Iterator[tuple[str, Tensor]]:
        for part in ("weight", "bias", "running_mean", "running_var"):
            if f"{theirs}.{part}" in self.state:
                yield f"{ours}.{part}", self.state[f"{theirs}.{part}"][order]

    def _linear(
        self, ours: str, theirs: str, order: Tensor | None, given: Tensor | None
    ) -> Iterator[tuple[str, Tensor]]:
        """None leaves outputs or inputs where they are."""
        weight, bias = self.state[f"{theirs}.weight"], self.state[f"{theirs}.bias"]
        order = torch.arange(len(weight)) if order is None else order
        yield f"{ours}.weight", weight[order] if given is None else weight[order][:, given]
        yield f"{ours}.bias", bias[order]

    def _slopes(self, ours: str, theirs: str, order: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The authors' last layer gives the positive slopes, then the negative ones."""
        yield from self._linear(f"{ours}.squeeze", f"{theirs}.hyper.0", None, self.token)
        yield from self._linear(f"{ours}.positive", f"{theirs}.hyper.2", order, None)
        yield from self._linear(f"{ours}.negative", f"{theirs}.hyper.2", len(order) + order, None)

    def _to_former(self, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        order = self._map(f"{theirs}.q")
        yield from self._linear(f"{ours}.query", f"{theirs}.q", order, self.token)
        yield from self._linear(f"{ours}.gate", f"{theirs}.alpha.0", order, self.token)
        yield from self._linear(f"{ours}.project", f"{theirs}.proj", self.token, order)
        yield from self._norm(f"{ours}.norm", f"{theirs}.layer_norm", self.token)

    def _former(self, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        token = self.token
        yield from self._linear(f"{ours}.query", f"{theirs}.q", token, token)
        yield from self._linear(f"{ours}.project", f"{theirs}.channel_mlp", token, token)
        yield from self._norm(f"{ours}.norm", f"{theirs}.layer_norm", token)
        yield from self._linear(f"{ours}.mlp.0", f"{theirs}.ffn.0", None, token)
        yield from self._linear(f"{ours}.mlp.2", f"{theirs}.ffn.2", token, None)
        yield from self._norm(f"{ours}.mlp_norm", f"{theirs}.ffn_norm", token)

    def _to_mobile(self, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
        order = self._map(f"{theirs}.k")
        yield from self._linear(f"{ours}.key", f"{theirs}.k", order, self.token)
        yield from self._linear(f"{ours}.value", f"{theirs}.proj", order, self.token)

    def _head(self) -> Iterator[tuple[str, Tensor]]:
        """One layer on map and token there, one on each here."""
        width = self.state["classifier.conv.1.weight"].shape[0]
        order = self._channels(width)
        read = self._channels(width // HEAD_RATIO)
        yield from self._pointwise("last", "classifier.conv.1", read, "before")
        joined = self.state["classifier.fc.0.weight"]
        yield "hidden.weight", joined[:, :width][:, order]
        yield "hidden_token.weight", joined[:, width:][:, self.token]
        yield "hidden.bias", self.state["classifier.fc.0.bias"]
        everything = torch.arange(len(joined))
        yield from self._norm("norm", "classifier.fc.1", everything)
        yield from self._linear("classifier", "classifier.classifier.1", None, None)


def _interleaved(width: int, heads: int) -> Tensor:
    """The order of tokens' channels, over which heads take turns here, and lie in parts there."""
    return torch.arange(width).view(heads, -1).T.flatten()
