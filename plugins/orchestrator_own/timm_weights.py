"""Where timm's weights of a network are, as timm itself tells it."""

from __future__ import annotations

import importlib
from typing import Any

from orchestrator import Checkpoint, Credit
from orchestrator.errors import ConfigError
from orchestrator_own.making import TIMM

__all__ = ["checkpoint_of", "trained_on"]

# How tags name sets of images; what others name is told as unknown.
_DATA = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "jft": "JFT-300M, Google's own",
    "ig1b": "a billion public Instagram pictures, Meta's own",
    "yfcc100m": "YFCC100M",
    "laion": "LAION",
    "laion400m": "LAION-400M",
    "laion2b": "LAION-2B",
    "openai": "pictures and texts of OpenAI's own",
    "lvd142m": "LVD-142M, Meta's own",
    "inat21": "iNaturalist 2021",
}
_TERMS = "research use, see image-net.org/download"
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
        data=trained_on(told.tag or name.partition(".")[2]),
        classes=told.num_classes,
        mean=tuple(told.mean),
        deviation=tuple(told.std),
        image_size=told.input_size[-1],
        interpolation=told.interpolation,
    )


def trained_on(tag: str) -> str:
    """What images a tag of timm names, in the order of the trainings: "augreg_in21k_ft_in1k"."""
    found = [named for word in tag.split("_") for part, named in _DATA.items() if word == part]
    if not found:
        return Credit.UNKNOWN
    terms = f" ({_TERMS})" if any(named.startswith("ImageNet") for named in found) else ""
    return ", then ".join(dict.fromkeys(found)) + terms


def _locations(told: Any) -> tuple[str, ...]:
    """What can be read, safetensors first; timm has some as NumPy archives too."""
    found = [f"hf://{told.hf_hub_id}/{told.hf_hub_filename or 'model.safetensors'}"]
    found = found if told.hf_hub_id else []
    return (*found, *(u for u in (told.url,) if u and u.endswith((".pth", ".pt", ".safetensors"))))
