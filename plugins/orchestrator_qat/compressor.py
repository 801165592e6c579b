"""Quantization-aware training: a network trains on while it is rounded as its int8 file will be.

What it leaves is a plain network, whose weights suit being rounded, and the ranges of its
activations in `context.ranges["activations"]`, by the names of modules. Any runtime's quantizer can
write them: it finds each tensor in its own file by what goes through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import CompressionContext, NetworkCompressor, Trial, evaluated
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_qat.fakes import first_ranges, ranges_of, rounding
from orchestrator_qat.places import find_places

__all__ = ["QuantizationAwareTraining"]

_BATCH = 32
_FIRST_IMAGES = 128


class QuantizationAwareTraining(NetworkCompressor):
    """Trains on for a share of the candidate's epochs with 8-bit weights and activations.

    `shares` are what the search chooses from; 0 means none. Weights are rounded in steps of a size
    for each output channel, activations in steps of a size for each tensor, whose ranges begin as
    those of 128 training images and follow what training sees. An epoch costs about twice that of
    ordinary training.
    """

    name = "qat"
    provides = frozenset({"ranges"})
    conflicts = frozenset({"ranges"})
    changes = frozenset({"values"})
    calibration_images = _FIRST_IMAGES

    def __init__(self, *, shares: tuple[float, ...] = (0.0, 0.3)) -> None:
        if not shares or not all(share >= 0 for share in shares):
            raise ConfigError(f"compressor.qat.shares: found {list(shares)}, expected some from 0")
        self.shares = tuple(shares)

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"share": of the candidate's epochs} or {} for none."""
        share = trial.suggest_categorical("qat.share", list(self.shares))
        return {"share": share} if share else {}

    def compress(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> nn.Module:
        """`network` in place, as plain as it came; raises CompressionError.

        A preview, of whose weights nothing counts, is left as it is.
        """
        if context.retrain is None:
            return network
        images = _images(network, context)
        try:
            places = find_places(network, images[:2])
        except Exception as error:
            raise CompressionError(f"qat could not follow the network: {error!r}") from error
        if not places.weights:
            raise CompressionError("qat found no convolution and no linear layer to round.")
        with evaluated(network):
            first = first_ranges(network, places, torch.split(images, _BATCH))
        with rounding(network, places, first):
            context.retrain(network, float(choices["share"]))
            context.ranges["activations"] = ranges_of(network)
        return network


def _images(network: nn.Module, context: CompressionContext) -> Tensor:
    """(N, C, H, W), where the network is."""
    if not len(context.calibration):
        raise CompressionError("qat needs training images for the first ranges; found none.")
    first = next(network.parameters())
    return torch.from_numpy(context.calibration[:_FIRST_IMAGES].copy()).to(first)
