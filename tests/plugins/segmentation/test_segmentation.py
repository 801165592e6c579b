from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import torch
from orchestrator_datasets.scenes import Scenes
from orchestrator_segmentation.objectives import ClassIou, MeanIou
from orchestrator_segmentation.task import Segmentation
from toy_pyramid import ToyPyramidSpace

from orchestrator import Batch, ImageFacts, Maps, Subject, TrainConfig
from orchestrator.candidate.assembly import Assembly, assemble
from orchestrator.cli.composing import compose, read_command_line
from orchestrator.errors import BuildError, CandidateError, ConfigError, TrainingError
from orchestrator.plugins import installed
from orchestrator.records import Genotype
from orchestrator.testing.task import check_task
from orchestrator.trials import RandomTrial

FACTS = ImageFacts(16, 1, ("ground", "cat", "dog"), (0.0,), (1 / 255,))


def _recipe(**changes: Any) -> TrainConfig:
    plain = {"crop_padding": 0, "label_smoothing": 0.0}
    return pydantic.TypeAdapter(TrainConfig).validate_python({**plain, **changes})


def _batch(side: int = 16, mirror: bool = False) -> Batch:
    """Images whose pixels are 10 + 100 times their class, so that each tells its class."""
    classes = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (6, 16, 16)))
    pixels = (10 + 100 * classes).to(torch.uint8)[:, None]
    return Batch(pixels, classes, FACTS, mirror=mirror, side=side)


@pytest.mark.parametrize("stride", [2, 4])
def test_segmentation_fulfils_the_contract(stride: int) -> None:
    scenes = Scenes(image_size=32, count=60)
    check_task(Segmentation(stride=stride), scenes, ToyPyramidSpace())
    assert Segmentation(stride=stride).outputs(scenes.facts) == Maps(6, stride)


@pytest.mark.parametrize("name", ["mobilenetv3", "efficientformer"])
def test_families_with_a_pyramid_serve_it(name: str) -> None:
    space = installed().create("space", name, {"preset": "small"})
    check_task(Segmentation(), Scenes(image_size=32, count=60), space)


def test_a_backbone_that_shrinks_its_images_answers_at_the_same_stride() -> None:
    space = installed().create("space", "mobilenetv3", {"preset": "small"})
    facts = ImageFacts.unnamed(64, in_channels=1, classes=3)
    sides = set()
    for seed in range(12):
        architecture = space.suggest(RandomTrial(seed))
        head = {"decoder": "fpn", "width": 32}
        network = Segmentation().build(space, architecture, head, facts).eval()
        sides.add(network.backbone.side)
        assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 3, 16, 16)
    assert sides == {32, 48, 64}


def _assembled(*overrides: str) -> Assembly:
    line = read_command_line(["+search=mobilenetv3", "task=segmentation", *overrides])
    return assemble(compose(line.overrides, line), installed())


def test_what_the_command_line_names_wins_over_what_the_task_takes(tmp_path: Path) -> None:
    config = compose(["+search=mobilenetv3", "task=segmentation"])
    assert (config.dataset.name, config.train.batch_size) == ("scenes", 16)
    assert next(iter(config.objective)) == "miou"
    root = f"dataset.root={tmp_path}"
    chosen = ["dataset=mask_folder", root, "train=default", "objective=[pixel_accuracy,params]"]
    config = compose(["+search=mobilenetv3", "task=segmentation", *chosen])
    assert (config.dataset.name, config.train.batch_size) == ("mask_folder", 32)
    assert list(config.objective) == ["pixel_accuracy", "params", "macs"]
    before = compose(["dataset=mask_folder", root, "task=segmentation", "+search=mobilenetv3"])
    assert before.dataset.name == "mask_folder"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("space=squeezenet",), "asks for Maps, space 'squeezenet' serves Classes"),
        (("objective=[accuracy,params]",), "objective.accuracy: task 'segmentation' is judged by"),
        (("objective=[iou,params]", "objective.iou.cls=9"), "not by iou/9"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(overrides: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _assembled("dataset.count=16", "dataset.image_size=32", *overrides)


@pytest.mark.parametrize(
    ("recipe", "mirror", "ignored"),
    [
        ({}, False, False),
        ({"crop_padding": 3}, False, True),
        ({}, True, False),
        ({"erasing": 1.0}, False, True),
        ({"crop_padding": 2, "erasing": 0.5}, True, True),
    ],
)
def test_masks_move_with_their_images(
    recipe: dict[str, float], mirror: bool, ignored: bool
) -> None:
    """A pixel's value tells its class, wherever it went; what came in from outside is ignored."""
    batch = _batch(mirror=mirror)
    images, masks = Segmentation().batch(batch, np.random.default_rng(1), _recipe(**recipe))
    kept = masks != 255
    assert torch.equal(masks[kept], ((images[:, 0] - 10) / 100).round().long()[kept])
    assert bool((~kept).any()) is ignored
    assert bool((images[:, 0][~kept] < 5).all())
    moved = bool(recipe) or mirror
    assert torch.equal(masks, batch.targets) is not moved


@pytest.mark.parametrize("recipe", [{"crop_area": 0.3}, {"cutmix_alpha": 1.0}])
def test_masks_are_cut_and_pasted_with_their_images(recipe: dict[str, float]) -> None:
    """Coarse masks, as a scaled image is blurred where classes meet."""
    blocks = _batch().targets[:, ::8, ::8].repeat_interleave(8, 1).repeat_interleave(8, 2)
    batch = Batch((10 + 100 * blocks).to(torch.uint8)[:, None], blocks, FACTS, False, 16)
    images, found = Segmentation().batch(batch, np.random.default_rng(1), _recipe(**recipe))
    masks = found if found.dim() == 3 else found.argmax(1)
    assert ((images[:, 0] - 10) / 100 - masks).abs().lt(0.3).float().mean() > 0.85
    assert not torch.equal(masks, blocks)


def test_operations_that_leave_masks_behind_are_refused() -> None:
    with pytest.raises(TrainingError, match="trivial turns and shifts images without their masks"):
        Segmentation().batch(_batch(), np.random.default_rng(0), _recipe(augment="trivial"))


def test_smaller_images_have_smaller_masks() -> None:
    large = _batch()
    blocks = large.targets[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)
    batch = Batch((10 + 100 * blocks).to(torch.uint8)[:, None], blocks, FACTS, False, 8)
    images, masks = Segmentation().batch(batch, np.random.default_rng(0), _recipe())
    assert images.shape == (6, 1, 8, 8)
    assert torch.equal(masks, large.targets[:, ::2, ::2])


def test_smoothing_spreads_over_classes_and_leaves_ignored_pixels_out() -> None:
    recipe = _recipe(label_smoothing=0.3, crop_padding=2)
    _, soft = Segmentation().batch(_batch(), np.random.default_rng(0), recipe)
    _, hard = Segmentation().batch(_batch(), np.random.default_rng(0), _recipe(crop_padding=2))
    assert soft.shape == (6, 3, 16, 16)
    assert torch.allclose(soft.sum(1), (hard != 255).float())
    assert torch.equal(soft.argmax(1)[hard != 255], hard[hard != 255])
    assert soft.max() == pytest.approx(0.8)


def test_mixup_mixes_images_and_their_probabilities() -> None:
    images, targets = Segmentation().batch(
        _batch(), np.random.default_rng(3), _recipe(mixup_alpha=1.0)
    )
    told = (targets * torch.tensor([10.0, 110.0, 210.0]).reshape(1, 3, 1, 1)).sum(1)
    assert torch.allclose(images[:, 0], told, atol=1e-2)


def test_the_loss_is_the_mean_over_pixels_that_count() -> None:
    task = Segmentation()
    logits = torch.randn(2, 3, 4, 4)
    masks = torch.randint(0, 3, (2, 4, 4))
    masks[0, 0] = 255
    kept = masks != 255
    chosen = logits.movedim(1, -1)[kept]
    expected = torch.nn.functional.cross_entropy(chosen, masks[kept])
    assert torch.allclose(task.loss(logits, masks), expected)
    hidden = logits.clone()
    hidden[0, :, 0] += 100 * torch.randn(3, 4)
    assert torch.allclose(task.loss(hidden, masks), expected)


def test_classes_and_their_probabilities_give_the_same_loss() -> None:
    task = Segmentation()
    _, soft = task.batch(_batch(), np.random.default_rng(0), _recipe(label_smoothing=1e-7))
    logits = torch.randn(6, 3, 4, 4)
    assert torch.allclose(task.loss(logits, soft), task.loss(logits, _batch().targets), atol=1e-4)


def test_a_batch_in_which_all_is_ignored_has_no_loss() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = Segmentation().loss(logits, torch.full((2, 16, 16), 255))
    assert loss.item() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


def test_distance_is_the_share_of_places_that_differ() -> None:
    first = torch.zeros(1, 2, 2, 2)
    second = first.clone()
    second[0, 1, 0, 0] = 1
    assert Segmentation().distance(first, second) == 0.25


def test_the_classifiers_of_a_head_are_fixed() -> None:
    task, space = Segmentation(), ToyPyramidSpace()
    for decoder, count in (("lraspp", 2), ("fpn", 1)):
        network = task.build(space, {"width": 8}, {"decoder": decoder, "width": 16}, FACTS)
        fixed = list(task.fixed_layers(network))
        assert len(fixed) == count
        assert all(layer.out_channels == 3 for layer in fixed)  # type: ignore[union-attr]


def test_a_head_of_another_task_is_refused() -> None:
    with pytest.raises(BuildError, match="expected a decoder of lraspp, fpn"):
        Segmentation().build(ToyPyramidSpace(), {"width": 8}, {}, FACTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "task.stride: found 0"),
        ({"heads": ("lraspp", "unet")}, "task.heads: found"),
        ({"widths": ()}, "task.widths: found"),
    ],
)
def test_impossible_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Segmentation(**options)


def test_the_iou_of_one_class_is_an_objective() -> None:
    network = torch.nn.Identity()
    metrics = {"miou": 0.5, "iou/cat": 0.25}
    subject = Subject(Genotype("toy", "small", {}), network, (1, 16, 16), metrics=metrics)
    assert ClassIou(cls="cat").measure(subject) == 0.25
    assert MeanIou().measure(subject) == 0.5
    with pytest.raises(CandidateError, match="no iou/dog is known"):
        ClassIou(cls="dog").measure(subject)
