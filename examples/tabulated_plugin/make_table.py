"""Makes the table: trains every network of the space on 8×8 digits, a few minutes on one core.

python make_table.py FILE, with the package installed
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from orchestrator_tabulated.space import TabulatedSpace, architectures
from orchestrator_tabulated.table import line_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from orchestrator import Classes, Dataset
from orchestrator.plugins import installed

__all__ = ["curve_of", "main"]

EPOCHS = 5
BATCH = 128
PEAK = 0.03

Images = tuple[Tensor, Tensor]


def main(path: Path) -> None:
    """Write the table of all networks."""
    torch.set_num_threads(1)
    dataset: Dataset = installed().create("dataset", "digits", {"image_size": 8})
    train, validation = _images(dataset, "train"), _images(dataset, "validation")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for architecture in architectures():
            curve = curve_of(architecture, dataset, train, validation)
            writer.writerow(line_of(architecture, curve))


def curve_of(
    architecture: Mapping[str, Any], dataset: Dataset, train: Images, validation: Images
) -> list[float]:
    """Accuracy on validation after each epoch of AdamW, whose rate rises and falls once."""
    torch.manual_seed(0)
    classes = Classes(len(dataset.facts.classes))
    network = TabulatedSpace().build(architecture, dataset.facts, classes)
    optimizer = torch.optim.AdamW(network.parameters(), PEAK, weight_decay=0.02)
    steps = EPOCHS * -(-len(train[0]) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
    curve = []
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(train[0])).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(network(train[0][chosen]), train[1][chosen]).backward()
            optimizer.step()
            rate.step()
        curve.append(_accuracy(network, validation))
    return curve


def _images(dataset: Dataset, split: Any) -> Images:
    """Normalised images (N, C, H, W) and labels (N,)."""
    found = dataset.split(split)
    pixels = dataset.facts.normalise(torch.from_numpy(found.pixels))
    return pixels, torch.from_numpy(found.targets)


def _accuracy(network: nn.Module, images: Images) -> float:
    network.eval()
    with torch.no_grad():
        right = network(images[0]).argmax(1) == images[1]
    network.train()
    return float(right.float().mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
