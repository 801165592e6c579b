"""Blocks of networks, and a table of what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from toy_factory import factory

from orchestrator import Artifact, Latency, Runtime
from orchestrator.candidate.blocks import blocks_of
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.latency_table import BlockTime, LatencyTable, error_of, table_path
from orchestrator.candidate.table_building import Sampling, build_table
from orchestrator.errors import ConfigError, RunError
from orchestrator.plan.planning import make_plan
from orchestrator.records import Genotype


def layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, width: int, *, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.body = nn.Sequential(layer(width, width), layer(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skip else self.body(x)


class Stage(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 4)
        self.stages = nn.Sequential(
            Stage(Residual(4), Residual(4, skip=False)), Stage(nn.Identity(), Residual(4))
        )
        self.classifier = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.stages(self.stem(x)).mean((2, 3)))


def test_a_network_is_taken_apart_into_what_follows_one_another() -> None:
    network = Network().train()
    blocks = blocks_of(network, (3, 8, 8))
    kinds = [type(block.module).__name__ for block in blocks]
    assert kinds == ["Sequential", "Residual", "Residual", "Residual", "Linear"]
    assert [block.shape for block in blocks] == [(3, 8, 8), *[(4, 8, 8)] * 3, (4,)]
    assert network.training and network.stages.training


def test_blocks_are_the_same_whatever_their_weights_and_place() -> None:
    first, plain, second = blocks_of(Network(), (3, 8, 8))[1:4]
    assert first.key == second.key == blocks_of(Network(), (3, 8, 8))[1].key
    assert plain.key != first.key
    assert blocks_of(Network(), (3, 4, 4))[1].key != first.key


def test_a_block_tells_what_its_layers_cost() -> None:
    layers = blocks_of(Network(), (3, 8, 8))[1].layers
    count, macs, moved = layers["Conv2d dense 3"]
    assert (count, macs) == (2, 2 * 64 * 4 * 4 * 9)
    assert moved == 2 * (2 * 4 * 64 + 4 * 4 * 9 + 4)
    assert layers["ReLU"][:2] == (2, 0)


class Counting(Runtime):
    """A network costs a tenth of a millisecond, and a millisecond for a thousand weights."""

    name = "toy_device"
    formats: ClassVar[frozenset[str]] = frozenset({"toy"})

    @property
    def options(self) -> Mapping[str, Any]:
        return {}

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        path.write_bytes(bytes(sum(p.numel() for p in network.parameters())))
        return Artifact(path, "toy", exact=True)

    def reference(self, folder: Path) -> Artifact:
        raise NotImplementedError

    def calibrate(self, folder: Path) -> float:
        return 0.5

    def fingerprint(self) -> Mapping[str, str]:
        return {"processor": "abacus"}

    def latencies(
        self, artifacts: Sequence[Artifact], reference_ms: float, folder: Path
    ) -> list[Latency]:
        times = [0.1 + artifact.size_bytes / 1000 for artifact in artifacts]
        return [Latency(ms, ms / reference_ms, ms, ms, ms, 60) for ms in times]


@pytest.fixture
def made(tmp_path: Path, toys: None, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """A search of the fakes whose latency is to come from a table."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    latency = {"latency_ms": {"name": "latency_ms", "source": "table"}}
    found = factory(tmp_path, objective=latency)
    (key,) = found.assembly.runtimes
    (runtime,) = found.assembly.runtimes[key]
    monkeypatch.setitem(found.assembly.runtimes[key], runtime, Counting())
    return found


def built(made: Factory) -> LatencyTable:
    return build_table(made, Sampling(blocks=16, fit=8, held_out=6))


def test_sums_are_corrected_for_what_every_call_costs(made: Factory) -> None:
    table = built(made)
    assert table.error is not None and table.macs_error is not None
    # A network of two layers has been paid for twice; the correction knows.
    assert table.error.worst < 0.01 and table.error.tau > 0.9
    assert (table.fitted_on, table.held_out) == (8, 6)
    assert "latency table of toy on abacus" in table.told


def test_a_search_reads_it_before_anything_is_compiled(made: Factory) -> None:
    table = built(made)
    table.write(table_path(made.assembly))
    genotype = Genotype("toy", "small", {"widths": [3]})
    size = sum(p.numel() for p in made.build(genotype).parameters())
    assert made.static(genotype)["latency_ms"] == pytest.approx(0.1 + size / 1000, rel=0.01)
    found = table.latency(made.build(genotype))
    assert found.source == "table" and found.interval_ms is not None
    assert found.interval_ms[0] <= found.ms <= found.interval_ms[1]


def test_a_table_comes_back_as_it_was_written(made: Factory, tmp_path: Path) -> None:
    table = built(made)
    table.write(tmp_path / "table.json")
    again = LatencyTable.read(tmp_path / "table.json")
    network = made.build(Genotype("toy", "small", {"widths": [2, 5]}))
    assert again.latency(network) == table.latency(network)
    (tmp_path / "table.json").write_text('{"format": 1}')
    with pytest.raises(RunError, match="Build it: python -m orchestrator table"):
        LatencyTable.read(tmp_path / "table.json")


def test_without_a_table_the_plan_says_how_to_build_one(made: Factory) -> None:
    with pytest.raises(RunError, match="Build it: python -m orchestrator table"):
        make_plan(made, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": "other"}, "for space other, expected toy"),
        ({"image_shape": (3, 9, 9)}, "images of shape"),
        ({"protocol": 1}, "for protocol 1"),
    ],
)
def test_a_table_of_something_else_is_refused(
    made: Factory, change: dict[str, Any], message: str
) -> None:
    replace(built(made), **change).write(table_path(made.assembly))
    with pytest.raises(ConfigError, match=message):
        made.static(Genotype("toy", "small", {"widths": [3]}))


def test_a_block_that_was_not_measured_is_guessed_by_its_layers() -> None:
    network = nn.Sequential(nn.Linear(8, 4))
    seen = [blocks_of(nn.Sequential(nn.Linear(8, n)), (8,))[0] for n in (2, 3, 6, 9)]
    table = LatencyTable(
        "toy", "toy_device", {}, {}, 3, (8,), 1.0,
        {b.key: BlockTime(0.1 + b.layers["Linear"][1] / 100, b.layers) for b in seen},
    )  # fmt: skip
    found = table.sum(network)
    assert found.ms == pytest.approx(0.1 + 32 / 100, rel=0.01)
    assert (found.count, found.guessed) == (1, 1.0)
    assert torch.is_grad_enabled()


def test_an_error_is_a_share_of_what_was_measured() -> None:
    error = error_of([1.1, 1.8, 3.0], [1.0, 2.0, 3.0])
    assert error.mape == pytest.approx(0.2 / 3) and error.worst == pytest.approx(0.1)
    assert error.tau == 1.0


def test_a_table_knows_no_quantized_file(tmp_path: Path, toys: None) -> None:
    latency = {"latency_ms": {"name": "latency_ms", "source": "table"}}
    with pytest.raises(ConfigError, match=r"source=table knows float files only"):
        factory(
            tmp_path,
            objective=latency,
            device={"name": "onnxruntime"},
            compressor={"quantization": {"name": "quantization"}},
        )


def test_a_table_is_of_the_first_device(tmp_path: Path, toys: None) -> None:
    devices = {name: {"name": "toy_device"} for name in ("here", "there")}
    away = {"latency_ms@there": {"name": "latency_ms", "source": "table", "device": "there"}}
    with pytest.raises(ConfigError, match="knows the first device, 'here', found 'there'"):
        factory(tmp_path, device=devices, objective=away)
