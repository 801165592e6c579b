"""A stand-in for Android's adb: the phone is a folder of this machine, in STAND_IN_PHONE.

`state` in it says what adb would find: device, unauthorized, offline, none or several. What its
shell can run lies in `bin`; other paths are this machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PHONE = Path(os.environ["STAND_IN_PHONE"])
SAID = {
    "unauthorized": "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set",
    "offline": "error: device offline",
    "none": "error: no devices/emulators found",
    "several": "error: more than one device/emulator",
}


def main(words: list[str]) -> int:
    (PHONE / "calls").open("a").write(" ".join(words) + "\n")
    serial = words[1] if words[0] == "-s" else None
    words = words[2:] if serial else words
    state = (PHONE / "state").read_text()
    if serial not in (None, "emulator-5554"):
        return told(f"error: device '{serial}' not found")
    if state in SAID and not (state == "several" and serial):
        return told(SAID[state])
    if words[0] == "get-state":
        print("device")
        return 0
    if words[0] == "push":
        shutil.copyfile(words[1], words[2])
        print(f"{words[1]}: 1 file pushed")
        return 0
    assert words[:2] == ["shell", "-T"] and len(words) == 3, words
    environment = {"PATH": str(PHONE / "bin"), "HOME": str(PHONE)}
    return subprocess.call(["/bin/sh", "-c", words[2]], env=environment, cwd=PHONE)


def told(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
