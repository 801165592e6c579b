from __future__ import annotations

import inspect

import orchestrator_datasets
import pytest
import yaml

from orchestrator.paths import config_dir
from orchestrator.plugins import installed

OFFERS = [offer.name for offer in orchestrator_datasets.orchestrator_datasets()]


@pytest.mark.parametrize("name", OFFERS)
def test_the_yaml_of_a_dataset_names_every_option_and_its_default(name: str) -> None:
    text = (config_dir() / "dataset" / f"{name}.yaml").read_text("utf-8")
    options = yaml.safe_load(text)
    assert options.pop("name") == name
    parameters = inspect.signature(installed().resolve("dataset", name)).parameters
    missing = inspect.Parameter.empty
    defaults = {key: "???" if p.default is missing else p.default for key, p in parameters.items()}
    assert options == defaults
