"""Files of one network go by several names; all of them become ours."""

from __future__ import annotations

import re

import pytest
import torch
from orchestrator_spaces.blocks.naming import head_by_head, renamed
from reference_networks import REFERENCES, stored

from orchestrator.errors import BuildError
from orchestrator.plugins import installed

TRANSLATING = ["deit", "edgevit", "efficientformer", "efficientformerv2", "mobile_former"]
TRANSLATING += ["mobilevit", "swin", "vit"]


def space(family):
    return installed().create("space", family, {"preset": "full"})


def released(network):
    """Names and shapes of a reference's state dict; the tensors are empty."""
    reference = next(each for each in REFERENCES if each.network == network)
    shapes = stored(reference).shapes
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def shapes_of(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_rules_apply_in_turn_and_may_leave_a_tensor_out():
    state = {"a.weight": torch.zeros(1), "a.index": torch.zeros(2), "other": torch.zeros(3)}
    found = renamed(state, ((r"\.index$", None), (r"^a\.", "b."), (r"^b\.", "c.")))
    assert shapes_of(found) == {"c.weight": (1,), "other": (3,)}


def test_rows_of_queries_keys_and_values_come_head_by_head():
    fused = torch.tensor([0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51])
    assert head_by_head(fused, 2).tolist() == [0, 1, 20, 21, 40, 41, 10, 11, 30, 31, 50, 51]


def test_torchvision_s_files_call_the_layers_of_an_mlp_by_words():
    state = released("vit_b_16")
    words = (r"\.mlp\.0\.", ".mlp.linear_1."), (r"\.mlp\.3\.", ".mlp.linear_2.")
    older = renamed(state, words)
    assert set(older) != set(state)
    both = (space("vit").translate(each, "torchvision") for each in (state, older))
    assert len({str(shapes_of(each)) for each in both}) == 1


def test_swin_s_authors_merge_at_a_stage_s_end_and_keep_masks():
    state = released("swin_tiny_patch4_window7_224")
    merging = re.compile(r"^layers\.(\d)\.downsample\.")
    older = {
        merging.sub(lambda found: f"layers.{int(found[1]) - 1}.downsample.", name): tensor
        for name, tensor in state.items()
    }
    older = {name.replace("head.fc.", "head."): tensor for name, tensor in older.items()}
    older["layers.0.blocks.1.attn_mask"] = torch.empty(64, 49, 49)
    older["layers.0.blocks.0.attn.relative_position_index"] = torch.empty(49, 49)
    both = [shapes_of(space("swin").translate(each, "timm")) for each in (state, older)]
    assert both[0] == both[1]


@pytest.mark.parametrize("family", TRANSLATING)
def test_an_unknown_naming_is_an_error_that_says_which_are_known(family):
    known = "authors" if family in ("edgevit", "mobile_former") else "timm"
    with pytest.raises(BuildError, match=f"named as keras found, {family} translates {known}"):
        space(family).translate({}, "keras")
