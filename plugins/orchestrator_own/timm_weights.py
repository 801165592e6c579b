"""Where timm's weights of a network are, as timm itself tells it."""

from __future__ import annotations

import importlib
from typing import Any

from orchestrator import Checkpoint
from orchestrator.errors import ConfigError
from orchestrator_own.making import TIMM

__all__ = ["checkpoint_of"]

_HOME = "https://github.com/huggingface/pytorch-image-models"


def checkpoint_of(source: str) -> Checkpoint:
    """Of "timm/NAME"; raises ConfigError for a network that timm has no weights of."""
    name = source.removeprefix(TIMM)
    told: Any = importlib.import_module("timm").get_pretrained_cfg(name)
    locations = _locations(told) if told is not None else ()
    if not locations:
        raise ConfigError(
            f"space.weights={source}: timm has no weights of it. Leave them out to train it first, "
            "or give a file of yours."
        )
    return Checkpoint(
        member="original",
        locations=locations,
        naming="timm",
        licence=told.license or "unknown",
        credit=f"timm {name}; {told.origin_url or _HOME}",
        classes=told.num_classes,
        mean=tuple(told.mean),
        deviation=tuple(told.std),
        image_size=told.input_size[-1],
        interpolation=told.interpolation,
    )


def _locations(told: Any) -> tuple[str, ...]:
    """What can be read, safetensors first; timm has some as NumPy archives too."""
    found = [f"hf://{told.hf_hub_id}/{told.hf_hub_filename or 'model.safetensors'}"]
    found = found if told.hf_hub_id else []
    return (*found, *(u for u in (told.url,) if u and u.endswith((".pth", ".pt", ".safetensors"))))
