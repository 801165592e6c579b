"""What a card says of a bundle's facts, without a bundle."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from orchestrator import PixelRecipe
from orchestrator.bundle.card import card
from orchestrator.records import Credit, Latency, ShippedFile

FACTS: dict[str, Any] = {
    "id": "0007-1f",
    "genotype": {
        "space": "toy",
        "preset": "small",
        "architecture": {"widths": [4]},
        "compression": {"pruning": {"ratio": 0.25}},
    },
    "image_size": 8,
    "in_channels": 3,
    "classes": ["a|b", "c"],
    "mean": [0.5],
    "deviation": [0.25],
    "licence": "CC0",
    "figures": {"test_accuracy": 0.912345678, "file": "model.onnx"},
    "artifacts": {"fp32": {"file": "model.onnx"}},
    "versions": {"torch": "2.0"},
    "recommended": "fp32",
    "pixels": PixelRecipe(8, 3).to_json(),
    "usage": {"packages": ["onnxruntime"], "lines": "logits = run(images)"},
}


def section(text: str, heading: str) -> str:
    return text.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0].strip()


def test_sections_come_in_the_order_of_a_reader_s_questions() -> None:
    headings = [line[3:] for line in card(FACTS).splitlines() if line.startswith("## ")]
    wanted = ["Figures", "Data", "Compression", "Run it", "Rebuild it", "Files and versions"]
    assert headings == wanted


def test_who_taught_beside_the_labels_is_told() -> None:
    told = section(card({**FACTS, "taught_by": ["0003-aa", "0005-bb"]}), "Teachers")
    assert told.endswith("in the mean: `0003-aa`, `0005-bb`.")


def test_figures_are_rounded_and_tables_survive_bars_and_line_ends() -> None:
    told = section(card({**FACTS, "figures": {"one|two\nthree": 0.1234567}}), "Figures")
    assert told.splitlines()[2] == "| one\\|two three | 0.123457 |"


def test_the_data_say_size_classes_normalisation_and_licence() -> None:
    told = section(card(FACTS), "Data")
    assert "8 × 8 pixels, 3 channels, 2 classes: a\\|b, c." in told
    assert "[0.5] is subtracted and what is left divided by [0.25]" in told
    assert told.endswith("Licence of the data: CC0.")
    many = card({**FACTS, "classes": [str(number) for number in range(30)]})
    assert "30 classes: 0, 1, " in many and "19, …." in many


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("[here](http://x)", "[here\\](http://x)"),
        ("![x][y]", "![x\\][y]"),
        ("**bold** `code` ~~gone~~", r"\*\*bold\*\* \`code\` \~\~gone\~\~"),
        ("_it_ snake_case", r"\_it\_ snake_case"),
        (r"\*", r"\\\*"),
        ("&lt;b&gt; R&D, 1 < 2", "&amp;lt;b&amp;gt; R&D, 1 < 2"),
        ("two\n# heads\x1b[2J", "two # heads\\x1b[2J"),
    ],
)
def test_what_names_and_licences_hold_is_shown_and_is_no_markup(text: str, shown: str) -> None:
    judged = {text: {"count": 3.0}}
    told = card({**FACTS, "classes": [text], "licence": text, "class_figures": judged})
    assert f"Licence of the data: {shown}." in told and f"1 class: {shown}." in told
    assert f"| {shown} | 3 |" in told


def test_compression_is_told_step_by_step_or_as_none() -> None:
    assert '| pruning | {"ratio": 0.25} |' in section(card(FACTS), "Compression")
    plain = {**FACTS, "genotype": {**FACTS["genotype"], "compression": {}}}
    assert section(card(plain), "Compression") == "None."


def test_a_head_of_the_task_s_own_is_told() -> None:
    genotype = {**FACTS["genotype"], "task": "segmentation", "head": {"head.width": 64}}
    assert "with a head for segmentation (head.width 64)" in card({**FACTS, "genotype": genotype})
    assert "with a head" not in card(FACTS)


def test_classes_have_a_table_where_the_task_tells() -> None:
    judged = {"cat": {"count": 3.0, "iou": 0.5}, "dog": {"count": 2.0}}
    told = section(card({**FACTS, "class_figures": judged}), "Figures")
    assert "### Class by class" in told
    assert "| class | count | iou |" in told and "| dog | 2 | – |" in told
    assert "Class by class" not in card(FACTS)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, 'read_pixels("photo.png", facts["pixels"])'),
        ({}, "logits = run(images)"),
        ({}, 'print(facts["classes"][logits.argmax()])'),
        ({"stride": 4}, 'Image.fromarray(mask.astype(np.uint8)).save("mask.png")'),
        ({"recommended": None}, "No file is recommended: rebuild the network."),
        ({"usage": None}, "`model.onnx` takes float32 (N, 3, 8, 8)"),
        ({"in_channels": 7, "pixels": None}, "`model.onnx` takes float32 (N, 7, 8, 8)"),
    ],
)
def test_running_it_is_told_as_far_as_it_is_known(more: dict[str, Any], said: str) -> None:
    assert said in section(card({**FACTS, **more}), "Run it")


CREDIT = Credit(
    name="toy/t1",
    source="hf://toys/toy/t1.pth",
    sha256="ab" * 32,
    licence="unknown",
    credit="Somebody 2020",
    data="ImageNet-1k (research use)",
    member="t",
    exact=False,
    checked=False,
    part="all of it, without the classifier",
)


def test_starting_weights_are_credited_and_a_lacking_licence_is_marked() -> None:
    told = section(card({**FACTS, "start": CREDIT.to_json()}), "Starting weights")
    for text in (CREDIT.source, CREDIT.sha256, CREDIT.credit, CREDIT.data, CREDIT.part):
        assert text in told
    assert "⚠ unknown" in told and "ask before you pass this network on" in told
    assert "not checked: no sha256 is listed for it" in told and "only near" in told


def test_a_network_that_started_from_noise_has_no_such_section() -> None:
    assert "Starting weights" not in card(FACTS)


TIMED = Latency(0.4, 0.5, 0.41, 0.45, 0.9, 60, low_ratio=0.49, high_ratio=0.52)
FILE = ShippedFile(
    "int8", "openvino", "model.int8.xml", "openvino", 4321, latencies={"pi": TIMED}, reached=0.95
)
WEIGHED = {
    **FACTS,
    "recommended": "int8",
    "artifacts": {"int8": {"file": "model.int8.xml"}},
    "files": [asdict(FILE)],
    "figures": {"test_accuracy": 0.95, "test_images": 400, "latency_ms": 0.4, "size_bytes": 4321},
    "class_figures": {"ill": {"count": 3, "accuracy": 0.0}, "well": {"count": 24, "accuracy": 1.0}},
    "confusions": [["ill", "well", 3], ["well", "well", 24]],
}


def test_figures_say_what_they_belong_to_with_units_and_intervals() -> None:
    told = section(card(WEIGHED), "Figures")
    assert told.startswith("Of `model.int8.xml` (int8), executed by openvino.")
    assert "| test_accuracy | 95.0 % (92.4 to 96.7) of 400 images |" in told
    assert "| latency_ms | 0.4 ms (0.392 to 0.416) on pi |" in told
    assert "| size_bytes | 4.32 kB |" in told


def test_classes_have_intervals_and_what_they_are_taken_for() -> None:
    told = section(card(WEIGHED), "Figures")
    assert "| ill | 3 | 0.0 % (0.0 to 56.2) |" in told
    assert "| true ↓ answered → | ill | well |" in told and "| ill | 0 | 3 |" in told
    names = [str(number) for number in range(13)]
    pairs = [[name, names[0], 1 + number] for number, name in enumerate(names)]
    many = section(card({**WEIGHED, "confusions": pairs}), "Figures")
    assert "| 12 | 0 | 13 of 13 |" in many and "And 2 rarer ones." in many


def test_each_latency_has_its_device_and_runtime() -> None:
    told = section(card(WEIGHED), "The files, step by step")
    assert "| int8 | pi | openvino | 0.4 ms (0.392 to 0.416) | 0.5 |" in told
