"""Where trained weights of ShuffleNetV2 are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.channel_order import ChannelOrder
from orchestrator_spaces.blocks.checkpoints import BY_TORCHVISION, torchvision_file
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming

__all__ = ["PRETRAINED", "translate_shufflenetv2"]

ROWS = (
    ("1.0x", "shufflenetv2_x1-5666bf0f80.pth", 69.362),
    ("2.0x", "shufflenetv2_x2_0-8be3c8ee.pth", 76.23),
    ("1.5x", "shufflenetv2_x1_5-3c479a10.pth", 72.996),
    ("0.5x", "shufflenetv2_x0.5-f707e7126e.pth", 60.552),
)
PRETRAINED: dict[str, Checkpoint] = {
    f"{size}-imagenet1k_v1": torchvision_file(
        BY_TORCHVISION, f"{size}-torchvision", file, top1_percent=top1
    )
    for size, file, top1 in ROWS
}

_SHORTCUT = {"0": "0.conv", "1": "0.norm", "2": "1.conv", "3": "1.norm"}
_BRANCH = {"0": "0.conv", "1": "0.norm", "3": "1.conv", "4": "1.norm", "5": "2.conv", "6": "2.norm"}
# Stage 2 is our stages.1, as single-path networks have one before; units follow the first one.
TORCHVISION: Renames = (
    (r"^conv1\.0\.", "stem.conv."),
    (r"^conv1\.1\.", "stem.norm."),
    (r"^conv5\.0\.", "last.chunks.conv."),
    (r"^conv5\.1\.", "last.chunks.norm."),
    (r"^fc\.", "classifier."),
    (r"^stage2\.", "stages.1.chunks_stem."),
    (r"^stage3\.", "stages.2.chunks."),
    (r"^stage4\.", "stages.3.chunks."),
    *((rf"\.branch1\.{theirs}\.", f".shortcut.{ours}.") for theirs, ours in _SHORTCUT.items()),
    *((rf"\.branch2\.{theirs}\.", f".branch.shuffle.{ours}.") for theirs, ours in _BRANCH.items()),
    (r"^(stages\.\d\.\w+)\.0\.", r"\1.entry."),
    *((rf"^(stages\.\d\.\w+)\.{unit}\.", rf"\1.units.{unit - 1}.") for unit in range(1, 8)),
)
# What reads a stage, and that stage's units after its first one.
UNITS = {"stages.2": 3, "stages.3": 7}
UNITS_OF_LAST = 3


def translate_shufflenetv2(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names; what reads a stage's channels finds them by slots, wherever the last unit put them."""
    if naming != "torchvision":
        raise unknown_naming("shufflenetv2", naming, ["torchvision"])
    answer = renamed(state, TORCHVISION)
    for stage, units in UNITS.items():
        entry = f"{stage}.chunks.entry"
        places = _places(answer[f"{entry}.branch.shuffle.0.conv.weight"], units)
        for name in [each for each in answer if each.startswith(f"{entry}.shortcut.0.")]:
            if answer[name].dim():
                answer[name] = answer[name][places]
        for layer in ("shortcut.1", "branch.shuffle.0"):
            name = f"{entry}.{layer}.conv.weight"
            answer[name] = answer[name][:, places]
    last = answer["last.chunks.conv.weight"]
    return answer | {"last.chunks.conv.weight": last[:, _places(last, UNITS_OF_LAST)]}


def _places(reader: Tensor, units: int) -> list[int]:
    """Where each slot's channel lies after so many units."""
    order = ChannelOrder("chunks", reader.shape[1])
    return [order.place(slot, units) for slot in range(order.width)]
