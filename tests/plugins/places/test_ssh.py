"""Another machine, over a real OpenSSH server on this one's loopback."""

from __future__ import annotations

import pickle
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Sshd
from orchestrator_places.openssh import Address
from orchestrator_places.ssh import Ssh
from words_runtime import LOADER, Words

from orchestrator.errors import CompileError, ConfigError, DeviceError

Made = Callable[..., Words]


@pytest.fixture
def made(sshd: Sshd, tmp_path: Path) -> Iterator[Made]:
    """Makes a runtime at the server, with some options changed; it is closed in the end."""
    devices: list[Words] = []

    def make(loader: str = LOADER, **options: Any) -> Words:
        place = Ssh(**{**sshd.options, **options})
        devices.append(Words(tmp_path, loader).at(place))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


def test_files_are_measured_there_and_nothing_is_left_but_the_code(made: Made, sshd: Sshd) -> None:
    device = made()
    device.check()
    fast, slow = device.ms_of("0.001", "0.004")
    assert fast < slow and device.fingerprint()["runtime"] == "words 1"
    (session,) = sshd.sessions()
    assert stat.S_IMODE(session.stat().st_mode) == 0o700
    device.close()
    assert eventually(lambda: sshd.sessions() == [] and sshd.agents() == [])
    assert {file.name for file in sshd.home.rglob("*.py")} == {"agent.py", "loader.py"}


def test_what_is_there_is_not_brought_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made().fingerprint()
    again, sent = made(), []
    ask = again.place._ask

    def told(order: Any, *more: Any) -> Any:
        sent.append(order["op"])
        return ask(order, *more)

    monkeypatch.setattr(again.place, "_ask", told)
    again.fingerprint()
    assert sent == ["has", "has"]
    again.ms_of("0.001")
    again.ms_of("0.001")
    assert sent.count("put") == 2  # the reference and the file, once
    assert again.place.name == made().place.name


def test_files_of_candidates_that_are_over_are_dropped(made: Made, sshd: Sshd) -> None:
    device = made()
    device.ms_of("0.001")
    (device.folder / "file of 0.001").unlink()
    device.ms_of("0.002")
    names = {file.name for file in sshd.sessions()[0].glob("*/*")}
    assert names == {"reference", "file of 0.002"}


def test_a_place_is_pickled_without_its_connection(made: Made) -> None:
    device = made()
    device.check()
    twin = pickle.loads(pickle.dumps(device))
    assert twin.place._connection is None and twin.place_name == device.place_name
    assert twin.place._session != device.place._session


def test_a_broken_file_is_the_candidates_fault(made: Made) -> None:
    device = made()
    with pytest.raises(CompileError, match="does not load file of broken: no network"):
        device.ms_of("broken")
    assert device.ms_of("0.001")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"port": 1}, "does not answer. Is it on"),
        ({"host": "nowhere.invalid"}, "is not known by that name"),
        ({"key": "stranger"}, "does not let us in with this key.*device.key=FILE"),
        (
            {"known_hosts": "nobody"},
            "has a host key that is not known here.*compare it: ssh -p",
        ),
        ({"known_hosts": "changed"}, "shows another host key than the known one"),
        ({"python": "no-such-python"}, "has no Python 3.8 or later.*device.python=PATH"),
        ({"python": "old-python"}, r"no Python 3.8 or later \(.*old-python is 2\.7\)"),
        ({"python": "chatty-python"}, "prints 'Welcome.' at every login"),
        ({"folder": "everybody's"}, "can be written by others.*device.folder"),
    ],
)
def test_what_is_wrong_is_named(made: Made, sshd: Sshd, change: Any, told: str) -> None:
    device = made(**prepared(sshd, change))
    with pytest.raises(DeviceError, match=told):
        device.check()


def prepared(sshd: Sshd, change: dict[str, Any]) -> dict[str, Any]:
    """The options, with what they name."""
    sshd.know("stranger")
    (sshd.folder / "known_hosts").rename(sshd.folder / "changed")
    sshd.know("host")
    (sshd.folder / "nobody").touch()
    pythons = {"old": "echo python 2.7", "chatty": "echo Welcome.; echo python 3.11"}
    for name, does in pythons.items():
        script = sshd.folder / f"{name}-python"
        script.write_text(f"#!/bin/sh\n{does}\n")
        script.chmod(0o755)
    (sshd.folder / "everybody's").mkdir()
    (sshd.folder / "everybody's").chmod(0o777)
    found = {name: str(sshd.folder / str(value)) for name, value in change.items()}
    return {n: p if Path(p).exists() else change[n] for n, p in found.items()}


def test_a_missing_runtime_is_named_with_the_line_to_type(made: Made, sshd: Sshd) -> None:
    device = made(loader="import wordy")
    python = sshd.options["python"]
    message = f"no module 'wordy' there. Type there: {python} -m pip install wordy"
    with pytest.raises(DeviceError, match=message):
        device.fingerprint()


def test_an_agent_that_hangs_is_ended_in_time(made: Made, sshd: Sshd) -> None:
    device = made(limit_seconds=2.0)
    assert device.ms_of("0.001")
    (hung,) = sshd.agents()
    hung.suspend()
    assert device.ms_of("0.001")  # by another, once its time was over
    assert eventually(lambda: not hung.is_running())
    with pytest.raises(CompileError, match=r"did not answer within 2 s.*second time"):
        device.ms_of("30")


def test_a_host_that_is_back_in_time_is_waited_for(made: Made, sshd: Sshd) -> None:
    device = made(patience_seconds=30.0)
    before = device.ms_of("0.001")
    sshd.kill()
    threading.Timer(1.0, sshd.start).start()
    assert len(device.ms_of("0.001", "0.002")) == len(before) + 1


def test_a_host_that_is_gone_is_named(made: Made, sshd: Sshd) -> None:
    device = made(patience_seconds=1.0)
    device.ms_of("0.001")
    sshd.kill()
    with pytest.raises(DeviceError, match=r"does not answer\. .*waited for 1 s"):
        device.ms_of("0.002")
    sshd.start()
    assert device.ms_of("0.002")


def test_a_host_that_sleeps_is_noticed(made: Made, sshd: Sshd, monkeypatch: Any) -> None:
    from orchestrator_places import openssh

    for limit in ("_CONNECT_SECONDS", "_ALIVE_SECONDS", "_ALIVE_COUNT"):
        monkeypatch.setattr(openssh, limit, 1)
    device = made()
    device.ms_of("0.001")
    sshd.send(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(DeviceError, match="does not answer"):
        device.ms_of("0.002")
    assert time.monotonic() - began < 15
    sshd.send(signal.SIGCONT)
    assert device.ms_of("0.002")


def test_a_session_ends_with_whoever_began_it(made: Made, sshd: Sshd) -> None:
    device = made()
    device.ms_of("0.001")
    device.place._connection._process.kill()
    assert eventually(lambda: sshd.sessions() == [] and sshd.agents() == [])


@pytest.mark.parametrize(
    "options",
    [
        {"host": "-oProxyCommand=touch /tmp/x"},
        {"host": "a machine"},
        {"host": "pi;reboot"},
        {"host": ""},
        {"host": "pi", "user": "-l"},
        {"host": "pi", "user": "a'b"},
        {"host": "pi", "key": "/no/such/key"},
        {"host": "pi", "python": "-c"},
    ],
)
def test_what_ssh_would_take_for_something_else_is_refused(options: Any) -> None:
    with pytest.raises(ConfigError, match=r"device\.(host|user|key|python)"):
        Ssh(**options)


def test_who_and_where_are_said_in_the_usual_ways() -> None:
    assert Ssh(host="me@pi.local", port=2222).name == "ssh me@pi.local:2222"
    assert Ssh(host="pi.local", user="me").address == Address("pi.local", "me")
    assert Address("fe80::1%eth0").options and Address("10.0.0.3").options
    assert Ssh(host="pi", python="~/venv/bin/python")._pythons == ["venv/bin/python"]


def test_paths_of_keys_may_have_spaces(sshd: Sshd, made: Made) -> None:
    odd = sshd.folder / "my 100% keys"
    odd.mkdir()
    for name in ("client", "known_hosts"):
        (sshd.folder / name).rename(odd / name)
    made(key=str(odd / "client"), known_hosts=str(odd / "known_hosts")).check()


def eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()
