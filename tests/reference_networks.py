"""Networks of timm and torchvision that ours equal, and what they answered when last asked.

Run as a program, with the names of families or none for all, this stores the answers anew: names
and shapes of a network's state dict, the eps of its norms, and logits for weights that follow from
the names. It needs timm and torchvision; the tests do not.
"""

from __future__ import annotations

import gzip
import json
import sys
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STORED = Path(__file__).parent / "search_spaces" / "references"
LOGITS = 32


@dataclass(frozen=True)
class Reference:
    """A network of another library, and the family's member that is the same function.

    `naming` is that of the library's state dicts. `first` marks the smallest of each naming, which
    every run of the tests compares. `options` are those of the space.
    """

    family: str
    member: str
    network: str
    naming: str = "timm"
    first: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.family}-{self.naming}-{self.network}"


def _rows(
    family: str, networks: Mapping[str, str], *, smallest: bool = True, **facts: Any
) -> tuple[Reference, ...]:
    """Networks by member, the smallest first; not `smallest`: there are smaller ones elsewhere."""
    return tuple(
        Reference(family, member, network, first=smallest and not place, **facts)
        for place, (member, network) in enumerate(networks.items())
    )


# Of these, no package has the network: saic-fi/edgevit has a module, and AAboys/MobileFormer two to
# be put among timm's. The stored answers are of those layers written down anew, in their names.
AUTHORS = "authors"
MODULES = {"edgevit": "edgevit", "mobile_former": "timm.models.mobile_former"}
VIT = {"ti16": "vit_tiny_patch16_224", "s16": "vit_small_patch16_224"}
SIZES = {"ti": "tiny", "s": "small", "b": "base"}
WINDOWS = "patch4_window7_224"
TF, EPS = (("convention", "tensorflow"),), (("convention", "eps-1e-3"),)
TORCHVISION = "torchvision"
MINIMAL = {
    f"{size}-minimalistic": f"tf_mobilenetv3_{size}_minimal_100" for size in ("small", "large")
}
CONVOLUTIONAL = (
    *_rows("mobilenetv1", {"1.0": "mobilenetv1_100"}),
    *_rows(
        "mobilenetv2",
        {
            factor: f"mobilenetv2_{round(100 * float(factor)):03}"
            for factor in ("0.35", "0.5", "0.75", "1.0", "1.4")
        },
    ),
    *_rows("mobilenetv2", {"1.0": "mobilenet_v2"}, naming=TORCHVISION),
    *_rows(
        "mobilenetv3",
        {
            f"{size}-{factor}": f"mobilenetv3_{size}_{round(100 * float(factor)):03}"
            for size in ("small", "large")
            for factor in ("0.75", "1.0")
        },
    ),
    *_rows(
        "mobilenetv3",
        {
            f"{size}-{factor}": f"tf_mobilenetv3_{size}_{round(100 * float(factor)):03}"
            for size in ("small", "large")
            for factor in ("0.75", "1.0")
        }
        | MINIMAL,
        options=TF,
    ),
    *_rows(
        "mobilenetv3",
        {"small-1.0": "mobilenet_v3_small", "large-1.0": "mobilenet_v3_large"},
        naming=TORCHVISION,
        options=EPS,
    ),
    *_rows("mnasnet", {"small-timm": "mnasnet_small", "a1": "semnasnet_100", "b1": "mnasnet_100"}),
    *_rows("mnasnet", {"b1": "mnasnet1_0"}, naming=TORCHVISION),
    *_rows("squeezenet", {"1.1": "squeezenet1_1", "1.0": "squeezenet1_0"}, naming=TORCHVISION),
    *_rows(
        "shufflenetv2",
        {
            f"{size}x-torchvision": f"shufflenet_v2_x{size.replace('.', '_')}"
            for size in ("0.5", "1.0", "1.5", "2.0")
        },
        naming=TORCHVISION,
    ),
    *_rows("efficientnet", {f"b{n}": f"efficientnet_b{n}" for n in range(8)}),
    *_rows("efficientnet", {f"b{n}": f"tf_efficientnet_b{n}" for n in range(8)}, options=TF),
    *_rows("efficientnet", {f"b{n}": f"efficientnet_b{n}" for n in range(5)}, naming=TORCHVISION),
    *_rows(
        "efficientnet",
        {f"b{n}": f"efficientnet_b{n}" for n in range(5, 8)},
        naming=TORCHVISION,
        options=EPS,
        smallest=False,
    ),
    *_rows("efficientnet_lite", {f"lite{n}": f"efficientnet_lite{n}" for n in range(5)}),
    *_rows(
        "efficientnet_lite", {f"lite{n}": f"tf_efficientnet_lite{n}" for n in range(5)}, options=TF
    ),
    *_rows(
        "efficientnet_lite",
        {f"lite{n}": f"efficientnet-lite{n}" for n in range(5)},
        naming="efficientnet_lite_pytorch",
        options=TF,
    ),
)
REFERENCES = (
    *CONVOLUTIONAL,
    *_rows("vit", VIT | {"b16": "vit_base_patch16_224"}),
    Reference("vit", "b16", "vit_b_16", "torchvision"),
    *_rows("deit", {size: f"deit_{name}_patch16_224" for size, name in SIZES.items()}),
    *_rows(
        "deit",
        {f"{size}-distilled": f"deit_{name}_distilled_patch16_224" for size, name in SIZES.items()},
    ),
    *_rows("swin", {size[0]: f"swin_{size}_{WINDOWS}" for size in ("tiny", "small", "base")}),
    *_rows("swin", {size: f"swin_{size}" for size in "tsb"}, naming="torchvision"),
    *_rows("mobilevit", {size: f"mobilevit_{size}" for size in ("xxs", "xs", "s")}),
    *_rows("efficientformer", {size: f"efficientformer_{size}" for size in ("l1", "l3", "l7")}),
    *_rows(
        "efficientformerv2", {size: f"efficientformerv2_{size}" for size in ("s0", "s1", "s2", "l")}
    ),
    *_rows("edgevit", {size: f"edgevit_{size}" for size in ("xxs", "xs", "s")}, naming=AUTHORS),
    *_rows("mobile_former", {"26m": "mobile_former_26m"}, naming=AUTHORS),
    *_rows(
        "mobile_former",
        {f"{macs}m": f"mobile_former_{macs}m" for macs in (52, 96, 151, 214, 294, 508)},
        naming=AUTHORS,
    ),
)


@dataclass(frozen=True)
class Answer:
    """What a reference said: `eps` are those of its norms by kind, `logits` the first of them."""

    shapes: dict[str, list[int]]
    whole_numbers: list[str]
    eps: dict[str, list[float]]
    image_size: int
    logits: list[float]

    def state(self) -> dict[str, Tensor]:
        """The weights that gave the logits; tensors of whole numbers are all zero."""
        return filled(self.shapes, self.whole_numbers)


def filled(shapes: Mapping[str, Iterable[int]], whole: Iterable[str] = ()) -> dict[str, Tensor]:
    """Weights that follow from names and shapes alone, of sizes that keep signals alive."""
    whole = set(whole)
    return {
        name: torch.zeros(tuple(shape), dtype=torch.int64)
        if name in whole
        else _drawn(name, tuple(shape))
        for name, shape in shapes.items()
    }


def _drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    # The legacy generator, whose stream numpy promises never to change.
    uniform = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, shape)
    values = torch.from_numpy(uniform).float()
    if name.endswith("running_var"):
        return 1 + 0.5 * values
    if name.endswith("gamma"):
        return 0.3 + 0.1 * values
    if len(shape) == 1:
        return values * 0.2 + float(name.endswith("weight"))
    if len(shape) == 3 or "bias" in name:
        return values
    return values * sqrt(3 / int(np.prod(shape[1:])))


def image(size: int) -> Tensor:
    """One image, (1, 3, size, size), of no particular sight."""
    values = np.random.RandomState(size).uniform(-1.7, 1.7, (1, 3, size, size))
    return torch.from_numpy(values).float()


def eps_of(network: nn.Module) -> dict[str, list[float]]:
    """Those of layer norms and of batch norms."""
    layer = {each.eps for each in network.modules() if isinstance(each, nn.LayerNorm)}
    batch = {each.eps for each in network.modules() if isinstance(each, nn.BatchNorm2d)}
    return {kind: sorted(eps) for kind, eps in (("layer", layer), ("batch", batch)) if eps}


def logits_of(network: nn.Module, size: int) -> Tensor:
    """(1, classes), in double precision: an attention that wavers between two tokens multiplies
    what single precision rounds off.
    """
    with torch.no_grad():
        logits: Tensor = network.double().eval()(image(size).double())
    return logits


def made(reference: Reference) -> nn.Module:
    """The library's own network, untrained; ImportError or RuntimeError where it cannot be had."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if reference.naming == "torchvision":
            maker = getattr(import_module("torchvision.models"), reference.network)
            network: nn.Module = maker()
        elif reference.naming == "efficientnet_lite_pytorch":
            maker = import_module(reference.naming).EfficientNet
            network = maker.from_name(reference.network)
        elif reference.naming == AUTHORS:
            network = getattr(import_module(MODULES[reference.family]), reference.network)()
        else:
            network = import_module("timm").create_model(reference.network)
    return network


def asked(reference: Reference, size: int) -> Answer:
    """The answer of the library's own network."""
    network = made(reference)
    state = network.state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    whole = [name for name, tensor in state.items() if not tensor.is_floating_point()]
    # In place of its own tensors, as the dictionary holds versions that torchvision asks for.
    state.update({name: each for name, each in filled(shapes, whole).items() if name not in whole})
    network.load_state_dict(state)
    logits = [float(f"{value:.12g}") for value in logits_of(network, size)[0, :LOGITS].tolist()]
    return Answer(shapes, whole, eps_of(network), size, logits)


def stored(reference: Reference) -> Answer:
    """What was stored of it."""
    packed = (STORED / f"{reference.family}.json.gz").read_bytes()
    return Answer(**json.loads(gzip.decompress(packed))[str(reference)])


def _store(family: str, references: Iterable[Reference]) -> None:
    from orchestrator.plugins import installed

    answers = {}
    for each in references:
        space = installed().create("space", family, {"preset": "full", **dict(each.options)})
        answers[str(each)] = vars(asked(each, space.published()[each.member].image_size))
        print(each, answers[str(each)]["logits"][:4])
    STORED.mkdir(exist_ok=True)
    text = json.dumps(answers, separators=(",", ":"))
    (STORED / f"{family}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    for chosen in sys.argv[1:] or sorted({each.family for each in REFERENCES}):
        _store(chosen, [each for each in REFERENCES if each.family == chosen])
