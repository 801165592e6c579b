"""Trained weights to start from: where those of a published network are, and what they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.records import Choices

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Checkpoint", "Start"]


@dataclass(frozen=True)
class Checkpoint:
    """The trained weights of a published network, as somebody released them.

    `member` is a key of the space's `published()` in the preset "full". `locations` are tried in
    order: "pkg://PACKAGE/FILE" in an installed package, "https://…", "hf://OWNER/NAME/FILE" on
    the Hugging Face hub. `naming` says whose names the tensors have ("torchvision", "timm", …) and
    is given to `SearchSpace.translate`. `sha256` is that of the file, whole or the leading digits
    that its publisher tells; empty where nobody tells it. `options` are those of the space's
    constructor without which its network is not the released function, such as a convention of
    padding. `exact` is False where even they do not make it so.

    `licence` is "unknown" where the publisher says none. `mean` and `deviation` are of pixels
    scaled to [0, 1]; `image_size` is in pixels a side.
    """

    member: str
    locations: tuple[str, ...]
    naming: str
    licence: str
    credit: str
    data: str = "ImageNet-1k (research use, see image-net.org/download)"
    sha256: str = ""
    size_bytes: int | None = None
    classes: int = 1000
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)
    image_size: int = 224
    interpolation: str = "bicubic"
    top1_percent: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True


class Start(Protocol):
    """The trained weights that all networks of a search start from."""

    @property
    def answers(self) -> Choices | None:
        """The space's answers for the network they belong to; None where these are not known."""

    def give(self, network: nn.Module) -> Sequence[str]:
        """Copy into `network`, in place, the part of each tensor that it can hold.

        Leading channels (once sorted by importance), centres of kernels, statistics along with
        weights. Where the network is larger than the checkpoint's, what is new is such that the
        function stays. Returns the names of parameters it had nothing for; SharingError for two
        operators that share a name.
        """

    def whole(self, network: nn.Module) -> Mapping[str, Tensor]:
        """All of each trained parameter that `network` has, under its name there.

        For a store of which many networks use a part; larger or smaller than in `network`, and not
        to be written to.
        """
