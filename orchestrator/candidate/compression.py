"""The compressors of a study by the names its configuration gives them: drawn, put in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, pairwise, product
from typing import Any

from orchestrator.candidate.beyond import Beyond, Formats
from orchestrator.contracts import ArtifactCompressor, Compressor, Trial
from orchestrator.contracts._culprits import answered
from orchestrator.contracts.orders import legal_orders, obstacle, stage_of
from orchestrator.errors import CompressionError, ConfigError, closest
from orchestrator.records import Choices, Genotype, Step
from orchestrator.trials import ScopedTrial, every_answer

__all__ = ["RUNTIME", "Compression", "Variant"]

# The question that a variant's runtime would be the answer to.
RUNTIME = "runtime"

_STAGES = ("training", "network", "file")

# Of more compressors only the names are told, of more orders only how many they are.
_MOST_TOLD = 8
_ORDERS_TOLD = 3
# Of a compressor with more settings one is drawn for each training, rather than all made.
_MOST_SETTINGS = 16


@dataclass(frozen=True)
class Variant:
    """One way to run one trained network; `answers` are what tells it from the others."""

    genotype: Genotype
    answers: Choices = field(default_factory=dict)


@dataclass(frozen=True)
class _Setting:
    """What a compressor does, nothing if it has no choices, and the answers that it comes of."""

    choices: Choices
    answers: Choices


@dataclass(frozen=True)
class Compression:
    """`compressors` by their keys in the configuration; `formats` are the first runtime's.

    `others` are the formats of further runtimes, by their names, and `further` those of further
    devices, runtime by runtime, the device's first one first. What takes no file of the first
    device and one of those is for them alone, and on each device a genotype's file goes through
    the steps that take it. Steps of the file are not drawn where they can all be made: see
    `variants`. Those that `order` names are taken in that order.
    """

    compressors: Mapping[str, Compressor]
    formats: frozenset[str]
    others: Mapping[str, frozenset[str]] = field(default_factory=dict)
    order: Sequence[str] = ()
    further: Sequence[Formats] = ()

    def __post_init__(self) -> None:
        def place(item: tuple[str, Compressor]) -> tuple[int, int]:
            name, compressor = item
            return stage_of(compressor), self.order.index(name) if name in self.order else 0

        object.__setattr__(self, "compressors", dict(sorted(self.compressors.items(), key=place)))

    def check(self) -> None:
        """Raise ConfigError for a compressor that no candidate could use, or an illegal order."""
        self._check_order()
        for name in self.compressors:
            if not self._usable(name):
                others = [other for other in self.compressors if other != name]
                raise ConfigError(
                    f"compressor {name!r} {self._obstacle(name)}, and with none of the others "
                    f"({', '.join(others) or 'there is none'}) it can. Choose another device or "
                    "leave it out."
                )

    @property
    def told(self) -> str:
        """The legal orders of as many compressors as go together, in words."""
        if len(self.compressors) > _MOST_TOLD:
            return ", ".join(self.compressors)
        orders = [" → ".join(order) for names in self._largest() for order in self._orders(names)]
        more = len(orders) - _ORDERS_TOLD
        rest = [f"{more} more"] if more > 0 else []
        return ", or ".join([*orders[:_ORDERS_TOLD], *rest])

    @property
    def drawn(self) -> list[str]:
        """The compressors whose choices are the sampler's; those of the others are all made."""
        return [name for name in self.compressors if name not in self._settings]

    @property
    def beyond(self) -> tuple[str, ...]:
        """The compressors that change files of further devices alone."""
        return self._beyond.alone

    @property
    def made(self) -> dict[str, list[Any]]:
        """What tells variants apart: each question, with all its answers."""
        found: dict[str, list[Any]] = {RUNTIME: ["", *self.others]} if self.others else {}
        for settings in self._settings.values():
            for name, answer in (item for s in settings for item in s.answers.items()):
                known = found.setdefault(name, [])
                known += [] if answer in known else [answer]
        return found

    def told_of_each(self, runtime: str) -> str:
        """What is made of one training, in words; `runtime` is what the first one is called.

        Empty where that is the network's own file alone.
        """
        plain = Genotype("", "", {})
        files: dict[str, dict[str, None]] = {}
        elsewhere: dict[str, None] = {}
        variants = self.variants(plain)
        for genotype in (variant.genotype for variant in variants):
            steps = [step for step in genotype.compression if step.name not in self.beyond]
            own = files.setdefault(genotype.runtime or runtime, {})
            own[" + ".join(map(_words, steps))] = None
            beyond = [step for step in genotype.compression if step not in steps]
            elsewhere |= dict.fromkeys(map(_words, beyond))
        if len(variants) < 2:
            return ""
        texts = [
            f"{name} ({', '.join(w or 'as it is' for w in own)})" for name, own in files.items()
        ]
        if elsewhere:
            texts.append(f"each also with {', '.join(elsewhere)} on further devices")
        return f"{len(variants)} of each training, all measured: {'; '.join(texts)}"

    def suggest(self, name: str, trial: Trial) -> Choices:
        """One compressor's choices, its questions under its own name."""
        compressor = self.compressors[name]
        told = compressor.suggest(ScopedTrial(trial, compressor.name, name))
        fits, expected = isinstance(told, Mapping), "names and values, {} for none"
        return dict(answered(compressor, "suggest(trial)", told, fits=fits, expected=expected))

    def draw(self, trial: Trial) -> tuple[Step, ...]:
        """Steps that are legal together.

        A compressor that what was drawn before it rules out is not asked: a question is asked
        only where it has an effect. So is the order, where more than one is legal.
        """
        taken: dict[str, Choices] = {}
        waiting = self.drawn
        while asked := next((n for n in waiting if self._orders({*taken, n})), None):
            waiting.remove(asked)
            if choices := self.suggest(asked, trial):
                taken[asked] = choices
        return tuple(Step(name, taken[name]) for name in self._ordered(set(taken), trial))

    def runtime_of(self, steps: Sequence[Step]) -> str:
        """The first runtime whose files can be treated so."""
        names = {step.name for step in steps}
        return next((runtime for runtime in self._runtimes if self._orders_on(names, runtime)), "")

    def variants(self, genotype: Genotype) -> list[Variant]:
        """All that is made of one training, what the genotype itself says first.

        For each runtime its untouched file, and every legal set of steps that a file can take
        after what was done to the network. Raises CompressionError like `steps`.
        """
        found = {genotype.key: Variant(genotype, self._runtime_answer(genotype.runtime))}
        for runtime in self._runtimes:
            for variant in self._on(runtime, genotype):
                found.setdefault(variant.genotype.key, variant)
        return list(found.values())

    def untouched(self, genotype: Genotype) -> list[Variant]:
        """Of `variants` the first, and those whose file is as its runtime compiled it."""
        first, *others = self.variants(genotype)
        active = self.active
        return [first, *(v for v in others if not any(active(ArtifactCompressor, v.genotype)))]

    def steps(self, genotype: Genotype) -> list[Step]:
        """The genotype's steps in the order they are taken; raises CompressionError.

        Steps that were kept by name, because only one order is legal, are put into that order.
        """
        taken = [(self._key(s.name), s) for s in genotype.compression if s.choices]
        steps = dict(taken)
        if len(steps) < len(taken):
            names = " and ".join(sorted(key for key, _ in taken))
            raise CompressionError(
                f"{genotype.key} takes a compressor twice ({names}); give it two names in the "
                "configuration."
            )
        orders = self._orders_on(set(steps), genotype.runtime)
        if not orders:
            raise CompressionError(
                f"{genotype.key} cannot be compressed by {' and '.join(steps)} together, in any "
                "order: one of them lacks what it requires, or meets what it conflicts with."
            )
        stored = sorted(steps, key=lambda name: stage_of(self.compressors[name]))
        order = tuple(stored) if tuple(stored) in orders else orders[0]
        return [Step(name, steps[name].choices) for name in order]

    def active(self, kind: Any, genotype: Genotype) -> Iterator[tuple[Any, Choices]]:
        """The compressors of one kind (a class) that a genotype uses, in order, with choices."""
        for step in self.steps(genotype):
            compressor = self.compressors[step.name]
            if isinstance(compressor, kind):
                yield compressor, step.choices

    @property
    def _runtimes(self) -> Mapping[str, frozenset[str]]:
        return {"": self.formats, **self.others}

    @cached_property
    def _beyond(self) -> Beyond:
        return Beyond(self.compressors, self._runtimes, self.further)

    @cached_property
    def _settings(self) -> dict[str, list[_Setting]]:
        """Of each compressor of files all there is to choose, where that is not too much."""
        found = {}
        for name, compressor in self.compressors.items():
            if not isinstance(compressor, ArtifactCompressor):
                continue
            every = every_answer(lambda trial, name=name: self.suggest(name, trial), _MOST_SETTINGS)  # type: ignore[misc]
            if every is not None:
                found[name] = [_Setting(choices, answers) for answers, choices in every]
        return found

    def _on(self, runtime: str, genotype: Genotype) -> Iterator[Variant]:
        """The variants on one runtime; none where it cannot take what was done to the network."""
        before, after = self._parted(genotype)
        names = [step.name for step in before]
        if not self._orders_on(set(names), runtime):
            return
        for settings in product(*self._choosable(after).values()):
            chosen = dict(zip(self._choosable(after), settings, strict=True))
            taken = {name: s.choices for name, s in chosen.items() if s.choices}
            answers = {k: v for s in settings for k, v in s.answers.items()}
            for order in self._orders_after(names, list(taken), runtime):
                steps = [*before, *(Step(name, taken[name]) for name in order)]
                told = replace(
                    genotype, compression=self._canonical(steps, runtime), runtime=runtime
                )
                yield Variant(told, {**self._runtime_answer(runtime), **answers})

    def _orders_after(
        self, before: Sequence[str], names: Sequence[str], runtime: str
    ) -> list[tuple[str, ...]]:
        """The legal orders of steps of the file, after those of the network."""
        formats, kinds = self._formats(runtime), self.compressors
        provided = formats.union(*(kinds[name].provides for name in before))
        own = {name: kinds[name] for name in names if name not in self._beyond.alone}
        return self._beyond.joined(legal_orders(own, provided), set(names), before, runtime)

    def _parted(self, genotype: Genotype) -> tuple[list[Step], dict[str, Choices]]:
        """What was done to the network, in order, and what the genotype says of its file."""
        steps = self.steps(genotype)
        files = {s.name for s in steps if isinstance(self.compressors[s.name], ArtifactCompressor)}
        before = [step for step in steps if step.name not in files]
        return before, {step.name: step.choices for step in steps if step.name in files}

    def _choosable(self, drawn: Mapping[str, Choices]) -> dict[str, list[_Setting]]:
        """Every compressor of files with what it may do: a drawn one that, or nothing."""
        nothing = _Setting({}, {})
        found = {n: [nothing, _Setting(c, {})] for n, c in drawn.items() if n not in self._settings}
        return {**self._settings, **found}

    def _runtime_answer(self, runtime: str) -> dict[str, str]:
        return {RUNTIME: runtime} if self.others else {}

    def _formats(self, runtime: str) -> frozenset[str]:
        if runtime not in self._runtimes:
            known = ", ".join(self.others) or "none but the device's own"
            raise CompressionError(f"no runtime is called {runtime!r}; there is {known}.")
        return self._runtimes[runtime]

    def _canonical(self, steps: Sequence[Step], runtime: str) -> tuple[Step, ...]:
        """By name where but one order is legal, so that such a genotype has one form."""
        several = len(self._orders_on({step.name for step in steps}, runtime)) > 1
        return tuple(steps if several else sorted(steps, key=lambda step: step.name))

    def _ordered(self, taken: set[str], trial: Trial) -> list[str]:
        """By name where but one order is legal, so that such a genotype has one form."""
        orders = self._orders(taken)
        if len(orders) < 2:
            return sorted(taken)
        told = {" > ".join(order): order for order in orders}
        question = f"order.{'+'.join(sorted(taken))}"
        return list(told[trial.suggest_categorical(question, list(told))])

    def _orders(self, names: set[str]) -> list[tuple[str, ...]]:
        """On the first runtime on which there is a legal one."""
        found = (self._orders_on(names, runtime) for runtime in self._runtimes)
        return next((orders for orders in found if orders), [])

    def _orders_on(self, names: set[str], runtime: str) -> list[tuple[str, ...]]:
        """The legal orders on a runtime; what is for further devices alone comes last."""
        here = names - set(self._beyond.alone)
        active = {name: item for name, item in self.compressors.items() if name in here}
        fixed = [name for name in self.order if name in here]
        orders = legal_orders(active, self._formats(runtime))
        kept = [order for order in orders if [n for n in order if n in fixed] == fixed]
        return self._beyond.joined(kept, names, (), runtime)

    def _check_order(self) -> None:
        """Raise ConfigError for a fixed order with unknown names, or that cannot be taken."""
        for name in self.order:
            if name not in self.compressors:
                raise ConfigError(
                    f"order: no compressor {name!r}; {closest(name, self.compressors)}"
                )
        for first, second in pairwise(self.order):
            stages = [stage_of(self.compressors[name]) for name in (first, second)]
            if stages[0] > stages[1]:
                raise ConfigError(
                    f"order: {second!r} changes the {_STAGES[stages[1]]} and cannot follow "
                    f"{first!r}, which changes the {_STAGES[stages[0]]}; expected "
                    f"{', then '.join(_STAGES)}."
                )
        free = replace(self, order=())
        for names in free._largest() if self.order else ():
            fixed = [name for name in self.order if name in names]
            if len(fixed) > 1 and not self._orders(names):
                raise ConfigError(
                    f"order: {' → '.join(fixed)} cannot be taken, as {self._reason(fixed)}. Legal: "
                    f"{' → '.join(free._orders(names)[0])}. Change it, or say order=null."
                )

    def _reason(self, fixed: Sequence[str]) -> str:
        """What hinders the first of these that cannot follow those before it."""
        provided = self.formats.union(*self.others.values())
        for name in fixed:
            if text := obstacle(self.compressors[name], provided):
                return f"{name} {text}"
            provided |= self.compressors[name].provides
        return "others come between them"

    def _key(self, step: str) -> str:
        """A step's compressor; runs made before were named by its class, whatever its key."""
        if step in self.compressors:
            return step
        named = [key for key, item in self.compressors.items() if item.name == step]
        if len(named) == 1:
            return named[0]
        known = ", ".join(self.compressors) or "none"
        raise CompressionError(f"no compressor is called {step!r}; the configuration has {known}.")

    def _usable(self, name: str) -> bool:
        others = [other for other in self.compressors if other != name]
        return any(
            self._orders({name, *chosen})
            for count in range(len(others) + 1)
            for chosen in combinations(others, count)
        )

    def _largest(self) -> list[set[str]]:
        """The legal sets that no other legal set contains, in the configuration's order."""
        found: list[set[str]] = []
        for count in range(len(self.compressors), 0, -1):
            for chosen in map(set, combinations(self.compressors, count)):
                if not any(chosen < larger for larger in found) and self._orders(chosen):
                    found.append(chosen)
        return found

    def _obstacle(self, name: str) -> str:
        return obstacle(self.compressors[name], self._beyond.formats)


def _words(step: Step) -> str:
    """A step as people read it: its name, and its choices where they say more."""
    values = ", ".join(f"{value}" for value in step.choices.values() if value is not True)
    return f"{step.name} {values}".strip()
