"""A closed terminal, a search of failures alone, and what a search leaves open on the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.errors import DeviceError, OrchestratorError, RunError
from orchestrator.records import Finalist, Genotype, Record
from orchestrator.search.cluster import Cluster, Resources
from orchestrator.search.stopping import Stopping
from orchestrator.study.run_folder import RunFolder
from orchestrator.study.standstill import refuse_failure

# In a process of its own, since libraries that others have loaded here may take signals badly.
_HANGS_UP = """
import os, signal, sys, time
from orchestrator.search.stopping import Stopping
before = getattr(signal, sys.argv[1])
signal.signal(signal.SIGHUP, before)
with Stopping() as stopping:
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.2)
        print("goes on", end=" ")
    except KeyboardInterrupt:
        print("stops", end=" ")
print(stopping.asked, signal.getsignal(signal.SIGHUP) == before)
"""

# Of Ray's: it hears a signal when a result wakes it, and dies of a cancellation just then; it takes
# SIGTERM as it starts.
_STOPPED_AS_IT_ENDS = """
import os, signal, threading, time
import ray
from orchestrator.search.cluster import Cluster, Resources
from orchestrator.search.ends import cancel

@ray.remote(max_retries=0)
def work(common):
    time.sleep(0.6)
    return {}

with Cluster(Resources(concurrent=1)):
    common, heard = ray.put({}), 0
    ray.get(work.remote(common))
    for number in 4 * [signal.SIGINT, signal.SIGTERM]:
        reference = work.remote(common)
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        try:
            ray.wait([reference], timeout=1.0)
            time.sleep(0.05)
        except KeyboardInterrupt:
            heard += 1
            cancel([reference])
        time.sleep(0.02)
    print(heard)
"""


# In place of Ray's start stands what it does to SIGTERM.
_STOPPED_AS_RAY_STARTS = """
import os, signal, sys
from pathlib import Path
import ray
from orchestrator.search.cluster import Cluster, Resources

def starting(**arguments):
    folders.append(Path(arguments["_temp_dir"]))
    assert folders[0].exists()
    ray._private.utils.set_sigterm_handler(lambda *told: sys.exit(15))
    os.kill(os.getpid(), number)

number, folders = getattr(signal, sys.argv[1]), []
ray._private.utils.set_sigterm_handler = lambda handler: signal.signal(signal.SIGTERM, handler)
ray.is_initialized, ray.init, ray.shutdown = lambda: False, starting, lambda: None
before = signal.getsignal(number)
try:
    with Cluster(Resources()):
        print("it went on")
except KeyboardInterrupt:
    print("stopped", signal.getsignal(number) == before, folders[0].exists())
"""


def hung_up(before: str) -> str:
    command = [sys.executable, "-c", _HANGS_UP, before]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_closed_terminal_stops_a_search_like_ctrl_c() -> None:
    assert hung_up("SIG_DFL") == "stops True True"


def test_nohup_keeps_a_search_from_its_terminals_end() -> None:
    assert hung_up("SIG_IGN") == "goes on False True"


def test_a_signal_as_a_candidate_ends_is_heard() -> None:
    command = [sys.executable, "-c", _STOPPED_AS_IT_ENDS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["8"]), done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_ray_starts_is_heard_and_leaves_nothing(name: str) -> None:
    command = [sys.executable, "-c", _STOPPED_AS_RAY_STARTS, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped True False\n"), done.stderr


def test_what_fails_after_ctrl_c_is_ctrl_c() -> None:
    """A library made an error of its own of the interrupt."""
    with pytest.raises(KeyboardInterrupt) as caught, Stopping() as stopping:
        stopping.asked = True
        raise DeviceError("the measuring process died.")
    assert isinstance(caught.value.__cause__, DeviceError)
    with pytest.raises(DeviceError), Stopping():
        raise DeviceError("the measuring process died.")


def failed_study(reasons: list[str]) -> SimpleNamespace:
    genotype = Genotype("toy", "small", {"widths": [1]})
    records = [
        Record(number, genotype, "failed" if reason else "rejected", reason=reason)
        for number, reason in enumerate(reasons)
    ]
    home = SimpleNamespace(report=Path("runs/first/report.html"))
    return SimpleNamespace(records=records, summary="3 candidates.", home=home)


def test_a_search_of_failures_alone_says_the_commonest_reason() -> None:
    for stop in ("", "."):
        failed = failed_study([f"no kernel{stop}", f"no kernel{stop}", "too deep."])
        with pytest.raises(
            OrchestratorError, match=r"of 3 failed alike: no kernel\. Its"
        ) as caught:
            refuse_failure(failed, [])
    assert caught.value.exit_status == 1


def test_budgets_that_nothing_keeps_are_no_failure() -> None:
    refuse_failure(failed_study(["", ""]), [])
    good = Record(9, Genotype("toy", "small", {}), "feasible")
    refuse_failure(failed_study(["no kernel."]), [good])


@pytest.mark.parametrize("where", ["/etc", "../other/models/0", "models/../../other"])
@pytest.mark.parametrize("field", ["folder", "file"])
def test_finalists_that_lie_elsewhere_are_refused(tmp_path: Path, where: str, field: str) -> None:
    run = RunFolder(tmp_path)
    run.write_finalists([Finalist("0", **{field: where})])
    with pytest.raises(RunError, match="outside of the folder"):
        run.finalists()
    text = (tmp_path / "finalists.json").read_text()
    (tmp_path / "finalists.json").write_text(text.replace(json.dumps(where), '"models/0"'))
    assert getattr(run.finalists()[0], field) == "models/0"


@pytest.mark.slow
def test_nothing_listens_beyond_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Cluster(Resources(concurrent=1)):
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        found = [c for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"]
        hosts = {connection.laddr.ip.removeprefix("::ffff:") for connection in found}
        assert len(found) > 3 and hosts == {"127.0.0.1"}
        assert len(os.environ["RAY_AUTH_TOKEN"]) >= 64
        assert not (tmp_path / ".ray").exists()
