"""Times networks where they run: one file of the standard library, of Python 3.8 or later.

The file works alone. Copied to another machine beside a runtime's loader, and started there with
its standard input and output as the line to whoever asks, it measures as it does here. Each
request is one line of JSON, and so is its answer:

    {"op": "open", "loader": "loader.py", "options": {…}}   → {"answer": {"processor": …}}
    {"op": "open", "loader": "other.py", "options": {…}, "name": "other"}
    {"op": "time", "files": ["a", "b"], "rounds": 60, "loaders": ["", "other"]}
    {"op": "time", "files": ["a", "b"], "rounds": 60}       → {"answer": [{"low_ms": …}, …]}
    {"op": "throughput", "files": ["a", "b"], "rounds": 20,
     "shape": [32, 3, 64, 64], "options": {"threads": 2}}   → {"answer": [{"low_ms": …}, …]}
    {"op": "peak_memory", "files": ["a"]}                   → {"answer": {"value": 1234567, …}}
    {"op": "energy", "files": ["a"]}                        → {"answer": {"value": 0.012, …}}
                                           what went wrong  → {"error": "…", "file": 1 or null,
                                                               "missing": "a module" or null}

Several loaders may be open, each under a name; each of the "loaders" of a request is that of the
file at its place, all of them the one without a name if none are said. A loader is a file with
`facts(options)`, texts that a latency depends on, and `load(path, options)`, an object whose
`run()` does one batch-1 inference, everything loaded, and whose `predict(images)` answers float32
(N, C, H, W).

The protocol: noise drifts over seconds (host, frequency, neighbours), so what is compared is run
in turn, and each gets the minimum over the rounds. The turn before leaves the caches full of
another's weights, which makes a small network up to 1.8 times slower among eight others than
alone; so each turn begins with calls that are not timed. One is too few: a float network of 0.1 ms
stays 3 to 13 % slower beside its int8 file than without it, against 0 to 4 % after a millisecond
of calls. On a noisy two-core machine this repeats within 2 %, a sequential mean within 25 to 75 %.

Where a file lies in memory decides too: of files of 0.1 to 0.3 ms, loaded once, sessions differ by
0.3 to 0.6 % (standard deviation), loaded anew by 0.8 to 1.8 %, in another process by no more. So
all are loaded anew twice among the rounds. Twelve in turn take 0.5 to 0.9 % longer than six.
"""

from __future__ import annotations

import glob
import importlib
import importlib.util
import json
import math
import os
import platform
import queue
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

__all__ = ["PROTOCOL", "Timing", "energy_counters", "interleave", "joules"]
__all__ += ["machine", "serve", "usable_cores", "weigh"]

# Figures of two versions of the protocol are not compared; it rises with any change of them.
PROTOCOL = 4
# Into so many runs of consecutive rounds the rounds are split, to see how far a minimum wanders.
_PARTS = 6
# How often a file is loaded in a session; a divisor of the above, so that each run is of one load.
_LOADS = 3
# Rounds after loading that do not count.
_WARMUPS = 2
# Calls before the one that is timed: at least one, and so many as this takes.
_WARM_NS = 1_000_000


@dataclass(frozen=True)
class Timing:
    """Wall-clock times of one function over the rounds, milliseconds.

    `parts_ms` are the minima of six runs of consecutive rounds, or of each round if there are
    fewer: noise drifts, so neighbouring rounds see the same of it.
    """

    low_ms: float
    median_ms: float
    high_ms: float
    runs: int
    parts_ms: Sequence[float] = ()


def interleave(
    functions: Sequence[Callable[[], object]], *, rounds: int = 60, warmups: int = 4
) -> list[Timing]:
    """Time `functions` in turn, in the caller's thread.

    Each round calls each until a millisecond has passed, at least once, and times the next call;
    the first `warmups` do not count. Cost: (rounds + warmups) × the sum of these two.
    """
    return _timed([partial(partial, function) for function in functions], rounds, warmups, loads=1)


def _timed(
    makers: Sequence[Callable[[], Callable[[], object]]],
    rounds: int,
    warmups: int = _WARMUPS,
    loads: int = _LOADS,
) -> list[Timing]:
    """As `interleave`, of what makers load, `loads` times in all, among the rounds."""
    samples: list[list[float]] = [[] for _ in makers]
    loaded: dict[int, Callable[[], object]] = {}
    loads = min(loads, rounds)
    for load in range(loads):
        for number, make in enumerate(makers):
            loaded[number] = make()  # the one before lives until then, or it would lie in its place
        for turn in range(-warmups, rounds * (load + 1) // loads - rounds * load // loads):
            for number, function in loaded.items():
                _warm(function)
                start = time.perf_counter_ns()
                function()
                elapsed_ms = (time.perf_counter_ns() - start) / 1e6
                if turn >= 0:
                    samples[number].append(elapsed_ms)
    return [_summary(times) for times in samples]


def _warm(function: Callable[[], object]) -> None:
    """Call it until the caches hold what it needs, as they would if it ran alone."""
    end = time.perf_counter_ns() + _WARM_NS
    function()
    while time.perf_counter_ns() < end:
        function()


def _summary(times: list[float]) -> Timing:
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Timing(ordered[0], statistics.median(ordered), high, len(ordered), _minima(times))


def _minima(times: list[float]) -> list[float]:
    parts = min(_PARTS, len(times))
    ends = [len(times) * part // parts for part in range(parts + 1)]
    return [min(times[start:end]) for start, end in zip(ends, ends[1:])]  # noqa: B905, RUF007


def machine() -> dict[str, str]:
    """What of this machine a latency depends on: processor, cores, architecture and system.

    Cores that this process may use are told apart where they are fewer than there are.
    """
    cores, usable = os.cpu_count() or 1, usable_cores()
    return {
        "processor": _processor(),
        "cores": str(cores),
        **({"usable_cores": str(usable)} if usable < cores else {}),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
    }


def usable_cores(process: str = "/proc/self") -> int:
    """Cores that work may be spread over: those this process is bound to, or fewer by a quota.

    A container's quota of CPU time, which Linux tells in `process`, is rounded up.
    """
    bound = hasattr(os, "sched_getaffinity")  # not on macOS
    cores = len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
    return max(1, min([cores, *map(math.ceil, _quotas(process))]))


def _quotas(process: str) -> list[float]:
    """CPU time a second that a process's control groups allow it, those above its own too."""
    names = "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"  # one file of version 2, two of 1
    found = []
    for folder in _control_groups(process):
        words = " ".join(_text_of(os.path.join(folder, name)) for name in names).split()
        if len(words) == 2 and words[0].isdigit():  # neither "max" nor -1
            found.append(int(words[0]) / int(words[1]))
    return found


def _control_groups(process: str) -> list[str]:
    """Folders of those that may bound its CPU time, as far as they are seen; see cgroups(7)."""
    groups, folders = {}, []
    for line in _text_of(os.path.join(process, "cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))  # version 2 names none: ""
    for line in _text_of(os.path.join(process, "mountinfo")).splitlines():
        here, _, there = line.partition(" - ")
        root, mount = here.split(" ")[3:5]
        kind, _, options = there.split(" ", 2)
        controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
        if controller in groups and (kind == "cgroup2" or "cpu" in options.split(",")):
            parts = os.path.relpath(groups[controller], root).split(os.sep)
            known = [] if os.pardir in parts else parts
            mount = mount.replace("\\040", " ")
            folders += [os.path.join(mount, *known[:depth]) for depth in range(len(known) + 1)]
    return folders


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _processor() -> str:
    lines = _text_of("/proc/cpuinfo").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    board = _text_of("/proc/device-tree/model").strip("\0 \n")  # where processors have no names
    return names[0] if names else board or platform.processor() or platform.machine()


def joules(
    run: Callable[[], object], counters: Sequence[str], *, seconds: float = 0.4, stretches: int = 5
) -> dict[str, float]:
    """Energy of one call of `run`, by counters of microjoules (files `…/energy_uj` of powercap).

    The least of some stretches of time, each of so many seconds; with all that the processor does
    beside, its idling too.
    """
    found = []
    for _ in range(stretches):
        before, calls, end = _microjoules(counters), 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            run()
            calls += 1
        after = _microjoules(counters)
        spent = 0
        for counter, first, last in zip(counters, before, after):  # noqa: B905 (Python 3.10)
            spent += last - first + (0 if last >= first else _wraps(counter))
        found.append(spent / 1e6 / calls)
    return {"value": min(found), "median": statistics.median(found)}


def energy_counters(folder: str = "/sys/class/powercap") -> list[str]:
    """The readable counters of this machine's processors; empty where it does not tell."""
    packages = [
        path
        for path in sorted(glob.glob(os.path.join(folder, "*", "energy_uj")))
        if _text_of(os.path.join(os.path.dirname(path), "name")).startswith("package")
    ]
    return [path for path in packages if _text_of(path)]


def _microjoules(counters: Sequence[str]) -> list[int]:
    return [int(_text_of(path)) for path in counters]


def _wraps(counter: str) -> int:
    """Where a counter starts again at 0."""
    return int(_text_of(os.path.join(os.path.dirname(counter), "max_energy_range_uj")))


def _peak_bytes() -> int:
    """The most memory that this process has had, since `_forget_peak` where that works."""
    for line in _text_of("/proc/self/status").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # not Linux
    return most if sys.platform == "darwin" else most * 1024


def _forget_peak() -> None:
    """From now on the peak is that of what follows; elsewhere than on Linux it stays."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")
    except OSError:
        return


def weigh(loader: str, options: Mapping[str, Any], file: str) -> dict[str, float]:
    """What loading and running a file adds to the memory of a process with just the runtime."""
    module = _module(loader)
    module.facts(options)
    _forget_peak()
    before = _peak_bytes()
    run = module.load(file, options).run
    for _ in range(3):
        run()
    most = _peak_bytes()
    return {"value": most - before, "whole_process": most}


def _module(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("loader", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Refusal(Exception):
    """What whoever asked is told; of which of the files, or which module is not installed."""

    def __init__(
        self, message: str, file: int | None = None, cause: Exception | None = None
    ) -> None:
        super().__init__(message)
        self.missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        self.file = file if self.missing is None else None


class _Loader(NamedTuple):
    """An open one: the path of its file, its module and its options."""

    path: str
    module: Any
    options: Mapping[str, Any]


class _Service:
    """Answers one request after the other."""

    def __init__(self) -> None:
        self._loaders: dict[str, _Loader] = {}

    def answer(self, request: Mapping[str, Any]) -> Any:
        """What a request asks for; raises _Refusal."""
        arguments = {name: value for name, value in request.items() if name != "op"}
        operations = self._open, self._time, self._throughput, self._peak_memory, self._energy
        named: dict[str, Callable[..., Any]] = {op.__name__[1:]: op for op in operations}
        if request.get("op") not in named:
            raise _Refusal(f"op {request.get('op')!r} is none of {', '.join(named)}")
        return named[request["op"]](**arguments)

    def _open(self, loader: str, options: Mapping[str, Any], name: str = "") -> dict[str, str]:
        try:
            module = _module(loader)
            self._loaders[name] = _Loader(loader, module, options)
            return {**machine(), **module.facts(options)}
        except Exception as error:
            raise _Refusal(f"{loader} does not load: {_told(error)}", cause=error) from error

    def _time(
        self, files: Sequence[str], rounds: int, loaders: Sequence[str] = ()
    ) -> list[dict[str, float]]:
        names = loaders or [""] * len(files)
        makers = [partial(self._loaded, n, file, names[n]) for n, file in enumerate(files)]
        return [asdict(timing) for timing in _timed(makers, rounds)]

    def _throughput(
        self,
        files: Sequence[str],
        shape: Sequence[int],
        options: Mapping[str, Any],
        rounds: int,
        loaders: Sequence[str] = ("", ""),
    ) -> list[dict[str, float]]:
        """The first file as in `time`, the second with a batch of this shape and own options."""
        reference, file = files
        numpy = importlib.import_module("numpy")  # which whatever answers images has
        images = numpy.random.default_rng(0).standard_normal(shape).astype("float32")
        own = self._opened(loaders[1])
        own = own._replace(options={**own.options, **options})
        makers: list[Callable[[], Callable[[], object]]] = [
            partial(self._loaded, 0, reference, loaders[0]),
            lambda: partial(self._session(1, file, own).predict, images),
        ]
        try:
            return [asdict(timing) for timing in _timed(makers, rounds)]
        except _Refusal:
            raise
        except Exception as error:
            raise _Refusal(f"a batch of shape {list(shape)}: {_told(error)}", 1) from error

    def _peak_memory(
        self, files: Sequence[str], loaders: Sequence[str] = ("",)
    ) -> dict[str, float]:
        """By a fresh process, as this one has memory from before."""
        own = self._opened(loaders[0])
        task = json.dumps({"loader": own.path, "options": own.options, "file": files[0]})
        command = [sys.executable, os.path.abspath(__file__), "--weigh", task]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
            raise _Refusal(words[-1], 0)
        answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def _energy(self, files: Sequence[str], loaders: Sequence[str] = ("",)) -> dict[str, float]:
        counters = energy_counters()
        if not counters:
            raise _Refusal(
                "this machine tells no energy: no package counter below /sys/class/powercap can be "
                "read. Leave the objective out; its energy_uj must be readable for this user."
            )
        return joules(self._loaded(0, files[0], loaders[0]), counters)

    def _loaded(self, number: int, file: str, loader: str) -> Callable[[], object]:
        session = self._session(number, file, self._opened(loader))
        try:
            run: Callable[[], object] = session.run
            run()
        except Exception as error:
            raise _Refusal(_told(error), number, error) from error
        return run

    def _opened(self, loader: str) -> _Loader:
        if loader not in self._loaders:
            raise _Refusal("a loader must be opened first")
        return self._loaders[loader]

    def _session(self, number: int, file: str, own: _Loader) -> Any:
        try:
            return own.module.load(file, own.options)
        except Exception as error:
            raise _Refusal(_told(error), number, error) from error


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def serve() -> None:
    """Answer until standard input ends, which it does when whoever asks is no more.

    Another thread waits for the input, so that even in the middle of a measurement its end ends
    this process at once.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a runtime prints must not come between the answers
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    service = _Service()
    while True:
        line = requests.get()
        try:
            answer = {"answer": service.answer(json.loads(line))}
        except _Refusal as refusal:
            answer = {"error": str(refusal), "file": refusal.file, "missing": refusal.missing}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "file": None}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    # What lies beside this file is no module of the runtime's.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    if sys.argv[1:2] == ["--weigh"]:
        print(json.dumps(weigh(**json.loads(sys.argv[2]))))
    else:
        serve()
