"""Inverted residuals and separable convolutions as timm and torchvision name their parts.

Names come in as "blocks.STAGE.PLACE.PART", whatever a library's own numbers are (see `placed`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from orchestrator_spaces.blocks.naming import Renames

__all__ = ["TIMM", "TIMM_ENDS", "TORCHVISION", "parts", "placed", "running_numbers"]


def parts(stages: str, block: str, names: Mapping[str, str]) -> Renames:
    """Rules for blocks of the stages that pattern `stages` finds: their part → our part.

    `block` follows stage and place in our names: "layers." for an inverted residual.
    """
    return tuple(
        (rf"^blocks\.({stages})\.(\d+)\.{theirs}\.", rf"stages.\1.\2.{block}{ours}.")
        for theirs, ours in names.items()
    )


_GATE = {r"se\.conv_reduce": "se.squeeze", r"se\.conv_expand": "se.excite"}
# Stage 0 has no expansions in any family.
TIMM: Renames = (
    *parts(
        "0",
        "layers.",
        {
            "conv_dw": "depthwise.conv",
            "bn1": "depthwise.norm",
            "conv_pw": "project.conv",
            "bn2": "project.norm",
        }
        | _GATE,
    ),
    *parts(
        r"\d+",
        "layers.",
        {
            "conv_pw": "expand.conv",
            "bn1": "expand.norm",
            "conv_dw": "depthwise.conv",
            "bn2": "depthwise.norm",
            "conv_pwl": "project.conv",
            "bn3": "project.norm",
        }
        | _GATE,
    ),
)
TIMM_ENDS: Renames = (
    (r"^conv_stem\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"^conv_head\.", "last.conv."),
    (r"^bn2\.", "last.norm."),
)

# The gate, where there is one, stands before the projection and shifts its number.
_TORCHVISION_GATE_AND_END = {
    r"block\.\d\.fc1": "se.squeeze",
    r"block\.\d\.fc2": "se.excite",
    r"block\.\d\.0": "project.conv",
    r"block\.\d\.1": "project.norm",
}
TORCHVISION: Renames = (
    *parts(
        "0",
        "layers.",
        {r"block\.0\.0": "depthwise.conv", r"block\.0\.1": "depthwise.norm"}
        | _TORCHVISION_GATE_AND_END,
    ),
    *parts(
        r"\d+",
        "layers.",
        {
            r"block\.0\.0": "expand.conv",
            r"block\.0\.1": "expand.norm",
            r"block\.1\.0": "depthwise.conv",
            r"block\.1\.1": "depthwise.norm",
        }
        | _TORCHVISION_GATE_AND_END,
    ),
)


def placed(
    state: Mapping[str, Tensor], pattern: str, place: Callable[[re.Match[str]], str]
) -> dict[str, Tensor]:
    """Names of which `place` gives anew whatever `pattern` finds."""
    return {re.sub(pattern, place, name): tensor for name, tensor in state.items()}


def running_numbers(depths: Sequence[int], *, first: int) -> Callable[[re.Match[str]], str]:
    """For `placed`: blocks that a library numbers through from `first`, by stage and place."""
    places = [f"blocks.{stage}.{place}." for stage, n in enumerate(depths) for place in range(n)]
    return lambda found: places[int(found[1]) - first]
