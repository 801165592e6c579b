"""Finalists as versions of a registered model, with signature and input example."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.bundle import artifact_of, is_bundle, read_facts, start_of
from orchestrator.contracts import Artifact, Device
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.records import Finalist
from orchestrator.tracking.naming import clipped

__all__ = ["Registry", "owed"]


def owed(finalist: Finalist) -> dict[str, str]:
    """Tags that say whom a finalist's starting weights are owed to; none where it had none."""
    folder = Path(finalist.folder)
    if not is_bundle(folder):
        return {}
    start = start_of(read_facts(folder), folder)
    return {name: clipped(text) for name, text in start.labels.items()} if start else {}


class Registry:
    """Writes model versions through an `MlflowClient`; MLflow's global store is never asked."""

    def __init__(self, client: Any, experiment: str, devices: Sequence[Device]) -> None:
        self.client = client
        self.experiment = experiment
        self.devices = devices

    def register(self, name: str, run_id: str, finalist: Finalist, title: str) -> None:
        """A version of the file that leads, and of each other that suits a need; an alias a need.

        Once a run, however often its search is resumed. Nothing happens for a file for whose
        format no device has a flavour of MLflow.
        """
        if self.client.search_model_versions(f"run_id = '{run_id}'"):
            return
        for leading in (finalist, *_led_by_others(finalist)):
            self._version(name, run_id, leading, title)

    def _version(self, name: str, run_id: str, finalist: Finalist, title: str) -> None:
        """Of the file that leads."""
        model = self._logged(run_id, finalist)
        if model is None:
            return
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(
                name, description="Recommended finalists of searches, as their devices run them."
            )
        version = self.client.create_model_version(
            name,
            # "models:/ID" would be looked up in the global store.
            source=model.artifact_location,
            run_id=run_id,
            model_id=model.model_id,
            tags={"candidate": finalist.id, "file": Path(finalist.file).name, **owed(finalist)},
            description=title,
        )
        for pick in finalist.picks:
            alias = re.sub(r"[^a-z0-9]+", "-", str(pick).lower()).strip("-")
            self.client.set_registered_model_alias(name, alias, version.version)

    def _runtimes(self, finalist: Finalist) -> list[Device]:
        """Devices with a flavour, those first whose runtime the file that leads was made for."""
        named = {file.runtime for file in finalist.files if file.label == finalist.label}
        flavoured = [device for device in self.devices if device.mlflow_flavour]
        return sorted(flavoured, key=lambda device: device.name not in named)

    def _logged(self, run_id: str, finalist: Finalist) -> Any:
        """The model with its files; None where nobody has a flavour for them."""
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        artifact = _artifact(finalist)
        flavoured = [d for d in self._runtimes(finalist) if artifact.format in d.formats]
        if not flavoured:
            return None
        model = self.client.create_logged_model(
            self.experiment,
            name=finalist.id,
            source_run_id=run_id,
            model_type=flavoured[0].mlflow_flavour,
        )
        with WorkingFolder("models") as folder:
            path = folder / "model"
            told = Model(run_id=run_id, model_id=model.model_id, metadata=_recipe(finalist))
            flavoured[0].save_mlflow(artifact, path, told)
            self.client.log_model_artifacts(model.model_id, str(path))
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
        return model


def _led_by_others(finalist: Finalist) -> list[Finalist]:
    """The finalist as if another file led, for each that suits a need or leads on a device."""
    folder = Path(finalist.folder)
    return [
        replace(
            finalist,
            label=file.label,
            file=str(folder / Path(file.file).name),
            file_format=file.file_format,
            picks=file.picks,
        )
        for file in finalist.files
        if file.label != finalist.label
        and (file.picks or (file.recommended and file.label in finalist.leads.values()))
    ]


def _recipe(finalist: Finalist) -> dict[str, Any] | None:
    """How a file becomes the model's input, as `PixelRecipe` and `ImageFacts` read it."""
    folder = Path(finalist.folder)
    if not is_bundle(folder):
        return None
    facts = read_facts(folder)
    names = ("pixels", "mean", "deviation", "classes")
    return {name: facts[name] for name in names if facts.get(name)}


def _artifact(finalist: Finalist) -> Artifact:
    """The file that leads, with what lies beside it."""
    folder, file = Path(finalist.folder), Path(finalist.file)
    if finalist.label and is_bundle(folder):
        return artifact_of(read_facts(folder), finalist.label, folder)
    return Artifact(file, finalist.file_format or file.suffix[1:])
