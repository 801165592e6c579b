"""The space and the objective fulfil their contracts."""

from __future__ import annotations

import pytest
from orchestrator_tiny.ram import PeakRam
from orchestrator_tiny.space import TinySpace

from orchestrator import Axis, Classes, Genotype, ImageFacts, Subject
from orchestrator.errors import BuildError
from orchestrator.testing.objective import check_objective
from orchestrator.testing.space import check_space
from orchestrator.trials import FixedTrial

AXES = (
    Axis("ram_bytes", "bytes", "minimize", reference=1e5),
    Axis("params", "parameters", "minimize", reference=1e6),
)


@pytest.mark.parametrize("preset", TinySpace.presets)
def test_the_space_fulfils_its_contract(preset: str) -> None:
    check_space(TinySpace(preset=preset), samples=6)


def test_an_image_that_cannot_be_halved_is_a_build_error() -> None:
    stage = {"width": 8, "depth": 1, "operator": "convolution"}
    with pytest.raises(BuildError, match="at least 8"):
        TinySpace().build({"stages": [stage] * 3}, ImageFacts.unnamed(4), Classes(2))


def test_the_objective_fulfils_its_contract() -> None:
    check_objective(PeakRam())


def test_the_peak_is_the_largest_input_and_output_of_one_layer() -> None:
    subject = _subject()
    # 3×16×16 in and 24×8×8 out, in float32.
    assert PeakRam().measure(subject) == 4 * (3 * 256 + 24 * 64)
    assert PeakRam(bytes_per_value=1).measure(subject) == 3 * 256 + 24 * 64
    assert PeakRam().explain(subject) == {"layer": "stages.0.0.convolution"}


def test_a_search_finds_networks_that_need_little_memory(quick_study) -> None:
    study = quick_study(TinySpace(), _memory_and_params, axes=AXES, candidates=20)
    assert [record.origin for record in study.records[:1]] == ["published: middle"]
    least = min(record.values["ram_bytes"] for record in study.records)
    assert min(record.values["ram_bytes"] for record in study.front) == least


def _subject(genotype: Genotype | None = None) -> Subject:
    """A network for images of 16×16 pixels, by default the published one's."""
    space = TinySpace()
    if genotype is None:
        architecture = space.suggest(FixedTrial(space.published()["middle"].choices))
        genotype = Genotype("tiny", "small", architecture)
    network = space.build(genotype.architecture, ImageFacts.unnamed(16), Classes(4))
    return Subject(genotype, network, (3, 16, 16))


def _memory_and_params(genotype: Genotype) -> dict[str, float]:
    subject = _subject(genotype)
    counted = sum(parameter.numel() for parameter in subject.network.parameters())
    return {"ram_bytes": PeakRam().measure(subject), "params": counted}
