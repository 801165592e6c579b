"""From names in a configuration to the things a study is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.candidate.compression import Compression
from orchestrator.candidate.devices import make_runtimes, seat, seats, settle_runtimes
from orchestrator.candidate.former import with_absolute_paths
from orchestrator.config import ObjectiveConfig, StudyConfig
from orchestrator.contracts import (
    ArtifactCompressor,
    Compressor,
    Dataset,
    Device,
    Estimator,
    ImageFacts,
    MetricObjective,
    Objective,
    SearchSpace,
    Task,
    Trial,
)
from orchestrator.errors import ConfigError, closest
from orchestrator.plugins import Plugins
from orchestrator.pretrained.settling import settled
from orchestrator.records import Genotype
from orchestrator.training.building import draw_plain

__all__ = ["Assembly", "Target", "assemble", "draw", "excess", "settle"]


@dataclass(frozen=True)
class Target:
    """An objective and what the configuration wants of it.

    `name` is its key there: "latency_ms", or "latency_ms@pi" beside it. `device` names the one
    that is asked.
    """

    objective: Objective
    config: ObjectiveConfig
    name: str
    device: str

    @property
    def searched(self) -> bool:
        """Whether the search optimises it, rather than only reporting it."""
        return self.config.role == "objective"

    @property
    def placed(self) -> bool:
        """Whether it is of a file on its device, rather than of a network or its answers."""
        return self.objective.tier == "deployed" or self.objective.table is not None

    @property
    def has_budget(self) -> bool:
        """Whether it carries a hard budget."""
        return self.config.min is not None or self.config.max is not None


@dataclass(frozen=True)
class Assembly:
    """All a study is made of, each part an instance.

    `runtimes` are those of each device, by its key in the configuration, and there by their names,
    the one that the device is named for first. `asked` are the objectives that the estimator asks,
    whatever the search is for.
    """

    space: SearchSpace
    dataset: Dataset
    task: Task
    runtimes: Mapping[str, Mapping[str, Device]]
    estimator: Estimator
    targets: Sequence[Target]
    compression: Compression
    asked: Mapping[str, Objective] = field(default_factory=dict)

    @property
    def devices(self) -> dict[str, Device]:
        """The first runtime of each device."""
        return {key: next(iter(found.values())) for key, found in self.runtimes.items()}

    @property
    def device(self) -> Device:
        """The first one: its files are what accuracy is taken of, and what ships."""
        return self.runtime("")

    def runtime(self, name: str, device: str = "") -> Device:
        """The runtime called so of a device, by default of the first.

        A device's first one where the name is empty, or none of its runtimes is called so.
        """
        found = self.runtimes[device or next(iter(self.runtimes))]
        return found.get(name) or next(iter(found.values()))

    def runtime_name(self, name: str, device: str = "") -> str:
        """What `runtime` is called; a genotype leaves a device's first one unsaid."""
        found = self.runtimes[device or next(iter(self.runtimes))]
        return name if name in found else next(iter(found))

    @property
    def deployed(self) -> Mapping[str, Device]:
        """The first device and those that objectives ask, by name."""
        asked = {next(iter(self.devices))} | {t.device for t in self.tier("deployed")}
        return {name: device for name, device in self.devices.items() if name in asked}

    @property
    def measured(self) -> dict[str, Device]:
        """Every runtime of the devices that are asked, by its seat (see `devices.seats`)."""
        found = [seats(key, self.runtimes[key]) for key in self.deployed]
        return {name: device for group in found for name, device in group.items()}

    def seat(self, device: str, runtime: str) -> str:
        """Where a genotype's file is measured: the seat of its runtime on a device."""
        called = list(self.runtimes[device])
        return seat(device, runtime if runtime in called[1:] else "")

    def fits(self, compressor: Compressor, device: Device) -> bool:
        """Whether it takes this runtime's files; what is of another format ships without it."""
        every = (d.formats for found in self.runtimes.values() for d in found.values())
        wanted = compressor.requires & frozenset[str]().union(*every)
        return not wanted or bool(wanted & device.formats)

    @property
    def facts(self) -> ImageFacts:
        """What the images are that its networks see."""
        return self.dataset.facts

    def tier(self, *tiers: str) -> list[Target]:
        """The targets of these tiers."""
        return [target for target in self.targets if target.objective.tier in tiers]

    @property
    def compressors(self) -> Mapping[str, Compressor]:
        """The compressors by their names in the configuration, stage by stage."""
        return self.compression.compressors


def assemble(config: StudyConfig, plugins: Plugins) -> Assembly:
    """Create every part; raises UsageError for what does not exist or does not fit together."""
    make = plugins.create
    config = settle(config, plugins)
    runtimes = {key: make_runtimes(item, plugins) for key, item in config.device.items()}
    first = next(iter(runtimes))
    own, *others = runtimes[first].items()
    estimator = make("estimator", config.estimator.name, config.estimator.options)
    targets = [
        Target(make("objective", item.name, item.options), item, key, item.device or first)
        for key, item in config.objective.items()
    ]
    asked = {target.device for target in targets if target.objective.tier == "deployed"} - {first}
    assembly = Assembly(
        space=make("space", config.space.name, config.space.options),
        dataset=make("dataset", config.dataset.name, config.dataset.options),
        task=make("task", config.task.name, config.task.options),
        runtimes=runtimes,
        estimator=estimator,
        targets=targets,
        compression=Compression(
            {
                key: make("compressor", chosen.name, chosen.options)
                for key, chosen in config.compressor.items()
            },
            own[1].formats,
            _formats(dict(others)),
            config.order or (),
            [_formats(found) for key, found in runtimes.items() if key in asked],
        ),
        asked={name: make("objective", name, {}) for name in estimator.objectives},
    )
    if not any(target.searched for target in assembly.targets):
        raise ConfigError("no objective has role=objective, so there is nothing to search for.")
    _check_served(assembly)
    _check_estimator(assembly, started=config.weights is not None)
    _check_foreseen(assembly)
    _check_metrics(assembly)
    _check_asked(assembly)
    _check_tables(assembly)
    _check_beyond(assembly)
    assembly.compression.check()
    return assembly


def _formats(runtimes: Mapping[str, Device]) -> dict[str, frozenset[str]]:
    return {name: device.formats for name, device in runtimes.items()}


def settle(config: StudyConfig, plugins: Plugins, notes: list[str] | None = None) -> StudyConfig:
    """The configuration with what its weights and runtimes ask for written into it.

    What the user should be told of it is added to `notes`. Raises UsageError.
    """
    _check_preset(config, plugins)
    found = settle_runtimes(with_absolute_paths(config, plugins), plugins)
    if notes is not None:
        notes += found.notes
    return settled(found.config, plugins)


def _check_served(assembly: Assembly) -> None:
    """Raise ConfigError for a space whose networks cannot answer what the task asks."""
    space, outputs = assembly.space, assembly.task.outputs(assembly.facts)
    if type(outputs) not in space.serves:
        served = ", ".join(sorted(kind.__name__ for kind in space.serves))
        raise ConfigError(
            f"task {assembly.task.name!r} asks for {type(outputs).__name__}, space {space.name!r} "
            f"serves {served}. Choose a space that serves it, or another task."
        )


def _check_estimator(assembly: Assembly, *, started: bool) -> None:
    """Raise ConfigError for an estimator that has nothing to work on."""
    estimator, outputs = assembly.estimator, assembly.task.outputs(assembly.facts)
    if estimator.needs_start and not started:
        raise ConfigError(
            f"estimator={estimator.name} looks at the features of trained weights, found "
            "weights=null. Say weights=auto, or choose another estimator."
        )
    if type(outputs) not in estimator.serves:
        served = ", ".join(sorted(kind.__name__ for kind in estimator.serves))
        raise ConfigError(
            f"estimator={estimator.name} is for networks that answer {served}, found task "
            f"{assembly.task.name!r} asking for {type(outputs).__name__}. Choose another estimator."
        )


def _check_foreseen(assembly: Assembly) -> None:
    """Raise ConfigError for what only trained networks tell, where none is trained."""
    for name, compressor in assembly.compressors.items():
        if assembly.estimator.predicts and not getattr(compressor, "foreseen", True):
            raise ConfigError(
                f"compressor.{name}: how far it goes depends on trained weights (max_drop, or "
                f"sensitivity), found estimator={assembly.estimator.name}, which trains none. Ask "
                "for ratios, or choose another estimator."
            )


def _check_metrics(assembly: Assembly) -> None:
    """Raise ConfigError for a metric that the task, or a predicting estimator, does not know."""
    task, estimator = assembly.task, assembly.estimator
    known = task.figures(assembly.facts)
    for target in assembly.targets:
        if target.objective.needs_answers and estimator.predicts:
            raise ConfigError(
                f"objective.{target.name} judges what a trained file answers, but estimator "
                f"{estimator.name!r} predicts without one. Leave it out, or choose another."
            )
        if not isinstance(target.objective, MetricObjective):
            continue
        if target.objective.read not in known:
            raise ConfigError(
                f"objective.{target.name}: task {task.name!r} is judged by {', '.join(known)}, "
                f"not by {target.objective.read}. "
                f"Leave it out (~objective.{target.name}), or choose another task."
            )
        if estimator.predicts and target.name != task.leading.name:
            raise ConfigError(
                f"objective.{target.name}: estimator {estimator.name!r} predicts "
                f"{task.leading.name} alone. Leave it out, or choose another estimator."
            )


def _check_asked(assembly: Assembly) -> None:
    """Raise ConfigError for an objective of the estimator's that waits for a training."""
    for name, objective in assembly.asked.items():
        if objective.tier != "static":
            raise ConfigError(
                f"estimator {assembly.estimator.name!r} asks {name!r}, which is known only of a "
                f"candidate that is {objective.tier}, expected an objective of the untrained "
                "network, such as naswot, synflow, zen, zico, params or macs."
            )


def _check_tables(assembly: Assembly) -> None:
    """Raise ConfigError for files of which a latency table knows nothing."""
    first, targets = next(iter(assembly.devices)), assembly.targets
    reading = [target.name for target in targets if target.objective.table is not None]
    elsewhere = [t for t in targets if t.objective.table is not None and t.device != first]
    if elsewhere:
        raise ConfigError(
            f"objective.{elsewhere[0].name}.source=table knows the first device, {first!r}, found "
            f"{elsewhere[0].device!r}. Name that one first, or measure (source=device)."
        )
    kinds = assembly.compressors.items()
    changing = [name for name, made in kinds if isinstance(made, ArtifactCompressor)]
    if reading and changing:
        raise ConfigError(
            f"objective.{reading[0]}.source=table knows float files only, found "
            f"compressor.{changing[0]}. Leave that out (~compressor.{changing[0]}), or measure "
            f"(objective.{reading[0]}.source=device)."
        )
    if reading and any(len(found) > 1 for found in assembly.runtimes.values()):
        raise ConfigError(
            f"objective.{reading[0]}.source=table knows one runtime, found several. Say "
            f"objective.{reading[0]}.source=device, or one runtime."
        )


def _check_beyond(assembly: Assembly) -> None:
    """Raise ConfigError for a compressor whose device is there, but asked by no objective."""
    asked = frozenset[str]().union(*_formats_of(assembly, assembly.deployed))
    for key in assembly.runtimes.keys() - assembly.deployed.keys():
        formats = frozenset[str]().union(*_formats_of(assembly, [key]))
        for name, made in assembly.compressors.items():
            if not made.requires & asked and made.requires & formats:
                raise ConfigError(
                    f"compressor {name!r} changes files of device {key!r}, which no objective "
                    f"asks. Ask it (objective=[…,latency_ms@{key}]), or leave the compressor out "
                    f"(~compressor.{name})."
                )


def _formats_of(assembly: Assembly, keys: Iterable[str]) -> list[frozenset[str]]:
    return [device.formats for key in keys for device in assembly.runtimes[key].values()]


def _check_preset(config: StudyConfig, plugins: Plugins) -> None:
    """Before the space is made, as its constructor may look the preset up."""
    preset = config.space.options.get("preset")
    known = plugins.resolve("space", config.space.name).presets
    if preset is not None and preset not in known:
        name = config.space.name
        text = closest(str(preset), known)
        raise ConfigError(f"space.preset: {name} has no {preset!r}; {text}")


def draw(assembly: Assembly, trial: Trial) -> Genotype:
    """One genotype: the architecture, the task's head and how both are compressed."""
    plain = draw_plain(assembly.space, assembly.task, trial)
    steps = assembly.compression.draw(trial)
    return replace(plain, compression=steps, runtime=assembly.compression.runtime_of(steps))


def excess(values: Mapping[str, float], targets: Sequence[Target]) -> dict[str, float]:
    """By how much each broken budget is broken, in the objective's unit."""
    broken = {}
    for target in targets:
        value = values.get(target.name)
        low, high = target.config.min, target.config.max
        if value is not None and high is not None and value > high:
            broken[target.name] = value - high
        elif value is not None and low is not None and value < low:
            broken[target.name] = low - value
    return broken
