"""What the report says of figures' weight and of a search's health."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from made_search import TIMED, study, with_files

from orchestrator.analysis.health import Finding
from orchestrator.records import Finalist
from orchestrator.report import build_report
from orchestrator.report.confusion import MOST_CLASSES, MOST_MISTAKES, confusion
from orchestrator.report.figures import payload

FOUND = Finding("plateau", "The front <has> not grown.", "Train longer.")


def test_findings_lead_the_page_and_what_was_said_before_can_be_opened(tmp_path: Path) -> None:
    data = replace(study(5), findings=[FOUND], warnings=["3 images are left out."])
    build_report(tmp_path / "report.html", data)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<b>The front &lt;has&gt; not grown.</b> Train longer." in page
    assert page.index('id="findings"') < page.index('id="tiles"')
    assert "<summary>Said before the search (1)</summary>" in page
    build_report(tmp_path / "report.html", study(5))
    assert 'id="findings"' not in (tmp_path / "report.html").read_text("utf-8")


def test_classes_have_their_images_and_intervals() -> None:
    data = with_files(study())
    classes = {"ill": {"count": 3.0, "accuracy": 0.0}, "well": {"count": 24.0, "accuracy": 1.0}}
    entry = replace(data.finalists[0], classes=classes)
    told = payload(replace(data, finalists=[entry]))["finalists"][0]["classes"]
    assert told["rows"][0]["cells"] == ["3", "0.0 % (0.0 to 56.2)"]
    assert told["rows"][1]["cells"] == ["24", "100.0 % (86.2 to 100.0)"]


def test_few_classes_are_a_matrix_and_many_their_commonest_mistakes() -> None:
    few = Finalist("a", confusions=(("cat", "cat", 8), ("cat", "dog", 2), ("dog", "dog", 5)))
    told = confusion(few)
    assert told is not None and told["rows"] == [[8, 2], [0, 5]]
    assert told["mistakes"] == ["cat taken for dog: 2 of 10"]
    names = [f"{number:02}" for number in range(MOST_CLASSES + 1)]
    pairs = [(name, names[0], 1 + number) for number, name in enumerate(names)]
    many = confusion(Finalist("a", confusions=tuple(pairs)))
    assert many is not None and many["rows"] == []
    assert len(many["mistakes"]) == MOST_MISTAKES + 1
    assert many["mistakes"][-1] == f"and {MOST_CLASSES - MOST_MISTAKES} rarer ones"
    assert confusion(Finalist("a")) is None


def test_a_candidate_s_figures_have_their_intervals() -> None:
    data = study(6)
    first = next(record for record in data.records if record.outcome == "feasible")
    values = {**first.values, "accuracy": 0.95, "latency_ms": TIMED.ms}
    more = {"extra": {"validation_images": 400}, "latencies": {"here": TIMED}}
    told = replace(first, values=values, **more)
    row = payload(replace(data, records=[told]))["records"][0]
    assert row["texts"][:2] == ["95.0 % (92.4 to 96.7)", "0.4 ms (0.392 to 0.416)"]
    tiles = {tile["label"]: tile for tile in payload(replace(data, records=[told]))["tiles"]}
    assert tiles["highest accuracy"]["value"] == "95.0 %"
    assert tiles["highest accuracy"]["note"].startswith("92.4 to 96.7 · candidate")


def test_several_seeds_are_one_figure_with_its_spread() -> None:
    data = with_files(study())
    seeds = {"seeds": 3, "seeds_mean_accuracy": 0.9, "seeds_lowest_accuracy": 0.85}
    figures = {**data.finalists[0].figures, **seeds, "seeds_highest_accuracy": 0.95}
    entry = replace(data.finalists[0], figures=figures)
    told = payload(replace(data, finalists=[entry]))["finalists"][0]["figures"][-1]
    assert told["label"] == "accuracy of 3 seeds, on validation"
    assert told["text"] == "90.0 % on average, 85.0 to 95.0"


def test_shares_of_a_split_s_images_have_intervals_and_means_over_classes_have_none() -> None:
    data = with_files(study())
    more = {"validation_accuracy": 0.95, "validation_images": 400, "test_top5": 0.889}
    figures = {
        **data.finalists[0].figures,
        **more,
        "test_images": 27,
        "test_balanced_accuracy": 0.5,
    }
    entry = replace(data.finalists[0], figures=figures)
    rows = payload(replace(data, finalists=[entry]))["finalists"][0]["figures"]
    told = {row["label"]: row["text"] for row in rows}
    assert told["validation accuracy"] == "95.0 % (92.4 to 96.7)"
    assert told["test top-5"] == "88.9 % (72.0 to 96.2)"
    assert told["test balanced accuracy"] == "50.0 %"
