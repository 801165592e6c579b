"""Latency without the device: measured blocks, summed, with a correction that was fitted once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.candidate.blocks import Block, blocks_of
from orchestrator.errors import ConfigError, RunError, plural
from orchestrator.files import read_json, write_json
from orchestrator.measuring.agent import PROTOCOL
from orchestrator.paths import cache_dir
from orchestrator.records import Latency

if TYPE_CHECKING:
    from torch import nn

    from orchestrator.candidate.assembly import Assembly

__all__ = [
    "BlockTime",
    "HeldOut",
    "LatencyTable",
    "Sum",
    "error_of",
    "fitted",
    "table_path",
]

_FORMAT = 1


@dataclass(frozen=True)
class BlockTime:
    """A measured block: the milliseconds of one inference, and its layers (see `Block`)."""

    ms: float
    layers: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class HeldOut:
    """How far estimates were from measurements of networks that nothing was fitted on.

    `mape` and `worst` are shares of the measured latency, the mean and the largest; `tau` is
    Kendall's, 1 where they rank alike.
    """

    mape: float
    worst: float
    tau: float


@dataclass(frozen=True)
class Sum:
    """A network's blocks: milliseconds in all, how many, and the share of `ms` that was guessed."""

    ms: float
    count: int
    guessed: float


@dataclass(frozen=True)
class LatencyTable:
    """What the blocks of a space cost on a device.

    A latency is the sum of a network's blocks × `factor`, and `base_ms` and `each_ms` a block: a
    block that is run alone pays for the call, which a network pays once. These three are fitted on
    `fitted_on` measured networks; `error` is that of `held_out` others, and `macs_error` that of a
    line in multiply-adds which was fitted on the same and judged by the same. A block that was not
    measured is guessed by its layers: what each kind of layer costs a call, a multiply-add and an
    element moved is fitted on the measured blocks, no cost below nothing.

    `fingerprint` says on what it was measured, `image_shape` (C, H, W) for which images.
    """

    space: str
    device: str
    options: Mapping[str, Any]
    fingerprint: Mapping[str, str]
    protocol: int
    image_shape: tuple[int, ...]
    reference_ms: float
    blocks: Mapping[str, BlockTime]
    base_ms: float = 0.0
    factor: float = 1.0
    each_ms: float = 0.0
    fitted_on: int = 0
    held_out: int = 0
    error: HeldOut | None = None
    macs_error: HeldOut | None = None

    def sum(self, network: nn.Module) -> Sum:
        """Before any correction. Costs one inference."""
        total = guessed = 0.0
        blocks = blocks_of(network, self.image_shape)
        for block in blocks:
            known = self.blocks.get(block.key)
            ms = known.ms if known else self._guess(block)
            total += ms
            guessed += 0.0 if known else ms
        return Sum(total, len(blocks), guessed / total if total else 0.0)

    def corrected(self, found: Sum) -> float:
        """The network's milliseconds."""
        return self.base_ms + self.factor * found.ms + self.each_ms * found.count

    def latency(self, network: nn.Module) -> Latency:
        """The estimate, known as well as the worst held-out network was; no raw clock but itself.

        Raises RunError for a network that the table cannot be right about.
        """
        ms = self.corrected(self.sum(network))
        if not (math.isfinite(ms) and ms > 0) or self.error is None:
            raise RunError(
                f"the latency table of {self.space} gives {ms:.3g} ms, expected more than 0. It "
                "was built for other networks: build it anew (python -m orchestrator table)."
            )
        ratio, apart = ms / self.reference_ms, self.error.worst
        interval = max(0.0, ratio * (1 - apart)), ratio * (1 + apart)
        return Latency(ms, ratio, ms, ms, ms, 0, *interval, source="table")

    def check(self, space: str, device: str, image_shape: tuple[int, ...]) -> None:
        """Raise ConfigError where it is of another space, device, image or protocol."""
        for what, found, expected in (
            ("space", self.space, space),
            ("device", self.device, device),
            ("images of shape", self.image_shape, tuple(image_shape)),
            ("protocol", self.protocol, PROTOCOL),
        ):
            if found != expected:
                raise ConfigError(
                    f"the latency table is for {what} {found}, expected {expected}. Build one: "
                    "python -m orchestrator table with what the search is started with."
                )

    @property
    def told(self) -> str:
        """In a sentence, what it is and how good."""
        assert self.error is not None and self.macs_error is not None
        where = self.fingerprint.get("processor", self.device)
        return (
            f"latency table of {self.space} on {where}: {plural(len(self.blocks), 'block')}; on "
            f"{plural(self.held_out, 'held-out network')} wrong by {self.error.mape:.1%} (tau "
            f"{self.error.tau:.2f}), a line in multiply-adds by {self.macs_error.mape:.1%} (tau "
            f"{self.macs_error.tau:.2f})"
        )

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all; raises RunError."""
        write_json(path, asdict(self), format=_FORMAT)

    @classmethod
    def read(cls, path: Path) -> LatencyTable:
        """What `write` wrote; raises RunError for a file that is missing, damaged or newer."""
        mend = "Build it: python -m orchestrator table +search=NAME"
        told = read_json(path, format=_FORMAT, mend=mend)
        try:
            blocks = {key: BlockTime(**block) for key, block in told["blocks"].items()}
            errors = {k: HeldOut(**told[k]) for k in ("error", "macs_error") if told[k] is not None}
            own = {field.name: told[field.name] for field in fields(cls)}
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path} cannot be used: {error!r}. {mend}") from error
        shape = tuple(told["image_shape"])
        return cls(**{**own, **errors, "blocks": blocks, "image_shape": shape})

    def _guess(self, block: Block) -> float:
        constant, costs = self._costs
        features = _features(block.layers)
        return constant + sum(costs.get(name, 0.0) * value for name, value in features.items())

    @cached_property
    def _costs(self) -> tuple[float, dict[str, float]]:
        """Of a call of a block, and of each feature of its layers, by relative least squares."""
        from scipy.optimize import nnls

        blocks = list(self.blocks.values())
        rows = [_features(block.layers) for block in blocks]
        names = sorted({name for row in rows for name in row})
        columns = [[1.0, *(row.get(name, 0.0) for name in names)] for row in rows]
        scaled = np.asarray(columns) / np.array([[block.ms] for block in blocks])
        size = scaled.max(axis=0)
        found = nnls(scaled / size, np.ones(len(blocks)), maxiter=100 * len(size))[0] / size
        return float(found[0]), dict(zip(names, map(float, found[1:]), strict=True))


def table_path(assembly: Assembly) -> Path:
    """Where the user's own table of a space, a device and images of a size is kept."""
    size = "x".join(map(str, assembly.facts.shape))
    name = f"{assembly.space.name}-{assembly.device.name}-{size}.json"
    return cache_dir() / "latency_tables" / name


def fitted(rows: Sequence[Sequence[float]], measured: Sequence[float]) -> np.ndarray:
    """Coefficients of columns with the least squares of *relative* errors."""
    truth = np.asarray(measured)
    scaled = np.asarray(rows) / truth[:, None]
    found: np.ndarray = np.linalg.lstsq(scaled, np.ones_like(truth), rcond=None)[0]
    return found


def error_of(estimates: Sequence[float], measured: Sequence[float]) -> HeldOut:
    """Of at least two networks."""
    from scipy.stats import kendalltau

    apart = [abs(a / b - 1) for a, b in zip(estimates, measured, strict=True)]
    tau = float(kendalltau(estimates, measured).statistic)
    return HeldOut(sum(apart) / len(apart), max(apart), tau)


def _features(layers: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Each kind's calls, multiply-adds and elements moved."""
    sorts = ("calls", "macs", "moved")
    return {
        f"{kind} {sort}": value
        for kind, values in layers.items()
        for sort, value in zip(sorts, values, strict=True)
        if value
    }
