"""Where networks are trained and judged."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Placement"]


@dataclass(frozen=True)
class Placement:
    """Chosen once a process and handed to everything that computes. Names are torch's.

    `device` is where weights and images lie ("cpu", "cuda"), `dtype` what a forward pass computes
    in where that is safe ("float32", "bfloat16", "float16"), `memory_format` the layout of images
    and kernels: channels last makes depthwise networks a third faster on a CPU.
    """

    device: str = "cpu"
    dtype: str = "float32"
    memory_format: str = "channels_last"
