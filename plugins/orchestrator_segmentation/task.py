"""One class for each pixel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import (
    Batch,
    ImageFacts,
    Judge,
    Maps,
    Metric,
    Outputs,
    SearchSpace,
    Task,
    Trial,
    blend,
    boxes,
    crop,
    cut,
    erase,
    image_uri,
    jitter,
    mirror,
)
from orchestrator.errors import BuildError, ConfigError, TrainingError
from orchestrator_segmentation.heads import HEADS, Head, Pyramid, resized
from orchestrator_segmentation.judge import IGNORE, MaskJudge, answered, class_figure
from orchestrator_segmentation.network import Segmenter
from orchestrator_segmentation.pictures import colours, mask_uri

if TYPE_CHECKING:
    from orchestrator import TrainConfig

__all__ = ["Segmentation"]


class Segmentation(Task):
    """Maps of logits (B, classes, H / stride, W / stride); targets are masks uint8 (B, H, W).

    A mask holds each pixel's class, or 255 for what is to be ignored. `stride` is that of the
    answer, in pixels a side: finer answers follow outlines better and cost more. `heads`, of
    "lraspp" and "fpn", and their `widths` are what the search chooses from.
    """

    name = "segmentation"
    on_features = True
    weighs_classes = True
    metrics = (Metric("miou"), Metric("pixel_accuracy"))

    def __init__(
        self,
        *,
        stride: int = 4,
        heads: tuple[str, ...] = ("lraspp", "fpn"),
        widths: tuple[int, ...] = (32, 64, 96),
    ) -> None:
        if stride < 1:
            raise ConfigError(f"task.stride: found {stride}, expected 1 or more pixels.")
        if not heads or not set(heads) <= set(HEADS):
            raise ConfigError(f"task.heads: found {heads}, expected some of {', '.join(HEADS)}.")
        if not widths or min(widths) < 1:
            raise ConfigError(f"task.widths: found {widths}, expected some numbers of channels.")
        self.stride, self.heads, self.widths = stride, heads, widths

    def outputs(self, facts: ImageFacts) -> Outputs:
        """A map of a logit for each class."""
        return Maps(len(facts.classes), self.stride)

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """The head and its width; a space may have a head of its own, whose names are others."""
        return {
            "decoder": trial.suggest_categorical("head.decoder", list(self.heads)),
            "width": trial.suggest_categorical("head.decoder_width", list(self.widths)),
        }

    def build(
        self, space: SearchSpace, architecture: Any, head: Any, facts: ImageFacts
    ) -> nn.Module:
        """The space's pyramid and the chosen head; raises BuildError for an unknown one."""
        if head.get("decoder") not in HEADS:
            raise BuildError(
                f"found the head {dict(head)}, expected a decoder of {', '.join(HEADS)} and a "
                "width. A genotype of another task?"
            )
        backbone: Any = space.features(architecture, facts)
        # Where the backbone shrinks its images, a place of a map stands for more of their pixels.
        shrunk = facts.image_size / backbone.side
        strides = tuple(stride * shrunk for stride in backbone.strides)
        pyramid = Pyramid(tuple(backbone.channels), strides)
        ends = (len(facts.classes), self.stride)
        made = HEADS[head["decoder"]](pyramid, int(head["width"]), ends)
        # Under its kind's name: heads of two kinds share no weights.
        named = nn.Sequential(OrderedDict({head["decoder"]: made}))
        return Segmenter(backbone, named, self.stride)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The classifiers, whose outputs are the classes."""
        heads = [module for module in network.modules() if isinstance(module, Head)]
        return [layer for head in heads for layer in head.classifiers()]

    def batch(
        self, batch: Batch, rng: np.random.Generator, recipe: TrainConfig
    ) -> tuple[Tensor, Tensor]:
        """Crops, mirrors, scales, recolours, erases and mixes; what is outside is ignored.

        Targets are classes int64 (B, side, side), or with smoothing, mixup or CutMix probabilities
        (B, classes, side, side), all 0 where a pixel is to be ignored, and with weights of classes
        probabilities times those of each pixel's class. Raises TrainingError for a
        recipe whose operations would leave the masks behind.
        """
        if recipe.augment != "none":
            raise TrainingError(
                f"train.augment: {recipe.augment} turns and shifts images without their masks, "
                "expected none for segmentation. train.crop_area and train.colour_jitter do both."
            )
        # Behind the image's channels the mask, upside down: black, which cropping and erasing
        # bring in, then is what is ignored.
        pixels = torch.cat([batch.pixels, (IGNORE - batch.targets[:, None]).to(torch.uint8)], 1)
        if recipe.crop_padding:
            pixels = crop(pixels, recipe.crop_padding, rng)
        if batch.mirror:
            pixels = mirror(pixels, rng)
        coloured, hidden = pixels[:, :-1], pixels[:, -1:].float()
        if recipe.crop_area < 1:
            found = boxes(len(pixels), recipe.crop_area, rng)
            coloured = cut(coloured, found, batch.side)
            hidden = cut(hidden, found, batch.side, nearest=True)
        if recipe.colour_jitter:
            coloured = jitter(coloured, recipe.colour_jitter, rng)
        images = batch.facts.normalise(coloured)
        if batch.side != images.shape[-1]:
            side = (batch.side, batch.side)
            images = functional.interpolate(images, side, mode="bilinear")
            hidden = functional.interpolate(hidden, side, mode="nearest")
        if recipe.erasing:
            both = erase(torch.cat([images, hidden], 1), recipe.erasing, rng)
            images, hidden = both[:, :-1], both[:, -1:]
        masks = IGNORE - hidden[:, 0].long()
        mixed = recipe.label_smoothing or recipe.mixup_alpha or recipe.cutmix_alpha
        if not mixed and batch.weights is None:
            return images, masks
        targets = _soft(masks, len(batch.facts.classes), recipe.label_smoothing)
        if batch.weights is not None:
            targets *= batch.weights[masks.where(masks != IGNORE, 0)][:, None]
        return blend(images, targets, recipe, rng)

    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy at the targets' size, the mean over pixels that are not ignored.

        Targets are classes (B, H, W) or probabilities (B, classes, H, W), as `batch` gives them.
        """
        logits = resized(answer, (int(targets.shape[-2]), int(targets.shape[-1])))
        if targets.dim() == logits.dim():
            told = -(targets * functional.log_softmax(logits, 1)).sum()
            return told / targets.sum().clamp_min(1)
        summed = functional.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
        # Not its mean, which is nan for a batch in which every pixel is ignored.
        return summed / (targets != IGNORE).sum().clamp_min(1)

    def judge(self, facts: ImageFacts) -> Judge:
        """Counts pixels, truth against answer."""
        return MaskJudge(facts)

    def distance(self, first: Tensor, second: Tensor) -> float:
        """The share of places of the maps whose most likely class differs."""
        return float((first.argmax(1) != second.argmax(1)).double().mean())

    def figures(self, facts: ImageFacts) -> tuple[str, ...]:
        """The metrics, and each class' IoU, which the objective `iou` asks for."""
        return (*super().figures(facts), *(class_figure(name) for name in facts.classes))

    def colours(self, facts: ImageFacts) -> dict[str, str]:
        """Each class' colour in `pictures`."""
        shown = colours(len(facts.classes))
        return {
            name: "#{:02x}{:02x}{:02x}".format(*colour)
            for name, colour in zip(facts.classes, shown, strict=True)
        }

    def pictures(self, batch: Batch, answers: Tensor) -> list[dict[str, str]]:
        """Each image beside its mask and the answer; what is ignored is white in both."""
        count, masks = len(batch.facts.classes), batch.targets.cpu().numpy()
        parts = [classes for _, classes in answered(answers, batch.targets)]
        found = torch.cat(parts).cpu().numpy()
        return [
            {
                "image": image_uri(pixels),
                "truth": mask_uri(mask, count),
                "answer": mask_uri(np.where(mask == IGNORE, IGNORE, answer), count),
            }
            for pixels, mask, answer in zip(batch.pixels.cpu().numpy(), masks, found, strict=True)
        ]

    def wrongness(self, answers: Tensor, targets: Tensor) -> Tensor:
        """The share of an image's pixels that are wrong, of those that count."""
        found = [_wrong_share(masks, classes) for masks, classes in answered(answers, targets)]
        return torch.cat(found)

    def chance(self, facts: ImageFacts) -> float:
        """What answering one class everywhere gives at best, if that class is nearly everywhere."""
        return 1 / len(facts.classes)


def _wrong_share(masks: Tensor, classes: Tensor) -> Tensor:
    """Of masks and classes answered (B, H, W) the share of each image's wrong pixels, (B,)."""
    kept = masks != IGNORE
    wrong = (classes != masks) & kept
    return wrong.flatten(1).sum(1) / kept.flatten(1).sum(1).clamp(min=1)


def _soft(masks: Tensor, classes: int, smoothing: float) -> Tensor:
    """Classes int64 (B, H, W) as probabilities (B, classes, H, W); ignored pixels are all 0."""
    kept = masks != IGNORE
    hot = functional.one_hot(masks.where(kept, 0), classes).movedim(-1, 1).float()
    return hot.mul_(1 - smoothing).add_(smoothing / classes).mul_(kept[:, None])
