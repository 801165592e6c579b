"""Optuna's samplers by name, and how each of them is a `Sampler`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import pydantic

from orchestrator.contracts.offer import Offer
from orchestrator.contracts.sampler import History, Measured, Sampler, SamplerContext
from orchestrator.errors import ConfigError, PluginError
from orchestrator.hookspecs import hookimpl
from orchestrator.records import Choices

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = [
    "OptunaSampler",
    "adapted",
    "chance",
    "gp",
    "nsga2",
    "nsga3",
    "orchestrator_samplers",
    "proposed",
    "random",
    "shortlisted",
    "tpe",
]

# So many draws at random come before a model is asked.
Startup = Annotated[int, pydantic.Field(ge=0)]


class OptunaSampler(Sampler):
    """One of Optuna's, which answers question by question while a candidate is drawn."""

    def __init__(self, sampler: BaseSampler) -> None:
        from optuna.samplers import RandomSampler
        from optuna.samplers._ga import BaseGASampler

        self.sampler = sampler
        # A population is bred from generations, which what another search found belongs to none of.
        if isinstance(sampler, RandomSampler | BaseGASampler):
            self.uses_earlier = "nothing"  # type: ignore[misc]

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """Nothing ahead: Optuna knows the history from its journal."""
        return None


def adapted(made: object) -> Sampler:
    """What a plugin's sampler is, as a `Sampler`; raises PluginError where it is none."""
    from optuna.samplers import BaseSampler

    if isinstance(made, BaseSampler):
        return OptunaSampler(made)
    if not isinstance(made, Sampler):
        raise PluginError(
            f"a sampler is a {type(made).__name__}, expected an orchestrator.Sampler or one of "
            "Optuna's samplers."
        )
    return made


def proposed(sampler: Sampler, history: History, context: SamplerContext) -> Choices | None:
    """All answers of what it proposes; raises PluginError with its name."""
    with _blamed(sampler):
        choices = sampler.propose(history, context)
        return None if choices is None else context.complete(choices)


def shortlisted(sampler: Sampler, history: History, context: SamplerContext) -> list[Measured]:
    """What it wants measured, without values yet; raises PluginError with its name."""
    with _blamed(sampler):
        chosen = [context.complete(choices) for choices in sampler.shortlist(history, context)]
        return [Measured(context.draw(choices), choices, {}) for choices in chosen]


@contextmanager
def _blamed(sampler: Sampler) -> Iterator[None]:
    name = repr(sampler.name or type(sampler).__name__)
    try:
        yield
    except PluginError:
        raise
    except ConfigError as error:
        raise PluginError(f"sampler {name} proposed what cannot be: {error}") from error
    except Exception as error:
        raise PluginError(f"sampler {name} raised {error!r}.") from error


def chance(sampler: Sampler, seed: int) -> BaseSampler:
    """What answers the questions that a sampler leaves open."""
    from optuna.samplers import RandomSampler

    return sampler.sampler if isinstance(sampler, OptunaSampler) else RandomSampler(seed=seed)


@hookimpl
def orchestrator_samplers() -> Sequence[Offer]:
    """The built-in samplers."""
    here = "orchestrator.search.samplers"
    return [
        Offer("tpe", f"{here}:tpe", "Tree-structured Parzen estimator, multivariate."),
        Offer("nsga2", f"{here}:nsga2", "NSGA-II: cheap per proposal, for long searches."),
        Offer("nsga3", f"{here}:nsga3", "NSGA-III: as NSGA-II, for four objectives and more."),
        Offer("gp", f"{here}:gp", "Gaussian process: about 1 s a proposal, for under 100."),
        Offer("random", f"{here}:random", "Uniform: the baseline."),
    ]


def tpe(
    *, seed: int, multivariate: bool = True, group: bool = False, startup: Startup = 10
) -> BaseSampler:
    """Bergstra et al. 2011; several objectives as Ozaki et al. 2022. `startup` draws are random."""
    from optuna.samplers import TPESampler

    return _quietly(
        lambda: TPESampler(
            seed=seed, multivariate=multivariate, group=group, n_startup_trials=startup
        )
    )


def nsga2(*, seed: int, population: int = 20) -> BaseSampler:
    """Deb et al. 2002. Genes that exist only in some architectures are drawn, not inherited."""
    from optuna.samplers import NSGAIISampler

    return _quietly(lambda: NSGAIISampler(seed=seed, population_size=population))


def nsga3(*, seed: int, population: int = 20) -> BaseSampler:
    """Deb and Jain 2014. Genes that exist only in some architectures are drawn, not inherited."""
    from optuna.samplers import NSGAIIISampler

    return _quietly(lambda: NSGAIIISampler(seed=seed, population_size=population))


def gp(*, seed: int, startup: Startup = 10) -> BaseSampler:
    """Optuna's Gaussian process sampler; choices outside the common ones are drawn at random."""
    from optuna.samplers import GPSampler

    return _quietly(lambda: GPSampler(seed=seed, n_startup_trials=startup))


def random(*, seed: int) -> BaseSampler:
    """Uniform proposals."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _quietly(make: Callable[[], BaseSampler]) -> BaseSampler:
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make()
