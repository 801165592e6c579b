"""Going on from one's own network: a bundle as the weights of a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import Classes, Credit, ImageFacts, SearchSpace
from orchestrator.bundle import BundleContents, read_facts, start_of, write_bundle
from orchestrator.errors import ConfigError
from orchestrator.pretrained.loading import load_checkpoint
from orchestrator.pretrained.prospect import prospect
from orchestrator.records import Genotype

FACTS = ImageFacts.unnamed(16, classes=3)
BEFORE = Credit("hub/t1", "hf://a/b/c", "ab" * 32, "MIT", "Somebody 2020", "photos", "t1")


@pytest.fixture
def bundle(space: SearchSpace, tmp_path: Path) -> Path:
    architecture = {"width": 4, "slope": 0.1}
    network = space.build(architecture, FACTS, Classes(3))
    genotype = Genotype("trained", "full", architecture)
    contents = BundleContents(genotype, network, FACTS, {"preset": "full", "slope": 0.1})
    drawn = {"width": 4, "pruning.ratio": 0.0}
    return write_bundle(tmp_path / "mine", replace(contents, start=BEFORE, choices=drawn))


def test_its_network_is_the_member_and_what_it_owes_is_owed_still(space, bundle: Path) -> None:
    found = load_checkpoint(str(bundle), space, FACTS)
    assert found.genotype.architecture["width"] == 4 and found.credit.licence == "MIT"
    assert found.credit.credit == "Somebody 2020, by way of hub/t1"
    assert found.credit.data.startswith("photos; then 3 classes of its own")
    assert prospect(str(bundle), space).licence == "MIT"
    assert found.choices["width"] == 4


def test_the_same_classes_keep_their_classifier(space, bundle: Path) -> None:
    assert "classifier.weight" in load_checkpoint(str(bundle), space, FACTS).tensors
    other = replace(FACTS, classes=("x", "y", "z"))
    assert "classifier.weight" not in load_checkpoint(str(bundle), space, other).tensors


def test_a_bundle_of_another_space_is_refused(trained, bundle: Path) -> None:
    other = trained.create("space", "squeezenet", {"preset": "full"})
    with pytest.raises(ConfigError, match=r"Search \+search=trained space.preset=full"):
        load_checkpoint(str(bundle), other, FACTS)
    small = trained.create("space", "trained", {"preset": "small", "slope": 0.1})
    with pytest.raises(ConfigError, match="preset full"):
        load_checkpoint(str(bundle), small, FACTS)


def test_the_credit_is_read_back_and_a_bundle_without_is_as_before(space, bundle: Path) -> None:
    assert start_of(read_facts(bundle), bundle) == BEFORE
    architecture = {"width": 4, "slope": 0.1}
    network = space.build(architecture, FACTS, Classes(3))
    plain = BundleContents(Genotype("trained", "full", architecture), network, FACTS)
    folder = write_bundle(bundle.with_name("plain"), replace(plain, space_options={"slope": 0.1}))
    assert "start" not in read_facts(folder) and start_of(read_facts(folder), folder) is None
