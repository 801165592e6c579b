"""The story, top to bottom: plan → teacher → search → finalists → result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.analysis.agreement import read_checks
from orchestrator.analysis.remeasured import Remeasured
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.former import as_it_began
from orchestrator.config import StudyConfig, flat_config
from orchestrator.contracts import Device
from orchestrator.data import check_pins, keep_pins
from orchestrator.errors import (
    DeviceError,
    Interrupted,
    OrchestratorError,
    RunError,
    disk_trouble,
)
from orchestrator.faults.masking import masked_values
from orchestrator.measuring.agent import usable_cores
from orchestrator.measuring.gate import host_gate
from orchestrator.plan.planning import Plan, make_plan
from orchestrator.plugins import installed
from orchestrator.report import ReportData, build_report
from orchestrator.search.address import check_address
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.latency_cache import caches_latencies
from orchestrator.search.nodes import mark_of
from orchestrator.search.proposer import read_records
from orchestrator.study.close_calls import settle
from orchestrator.study.earlier import Known, earlier_runs, keep_earlier
from orchestrator.study.moving import check_same_devices, moved
from orchestrator.study.phases import Phases, worker
from orchestrator.study.run_folder import RunFolder
from orchestrator.study.spending import left_of, told_left
from orchestrator.study.standstill import refuse_nothing
from orchestrator.study.study import Study, Viewer, notify
from orchestrator.tracking import Tracker

__all__ = ["left_to_take", "load", "plan_of", "resume", "run", "tracking_store", "write_report"]

_TRACKING_SECONDS = 90.0


def plan_of(config: StudyConfig) -> Plan:
    """Check a search without starting it; raises UsageError."""
    check_address(config.run.address)
    folder = Path(config.run.dir or ".").expanduser()
    if config.run.dir:
        RunFolder(folder).check_place()
    return _planned(Factory(config, folder, host_gate(), installed()))[0]


def run(config: StudyConfig, folder: Path, overrides: Sequence[str], viewer: Viewer) -> Study:
    """A whole search; raises UsageError before anything is paid for, Interrupted on Ctrl-C."""
    check_address(config.run.address)
    home = RunFolder(folder)
    with home.claimed():
        factory = Factory(config, folder, host_gate(), installed())
        config = factory.config
        plan, known = _planned(factory)
        viewer.plan(config, plan)
        home.start(config, plan, overrides, partial(keep_earlier, folder, known))
        keep_pins(folder, factory.assembly.dataset)
        study = Study(config, home, plan, factory.plugins, overrides)
        return _tell(study, factory, viewer)


def _planned(factory: Factory) -> tuple[Plan, Known]:
    """The plan, with what earlier runs tell among what it warns of; and what they know."""
    plan = make_plan(factory, _concurrent(factory.config))
    known = earlier_runs(factory, plan)
    return replace(plan, warnings=[*plan.warnings, *known.sentences]), known


def resume(folder: Path, viewer: Viewer, overrides: Sequence[str] = ()) -> Study:
    """Go on where a search stopped, from what its folder holds; raises RunError.

    `overrides` say where images and devices are now, and are kept (see `study.moving`).
    """
    home = RunFolder(folder)
    check_address(home.config().run.address)
    with home.held():
        study = load(folder)
        place = moved(study.config, overrides, study.plugins)
        study.config = place.config
        factory = Factory(study.config, folder, host_gate(), installed())
        changed = check_pins(folder, factory.assembly.dataset)
        if any(word.lstrip("+").startswith("device.") for word in overrides):
            check_same_devices(factory, study.plan)
        if overrides:
            home.keep_config(study.config)
        viewer.plan(study.config, study.plan)
        for text in (*place.notes, *changed, left_to_take(study)):
            if text:
                viewer.note(text)
        return _tell(study, factory, viewer)


def left_to_take(study: Study) -> str:
    """What a search that stopped has yet to take, in words; empty where nobody can say."""
    return told_left(left_of(study, _concurrent(study.config)))


def load(folder: Path) -> Study:
    """A study as its folder tells it; raises RunError."""
    home = RunFolder(folder)
    config, plan, overrides = home.config(), home.plan(), home.overrides()
    config = as_it_began(config, installed())
    home.check_roles(config, plan)
    records = read_records(home.journal)
    study = Study(config, home, plan, installed(), overrides, records, home.finalists())
    study.remeasured = Remeasured.read(folder)
    study.learn(read_checks(home.checks))
    return study


def write_report(study: Study) -> Path:
    """The tables and the HTML report of what is known; returns the report's path."""
    study.write_tables()
    searched = {axis.name for axis in study.axes}
    units = {name: unit for name, unit in study.units.items() if name not in searched}
    data = ReportData(
        title=study.name,
        summary=" ".join(filter(None, (study.summary, study.remeasured.sentence))),
        # As they are read again, not as they were told: a sum of theirs rounds by its order.
        records=sorted(study.records, key=lambda record: record.number),
        axes=study.axes,
        reported=list(units.items()),
        finalists=study.finalists,
        checks=study.checks,
        correlations=study.correlations,
        outlook=study.outlook,
        plan=masked_values(flat_config(study.config)),
        command=study.command,
        leading=study.leading,
        start=study.start,
        findings=study.findings,
        warnings=study.plan.warnings,
        images=study.plan.data,
        strips=study.plan.strips,
        environment={**study.plan.facts, **_versions(study.home.environment())},
    )
    build_report(study.home.report, data)
    return study.home.report


def tracking_store(folder: Path) -> Path:
    """MLflow's database where no server is configured: beside the runs, so that they share it."""
    return folder.resolve().parent / "mlflow.db"


def _tell(study: Study, factory: Factory, viewer: Viewer) -> Study:
    """The story itself; whoever calls it holds the folder against other processes."""
    plugins = factory.plugins
    store, devices = tracking_store(study.folder), factory.assembly.deployed
    runtimes = list(factory.assembly.measured.values())
    tracker = Tracker(study.config.tracking, store, viewer.note, runtimes)
    plugins.manager.register(tracker, name="tracking")
    try:
        with Cluster(_resources(study.config)) as cluster:
            common: dict[str, Any] = {
                # Ray keeps what it is given in files of its own.
                "config": json.dumps(masked_values(flat_config(study.config))),
                "folder": str(study.folder.resolve()),
                "mark": mark_of(study.folder),
                "latency_cache": caches_latencies(),
            }
            _find_home(cluster, study, viewer)
            _start_meters(cluster, common, study, devices)
            common["meters"] = cluster.meters
            phases = Phases(study, factory, viewer, cluster, common)
            phases.begin()
            phases.teach()
            phases.adapt()
            phases.prepare()
            phases.search()
            phases.check()
            settle(phases)
            phases.finish()
        write_report(study)
        notify(plugins, viewer, "orchestrator_search_finished", study=study, front=study.front)
        viewer.result(study)
    except KeyboardInterrupt:
        _leave(study)
        raise Interrupted(
            f"stopped; everything known is in {study.folder}. Go on with: "
            f"python -m orchestrator resume {study.folder}"
        ) from None
    except DeviceError as error:
        _leave(study)
        raise DeviceError(
            f"{error}\nEverything known is in {study.folder}; once the device answers, go on with: "
            f"python -m orchestrator resume {study.folder}"
        ) from error
    except OrchestratorError:
        _leave(study)
        raise
    except Exception as error:
        if (trouble := disk_trouble(error)) is None:
            raise
        raise RunError(
            f"{trouble.filename or study.folder} cannot be written: {trouble.strerror}. What was "
            "told before is kept; free some disk space, then python -m orchestrator resume "
            f"{study.folder}"
        ) from error
    finally:
        tracker.close(_TRACKING_SECONDS)
        plugins.manager.unregister(name="tracking")
    refuse_nothing(study)
    return study


def _leave(study: Study) -> None:
    """Write what is known before a search ends early; why it does is what its user has to hear."""
    with suppress(OSError, RunError):  # the disk may be what is wrong
        write_report(study)


def _find_home(cluster: Cluster, study: Study, viewer: Viewer) -> None:
    """Say what it means where a cluster's nodes do not share the run's folder."""
    if blind := cluster.find_home(study.folder.resolve()):
        viewer.note(
            f"run.dir={study.folder} is not seen from {', '.join(blind)}. Candidates run there all "
            "the same, unless they need a teacher, starting or shared weights, which lie in it; "
            "teacher, checks and finalists run here. On storage that nodes share, all would spread."
        )


def _start_meters(
    cluster: Cluster, common: Mapping[str, Any], study: Study, devices: Mapping[str, Device]
) -> None:
    """One for each place, however many devices are there."""
    places: dict[str, list[str]] = {}
    for name, device in devices.items():
        places.setdefault(device.place_name, []).append(name)
    for names in places.values():
        job = Job(worker("measuring_devices"), common)
        cluster.start_meter(job, names, study.plan.reference_ms)


def _concurrent(config: StudyConfig) -> int:
    """Candidates at once: as configured, or as many as the cores this process may use."""
    return config.budget.concurrent or max(1, usable_cores() // config.train.threads)


def _resources(config: StudyConfig) -> Resources:
    return Resources(
        concurrent=_concurrent(config),
        threads=config.train.threads,
        devices=tuple(config.device),
        address=config.run.address,
    )


def _versions(environment: Mapping[str, str]) -> dict[str, str]:
    shown = ("python", "system", "pareto-orchestrator", "torch", "optuna", "ray")
    return {name: environment[name] for name in shown if name in environment}
