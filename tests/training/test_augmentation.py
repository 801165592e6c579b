from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from orchestrator.config import TrainConfig
from orchestrator.errors import ConfigError, TrainingError
from orchestrator.training import augmentation, policies


def slope(side: int = 32) -> torch.Tensor:
    """An image whose pixels tell how far right they are, from 0 to 255."""
    row = 255 * (torch.arange(side) + 0.5) / side
    return row.expand(1, 1, side, side).clone()


def test_random_boxes_lie_in_the_image_and_keep_the_area_asked_for() -> None:
    left, top, width, height = augmentation.boxes(2000, 0.25, np.random.default_rng(0)).unbind(1)
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-6
    assert (width * height).min() > 0.2
    assert (width * height).max() <= 1
    assert (width / height).max() <= 4 / 3 + 1e-4
    assert abs(float((width * height).mean()) - 0.61) < 0.03


def test_a_box_is_scaled_to_the_whole() -> None:
    right_half = torch.tensor([[0.5, 0.25, 0.5, 0.5]])
    found = augmentation.cut(slope(), right_half, 16)[0, 0]
    # A column of the new image is one of the old, which tells its place.
    assert torch.allclose(found[3], 255 * (0.5 + 0.5 * (torch.arange(16) + 0.5) / 16), atol=0.5)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert torch.allclose(augmentation.cut(slope(), whole, 32), slope(), atol=1e-3)


def test_the_nearest_pixel_makes_no_new_values() -> None:
    labels = torch.randint(0, 3, (4, 1, 16, 16)) * 100
    found = augmentation.cut(
        labels, augmentation.boxes(4, 0.2, np.random.default_rng(0)), 24, nearest=True
    )
    assert found.unique().tolist() == [0, 100, 200]


def test_jitter_changes_brightness_contrast_and_saturation_of_each_image() -> None:
    pixels = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 100 + 60
    found = augmentation.jitter(pixels, 0.4, np.random.default_rng(0))
    assert torch.allclose(augmentation.jitter(pixels, 0.0, np.random.default_rng(0)), pixels)
    brightness = found.mean((1, 2, 3)) / pixels.mean((1, 2, 3))
    assert 0.6 < brightness.min() < 0.7
    assert 1.3 < brightness.max() < 1.4
    colour = (found.amax(1) - found.amin(1)).mean((1, 2)) / brightness
    assert colour.max() / colour.min() > 2
    assert 0 <= found.min() <= found.max() <= 255


def test_jitter_is_brightness_then_contrast_then_saturation() -> None:
    pixels = torch.rand(5, 3, 8, 8) * 60 + 90
    drawn = np.random.default_rng(3).uniform(0.7, 1.3, (3, 5, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(drawn)[..., None]

    def grey(images: torch.Tensor) -> torch.Tensor:
        red, green, blue = images.unbind(1)
        return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]

    told = pixels * brightness
    told = told * contrast + grey(told).mean((2, 3), keepdim=True) * (1 - contrast)
    told = told * saturation + grey(told) * (1 - saturation)
    found = augmentation.jitter(pixels, 0.3, np.random.default_rng(3))
    assert torch.allclose(found, told.clamp(0, 255), atol=1e-2)


def test_jitter_of_grey_images_leaves_saturation_out() -> None:
    pixels = slope().repeat(8, 1, 1, 1)
    found = augmentation.jitter(pixels, 0.5, np.random.default_rng(0))
    thrice = augmentation.jitter(pixels.repeat(1, 3, 1, 1), 0.5, np.random.default_rng(0))
    assert found.shape == pixels.shape
    assert torch.allclose(thrice[:, :1], found, atol=1e-2)


@pytest.mark.parametrize("places", [False, True])
def test_cutmix_puts_in_a_rectangle_and_as_much_of_the_target(places: bool) -> None:
    classes = torch.eye(6)
    images = classes.reshape(6, 6, 1, 1).repeat(1, 1, 20, 20)
    targets = images.clone() if places else classes
    for seed in range(20):
        mixed, told = augmentation.cutmix(images, targets, 1.0, np.random.default_rng(seed))
        assert torch.equal(mixed.amax(1), torch.ones(6, 20, 20))
        told = told.mean((2, 3)) if places else told
        assert torch.allclose(mixed.mean((2, 3)), told, atol=1e-6)
    assert torch.equal(images, classes.reshape(6, 6, 1, 1).repeat(1, 1, 20, 20))


def test_where_both_are_asked_for_each_batch_is_mixed_one_way() -> None:
    images, rng = torch.eye(4).reshape(4, 4, 1, 1).repeat(1, 1, 8, 8), np.random.default_rng(0)
    recipe = TrainConfig(mixup_alpha=1.0, cutmix_alpha=1.0)
    cut = 0
    for _ in range(60):
        mixed, targets = augmentation.blend(images, torch.eye(4), recipe, rng)
        assert torch.allclose(mixed.mean((2, 3)), targets, atol=1e-6)
        cut += bool(((mixed == 0) | (mixed == 1)).all())
    assert 15 < cut < 45
    same, _ = augmentation.blend(images, torch.eye(4), TrainConfig(), rng)
    assert same is images


@pytest.mark.parametrize("policy", ["trivial", "rand"])
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_draw_from_the_generator_that_is_passed_in(
    policy: policies.Policy, channels: int
) -> None:
    pytest.importorskip("kornia")
    pixels = (torch.rand(40, channels, 24, 24) * 255).to(torch.uint8)
    state = torch.get_rng_state()
    first, second, other = (
        policies.vary(pixels, policy, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())
    assert first.shape == pixels.shape
    changed = (first - pixels).abs().flatten(1).mean(1) > 1
    assert changed.sum() > 20
    assert 0 <= first.min() <= first.max() <= 255


def test_a_policy_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.augmentation.auto", None)
    policies._operations.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'pareto-orchestrator\[augment\]'"):
        policies.vary(torch.zeros(2, 3, 8, 8), "trivial", np.random.default_rng(0))


def test_a_policy_knows_grey_and_colour_only() -> None:
    with pytest.raises(TrainingError, match="4 channels, expected 1 or 3"):
        policies.vary(torch.zeros(2, 4, 8, 8), "rand", np.random.default_rng(0))
