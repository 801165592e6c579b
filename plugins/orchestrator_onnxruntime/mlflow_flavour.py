"""An ONNX file as an MLflow model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["save_onnx"]


def save_onnx(file: Path, folder: Path, model: Any) -> None:
    """Fill `model`, an `mlflow.models.Model`, into `folder`; the example is one image of zeros.

    Cost: one second, of which the import of MLflow's flavour is most.
    """
    import mlflow.onnx
    import numpy as np
    import onnx
    import onnxruntime
    from mlflow.models import infer_signature

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    example = np.zeros(shape, np.float32)
    (logits,) = session.run(None, {entry.name: example})
    mlflow.onnx.save_model(
        onnx.load(file),
        folder,
        mlflow_model=model,
        signature=infer_signature(example, logits),
        input_example=example,
        save_as_external_data=False,
        # Given, because MLflow would find them out by running the model in another process.
        pip_requirements=[f"onnx=={onnx.__version__}", f"onnxruntime=={onnxruntime.__version__}"],
    )
