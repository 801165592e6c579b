"""Datasets: scikit-learn's digits, alone or in scenes, and folders of one's own images."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_datasets"]


@hookimpl
def orchestrator_datasets() -> Sequence[Offer]:
    """The built-in datasets."""
    return [
        Offer(
            "digits",
            "orchestrator_datasets.digits:Digits",
            "1,797 handwritten digits that come with scikit-learn; needs no download.",
            needs=("scikit-learn",),
            hint="pip install scikit-learn",
        ),
        Offer(
            "image_folder",
            "orchestrator_datasets.image_folder:ImageFolder",
            "A folder of images, one sub-folder a class.",
            needs=("pillow",),
            hint="pip install pillow",
        ),
        Offer(
            "mask_folder",
            "orchestrator_datasets.mask_folder:MaskFolder",
            "A folder of images and, for each, a PNG mask with a class number a pixel.",
            needs=("pillow",),
            hint="pip install pillow",
        ),
        Offer(
            "scenes",
            "orchestrator_datasets.scenes:Scenes",
            "Textured scenes of scikit-learn's digits with their masks; needs no download.",
            needs=("scikit-learn",),
            hint="pip install scikit-learn",
        ),
    ]
