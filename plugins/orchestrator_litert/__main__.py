"""python -m orchestrator_litert: make the environment that LiteRT's converter runs in."""

from __future__ import annotations

import sys

from orchestrator.errors import OrchestratorError
from orchestrator_litert.environment import Environment


def main() -> int:
    """Make it unless it is there and fits; the exit status."""
    environment = Environment.usual()
    if not environment.obstacle():
        print(f"{environment.folder} is ready.")
        return 0
    print(f"Making {environment.folder}: minutes, and 2 GB on disk.", flush=True)
    try:
        environment.make()
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{environment.folder} is ready: device=litert.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
