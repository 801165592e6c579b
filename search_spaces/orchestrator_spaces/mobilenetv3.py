"""MobileNetV3 and a space around it.

Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244, tables 1 and 2; widths below
1.0, the hidden width of Small and the minimalistic forms as in the authors' released code
(tensorflow/models, research/slim/nets/mobilenet). As in the paper's NetAdapt step, widths and
expanded widths are free multiples of 8; kernel, squeeze-and-excitation and activation belong to
a stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from orchestrator import Published, SearchSpace, Trial
from orchestrator.errors import BuildError
from orchestrator_spaces.blocks.channel_attention import Gate
from orchestrator_spaces.blocks.convolution import ConvNorm, activation, round_to_8
from orchestrator_spaces.blocks.inverted_residual import InvertedResidual, InvertedResidualShape
from orchestrator_spaces.blocks.questions import Range

__all__ = ["MobileNetV3", "MobileNetV3Space"]


@dataclass(frozen=True)
class StageTable:
    """What one stage may be. `expanded` is asked for each block; where it is None, `ratios` is
    asked once and multiplies each block's input width.
    """

    width: Range
    depth: Range
    expanded: Range | None = None
    ratios: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """What a preset may be. A layout is the strides of its stages; 0 leaves a stage out."""

    layouts: Mapping[str, tuple[int, ...]]
    stages: tuple[StageTable, ...]
    stem_width: Range
    head_width: Range
    hidden: tuple[int, ...]
    kernels: tuple[int, ...]
    dropout: float


FULL = Table(
    # Small downsamples one stage earlier and does without the fourth stage.
    layouts={"large": (1, 2, 2, 2, 1, 2), "small": (2, 2, 2, 0, 1, 2)},
    stages=(
        StageTable(Range(8, 32, 8), Range(1, 2), Range(16, 64, 8)),
        StageTable(Range(16, 40, 8), Range(1, 4), Range(48, 144, 8)),
        StageTable(Range(24, 64, 8), Range(1, 5), Range(64, 288, 8)),
        StageTable(Range(48, 104, 8), Range(1, 5), Range(128, 480, 8)),
        StageTable(Range(32, 144, 8), Range(1, 4), Range(96, 768, 8)),
        StageTable(Range(64, 208, 8), Range(1, 4), Range(240, 1152, 8)),
    ),
    stem_width=Range(16, 32, 8),
    head_width=Range(288, 1152, 48),
    hidden=(512, 768, 1024, 1280),
    kernels=(3, 5, 7),
    dropout=0.2,
)

# 32×32 in: 16×16 after the stem, then 16×16 or 8×8, 8×8, 4×4 and 4×4.
SMALL = Table(
    layouts={"large": (1, 2, 2, 1), "small": (2, 1, 2, 1)},
    stages=(
        StageTable(Range(8, 24, 8), Range(1, 1), ratios=(1, 2, 3)),
        StageTable(Range(16, 40, 8), Range(1, 3), ratios=(2, 3, 4)),
        StageTable(Range(32, 64, 8), Range(1, 3), ratios=(2, 3, 4, 6)),
        StageTable(Range(48, 96, 16), Range(1, 3), ratios=(2, 3, 4, 6)),
    ),
    stem_width=Range(8, 16, 8),
    head_width=Range(96, 288, 48),
    hidden=(64, 128, 256),
    kernels=(3, 5),
    dropout=0.0,
)


class MobileNetV3(nn.Module):
    """Stem, stages of inverted residuals, 1×1 convolution, mean, hidden layer, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], *, classes: int, in_channels: int, dropout: float
    ) -> None:
        super().__init__()
        stem, head = architecture["stem"], architecture["head"]
        self.stem = ConvNorm(in_channels, stem["width"], 3, stride=2, activation=_activation(stem))
        self.stages = nn.Sequential()
        width = stem["width"]
        for stage in architecture["stages"]:
            self.stages.append(_stage(width, stage))
            width = stage["width"] if stage else width
        self.last = ConvNorm(width, head["width"], 1, activation=_activation(head))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(head["width"], head["hidden"])
        self.activation = _activation(head)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(head["hidden"], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stem(x)  # (B, stem, H/2, W/2)
        x = self.stages(x)
        x = self.last(x)  # (B, head, H/32, W/32), H/8 in the small preset
        x = self.pool(x).flatten(1)  # (B, head)
        x = self.dropout(self.activation(self.hidden(x)))
        return self.classifier(x)  # type: ignore[no-any-return]


class MobileNetV3Space(SearchSpace):
    """Kernel, expansion, squeeze-and-excitation, activation, depth and widths, stage by stage.

    The "full" preset asks for every block's expanded width, the "small" one for a ratio a stage.
    """

    name = "mobilenetv3"

    def __init__(self, *, preset: str = "small") -> None:
        super().__init__(preset=preset)
        self.table = {"full": FULL, "small": SMALL}[preset]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Strides, widths and operators of stem, stages and head."""
        table = self.table
        layout = trial.suggest_categorical("layout", list(table.layouts))
        stem: dict[str, Any] = {
            "width": table.stem_width.ask(trial, "stem.width"),
            **_ask_activation(trial, "stem"),
        }
        stages: list[dict[str, Any] | None] = []
        width: int = stem["width"]
        for index, stride in enumerate(table.layouts[layout]):
            stage = self._suggest_stage(trial, index, width) if stride else None
            stages.append(stage and {"stride": stride, **stage})
            width = stage["width"] if stage else width
        head = {
            "width": table.head_width.ask(trial, "head.width"),
            "hidden": trial.suggest_categorical("head.hidden", list(table.hidden)),
            **_ask_activation(trial, "head"),
        }
        return {"stem": stem, "stages": stages, "head": head}

    def _suggest_stage(self, trial: Trial, index: int, width_in: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        width = table.width.ask(trial, f"{name}.width")
        depth = table.depth.low
        if table.depth.high > depth:
            depth = table.depth.ask(trial, f"{name}.depth")
        if table.expanded:
            blocks = [f"{name}.blocks.{block}.expanded" for block in range(depth)]
            expanded = [table.expanded.ask(trial, block) for block in blocks]
        else:
            ratio = trial.suggest_categorical(f"{name}.ratio", list(table.ratios))
            expanded = [ratio * width_in] + [ratio * width] * (depth - 1)
        return {
            "width": width,
            "expanded": expanded,
            "kernel": trial.suggest_categorical(f"{name}.kernel", list(self.table.kernels)),
            "se": trial.suggest_categorical(f"{name}.se", [False, True]),
            **_ask_activation(trial, name),
        }

    def build(
        self, architecture: Mapping[str, Any], *, classes: int, in_channels: int, image_size: int
    ) -> nn.Module:
        """Raises BuildError for images smaller than the network's total stride."""
        total = 2
        for stage in architecture["stages"]:
            total *= stage["stride"] if stage else 1
        if image_size < total:
            raise BuildError(f"images of {image_size} px found, at least {total} px expected.")
        return MobileNetV3(
            architecture, classes=classes, in_channels=in_channels, dropout=self.table.dropout
        )

    def published(self) -> Mapping[str, Published]:
        """The paper's networks, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()


def _activation(part: Mapping[str, Any]) -> nn.Module:
    return activation(part["activation"])


def _ask_activation(trial: Trial, part: str) -> dict[str, str]:
    return {"activation": trial.suggest_categorical(f"{part}.activation", [RE, HS])}


def _stage(width: int, stage: Mapping[str, Any] | None) -> nn.Sequential:
    blocks = nn.Sequential()
    if stage is None:
        return blocks
    for index, expanded in enumerate(stage["expanded"]):
        shape = InvertedResidualShape(
            width_in=width if index == 0 else stage["width"],
            expanded=expanded,
            width=stage["width"],
            kernel=stage["kernel"],
            stride=stage["stride"] if index == 0 else 1,
            activation=stage["activation"],
            attention="se" if stage["se"] else "none",
            gate=Gate(round_to_8(expanded / 4)),
        )
        blocks.append(InvertedResidual(shape))
    return blocks


@dataclass(frozen=True)
class Row:
    """A line of a published table: a stage's index, kernel, widths and operators."""

    stage: int
    kernel: int
    width: int
    expanded: tuple[int, ...]
    se: bool
    activation: str


RE, HS = "relu", "hardswish"

LARGE_100 = (
    Row(0, 3, 16, (16,), False, RE),
    Row(1, 3, 24, (64, 72), False, RE),
    Row(2, 5, 40, (72, 120, 120), True, RE),
    Row(3, 3, 80, (240, 200, 184, 184), False, HS),
    Row(4, 3, 112, (480, 672), True, HS),
    Row(5, 5, 160, (672, 960, 960), True, HS),
)
LARGE_075 = (
    Row(0, 3, 16, (16,), False, RE),
    Row(1, 3, 24, (64, 72), False, RE),
    Row(2, 5, 32, (72, 96, 96), True, RE),
    Row(3, 3, 64, (192, 160, 144, 144), False, HS),
    Row(4, 3, 88, (384, 528), True, HS),
    Row(5, 5, 120, (528, 720, 720), True, HS),
)
SMALL_100 = (
    Row(0, 3, 16, (16,), True, RE),
    Row(1, 3, 24, (72, 88), False, RE),
    Row(2, 5, 40, (96, 240, 240), True, HS),
    Row(4, 5, 48, (120, 144), True, HS),
    Row(5, 5, 96, (288, 576, 576), True, HS),
)
SMALL_075 = (
    Row(0, 3, 16, (16,), True, RE),
    Row(1, 3, 24, (72, 88), False, RE),
    Row(2, 5, 32, (96, 192, 192), True, HS),
    Row(4, 5, 40, (96, 120), True, HS),
    Row(5, 5, 72, (240, 432, 432), True, HS),
)

PAPER = "Howard et al. 2019, arXiv:1905.02244"
SLIM = "tensorflow/models research/slim/nets/mobilenet"


def _published_full() -> dict[str, Published]:
    large = _choices("large", LARGE_100, hidden=1280)
    large_075 = _choices("large", LARGE_075, hidden=1280)
    small = _choices("small", SMALL_100, hidden=1024)
    small_075 = _choices("small", SMALL_075, hidden=1024)
    wide = {"head.hidden": 1280}
    paper, slim = f"{PAPER}, tables 1-3", f"{PAPER}; {SLIM}"
    return {
        "large-1.0": Published(large, 224, paper, 5_483_032, 216_589_760, 75.2),
        "large-0.75": Published(large_075, 224, slim, 3_993_528, 154_560_624, 73.3),
        "small-1.0": Published(small, 224, slim, 2_542_856, 56_510_400, 67.4),
        "small-1.0-hidden1280": Published(
            {**small, **wide}, 224, paper, 2_946_568, 56_913_856, 67.4
        ),
        "small-0.75": Published(small_075, 224, slim, 2_041_872, 43_399_344, 65.4),
        "small-0.75-hidden1280": Published(
            {**small_075, **wide}, 224, slim, 2_408_720, 43_765_936, 65.4
        ),
        "large-minimalistic": Published(
            _minimalistic(large), 224, slim, 3_924_288, 209_136_704, 72.3
        ),
        "small-minimalistic": Published(
            _minimalistic(small), 224, slim, 2_044_736, 52_288_448, 61.9
        ),
    }


def _choices(layout: str, rows: tuple[Row, ...], *, hidden: int) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "layout": layout,
        "stem.width": 16,
        "stem.activation": HS,
        "head.width": 6 * rows[-1].width,
        "head.hidden": hidden,
        "head.activation": HS,
    }
    for row in rows:
        stage = f"stages.{row.stage}"
        for index, expanded in enumerate(row.expanded):
            choices[f"{stage}.blocks.{index}.expanded"] = expanded
        choices |= {
            f"{stage}.width": row.width,
            f"{stage}.depth": len(row.expanded),
            f"{stage}.kernel": row.kernel,
            f"{stage}.se": row.se,
            f"{stage}.activation": row.activation,
        }
    return choices


def _minimalistic(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Kernels of 3, no squeeze-and-excitation, ReLU everywhere."""
    plain = {"kernel": 3, "se": False, "activation": RE}
    return {name: plain.get(name.rpartition(".")[2], value) for name, value in choices.items()}


def _published_small() -> dict[str, Published]:
    large = _small_choices("large", (16, 24, 40, 80), (1, 2, 3, 3), hidden=256)
    small = _small_choices("small", (16, 24, 40, 48), (1, 2, 2, 2), hidden=128)
    source = (
        f"scaled from {PAPER}: four stages from 16×16 (large) or 8×8 (small) down to 4×4, one "
        "expansion ratio a stage, narrower head"
    )
    return {
        "large-small": Published(large, 32, source),
        "large-minimalistic-small": Published(_minimalistic(large), 32, source),
        "small-small": Published(small | {"stages.0.se": True}, 32, source),
        "small-minimalistic-small": Published(_minimalistic(small), 32, source),
    }


def _small_choices(
    layout: str, widths: tuple[int, ...], depths: tuple[int, ...], *, hidden: int
) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "layout": layout,
        "stem.width": 16,
        "stem.activation": HS,
        "head.width": 240,
        "head.hidden": hidden,
        "head.activation": HS,
    }
    for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        late = index > 1
        choices |= {
            f"stages.{index}.width": width,
            f"stages.{index}.ratio": 3 if index else 1,
            f"stages.{index}.kernel": 5 if index == 2 else 3,
            f"stages.{index}.se": late,
            f"stages.{index}.activation": HS if late else RE,
        }
        if index:
            choices[f"stages.{index}.depth"] = depth
    return choices
