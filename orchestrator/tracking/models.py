"""Finalists as versions of a registered model, with signature and input example."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Registry", "save_onnx"]


class Registry:
    """Writes model versions through an `MlflowClient`; MLflow's global store is never asked."""

    def __init__(self, client: Any, experiment: str) -> None:
        self.client = client
        self.experiment = experiment

    def register(self, name: str, run_id: str, finalist: Mapping[str, Any], title: str) -> None:
        """One version a run, however often its search is resumed; picks become aliases."""
        if self.client.search_model_versions(f"run_id = '{run_id}'"):
            return
        model = self._logged(run_id, finalist)
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(
                name, description="Recommended finalists of searches, as ONNX files."
            )
        version = self.client.create_model_version(
            name,
            # "models:/ID" would be looked up in the global store.
            source=model.artifact_location,
            run_id=run_id,
            model_id=model.model_id,
            tags={"candidate": str(finalist["id"])},
            description=title,
        )
        for pick in finalist["picks"]:
            alias = re.sub(r"[^a-z0-9]+", "-", str(pick).lower()).strip("-")
            self.client.set_registered_model_alias(name, alias, version.version)

    def _logged(self, run_id: str, finalist: Mapping[str, Any]) -> Any:
        from mlflow.entities import LoggedModelOutput

        model = self.client.create_logged_model(
            self.experiment, name=str(finalist["id"]), source_run_id=run_id, model_type="onnx"
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            save_onnx(Path(finalist["file"]), path, run_id=run_id, model_id=model.model_id)
            self.client.log_model_artifacts(model.model_id, str(path))
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
        return model


def save_onnx(file: Path, path: Path, *, run_id: str, model_id: str) -> None:
    """An MLflow model folder; its example is one image of zeros in the file's input shape.

    Cost: one second, of which the import of MLflow's flavour is most.
    """
    import mlflow.onnx
    import numpy as np
    import onnx
    import onnxruntime
    from mlflow.models import Model, infer_signature

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    example = np.zeros(shape, np.float32)
    (logits,) = session.run(None, {entry.name: example})
    mlflow.onnx.save_model(
        onnx.load(file),
        path,
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        signature=infer_signature(example, logits),
        input_example=example,
        save_as_external_data=False,
        # Given, because MLflow would find them out by running the model in another process.
        pip_requirements=[f"onnx=={onnx.__version__}", f"onnxruntime=={onnxruntime.__version__}"],
    )
