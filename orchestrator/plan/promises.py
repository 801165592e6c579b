"""Whether plugins do what their contracts say, tried once before a search is paid for.

What a class says of itself is checked when it is made; this is what only shows when it is asked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from orchestrator.candidate.assembly import Target
from orchestrator.candidate.factory import Factory
from orchestrator.contracts import Classes, Subject
from orchestrator.errors import BuildError
from orchestrator.plugins import Plugins
from orchestrator.records import Genotype
from orchestrator.training.building import draw_plain
from orchestrator.training.modes import evaluated
from orchestrator.trials import Question, RandomTrial

__all__ = ["check_promises"]

_JSON = (type(None), bool, int, float, str)


def check_promises(factory: Factory) -> None:
    """Ask the space for its named points, one architecture and one network, and each static
    objective about that network.

    Raises PluginError naming package, class and contract. Costs one small network.
    """
    assembly, plugins, name = factory.assembly, factory.plugins, factory.config.space.name
    with plugins.promising("space", name, "published()"):
        dict(assembly.space.published())
    trial = _Careful(factory.config.run.seed, plugins, name)
    with plugins.promising("space", name, "suggest(trial)"):
        genotype = draw_plain(assembly.space, assembly.task, trial)
    _check_architecture(genotype, plugins, name)
    network = _built(factory, genotype)
    subject = Subject(genotype, network, assembly.facts.shape)
    for target in assembly.tier("static"):
        _check_static(factory, target, subject)


class _Careful(RandomTrial):
    """Refuses choices that no journal can hold."""

    def __init__(self, seed: int, plugins: Plugins, space: str) -> None:
        super().__init__(seed)
        self._plugins, self._space = plugins, space

    def answer(self, name: str, question: Question) -> Any:
        for option in question.options:
            if not isinstance(option, _JSON):
                raise self._plugins.broken(
                    "space",
                    self._space,
                    f"suggest(trial) offers {option!r} for {name!r}, a {type(option).__name__}, "
                    "expected text, a number, true, false or null",
                )
        return super().answer(name, question)


def _check_architecture(genotype: Genotype, plugins: Plugins, name: str) -> None:
    found = genotype.architecture
    if not isinstance(found, Mapping):
        told = f"suggest(trial) gave {found!r}, expected names and values"
        raise plugins.broken("space", name, told)
    try:
        json.dumps(found)
    except (TypeError, ValueError) as error:
        told = f"suggest(trial) gave {found!r}, which are no JSON values: {error}"
        raise plugins.broken("space", name, told) from error


def _built(factory: Factory, genotype: Genotype) -> Any:
    """The network, which must answer as the task asks."""
    import torch

    plugins, name = factory.plugins, factory.config.space.name
    try:
        network = factory.build(genotype)
    except BuildError as error:
        if error.__cause__ is None:  # what the space itself says of such images
            raise
        told = f"build(architecture, facts, outputs) raised {error.__cause__!r}"
        raise plugins.broken("space", name, told) from error
    if not isinstance(network, torch.nn.Module):
        told = f"build(architecture, facts, outputs) gave {network!r}, expected a module"
        raise plugins.broken("space", name, told)
    assembly = factory.assembly
    outputs = assembly.task.outputs(assembly.facts)
    asked = plugins.promising("space", name, "the network's forward(images)")
    with asked, evaluated(network), torch.no_grad():
        answers = network(torch.zeros(1, *assembly.facts.shape))
    if isinstance(outputs, Classes) and getattr(answers, "shape", None) != (1, outputs.count):
        found = tuple(answers.shape) if hasattr(answers, "shape") else answers
        told = f"its network gave {found} for one image, expected {(1, outputs.count)}"
        raise plugins.broken("space", name, told)
    return network.eval()


def _check_static(factory: Factory, target: Target, subject: Subject) -> None:
    """A finite number, of a network that was not trained."""
    plugins, name = factory.plugins, target.config.name
    with plugins.promising("objective", name, "measure(subject)"):
        value = factory.measured(target.objective, subject)
    number = isinstance(value, (int, float)) or hasattr(value, "__float__")
    if not number or not math.isfinite(float(value)):
        told = f"measure(subject) gave {value!r}, expected a finite number"
        raise plugins.broken("objective", name, told)
