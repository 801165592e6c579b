"""A teacher that answers the images a student sees, and the loss that follows its soft labels.

Hinton, Vinyals and Dean 2015, arXiv:1503.02531:

loss = (1 − α) · before + α · T² · CE(softmax(teacher / T), student / T)

`before` is the loss without the teacher, usually CE(targets, student). T² keeps the gradients of
the second part at the size of the first whatever the temperature.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.contracts import Loss
from orchestrator.errors import CompressionError

__all__ = ["Ensemble", "SoftLabelLoss", "Teacher"]


class Teacher:
    """A network that is asked and never trained; it follows the images to their device.

    With `memory_bytes` it remembers what it answered to each image, by the image's own bytes, until
    so many are full, and is then asked only about others: worth it where training shows the same
    images again, see `CompressionContext.views`. `ask(network, images)` gives the answers,
    (B, …); by default what the network gives. `images_asked` counts what cost a forward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        memory_bytes: int = 0,
        ask: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        self.network = network.eval()
        self.memory_bytes = memory_bytes
        self.images_asked = 0
        self._ask = ask or _forward
        self._known: dict[bytes, Tensor] = {}
        self._bytes = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Its answers (B, …) to images (B, C, H, W), without gradients."""
        if not self.memory_bytes:
            return self._answers(images)
        keys = _keys(images)
        new = [place for place, key in enumerate(keys) if key not in self._known]
        if len(new) == len(keys):
            found = self._answers(images)
            self._remember(keys, found)
            return found
        answers = [self._known.get(key) for key in keys]
        if new:
            asked = self._answers(images[new])
            self._remember([keys[place] for place in new], asked)
            for place, answer in zip(new, asked, strict=True):
                answers[place] = answer
        return torch.stack([a.to(images.device) for a in answers if a is not None])

    def logits(self, images: Tensor, student: Tensor) -> Tensor:
        """As a call, for answers of the shape of the student's; raises CompressionError if not."""
        answer = self(images)
        if answer.shape != student.shape:
            raise CompressionError(
                f"the teacher answers {tuple(answer.shape)}, the student {tuple(student.shape)}: "
                "both must know the same classes."
            )
        return answer

    def _answers(self, images: Tensor) -> Tensor:
        self.network.to(images.device)
        self.images_asked += len(images)
        with torch.no_grad():
            return self._ask(self.network, images).float()

    def _remember(self, keys: list[bytes], answers: Tensor) -> None:
        for key, answer in zip(keys, answers, strict=True):
            size = answer.nbytes + len(key)
            if key not in self._known and self._bytes + size <= self.memory_bytes:
                self._known[key] = answer.to("cpu", torch.float32, copy=True)
                self._bytes += size


class Ensemble(nn.Module):
    """Several teachers as one: its logits are of the mean of their probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) → (B, classes, …)."""
        told = torch.stack([functional.log_softmax(m(images), dim=1) for m in self.members])
        return torch.logsumexp(told, dim=0) - math.log(len(self.members))


class SoftLabelLoss:
    """The loss before, and cross-entropy with a teacher's softened probabilities.

    `alpha` in [0, 1] is the teacher's share. A network's several classifiers are told apart where
    the loss before does; the teacher is then followed by their mean. Answers may be maps.
    """

    def __init__(
        self, before: Loss, teacher: Teacher, alpha: float = 0.5, temperature: float = 2.0
    ) -> None:
        self.before = before
        self.teacher = teacher
        self.alpha = alpha
        self.temperature = temperature
        self.per_head: bool = getattr(before, "per_head", False)

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """images (B, C, H, W), logits (B, classes, …), targets (B, classes, …) → scalar.

        Logits (B, heads, classes) too, where the loss before takes them.
        """
        labels = self.before(images, logits, targets)
        mean = logits.mean(1) if logits.dim() == 3 else logits
        soft = functional.softmax(self.teacher.logits(images, mean) / self.temperature, dim=1)
        taught = functional.cross_entropy(mean / self.temperature, soft)
        return (1 - self.alpha) * labels + self.alpha * self.temperature**2 * taught


def _forward(network: nn.Module, images: Tensor) -> Tensor:
    answer: Tensor = network(images)
    return answer


def _keys(images: Tensor) -> list[bytes]:
    """Sixteen bytes an image, the same for the same image."""
    arrays = images.detach().to("cpu").contiguous().numpy()
    return [hashlib.blake2b(array.tobytes(), digest_size=16).digest() for array in arrays]
