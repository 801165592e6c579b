"""The contract suite of a search space."""

from __future__ import annotations

import json
import pickle
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.contracts.device import Device
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.outputs import Classes, Maps
from orchestrator.contracts.space import Published, SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.records import Architecture
from orchestrator.testing.exporting import compiled_difference, first_device
from orchestrator.testing.features import check_features
from orchestrator.testing.outline import check_outline
from orchestrator.testing.pretrained import check_pretrained
from orchestrator.trials import AskedTrial, FixedTrial, Question

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_published", "check_space"]

# How many of the samples are exported, and how many have each of their choices changed.
EXPORTED = 2
VARIED = 3
# How many have their outlines counted.
OUTLINED = 3
# Where the check is not thorough, by these.
COUNTED = ("macs", "params")


@dataclass(frozen=True)
class _Case:
    """A space and the images its networks are built for."""

    space: SearchSpace
    facts: ImageFacts

    @property
    def classes(self) -> int:
        return len(self.facts.classes)

    def build(self, architecture: Architecture, *, device: str = "cpu") -> nn.Module:
        import torch

        with torch.device(device):
            return self.space.build(architecture, self.facts, Classes(self.classes))

    def images(self, batch: int, seed: int) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(seed)
        return torch.randn((batch, *self.facts.shape), generator=generator)


class _Interview(AskedTrial):
    """A trial that answers from `known` where it can, else at random, and keeps the questions."""

    def __init__(self, seed: int, known: Mapping[str, Any] | None = None) -> None:
        self.known = known or {}
        self.answers: dict[str, Any] = {}
        self.questions: dict[str, tuple[Any, ...]] = {}
        self._random = random.Random(seed)

    def another(self, name: str) -> Any:
        """An allowed answer to a question that was asked, other than the one given."""
        given = self.answers[name]
        return self._random.choice([value for value in self.questions[name] if value != given])

    def answer(self, name: str, question: Question) -> Any:
        """A known answer that is an option, else one of the options."""
        allowed = tuple(question.options)
        before = self.questions.setdefault(name, allowed)
        assert before == allowed, f"{name} was asked twice: {before}, then {allowed}"
        known = self.known.get(name)
        drawn = known if known in allowed else self._random.choice(allowed)
        return self.answers.setdefault(name, drawn)


def check_space(
    space: SearchSpace,
    *,
    classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    samples: int = 20,
    seed: int = 0,
    thorough: bool = False,
    device: Device | None = None,
) -> None:
    """Raise AssertionError, saying what to mend, unless `space` fulfils `SearchSpace`.

    Of `samples` random architectures each is built, run forward and backward at batch 4; a few,
    or where `thorough` all, are compiled for `device` (by default the first one installed) and run
    by it, and have each of their choices changed in turn. Where it serves `Maps`, the features of a
    few are checked too. Checkpoints must be told in full; `check_pretrained` can also try
    `translate`. Cost: about 50 ms a sample in a space for small images, and some seconds at the
    end; a thorough sample costs about a second.
    """
    facts = ImageFacts.unnamed(image_size, in_channels=in_channels, classes=classes)
    case = _Case(space, facts)
    interviews = [_interviewed(space, seed + number) for number in range(samples)]
    _check_questions([interview for interview, _ in interviews])
    _check_pickling(space, seed)
    _check_unchanged(space)
    _check_canonical(case, [architecture for _, architecture in interviews])
    for number, (interview, architecture) in enumerate(interviews):
        _check_architecture(architecture, interview)
        network = _check_network(case, architecture, seed + number)
        if thorough or number < OUTLINED:
            check_outline(space, architecture, facts, None if thorough else COUNTED)
        if thorough or number < EXPORTED:
            _check_export(case, network, device or first_device(), seed + number)
            if Maps in space.serves:
                check_features(space, architecture, facts, device=device, seed=seed + number)
        if thorough or number < VARIED:
            _check_effects(case, interview, architecture)
    check_published(space, classes=classes)
    check_pretrained(space)


def check_published(space: SearchSpace, *, classes: int = 10) -> None:
    """Raise AssertionError unless published points are points with their published counts.

    Networks are built on the meta device: about 0.1 s each. `classes` is for points without
    published counts; the others have 1000.
    """
    for name, published in space.published().items():
        trial = FixedTrial(published.choices)
        try:
            architecture = space.suggest(trial)
        except ConfigError as error:
            raise AssertionError(f"{name} is no point of {space.name}: {error}") from error
        idle = sorted(set(published.choices) - set(trial.asked))
        assert not idle, f"{name} gives answers that nobody asked for: {idle}"
        assert published.source, f"{name} needs a source"
        _check_counts(space, name, published, architecture, classes)


def _interviewed(space: SearchSpace, seed: int) -> tuple[_Interview, Architecture]:
    interview = _Interview(seed)
    architecture = space.suggest(interview)
    again = space.suggest(_Interview(seed))
    assert architecture == again, "suggest must depend on the trial's answers only"
    return interview, architecture


def _check_questions(interviews: Sequence[_Interview]) -> None:
    seen: dict[str, tuple[Any, ...]] = {}
    for interview in interviews:
        for name, allowed in interview.questions.items():
            assert len(set(allowed)) > 1, f"{name} has one answer, {allowed}: do not ask"
            before = seen.setdefault(name, allowed)
            assert before == allowed, (
                f"{name} came with {before} and with {allowed}; a name always comes with the same "
                "choices, so put what they depend on into the name"
            )


def _check_pickling(space: SearchSpace, seed: int) -> None:
    twin = pickle.loads(pickle.dumps(space))
    same = twin.suggest(_Interview(seed)) == space.suggest(_Interview(seed))
    assert same, f"{space.name} forgets its options when it is pickled"


def _check_unchanged(space: SearchSpace) -> None:
    for layer, reason in space.unchanged().items():
        named = isinstance(layer, str) and isinstance(reason, str) and layer and reason
        assert named, f"unchanged: found {layer!r}: {reason!r}, expected a name and a reason"


def _check_architecture(architecture: Architecture, interview: _Interview) -> None:
    plain = json.loads(json.dumps(architecture))
    assert plain == architecture, (
        f"an architecture holds JSON values only (lists, no tuples; text keys), found "
        f"{architecture} which comes back as {plain}"
    )
    assert json.loads(json.dumps(interview.answers)) == interview.answers, "answers are JSON values"


def _check_canonical(case: _Case, architectures: Sequence[Architecture]) -> None:
    """Equal networks have one canonical form; how many coincide is told where that has work."""
    known: dict[str, list[Architecture]] = {}
    for architecture in architectures:
        known.setdefault(_signature(case, architecture), []).append(architecture)
    for alike in known.values():
        forms = [case.space.canonical(each) for each in alike]
        twin = next((form for form in forms if form != forms[0]), None)
        assert twin is None, (
            f"two architectures give the same network: {forms[0]} and {twin}; bring them to one "
            f"canonical form ({_coinciding(known)} of {len(architectures)} coincide with another)"
        )
    if coinciding := _coinciding(known):
        warnings.warn(
            f"{case.space.name}: {coinciding} of {len(architectures)} architectures build a "
            "network that another builds too; each is one candidate by its canonical form.",
            stacklevel=3,
        )


def _coinciding(known: Mapping[str, Sequence[Architecture]]) -> int:
    """How many architectures build what an earlier, different one builds."""
    different = [[a for i, a in enumerate(alike) if a not in alike[:i]] for alike in known.values()]
    return sum(len(alike) - 1 for alike in different)


def _check_network(case: _Case, architecture: Architecture, seed: int) -> nn.Module:
    import torch

    torch.manual_seed(seed)
    network = case.build(architecture).train()
    torch.manual_seed(seed)
    twin = case.build(architecture)
    for (name, tensor), other in zip(
        network.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, other), f"{name} does not follow torch's global generator"
    logits = network(case.images(4, seed))
    found, wanted = tuple(logits.shape), (4, case.classes)
    assert found == wanted, f"logits have shape {found}, expected {wanted}, for {architecture}"
    assert bool(logits.isfinite().all()), f"logits are not finite for {architecture}"
    logits.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} has no effect on the logits of {architecture}"
        assert bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite"
    modules = {id(module) for module in network.modules()}
    for layer in case.space.fixed_layers(network):
        assert id(layer) in modules, f"fixed layer {layer} is not part of the network"
    return network


def _check_effects(case: _Case, interview: _Interview, architecture: Architecture) -> None:
    before, features = _signature(case, architecture), _features(case, architecture)
    for name in interview.questions:
        value = interview.another(name)
        changed = _Interview(0, {**interview.answers, name: value})
        other = case.space.suggest(changed)
        told = f"{name}: {interview.answers[name]!r} → {value!r}"
        assert name in changed.answers, f"{name} is asked after a choice that depends on it"
        assert other != architecture, f"{told} leaves the architecture as it was: do not ask"
        if case.space.canonical(other) == case.space.canonical(architecture):
            continue  # the space knows
        assert _signature(case, other) != before, f"{told} leaves the network as it was: do not ask"
        _check_asked(case.space, name, told, changed=_features(case, other) != features)


def _features(case: _Case, architecture: Architecture) -> str:
    """What the features of `architecture` are; empty where a space has none."""
    import torch

    if Maps not in case.space.serves:
        return ""
    with torch.device("meta"):
        return _told(case.space.features(architecture, case.facts))


def _check_asked(space: SearchSpace, name: str, told: str, *, changed: bool) -> None:
    """The choices that a task with a head of its own does not ask are those it has no use for."""
    if name in space.classifier_choices:
        assert not changed, f"{told} changes the features: it is no choice of the classifier"
    elif Maps in space.serves:
        assert changed, f"{told} leaves the features: name it in classifier_choices"


def _signature(case: _Case, architecture: Architecture) -> str:
    return _told(case.build(architecture, device="meta"))


def _told(network: nn.Module) -> str:
    """The modules and the shapes of all parameters and buffers; equal for equal networks."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return f"{network!r}\n{shapes}"


def _check_export(case: _Case, network: nn.Module, device: Device, seed: int) -> None:
    far = compiled_difference(device, network, case.images(3, seed))
    assert far < 1e-3, (
        f"the exported network's logits differ by {far}; does forward fix the batch size?"
    )


def _check_counts(
    space: SearchSpace,
    name: str,
    published: Published,
    architecture: Architecture,
    classes: int,
) -> None:
    counted = published.params is not None or published.macs is not None
    facts = ImageFacts.unnamed(published.image_size, classes=1000 if counted else classes)
    case = _Case(space, facts)
    network = case.build(architecture, device="meta")
    params, macs = _counts(case, network)
    assert published.params in (None, params), (
        f"{name} has {params:,} parameters, published are {published.params:,}"
    )
    assert published.macs in (None, macs), f"{name} has {macs:,} MACs, not {published.macs:,}"


def _counts(case: _Case, network: nn.Module) -> tuple[int, int]:
    """Parameters and multiply-adds of one image, attention products among them."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    images = torch.empty(1, *case.facts.shape, device="meta")
    fast = torch.backends.mha.get_fastpath_enabled()
    # Fused attention is invisible to the counter.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        counter = FlopCounterMode(display=False)
        with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            network.eval()(images)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    params = sum(parameter.numel() for parameter in network.parameters())
    return params, counter.get_total_flops() // 2
