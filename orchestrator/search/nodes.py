"""Nodes of a Ray cluster, and which of them see a run's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

__all__ = ["blind_nodes", "here", "mark_of", "on_node", "sees_run"]

_PATIENCE_SECONDS = 60.0


def mark_of(folder: Path) -> str:
    """What tells a run's folder from another's at the same path on another machine."""
    try:
        return hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def sees_run(folder: Path, mark: str | None) -> bool:
    """Whether the folder is seen here, and is that of the mark; without one any folder will do."""
    return folder.is_dir() and mark in (None, mark_of(folder))


def blind_nodes(folder: Path) -> list[str]:
    """Names of the nodes that do not see a run's folder: it lies on another machine's own disk.

    One that does not answer is blind too. Cost: a worker's start on each node, some seconds.
    """
    nodes, mark = [node for node in ray.nodes() if node["Alive"]], mark_of(folder)
    asked = [
        _sees.options(scheduling_strategy=on_node(node["NodeID"])).remote(str(folder), mark)
        for node in nodes
    ]
    ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE_SECONDS)
    seen = [_answer(reference) for reference in asked]
    return [_named(node) for node, sees in zip(nodes, seen, strict=True) if not sees]


def here() -> str:
    """The node that this process belongs to."""
    return str(ray.get_runtime_context().get_node_id())


def on_node(node: str) -> Any:
    """A scheduling strategy: there, or not at all."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


@ray.remote(num_cpus=0, max_retries=0)  # type: ignore[untyped-decorator]
def _sees(folder: str, mark: str) -> bool:
    return sees_run(Path(folder), mark)


def _answer(reference: Any) -> bool:
    try:
        return bool(ray.get(reference, timeout=0.1))
    except RayError:
        return False


def _named(node: dict[str, Any]) -> str:
    parts: Sequence[str] = (node["NodeManagerHostname"], node["NodeManagerAddress"])
    return " at ".join(dict.fromkeys(parts))
