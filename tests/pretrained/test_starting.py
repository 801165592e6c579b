from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sharing_spaces import FusedSpace
from starts import FACTS, loaded, member, network_of, space_of, start_of, trained
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from orchestrator.errors import RunError, SharingError
from orchestrator.pretrained.starting import load_start, prepare_start, start_file
from orchestrator.supernet.regions import region_of
from orchestrator.trials import FixedTrial


def logits(network: nn.Module) -> Tensor:
    with torch.no_grad():
        return network.eval()(
            torch.randn(4, *FACTS.shape, generator=torch.Generator().manual_seed(3))
        )


NARROW = {
    "stages.1.width": 16, "stages.1.blocks.0.expansion": 3, "stages.2.blocks.1.expansion": 4,
    "stages.2.blocks.1.kernel": 3, "stages.3.depth": 1, "last.width": 128,
}  # fmt: skip


def test_the_same_network_gets_the_same_function(tmp_path: Path) -> None:
    space = space_of()
    whole = network_of(space, member(space))
    trained(whole)
    network = network_of(space, member(space), seed=5)
    assert start_of(tmp_path, space).give(network) == []
    expected = logits(whole)
    assert (logits(network) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_named_network_is_known_by_its_answers_and_another_by_none(tmp_path: Path) -> None:
    space = space_of()
    named, other = member(space), member(space, {"stages.1.activation": "silu"})
    answers = start_of(tmp_path / "named", space, named).answers
    assert answers is not None
    assert space.suggest(FixedTrial(answers)) == named.architecture
    assert start_of(tmp_path / "other", space, other).answers is None


@pytest.mark.parametrize(("activation", "known"), [("silu", True), ("relu", False)])
def test_any_network_is_known_by_what_it_was_drawn_with(
    tmp_path: Path, activation: str, known: bool
) -> None:
    space = space_of()
    plain = list(space.published().values())[1].choices
    other = member(space, {"stages.1.activation": "silu"})
    told = {**plain, "stages.1.activation": activation, "pruning.ratio": 0.3}
    start_of(tmp_path, space, other, choices=told)
    start = load_start(tmp_path, space)
    answers = {**plain, "stages.1.activation": "silu"}
    assert start.answers == (answers if known else None)


def test_a_narrow_network_gets_the_leading_part_with_its_statistics(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space, member(space, {"stages.2.blocks.1.kernel": 5}))
    network = network_of(space, member(space, NARROW), seed=5)
    start.give(network)
    layer = network.get_submodule("stages.2.1.layers")
    wide = start.tensors
    width = layer.expand.conv.weight.shape[0]
    depthwise = wide["stages.2.1.layers.depthwise.conv.weight"]
    assert width < len(depthwise)
    assert torch.equal(layer.depthwise.conv.weight, depthwise[:width, :, 1:4, 1:4])
    for leaf in ("running_mean", "running_var", "weight", "bias"):
        known = wide[f"stages.2.1.layers.expand.norm.{leaf}"]
        assert torch.equal(getattr(layer.expand.norm, leaf), known[:width])


def test_values_are_those_of_the_region(tmp_path: Path) -> None:
    space = FusedSpace()
    start = start_of(tmp_path, space_of())
    fused = type(start)(space, fused_tensors(), start.credit, start.genotype, (3, 8, 8))
    network = space.build({"width": 4}, FACTS, _outputs())
    fused.give(network)
    region = region_of(space, "both.weight", ((16, 4), (8, 4)), kernel=False)
    assert torch.equal(network.both.weight, region.read(fused.tensors["both.weight"]))


def fused_tensors() -> Mapping[str, Tensor]:
    return dict(FusedSpace().build({"width": 8}, FACTS, _outputs()).state_dict())


def _outputs() -> Any:
    from orchestrator import Classes

    return Classes(3)


GROWN = {
    "wider inside": {"stages.1.blocks.0.expansion": 6, "stages.2.blocks.1.expansion": 6},
    "larger kernels": {"stages.1.blocks.0.kernel": 7, "stages.2.blocks.0.kernel": 5},
    "deeper": {"stages.1.depth": 3, "stages.2.depth": 3},
    "a wider end": {"last.width": 320},
    "all of it": {
        "stages.1.blocks.0.expansion": 6, "stages.1.blocks.0.kernel": 5, "stages.1.depth": 3,
        "stages.1.width": 32, "stages.3.width": 80, "last.width": 320,
    },
}  # fmt: skip
SMALL = {
    "stages.1.width": 24, "stages.1.depth": 1, "stages.2.depth": 2, "stages.3.width": 48,
    "stages.1.blocks.0.expansion": 3, "stages.2.blocks.1.expansion": 4,
    "stages.1.blocks.0.kernel": 3, "stages.2.blocks.0.kernel": 3, "last.width": 192,
}  # fmt: skip


@pytest.mark.parametrize("how", GROWN)
def test_growth_keeps_the_function(how: str, tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space, member(space, SMALL))
    small = network_of(space, member(space, SMALL), seed=5)
    large = network_of(space, member(space, SMALL | GROWN[how]), seed=6)
    start.give(small)
    start.give(large)
    assert sum(p.numel() for p in large.parameters()) > sum(p.numel() for p in small.parameters())
    assert (logits(large) - logits(small)).abs().max() <= 1e-6


def test_other_classes_leave_the_classifier_as_it_was_drawn(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space, without=["classifier"])
    network = network_of(space, member(space), seed=5)
    drawn = network.classifier.weight.clone()
    assert start.give(network) == ["classifier.weight", "classifier.bias"]
    assert torch.equal(network.classifier.weight, drawn)


def test_the_classifier_that_is_left_out_tells_which_features_matter(tmp_path: Path) -> None:
    space = space_of()
    found = loaded(space, member(space), without=["classifier"])
    start = prepare_start(start_file(tmp_path), space, FACTS.shape, lambda: found)
    read = found.head["classifier.weight"].abs().sum(0)
    rows = found.tensors["last.norm.weight"][read.argsort(descending=True, stable=True)]
    assert torch.equal(start.tensors["last.norm.weight"], rows)
    assert "classifier.weight" not in start.tensors


def test_positions_of_another_grid_are_resampled(tmp_path: Path) -> None:
    space = space_of("vit")
    start = start_of(tmp_path, space)
    smaller = replace(FACTS, image_size=24)
    network = network_of(space, member(space), facts=smaller, seed=5)
    assert start.give(network) == []
    known = start.tensors["positions.grid8"].unflatten(1, (8, 8))
    found = network.get_parameter("positions.grid6").detach().unflatten(1, (6, 6))
    assert torch.allclose(found.mean((1, 2)), known.mean((1, 2)), atol=0.02)
    assert (found[0, 0, 0] - known[0, 0, 0]).norm() < (found[0, 0, 0] - known[0, 7, 7]).norm()


def test_a_new_attention_is_told_and_nothing_is_silenced_for_it(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space)
    network = network_of(space, member(space, {"stages.1.attention": "se"}), seed=5)
    missing = start.give(network)
    assert missing and all(".se." in name for name in missing)
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    assert all(norm.weight.ne(0).all() for norm in norms)


class Headed(nn.Module):
    """As a task builds on a space's features: names of its own in front."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.ModuleDict({"classifier": nn.Linear(3, 3)})

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head["classifier"](self.backbone(x))
        return answer


def test_a_network_below_a_task_s_own_name_gets_its_part(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space)
    network = Headed(network_of(space, member(space), seed=5)).train()
    missing = start.give(network)
    assert missing == ["head.classifier.weight", "head.classifier.bias"]
    assert network.backbone.training
    stem = network.backbone.stem.conv.weight
    assert torch.equal(stem, start.tensors["stem.conv.weight"])
    assert set(start.whole(network)) == {n for n, _ in network.named_parameters()} - set(missing)


def test_it_is_loaded_once_and_never_again(tmp_path: Path) -> None:
    space = space_of()
    first = start_of(tmp_path, space)

    def gone() -> Any:
        raise AssertionError("the network was asked")

    again = prepare_start(start_file(tmp_path), space_of(), FACTS.shape, gone)
    assert again.credit == first.credit and again.genotype == member(space)
    assert all(torch.equal(again.tensors[name], t) for name, t in first.tensors.items())
    assert any("channels sorted by what reads them in" in note for note in again.notes)
    assert load_start(tmp_path, space) is load_start(tmp_path, space)


def test_a_missing_and_a_damaged_file_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Resume the search"):
        load_start(tmp_path, space_of())
    start_file(tmp_path).parent.mkdir()
    start_file(tmp_path).write_text("no weights")
    with pytest.raises(RunError, match="Delete it, then resume"):
        load_start(tmp_path, space_of())


def test_two_operators_under_one_name_are_an_error(tmp_path: Path) -> None:
    start = start_of(tmp_path, space_of())
    odd = nn.ModuleDict({"classifier": nn.Conv2d(4, 3, 1)})
    with pytest.raises(SharingError, match="two operators share a name"):
        start.give(odd)
