"""Proposals, budgets and the Ray Tune loop."""
