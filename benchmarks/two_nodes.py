"""Two Ray nodes on this machine's loopback: how candidates spread, and what the death of one costs.

    python benchmarks/two_nodes.py [--candidates 40] [--seconds 2]

Two raylets with temporary folders of their own, each of two processors by its own word; evaluations
sleep, as those that train elsewhere do, so that a machine with fewer cores shows what the search
itself adds. Once with the first node alone and once with both; then once more, and the second node
is killed with candidates on it. An evaluation writes down its process and when it began and ended.

apart   measurements, each with the host's gate, that overlap on either node: there must be none
lost    candidates of the last search that have no record in the end, or a failed one
twice   those with two finished evaluations
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from kill_resume import figures, made, points, prepare


def evaluate(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Sleeps with the gate shared, then a moment with the gate alone, like one that is measured."""
    import ray

    from orchestrator import Genotype, Record
    from orchestrator.measuring.gate import host_gate

    began, gate = time.time(), host_gate()
    with gate.shared():
        time.sleep(payload["seconds"])
    with gate.exclusive():
        alone = time.time()
        time.sleep(0.02)
        alone_until = time.time()
    genotype = Genotype.from_json(payload["genotype"])
    node = ray.get_runtime_context().get_node_id()
    told = [payload["number"], genotype.key, node, began, alone, alone_until]
    ledger = os.open(Path(payload["folder"]) / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(ledger, (json.dumps(told) + "\n").encode())
    os.close(ledger)
    return Record(
        payload["number"],
        genotype,
        "feasible",
        figures(genotype.architecture),
        payload["choices"],
        origin=payload["origin"],
    ).to_json()


def started(folder: Path) -> Any:
    """A cluster of one node of this machine, which nothing outside of it can reach."""
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    join(nodes, folder / "a")
    return nodes


def join(nodes: Any, folder: Path) -> None:
    """One more node, with a temporary folder of its own."""
    nodes.add_node(
        num_cpus=2, temp_dir=str(folder), node_ip_address="127.0.0.1", include_dashboard=False
    )


def searched(nodes: Any, folder: Path, work: tuple[int, float], concurrent: int) -> float:
    """Seconds of a whole search of so many candidates, each of so many seconds."""
    from orchestrator.search.cluster import Cluster, Job, Resources
    from orchestrator.search.loop import Callbacks, Limits, search

    candidates, seconds = work
    folder.mkdir()
    resources = Resources(concurrent=concurrent, address=nodes.address)
    with Cluster(resources) as cluster:
        proposer = made(folder, points(candidates))
        job = Job("two_nodes:evaluate", {"folder": str(folder), "seconds": seconds})
        warm(job, cluster, concurrent)
        start = time.monotonic()
        search(proposer, job, cluster.resources, Limits(candidates), Callbacks(lambda _: None))
        return time.monotonic() - start


def warm(job: Any, cluster: Any, concurrent: int) -> None:
    """Start the workers, which takes seconds and is paid once a search however long it is."""
    from orchestrator.search.cluster import Job

    sleep = Job("two_nodes:pause", {})
    for _ in cluster.map(sleep, [{"seconds": 1.0}] * concurrent):
        pass


def pause(payload: Mapping[str, Any]) -> dict[str, Any]:
    import orchestrator  # noqa: F401 (what an evaluation imports)

    time.sleep(payload["seconds"])
    return {}


def ledger(folder: Path) -> list[list[Any]]:
    try:
        return [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]
    except FileNotFoundError:
        return []


def overlaps(lines: list[list[Any]]) -> int:
    """Measurements that began before the last one ended."""
    spans = sorted((line[4], line[5]) for line in lines)
    return sum(second[0] < first[1] for first, second in pairwise(spans))


def kill_second(nodes: Any, folder: Path, after: int) -> threading.Thread:
    """End the second node's raylet with -9 once so many candidates are evaluated."""

    def wait() -> None:
        while len(ledger(folder)) < after:
            time.sleep(0.05)
        (node,) = nodes.worker_nodes
        for kind, processes in node.all_processes.items():
            for process in processes:
                if kind == "raylet":
                    os.kill(process.process.pid, signal.SIGKILL)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def show_killed(folder: Path, candidates: int) -> None:
    from orchestrator.search.proposer import read_records

    lines, records = ledger(folder), read_records(folder / "study.journal")
    outcomes = Counter(record.outcome for record in records)
    lost = candidates - outcomes["feasible"]
    twice = sum(count > 1 for count in Counter(key for _, key, *_ in lines).values())
    print(f"one node killed: {dict(outcomes)}, lost {lost}, twice {twice}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    prepare()
    work = arguments.candidates, arguments.seconds
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="n") as name:
        folder = Path(name)
        nodes = started(folder)
        one = searched(nodes, folder / "one", work, 2)
        join(nodes, folder / "b")
        both = searched(nodes, folder / "both", work, 4)
        spread = Counter(line[2] for line in ledger(folder / "both"))
        print(f"{work[0]} candidates of {work[1]:g} s")
        print(f"one node {one:.1f} s, both {both:.1f} s: {one / both:.2f} times")
        shares = sorted(spread.values())
        print(f"spread {shares}, measurements that overlap {overlaps(ledger(folder / 'both'))}")
        killer = kill_second(nodes, folder / "killed", arguments.candidates // 3)
        searched(nodes, folder / "killed", work, 4)
        killer.join()
        show_killed(folder / "killed", arguments.candidates)
        nodes.shutdown()


if __name__ == "__main__":
    main()
