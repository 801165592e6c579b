"""Families of light networks, each around its published members; one family, one file."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_search_spaces"]


OFFERS = (
    Offer(
        "deit",
        "orchestrator_spaces.deit:DeiTSpace",
        "ViT with a second token and classifier for a teacher's answers; B, S, Ti",
    ),
    Offer(
        "edgevit",
        "orchestrator_spaces.edgevit:EdgeViTSpace",
        "local aggregation, sparse attention, local propagation; XXS, XS, S",
    ),
    Offer(
        "efficientformer",
        "orchestrator_spaces.efficientformer:EfficientFormerSpace",
        "pooling blocks on maps (4D), attention blocks on tokens (3D); L1, L3, L7",
    ),
    Offer(
        "efficientformerv2",
        "orchestrator_spaces.efficientformerv2:EfficientFormerV2Space",
        "depthwise feed-forward, attention with talking heads; S0, S1, S2, L",
    ),
    Offer(
        "efficientnet",
        "orchestrator_spaces.efficientnet:EfficientNetSpace",
        "compound scaling of inverted residuals with attention; B0 to B7",
    ),
    Offer(
        "efficientnet_lite",
        "orchestrator_spaces.efficientnet:EfficientNetLiteSpace",
        "EfficientNet for quantisation: no attention, ReLU6; Lite0 to Lite4",
    ),
    Offer(
        "mnasnet",
        "orchestrator_spaces.mnasnet:MnasNetSpace",
        "factorised hierarchy of convolutions and inverted residuals; A1, B1, small",
    ),
    Offer(
        "mobile_former",
        "orchestrator_spaces.mobile_former:MobileFormerSpace",
        "convolutions and a few tokens side by side, a two-way bridge; 508M to 26M",
    ),
    Offer(
        "mobilenetv1",
        "orchestrator_spaces.mobilenetv1:MobileNetV1Space",
        "depthwise separable convolutions; 0.25 to 1.0",
    ),
    Offer(
        "mobilenetv2",
        "orchestrator_spaces.mobilenetv2:MobileNetV2Space",
        "inverted residuals with linear bottlenecks; 0.35 to 1.4",
    ),
    Offer(
        "mobilenetv3",
        "orchestrator_spaces.mobilenetv3:MobileNetV3Space",
        "inverted residuals with attention; Large, Small, minimalistic, once-for-all",
    ),
    Offer(
        "mobilevit",
        "orchestrator_spaces.mobilevit:MobileViTSpace",
        "convolutions around transformers on unfolded patches; S, XS, XXS",
    ),
    Offer(
        "shufflenetv1",
        "orchestrator_spaces.shufflenetv1:ShuffleNetV1Space",
        "grouped 1×1 convolutions and channel shuffle; 1 to 8 groups, 0.5x to 2.0x",
    ),
    Offer(
        "shufflenetv2",
        "orchestrator_spaces.shufflenetv2:ShuffleNetV2Space",
        "channel split and shuffle, with the units of single-path one-shot; 0.5x to 2.0x",
    ),
    Offer(
        "squeezenet",
        "orchestrator_spaces.squeezenet:SqueezeNetSpace",
        "fire modules: squeeze by 1×1, expand by 1×1 and 3×3; 1.0, 1.1, simple bypass",
    ),
    Offer(
        "swin",
        "orchestrator_spaces.swin:SwinSpace",
        "attention in shifted windows, patch merging between stages; T, S, B",
    ),
    Offer(
        "vit",
        "orchestrator_spaces.vit:ViTSpace",
        "plain transformers with AutoFormer's choices; B/16, S/16, Ti/16",
    ),
)


@hookimpl
def orchestrator_search_spaces() -> list[Offer]:
    """The families of this package."""
    return list(OFFERS)
