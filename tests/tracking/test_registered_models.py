"""Files of finalists as versions of a registered model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tracked import RECORDS, runs, track

from orchestrator import Artifact, Classes, ImageFacts, PixelRecipe
from orchestrator.bundle import BundleContents, write_bundle
from orchestrator.plugins import installed
from orchestrator.records import Credit, Finalist, Genotype, ShippedFile
from orchestrator.trials import RandomTrial


def test_a_recommended_finalist_becomes_a_model_version(store, search) -> None:
    from mlflow import MlflowClient

    folder = search.folder / "models" / "0000"
    folder.mkdir(parents=True)
    write_bundle(folder, _bundle())
    finalist = Finalist(
        id=RECORDS[0].id,
        picks=("most accurate",),
        recommended=True,
        folder=str(folder),
        figures={"accuracy": 0.88, "mark": "text"},
        file=str(_onnx_file(folder / "model.onnx")),
    )
    search.finalists.append(finalist)
    track(store, search, RECORDS[:1])
    track(store, search, [])
    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    (version,) = client.search_model_versions("name = 'tiny-digits'")
    run = runs(store)[1][0]
    assert version.run_id == run.info.run_id and run.data.metrics["final_accuracy"] == 0.88
    owed = {"weights_licence": "unknown", "weights_sha256": CREDIT.sha256}
    for tags in (version.tags, run.data.tags):
        assert owed.items() <= tags.items() and tags["weights"] == "toy/t1"
    alias = client.get_model_version_by_alias("tiny-digits", "most-accurate")
    assert alias.run_id == version.run_id
    written = Path(version.source.removeprefix("file://"))
    assert "signature" in (written / "MLmodel").read_text()
    assert (written / "input_example.json").is_file()


def test_each_file_that_suits_a_need_is_a_version_and_tells_its_figures(store, search) -> None:
    from mlflow import MlflowClient

    folder = search.folder / "models" / "0000"
    folder.mkdir(parents=True)
    paths = {
        label: _onnx_file(folder / f"{label}.onnx") for label in ("fp32", "int8", "pi.fp32", "slow")
    }
    needs = {"fp32": ("most accurate",), "int8": ("lowest latency_ms",), "pi.fp32": (), "slow": ()}
    files = tuple(
        ShippedFile(
            n,
            "onnxruntime",
            f"models/0000/{p.name}",
            "onnx",
            9,
            picks=needs[n],
            reached=0.5,
            recommended=True,
        )
        for n, p in paths.items()
    )
    artifacts = {label: Artifact(path, "onnx") for label, path in paths.items()}
    write_bundle(folder, replace(_bundle(), artifacts=artifacts, recommended="fp32"))
    led = {"file": str(paths["fp32"]), "label": "fp32", "picks": needs["fp32"], "files": files}
    leads = {"here": "fp32", "pi": "pi.fp32"}
    finalist = Finalist(RECORDS[0].id, recommended=True, folder=str(folder), leads=leads, **led)
    search.finalists.append(finalist)
    track(store, search, RECORDS[:1])
    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    versions = client.search_model_versions("name = 'tiny-digits'")
    assert {v.tags["file"] for v in versions} == {"fp32.onnx", "int8.onnx", "pi.fp32.onnx"}
    fast = client.get_model_version_by_alias("tiny-digits", "lowest-latency-ms")
    assert fast.tags["file"] == "int8.onnx"
    from mlflow.models import Model

    told = Model.load(f"{fast.source.removeprefix('file://')}/MLmodel").metadata
    assert PixelRecipe.from_json(told["pixels"]) == PixelRecipe(16, 3, (0, 4095))
    assert told["mean"] == [0.5] * 3 and told["classes"] == ["0", "1"]
    run = runs(store)[1][0]
    assert run.data.metrics["final_test/int8"] == 0.5
    assert run.data.tags["picks.int8"] == "lowest latency_ms"
    assert run.data.tags["file.pi"] == "pi.fp32"


CREDIT = Credit("toy/t1", "hf://toys/toy/t1.pth", "ab" * 32, "unknown", "Somebody", "data", "t")


def _bundle() -> BundleContents:
    """The smallest network of a space, as if it had started from trained weights."""
    facts = ImageFacts.unnamed(16, classes=2)
    space = installed().create("space", "squeezenet", {})
    architecture = space.suggest(RandomTrial(0))
    network = space.build(architecture, facts, Classes(2))
    genotype = Genotype("squeezenet", "small", architecture)
    recipe = PixelRecipe(16, 3, (0, 4095))
    return BundleContents(genotype, network, facts, start=CREDIT, pixels=recipe)


def _onnx_file(path: Path) -> Path:
    """(B, 3, 8, 8) → (B, 4)."""
    weights = numpy_helper.from_array(np.ones((192, 4), np.float32), "weights")
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4]),
    ]
    graph = helper.make_graph(nodes, "linear", ends[:1], ends[1:], [weights])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path
    )
    return path
