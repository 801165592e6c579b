"""Whether anything answers where a Ray cluster is said to be, before anything is paid for."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from orchestrator.errors import ConfigError, DeviceError

__all__ = ["check_address"]

_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.5
# Ray's client takes 10001 where nothing is said.
_CLIENT = "ray://"
_CLIENT_PORT = "10001"


def check_address(address: str | None) -> None:
    """Raise DeviceError within seconds if nobody listens there; Ray itself tries for minutes.

    "auto" is left to Ray, which looks on this machine and is done at once. Raises ConfigError for
    what is no address.
    """
    if address is None or address == "auto":
        return
    host, port = _parts(address)
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=_PATIENCE_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() > end - _PAUSE_SECONDS:
                raise DeviceError(
                    f"no Ray cluster answers at run.address={address}: {error.strerror or error}. "
                    "Check `ray status` there; the address is the one that ray start printed, and "
                    "this machine must reach that port."
                ) from None
        time.sleep(_PAUSE_SECONDS)


def _parts(address: str) -> tuple[str, int]:
    plain = address.removeprefix(_CLIENT)
    host, _, port = plain.rpartition(":") if ":" in plain else (plain, "", "")
    number = port or (_CLIENT_PORT if address.startswith(_CLIENT) else "")
    with suppress(ValueError):
        if host and 0 < int(number) < 65536:
            return host.strip("[]"), int(number)
    raise ConfigError(
        f"run.address={address} is no address of a Ray cluster: expected HOST:PORT, "
        "ray://HOST:PORT or auto."
    )
