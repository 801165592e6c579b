"""An Android phone, by a stand-in for adb whose phone is a folder here (see stand_in_adb)."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator_onnxruntime.perf_test import PERF_TEST
from orchestrator_places.adb import Adb
from words_runtime import LOADER, Words

from orchestrator import NativeBenchmark, Timing
from orchestrator.errors import CompileError, ConfigError, DeviceError

TOOLS = ("cat", "chmod", "find", "mkdir", "mv", "nproc", "rm", "sh", "test", "uname")
# Sleeps as long as a file says, and tells it; a stand-in for a runtime's own program.
PROGRAM = f"""#!{sys.executable}
import sys
word = open(sys.argv[2]).read()
if word == "broken":
    sys.exit("no network")
print("chatter\\nms:", 1000 * float(word), "runs:", sys.argv[1])
"""


def read(printed: str) -> Timing:
    words = printed.split()
    ms = float(words[words.index("ms:") + 1])
    return Timing(ms, ms, ms, int(words[-1]))


class Phone:
    """The folder, and what adb says of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "tmp"):
            (folder / name).mkdir(parents=True)
        for name in TOOLS:
            (folder / "bin" / name).symlink_to(shutil.which(name) or f"/bin/{name}")
        self.script("getprop", "echo Pixel")
        self.script("python3", f'exec {sys.executable} "$@"')
        self.be("device")
        adb = folder / "adb"
        stand_in = Path(__file__).with_name("stand_in_adb.py")
        adb.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} "$@"\n')
        adb.chmod(0o755)

    def script(self, name: str, does: str) -> None:
        (self.folder / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def be(self, state: str) -> None:
        (self.folder / "state").write_text(state)

    def sessions(self) -> list[Path]:
        return list(self.folder.glob("tmp/orchestrator/run-*"))


Made = Callable[..., Words]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    monkeypatch.setenv("STAND_IN_PHONE", str(tmp_path / "phone"))
    return Phone(tmp_path / "phone")


@pytest.fixture
def made(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    devices: list[Words] = []
    benchmark = NativeBenchmark("sleeper", lambda file, runs, options: [str(runs), file], read)
    monkeypatch.setattr(Words, "native", benchmark)
    (tmp_path / "sleeper").write_text(PROGRAM)

    def make(loader: str = LOADER, *, native: bool = False, **options: Any) -> Words:
        if native:
            options["binary"] = str(tmp_path / "sleeper")
        folder = str(phone.folder / "tmp" / "orchestrator")
        place = Adb(**{"adb": str(phone.folder / "adb"), "folder": folder, **options})
        devices.append(Words(tmp_path, loader).at(place))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


def test_the_agent_measures_by_a_python_there(made: Made, phone: Phone) -> None:
    device = made()
    device.check()
    fast, slow = device.ms_of("0.001", "0.004")
    assert fast < slow and device.fingerprint()["runtime"] == "words 1"
    device.close()
    assert phone.sessions() == []
    names = {file.name for file in phone.folder.glob("tmp/orchestrator/code/*/*.py")}
    assert names == {"agent.py", "loader.py"}


def test_its_own_program_measures_without_one(made: Made, phone: Phone) -> None:
    (phone.folder / "bin" / "python3").unlink()
    device = made(native=True)
    device.check()
    files = [device.compile(word, None, device.folder / word) for word in ("0.002", "0.004")]
    fast, slow = device.latencies(files, device.calibrate(device.folder), device.folder)
    assert (fast.ms, slow.ms, slow.runs) == (2.0, 4.0, 60) and slow.interval_ms == (4.0, 4.0)
    told = device.fingerprint()
    assert told["model"] == "Pixel" and told["program"].startswith("sleeper ")


def test_a_file_that_its_program_fails_on_is_the_candidates_fault(made: Made) -> None:
    device = made(native=True)
    with pytest.raises(CompileError, match="sleeper ended with status 1 on adb: no network"):
        device.ms_of("broken")


def test_a_program_for_another_processor_is_named(made: Made, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("#!/no/such/interpreter\n")
    device = made(binary=str(tmp_path / "other"))
    with pytest.raises(DeviceError, match=r"does not run the reference network.*Is it sleeper"):
        device.calibrate(tmp_path)


def test_a_program_tells_latencies_alone(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator import Gauge

    device = made(native=True)
    file = device.reference(device.folder)
    with pytest.raises(DeviceError, match=r"and no peak memory\. Leave the objective out"):
        device.gauge(file, Gauge("peak_memory"), 1.0, device.folder)
    monkeypatch.setattr(Words, "native", None)
    with pytest.raises(DeviceError, match="does not say how its own benchmark program is run"):
        device.calibrate(device.folder)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("unauthorized", "has not allowed this machine yet"),
        ("offline", "is offline"),
        ("none", "is not there. Plug it in"),
        ("several", "is one of several: say which, device.serial=SERIAL"),
    ],
)
def test_what_is_wrong_with_a_phone_is_named(
    made: Made, phone: Phone, state: str, told: str
) -> None:
    phone.be(state)
    with pytest.raises(DeviceError, match=told):
        made().check()


def test_one_of_several_is_chosen_by_its_serial(made: Made, phone: Phone) -> None:
    phone.be("several")
    made(serial="emulator-5554").check()
    with pytest.raises(DeviceError, match="is not there under this serial"):
        made(serial="other").check()


def test_a_phone_that_is_unplugged_in_mid_run_is_named(made: Made, phone: Phone) -> None:
    device = made()
    assert device.ms_of("0.001")
    phone.be("none")
    with pytest.raises(DeviceError, match=r"is not there\. Plug it in"):
        device.ms_of("0.002")
    phone.be("device")
    assert device.ms_of("0.002")


def test_python_and_the_runtime_are_named_where_they_are_missing(made: Made, phone: Phone) -> None:
    with pytest.raises(DeviceError, match=r"no module 'wordy' there. .*pip install wordy"):
        made(loader="import wordy").fingerprint()
    phone.script("python3", "echo python 2.7")
    with pytest.raises(DeviceError, match=r"no Python 3.8.*Termux.*device\.binary=FILE"):
        made().check()
    phone.script("own", f'exec {sys.executable} "$@"')
    made(python="own -X utf8").check()


def test_a_folder_may_have_any_name(made: Made, phone: Phone) -> None:
    odd = phone.folder / "it's; $HOME"
    assert made(folder=str(odd)).ms_of("0.001")
    assert (odd / "code").is_dir()


def test_old_sessions_are_swept(made: Made, phone: Phone) -> None:
    old = phone.folder / "tmp" / "orchestrator" / "run-old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    made().check()
    assert phone.sessions() == []


@pytest.mark.parametrize(
    "options",
    [
        {"serial": "-s"},
        {"serial": "a b"},
        {"binary": "/no/such/program"},
        {"binary": __file__, "python": "python3"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ConfigError, match=r"device\.(serial|binary|python)"):
        Adb(**options)


def test_a_missing_adb_is_named() -> None:
    with pytest.raises(DeviceError, match=r"adb does not start.*apt install adb"):
        Adb(adb="/no/such/adb").check()


def test_a_phone_is_pickled_with_a_session_of_its_own(made: Made) -> None:
    device = made()
    device.ms_of("0.001")
    twin = pickle.loads(pickle.dumps(device)).place
    assert twin._session != device.place._session and twin._brought == {}


def test_words_of_onnxruntime_perf_test_are_read() -> None:
    printed = """Session creation time cost: 0.0135 s
Total inference requests: 10
Min Latency: 0.000403 s
Max Latency: 0.00056 s
P50 Latency: 0.000438 s
P90 Latency: 0.00047 s
P95 Latency: 0.0005 s
"""
    timing = PERF_TEST.timing(printed)
    assert (timing.low_ms, timing.median_ms, timing.high_ms) == pytest.approx((0.403, 0.438, 0.5))
    assert timing.runs == 10
    assert PERF_TEST.arguments("m.onnx", 7, {"threads": 2})[-1] == "m.onnx"
    with pytest.raises(ValueError, match="no Min Latency"):
        PERF_TEST.timing("Segmentation fault")
