"""What the tests use of Orchestrator's fixtures."""

pytest_plugins = ["orchestrator.testing.fixtures"]
