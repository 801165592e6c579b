"""TrivialAugment and RandAugment: operations of a library, drawn at random.

The library is kornia (Apache-2.0; plain torch, no torchvision), an optional dependency.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from orchestrator.errors import ConfigError, TrainingError, plural

__all__ = ["Policy", "vary"]

Policy = Literal["trivial", "rand"]

# The library draws an operation a call, each image its strength: so many images share one.
_TOGETHER = 8
# Operations an image, and their strength of 30, as common for small networks.
_RAND = (2, 9)


def vary(pixels: Tensor, policy: Policy, rng: np.random.Generator) -> Tensor:
    """One random operation an image (trivial) or two (rand) on (B, C, H, W), values in [0, 255].

    They turn, shear, shift and recolour. TrivialAugment, Müller and Hutter 2021, arXiv 2103.10158;
    RandAugment, Cubuk et al. 2019, arXiv 1909.13719. Cost: 0.3 to 0.5 ms an image of 96×96 on one
    thread. Raises ConfigError without the library, TrainingError for other than 1 or 3 channels.
    """
    channels = pixels.shape[1]
    if channels not in (1, 3):
        raise TrainingError(
            f"train.augment: images have {plural(channels, 'channel')}, expected 1 or 3. Set it to "
            "none."
        )
    operations = _operations(policy)
    coloured = pixels.float().div(255).expand(-1, 3, -1, -1)
    # The library draws from torch's global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        varied = torch.cat([operations(part) for part in torch.split(coloured, _TOGETHER)])
    return varied[:, :channels].mul_(255).clamp_(0, 255)


@lru_cache(maxsize=2)
def _operations(policy: Policy) -> Any:
    try:
        from kornia.augmentation.auto import RandAugment, TrivialAugment
    except ImportError as error:
        raise ConfigError(
            f"train.augment: {policy} takes its operations from kornia, which cannot be imported "
            f"({error}). Install it by pip install 'pareto-orchestrator[augment]', or set "
            "train.augment=none."
        ) from error
    return TrivialAugment() if policy == "trivial" else RandAugment(*_RAND)
