"""MLflow tracking: one parent run a search, one nested run a candidate, one model a finalist.

An observer of the search that can neither stop nor slow it. The only room with MLflow, which is
imported (1.3 s) in the observer's thread.
"""

from orchestrator.tracking.observer import Tracker, tracking_uri, ui_hint
from orchestrator.tracking.snapshot import Snapshot, TrackedRun

__all__ = ["Snapshot", "TrackedRun", "Tracker", "tracking_uri", "ui_hint"]
