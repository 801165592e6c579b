"""A search that never ran: its records, axes and finalists look like those of a real one."""

from __future__ import annotations

import dataclasses
import math
import random

from orchestrator.analysis.pareto import front, picks, spread
from orchestrator.contracts.objective import Axis
from orchestrator.records import Finalist, Genotype, Latency, Record, ShippedFile
from orchestrator.report import ReportData

AXES = (
    Axis("accuracy", "share", "maximize", reference=0.5),
    Axis("latency_ms", "ms", "minimize", reference=12.0, max=6.0),
    Axis("size_bytes", "bytes", "minimize", reference=2.4e6, max=1.5e6),
    Axis("macs", "MACs", "minimize", reference=6e7),
)
REPORTED = (("params", "parameters"), ("memory_bytes", "bytes"))
TRACEBACK = """Traceback (most recent call last):
  File "orchestrator/evaluation.py", line 212, in _compiled
    return device.compile(network, example, path)
  File "orchestrator_devices/onnx.py", line 88, in compile
    raise CompileError(f"{error}") from error
orchestrator.errors.CompileError: <Attention> at 'phases.3.blocks.1' has no kernel & cannot run
"""


def answers(draw):
    """Choices with a conditional part: what a stage of attention and pruning ask for."""
    found = {
        "width": draw.choice([0.5, 0.75, 1.0, 1.25]),
        "resolution": draw.choice([24, 32, 48]),
        "phases.2.kernel": draw.choice([3, 5, 7]),
        "phases.3.operator": draw.choice(["mbconv", "attention", "ghost"]),
    }
    for stage in range(1, 5):
        found[f"phases.{stage}.depth"] = draw.randint(1, 4)
    if found["phases.3.operator"] == "attention":
        found["phases.3.heads"] = draw.choice([2, 4, 8])
    if draw.random() < 0.7:
        found["pruning.ratio"] = round(draw.uniform(0.1, 0.6), 3)
    found["quantization.bits"] = draw.choice(["fp32", "int8 static", "int8 dynamic"])
    return found


def values_of(choices, draw):
    depth = sum(choices[f"phases.{stage}.depth"] for stage in range(1, 5))
    kept = 1 - choices.get("pruning.ratio", 0.0)
    params = 9e4 * choices["width"] ** 2 * depth * kept
    macs = 4e6 * choices["width"] ** 2 * depth * kept * (choices["resolution"] / 32) ** 2
    attention = choices["phases.3.operator"] == "attention"
    latency = 0.4 + macs / 6e6 * (1.5 if attention else 1.0) * draw.uniform(0.9, 1.1)
    bytes_each = 4 if choices["quantization.bits"] == "fp32" else 1.08
    quality = math.log10(params) - 5 + 0.4 * math.log(choices["resolution"] / 24)
    loss = 0.34 * math.exp(-0.9 * quality) - 0.03 * attention + draw.uniform(-0.015, 0.015)
    return {
        "accuracy": min(0.989, 0.985 - max(loss, 0.0)),
        "latency_ms": latency,
        "size_bytes": params * bytes_each + 9000,
        "macs": float(round(macs)),
        "params": float(round(params)),
        "memory_bytes": macs / 9,
    }


def record_of(number, draw):
    choices = answers(draw)
    genotype = Genotype("efficientformer", "small", choices)
    values = values_of(choices, draw)
    curve = [values["accuracy"] * (1 - math.exp(-0.55 * (e + 1))) for e in range(10)]
    common = {"choices": choices, "finished_at": 1.7e9 + 41 * number + draw.random() * 30}
    common["origin"] = "published: l1" if number < 3 else "sampler"
    common["extra"] = {"latency_low_ms": values["latency_ms"] * 0.97, "epochs": 10}
    over = {a.name: values[a.name] - a.max for a in AXES if a.max and values[a.name] > a.max}
    if over:
        early = {name: v for name, v in values.items() if name != "accuracy"}
        common |= {"values": early, "violations": over, "seconds": 1.2}
        return Record(number, genotype, "rejected", **common)
    if number % 9 == 5:
        common |= {"values": values, "curve": tuple(curve[:5]), "seconds": 31.0}
        reason = "3 candidates that are no worse elsewhere were more accurate after epoch 5"
        return Record(number, genotype, "stopped", reason=reason, **common)
    if number % 13 == 7:
        common |= {"step": "compile", "error": TRACEBACK, "seconds": 12.0}
        return Record(number, genotype, "failed", **common)
    common |= {"values": values, "curve": tuple(curve), "seconds": 64.0 + draw.random() * 20}
    return Record(number, genotype, "feasible", **common)


def finalist_of(record, needs, *, recommended):
    values = record.values
    faster = 1.0 if "int8" in record.choices["quantization.bits"] else 0.99
    return Finalist(
        id=record.id,
        number=record.number,
        name=f"Candidate {record.number}",
        picks=tuple(needs),
        figures={
            "test_accuracy": values["accuracy"] - 0.006,
            "test_accuracy_fp32": values["accuracy"] - 0.002,
            "latency_ms": values["latency_ms"] * faster,
            "latency_fp32_ms": values["latency_ms"] * (1.02 if needs[:1] == ["knee"] else 1.9),
            "size_bytes": values["size_bytes"],
            "size_fp32_bytes": values["params"] * 4 / (1 - record.choices.get("pruning.ratio", 0)),
            "params": values["params"],
            "macs": values["macs"],
        },
        marks=() if recommended else ("smaller, not faster",),
        recommended=recommended,
        verified=True,
        folder=f"models/{record.id}",
    )


def study(count=40, *, seed=1, finalists=4):
    """A whole search with `count` candidates of all outcomes."""
    draw = random.Random(seed)
    records = [record_of(number, draw) for number in range(count)]
    feasible = [record for record in records if record.outcome == "feasible"]
    points = [record.values for record in feasible]
    needs: dict[int, list[str]] = {}
    for need, index in picks(points, AXES).items():
        needs.setdefault(index, []).append(need)
    shipped = [
        finalist_of(feasible[i], needs.get(i, []), recommended=i in needs and place < 2)
        for place, i in enumerate(spread(points, AXES, finalists))
    ]
    best = shipped[0].name if shipped else "No candidate"
    return ReportData(
        title="efficientformer on digits",
        summary=f"{best} is recommended: the most accurate within 6 ms and 1.5 MB. "
        f"{len(front(points, AXES))} of {count} candidates are on the front.",
        records=records,
        axes=AXES,
        reported=REPORTED,
        finalists=shipped,
        plan={
            "seed": 0,
            "space": {"name": "efficientformer", "preset": "small", "size": "2.1e9"},
            "dataset": {"name": "digits", "classes": 10, "image size": 32},
            "device": {"name": "onnxruntime", "threads": 1},
            "train": {"epochs": 10, "final_epochs": 30, "early_stop": {"after": 0.5, "rivals": 2}},
            "budget": {"candidates": 40, "minutes": None},
            "compressors": ["distillation", "pruning", "quantization"],
        },
        command="python -m orchestrator +search=efficientformer objective.latency.max_ms=6",
        environment={"python": "3.11.7", "torch": "2.13.0", "processor": "x86_64, 2 cores"},
    )


TIMED = Latency(0.4, 0.5, 0.41, 0.45, 0.9, 60, low_ratio=0.49, high_ratio=0.52)
INT8 = ShippedFile(
    "openvino.int8",
    "openvino",
    "models/a/model.openvino.xml",
    "openvino",
    4321,
    steps=("pruning", "quantization"),
    agreement=0.991,
    latencies={"here": TIMED},
    marks=("quantization cost 2.3 points of accuracy",),
    recommended=True,
    verified=True,
    picks=("lowest latency_ms",),
    reached=0.95,
    before="fp32",
    macs=2.5e6,
)
FLOAT = dataclasses.replace(INT8, label="fp32", runtime="onnxruntime", steps=("pruning",))
FLOAT = dataclasses.replace(FLOAT, agreement=None, picks=(), marks=(), recommended=False)


def with_files(data: ReportData) -> ReportData:
    """The search, its first finalist with two files, every third candidate on OpenVINO."""
    first = next(r for r in data.records if r.outcome == "feasible")
    file = dataclasses.replace(INT8, number=first.number)
    figures = {"test_accuracy": 0.95, "test_images": 400, "latency_ms": 0.4, "size_bytes": 4321}
    entry = Finalist("0001-a", figures=figures, files=(FLOAT, file), label="openvino.int8")
    plan = {**data.plan, "device": {"here": {"name": "onnxruntime"}}}
    records = [_on(record, "openvino" if record.number % 3 else "") for record in data.records]
    return dataclasses.replace(data, finalists=[entry], plan=plan, records=records)


def _on(record: Record, runtime: str) -> Record:
    genotype = dataclasses.replace(record.genotype, runtime=runtime)
    return dataclasses.replace(record, genotype=genotype)
