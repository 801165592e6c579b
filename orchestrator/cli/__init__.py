"""The command line, and what a person sees in the terminal. The only room with hydra and rich."""

from orchestrator.cli.commands import compose, main

__all__ = ["compose", "main"]
