from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from networks import fresh
from orchestrator_proxies.naswot import Naswot
from orchestrator_proxies.synflow import Synflow
from orchestrator_proxies.zen import Zen
from orchestrator_proxies.zico import Zico
from orchestrator_spaces import orchestrator_search_spaces
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Genotype, Objective, Subject
from orchestrator.errors import CandidateError, ConfigError
from orchestrator.paths import config_dir
from orchestrator.plugins import installed
from orchestrator.testing.objective import check_objective
from orchestrator.trials import RandomTrial

NAMES = ["naswot", "synflow", "zen", "zico"]
FAMILIES = [offer.name for offer in orchestrator_search_spaces()]


def images(side: int = 8, channels: int = 3, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    pixels = rng.standard_normal((count, channels, side, side)).astype(np.float32)
    return pixels, np.sort(rng.integers(0, 4, count))


def subject(network: nn.Module, side: int = 8, channels: int = 3) -> Subject:
    shape = (channels, side, side)
    batch = images(side, channels)
    return Subject(Genotype("toy", "small", {}), network, shape, batch=lambda: batch)


def convolutional(width: int = 8, *, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), act(),
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), act(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4),
    )  # fmt: skip


def proxy(name: str) -> Objective:
    made: Objective = installed().create("objective", name, {})
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_proxy_fulfils_the_contract(name: str) -> None:
    check_objective(proxy(name), subject(convolutional()))


@pytest.mark.parametrize("name", NAMES)
def test_a_proxys_yaml_makes_it_and_only_reports_it(name: str) -> None:
    lines = (Path(config_dir()) / "objective" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == f"# @package objective.{name}"
    options = yaml.safe_load("\n".join(lines))
    assert (options.pop("name"), options.pop("role")) == (name, "reported")
    for key in ("min", "max", "reference"):
        assert options.pop(key) is None
    made = installed().create("objective", name, options)
    assert vars(made) == vars(proxy(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_score(family: str, name: str) -> None:
    space = installed().create("space", family, {"preset": "small"})
    network = fresh(space, space.suggest(RandomTrial(0)), classes=4, in_channels=3, image_size=32)
    assert math.isfinite(proxy(name).measure(subject(network, side=32)))


@pytest.mark.parametrize("name", NAMES)
def test_trained_weights_and_random_numbers_change_nothing(name: str) -> None:
    network = convolutional()
    score = proxy(name).measure(subject(network))
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(3 * torch.rand(tensor.shape) + 1)
    kept = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    assert proxy(name).measure(subject(network.train())) == score
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(kept[key], tensor) for key, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_more_channels_score_higher(name: str) -> None:
    small, large = (proxy(name).measure(subject(convolutional(width))) for width in (4, 32))
    assert small < large


@pytest.mark.parametrize("name", NAMES)
def test_a_network_without_memory_is_refused(name: str) -> None:
    with torch.device("meta"):
        network = convolutional()
    with pytest.raises(CandidateError, match="meta device"):
        proxy(name).measure(subject(network))


@pytest.mark.parametrize("name", NAMES)
def test_only_those_that_look_at_images_need_some(name: str) -> None:
    blind = replace(subject(convolutional()), batch=None)
    if name in ("synflow", "zen"):
        assert math.isfinite(proxy(name).measure(blind))
        return
    with pytest.raises(CandidateError, match="training images"):
        proxy(name).measure(blind)


@pytest.mark.parametrize("name", NAMES)
def test_a_pruned_network_is_another_one(name: str) -> None:
    import torch_pruning

    network = convolutional(16)
    whole = proxy(name).measure(subject(network))
    graph = torch_pruning.DependencyGraph().build_dependency(network, torch.zeros(1, 3, 8, 8))
    graph.get_pruning_group(
        network[0], torch_pruning.prune_conv_out_channels, idxs=list(range(12))
    ).prune()
    assert proxy(name).measure(subject(network)) < whole


class Identical(nn.Module):
    """Gives every image the same features."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.relu(self.inside(0 * x + 1)).mean((2, 3)))  # type: ignore[no-any-return]


def test_naswot_is_the_log_determinant_of_common_states() -> None:
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 500, bias=False), nn.ReLU(), nn.Linear(500, 4)
    )
    score = Naswot(images=64).measure(subject(network))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = torch.empty(500, 192).normal_(std=math.sqrt(2 / 192))
    states = (torch.from_numpy(images()[0]).flatten(1) @ weight.T > 0).double()
    kernel = states @ states.T + (1 - states) @ (1 - states.T)
    assert score == pytest.approx(float(torch.logdet(kernel)), abs=1e-2)


@pytest.mark.parametrize("act", [nn.GELU, nn.SiLU, nn.Hardswish, nn.ReLU6, nn.LeakyReLU, nn.PReLU])
def test_naswot_knows_activations_that_resemble_relu(act: type[nn.Module]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 50), act(), nn.Linear(50, 4))
    relu = nn.Sequential(nn.Flatten(), nn.Linear(192, 50), nn.ReLU(), nn.Linear(50, 4))
    assert Naswot().measure(subject(network)) == Naswot().measure(subject(relu))


def test_naswot_of_images_it_cannot_tell_apart_is_low_and_finite() -> None:
    assert Naswot().measure(subject(Identical())) < 0


def test_naswot_without_activations_says_so() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Sigmoid())
    with pytest.raises(CandidateError, match="no rectifier"):
        Naswot().measure(subject(network))


def test_synflow_of_a_chain_is_its_flow_once_a_layer() -> None:
    """|θ · ∂R/∂θ| sums to R in every layer of a chain."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    score = Synflow().measure(subject(network, side=2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = torch.empty(5, 12).normal_(std=math.sqrt(2 / 12)).abs()
        second = torch.empty(2, 5).normal_(std=math.sqrt(2 / 5)).abs()
    assert score == pytest.approx(math.log(2 * float((second @ first).sum())), rel=1e-5)


def test_synflow_sees_neither_norms_nor_the_limit_of_relu6() -> None:
    plain = nn.Sequential(*(m for m in convolutional() if not isinstance(m, nn.BatchNorm2d)))
    score = Synflow().measure(subject(plain))
    assert Synflow().measure(subject(convolutional())) == pytest.approx(score)
    assert Synflow().measure(subject(convolutional(act=nn.ReLU6))) == pytest.approx(score)


class Attending(nn.Module):
    """Each block's tokens ask all the others; softmax as a function, or fused."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(16, 48) for _ in range(40))
        self.head = nn.Linear(16, 4)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1).unflatten(1, (-1, 16))
        for block in self.blocks:
            query, key, value = block(x).chunk(3, -1)
            if self.fused:
                x = x + functional.scaled_dot_product_attention(query, key, value)
            else:
                x = x + (query @ key.transpose(1, 2) / 4).softmax(-1) @ value
        return self.head(x.mean(1))  # type: ignore[no-any-return]


def test_synflow_counts_what_attention_passes_on_and_not_its_pattern() -> None:
    fused, plain = (Synflow().measure(subject(Attending(fused=f))) for f in (True, False))
    assert fused == pytest.approx(plain)
    assert plain < 40 * math.log(16)


@pytest.mark.parametrize("name", ["synflow", "zen"])
def test_what_overflows_single_precision_has_a_score(name: str) -> None:
    layers = [layer for _ in range(60) for layer in (nn.Linear(192, 192), nn.ReLU())]
    network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(192, 4))
    assert proxy(name).measure(subject(network)) > math.log(torch.finfo(torch.float32).max)


def test_zen_counts_back_what_batch_norm_hides() -> None:
    """For a chain the score is (almost) that of the network without its norms."""
    plain = nn.Sequential(*(m for m in convolutional(64) if not isinstance(m, nn.BatchNorm2d)))
    with_norm, without = (Zen(repeats=8).measure(subject(n)) for n in (convolutional(64), plain))
    assert with_norm == pytest.approx(without, abs=0.5)
    assert without > 3


@pytest.mark.parametrize(
    "norm", [nn.GroupNorm(4, 16), nn.InstanceNorm2d(16), nn.LayerNorm([16, 8, 8])]
)
def test_zen_counts_back_what_other_norms_hide(norm: nn.Module) -> None:
    convolution, rest = (
        nn.Conv2d(3, 16, 3, padding=1),
        (nn.ReLU(), nn.Flatten(), nn.Linear(1024, 4)),
    )
    plain = Zen(repeats=4).measure(subject(nn.Sequential(convolution, *rest)))
    normed = Zen(repeats=4).measure(subject(nn.Sequential(convolution, norm, *rest)))
    assert normed == pytest.approx(plain, abs=0.5)


@pytest.mark.parametrize(
    "pool", [nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(8), nn.AdaptiveMaxPool2d(1)]
)
def test_zen_looks_before_the_last_pooling(pool: nn.Module) -> None:
    body = (nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
    pooled = nn.Sequential(*body, pool, nn.Flatten(), nn.Linear(16, 4))
    flat = nn.Sequential(*body, nn.Flatten(), nn.Linear(1024, 4))
    assert Zen().measure(subject(pooled)) == pytest.approx(Zen().measure(subject(flat)))


def test_zen_tells_channel_attention_from_the_last_pooling() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.classifier = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(1024, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.inside(x)
            x = x * (0 * x.mean((2, 3), keepdim=True) + 1)
            return self.classifier(x.flatten(1))  # type: ignore[no-any-return]

    gated = Gated()
    plain = nn.Sequential(gated.inside, nn.Flatten(), gated.classifier)
    assert Zen().measure(subject(gated)) == pytest.approx(Zen().measure(subject(plain)))


def test_zen_of_features_that_ignore_the_image_is_refused() -> None:
    with pytest.raises(CandidateError, match="noise does not reach"):
        Zen().measure(subject(Identical()))


def test_zico_is_the_sum_over_layers_of_log_steadiness() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4, bias=False))
    score = Zico(batches=3, images=16).measure(subject(network))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = torch.empty(4, 192).normal_(std=math.sqrt(2 / 192)).requires_grad_()
    order = np.random.default_rng(0).permutation(64)[:48]
    pixels, labels = (torch.from_numpy(array[order]) for array in images())
    gradients = []
    for batch, answer in zip(pixels.split(16), labels.split(16), strict=True):
        loss = functional.cross_entropy(batch.flatten(1) @ weight.T, answer)
        gradients.append(torch.autograd.grad(loss, weight)[0])
    stack = torch.stack(gradients)
    expected = (stack.abs().mean(0) / stack.std(0, unbiased=False)).sum().log()
    assert score == pytest.approx(float(expected), rel=1e-4)


def test_zico_without_gradients_that_differ_says_so() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.mean((2, 3))).detach() + self.head.bias  # type: ignore[no-any-return]

    with pytest.raises(CandidateError, match="nothing to compare"):
        Zico().measure(subject(Fixed()))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("naswot", {"images": 1}),
        ("zen", {"noise": 0}),
        ("zen", {"repeats": 0}),
        ("zico", {"batches": 1}),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"objective.{name}"):
        installed().create("objective", name, options)
