"""A task as a third party would write it, on the public face alone."""

from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from orchestrator import (
    Batch,
    Classes,
    ImageFacts,
    Judge,
    Metric,
    MetricObjective,
    Outputs,
    Task,
    TrainConfig,
    mirror,
)


class Detected(MetricObjective):
    name = "detected"


class KindJudge(Judge):
    right = 0

    def add(self, answers: Tensor, targets: Tensor) -> None:
        self.right += int((answers.argmax(1) == (targets == 0)).sum())
        self.count += len(targets)

    def figures(self) -> dict[str, float]:
        return {"detected": self.right / self.count}


class Kind(Task):
    """Whether an image is of the first class."""

    name = "kind"
    metrics = (Metric("detected", of_images=True),)

    def outputs(self, facts: ImageFacts) -> Outputs:
        return Classes(2)

    def batch(self, batch: Batch, rng: Generator, recipe: TrainConfig) -> tuple[Tensor, Tensor]:
        pixels = mirror(batch.pixels, rng) if batch.mirror else batch.pixels
        images = functional.interpolate(batch.facts.normalise(pixels), (batch.side, batch.side))
        return images, functional.one_hot((batch.targets == 0).long(), 2).float()

    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answer, targets)

    def judge(self, facts: ImageFacts) -> Judge:
        return KindJudge()

    def distance(self, first: Tensor, second: Tensor) -> float:
        return float(first.argmax(1).ne(second.argmax(1)).double().mean())
