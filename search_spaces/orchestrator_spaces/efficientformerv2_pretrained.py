"""Where trained weights of EfficientFormerV2 are, and how their names become ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from orchestrator import Checkpoint
from orchestrator_spaces.blocks.checkpoints import release, timm_file
from orchestrator_spaces.blocks.naming import Renames, renamed, unknown_naming
from orchestrator_spaces.efficientformer_pretrained import kinds, square

__all__ = ["PRETRAINED", "translate_efficientformerv2"]

COMMON = release(
    "timm",
    "MIT, parts Apache-2.0",
    "Li et al. 2022, arXiv:2212.08059; snap-research/EfficientFormer, file by timm",
)
PRETRAINED: dict[str, Checkpoint] = {
    f"{member}-snap_dist_in1k": timm_file(
        COMMON, member, f"efficientformerv2_{member}.snap_dist_in1k"
    )
    for member in ("s1", "s2", "s0", "l")
}

TIMM: Renames = (
    (r"\.attention_bias_idxs$", None),
    (r"\.bn\.", ".norm."),
    (r"^stem\.conv1\.", "stem.0."),
    (r"^stem\.conv2\.", "stem.1."),
    # A stage's first step is a convolution, the last stage's one beside attention.
    (r"^stages\.3\.downsample\.conv\.", "stages.3.downsample.convolution."),
    (r"\.downsample\.conv\.(conv|norm)\.", r".downsample.\1."),
    (r"\.downsample\.attn\.", ".downsample.attention."),
    (r"\.q\.local\.", ".query_local."),
    (r"\.q\.proj\.", ".query."),
    (r"\.token_mixer\.", ".attention."),
    (r"\.attention_biases$", ".bias.bias"),
    (r"\.stride_conv\.", ".reduce."),
    (r"\.q\.", ".query."),
    (r"\.k\.", ".key."),
    (r"\.v\.", ".value."),
    (r"\.v_local\.", ".local."),
    (r"\.talking_head1\.", ".talk_before."),
    (r"\.talking_head2\.", ".talk_after."),
    (r"\.proj\.", ".project."),
    (r"\.mlp\.fc1\.", ".feed_forward.expand."),
    (r"\.mlp\.mid\.", ".feed_forward.depthwise."),
    (r"\.mlp\.fc2\.", ".feed_forward.project."),
    (r"\.ls1\.gamma$", ".attention_scale.scale"),
    (r"\.ls2\.gamma$", ".feed_forward_scale.scale"),
    (r"^head\.", "classifier."),
    (r"^head_dist\.", "distillation_classifier."),
)


def translate_efficientformerv2(state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """Names and shapes."""
    if naming != "timm":
        raise unknown_naming("efficientformerv2", naming, ["timm"])
    answer = renamed(renamed(state, kinds(state, "local", "attention")), TIMM)
    for name, tensor in list(answer.items()):
        if name.endswith(".bias.bias"):
            answer[name] = square(tensor)
        elif name.endswith("_scale.scale"):
            answer[name] = tensor[:, None, None]
    return answer
