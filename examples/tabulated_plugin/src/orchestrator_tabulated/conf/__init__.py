"""The YAML of this package."""
