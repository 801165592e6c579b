"""Honest measurement: timing in turn, and the gate that keeps a machine quiet meanwhile."""
