"""Where trained weights of SqueezeNet are, and how their names become ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import BY_TORCHVISION, torchvision_file
from orchestrator_spaces.blocks.naming import unknown_naming

__all__ = ["PRETRAINED", "translate_squeezenet"]

PRETRAINED: dict[str, Checkpoint] = {
    "1.1-imagenet1k_v1": torchvision_file(
        BY_TORCHVISION, "1.1", "squeezenet1_1-b8a52dc0.pth", top1_percent=58.178
    ),
    "1.0-imagenet1k_v1": torchvision_file(
        BY_TORCHVISION, "1.0", "squeezenet1_0-b66bff10.pth", top1_percent=58.092
    ),
}


def translate_squeezenet(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names; where both expansions of a fire are read, a convolution has a part for each."""
    if naming != "torchvision":
        raise unknown_naming("squeezenet", naming, ["torchvision"])
    fires = _fires([int(found[1]) for name in state if (found := re.match(_FIRE, name))])
    answer, widths = {}, 0
    for name, tensor in state.items():
        kind = name.rpartition(".")[2]
        if name.startswith("features.0."):
            answer[f"stem.conv.{kind}"] = tensor
        elif found := re.match(_FIRE, name):
            place = f"stages.{fires[int(found[1])]}"
            if found[2] == "squeeze":
                answer |= _joined(f"{place}.squeeze.conv", kind, tensor, widths)
            else:
                answer[f"{place}.{found[2][:7]}.conv.{kind}"] = tensor
                widths = tensor.shape[0]
        else:
            answer |= _joined("classifier", kind, tensor, widths)
    return answer


_FIRE = r"features\.(\d+)\.(squeeze|expand1x1|expand3x3)\."


def _fires(numbers: list[int]) -> dict[int, str]:
    """Stage and place of each fire: a number is left out where there is a pool."""
    places, stage, place = {}, -1, 0
    for number in sorted(set(numbers)):
        new = number - 1 not in places
        stage, place = (stage + 1, 0) if new else (stage, place + 1)
        places[number] = f"{stage}.fires.{place}"
    return places


def _joined(name: str, kind: str, tensor: Tensor, widths: int) -> dict[str, Tensor]:
    """The parts that read the first and the last `widths` of the channels, 0 for one part."""
    if kind == "bias" or not widths:
        return {f"{name}.parts.0.{kind}": tensor}
    first, last = tensor[:, :-widths], tensor[:, -widths:]
    return {f"{name}.parts.0.weight": first, f"{name}.parts.1.weight": last}
