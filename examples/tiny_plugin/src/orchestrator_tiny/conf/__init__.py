"""YAML; Hydra looks only into packages with this file."""
