"""The report in a browser: what a reader clicks, picks, types and hovers over.

At 26 candidates, as many as the default search has, and at 1,000. The record's texts are those of
`made_search.study`, whose outcomes, finalists and choices are like a real search's.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Where all must be tested, a missing package is an error and not a reason to skip.
if not os.environ.get("CI"):
    pytest.importorskip("selenium", reason="a browser is driven by selenium: pip install selenium")

from browser import Page, rows, show_all, started
from made_search import study
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from orchestrator.analysis.agreement import Correlation
from orchestrator.contracts.objective import Axis
from orchestrator.records import Check, Genotype, Record
from orchestrator.report import ReportData, build_report
from orchestrator.report.figures import payload

# A machine with other work is slow; half of this is already too long to wait for.
MOST_SECONDS = {26: 10.0, 1000: 20.0}
SECTIONS = ["finalists", "front", "trust", "progress", "importance", "parallel"]
SECTIONS += ["candidates", "lost", "repeat"]
HOSTILE = "</script><img src=x onerror=alert(1)><b>{{plotly}}&\u2028"


def with_checks(data: ReportData) -> ReportData:
    """`data` and a section on estimates: six checked, two of them longer."""
    some = [record for record in data.records if record.outcome == "feasible"][:6]
    checks = [
        Check(
            r,
            0.9 * r.values["accuracy"],
            r.values["accuracy"],
            2 + 4 * (place < 2),
            r.values["macs"],
        )
        for place, r in enumerate(some)
    ]
    known = [Correlation("zen", 0.5, -0.1, 30), Correlation("naswot", 0.4, 0.3, 29)]
    return dataclasses.replace(data, checks=checks, correlations=known)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


# Every press of every button of a large page takes minutes; that it is drawn is seen each time.
@pytest.fixture(scope="module", params=[26, pytest.param(1000, marks=pytest.mark.slow)])
def searched(request: pytest.FixtureRequest) -> ReportData:
    return with_checks(study(request.param))


@pytest.fixture(scope="module")
def file(searched: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    build_report(path, searched)
    return path


@pytest.fixture
def page(chrome: webdriver.Chrome, file: Path) -> Iterator[Page]:
    """The report, freshly opened; a test that leaves an error on the console fails."""
    opened = Page(chrome, file)
    yield opened
    assert opened.errors() == []


@pytest.fixture
def opened(chrome: webdriver.Chrome, tmp_path: Path) -> Iterator[Callable[[ReportData], Page]]:
    """A function that opens the report of any data."""
    pages: list[Page] = []

    def opener(data: ReportData) -> Page:
        build_report(tmp_path / "report.html", data)
        pages.append(Page(chrome, tmp_path / "report.html"))
        return pages[-1]

    yield opener
    assert [page.errors() for page in pages] == [[] for _ in pages]


def test_all_is_drawn_in_time_and_nothing_is_fetched(
    page: Page, searched: ReportData, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [e.get_attribute("id") for e in page.all("#sections > *")] == SECTIONS
    times = page.run(
        "const paint = performance.getEntriesByName('first-contentful-paint')[0];"
        "return [paint.startTime, performance.getEntriesByName('report drawn')[0].startTime]"
    )
    count = len(searched.records)
    with capsys.disabled():
        first, drawn = (time / 1000 for time in times)
        print(f"\nreport of {count} candidates: first paint {first:.2f} s, drawn {drawn:.2f} s")
    assert max(times) < 1000 * MOST_SECONDS[count]
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert len(page.all(".plot .main-svg")) >= 4


def test_a_thousand_candidates_are_drawn_in_time(opened: Callable[[ReportData], Page]) -> None:
    page = opened(with_checks(study(1000)))
    drawn = page.run("return performance.getEntriesByName('report drawn')[0].startTime")
    assert drawn < 1000 * MOST_SECONDS[1000]
    assert len(rows(page)) == 1000


def test_a_filter_keeps_what_its_button_says(page: Page, searched: ReportData) -> None:
    outcomes = [record.outcome for record in searched.records]
    for button in page.all("#candidates .controls button[value]"):
        page.press(button)
        name, count = button.text.split()
        shown = rows(page)
        assert button.get_attribute("aria-pressed") == "true"
        assert len(page.all("#candidates button[aria-pressed=true]")) == 1
        assert len(shown) == int(count)
        if name == "Front":
            assert all("front" in row[1] for row in shown)
        elif name != "All":
            assert {row[1].split()[0] for row in shown} == {name.lower()}
            assert int(count) == outcomes.count(name.lower())
        else:
            assert int(count) == len(outcomes)


def test_search_finds_choices_and_says_when_nothing_matches(
    page: Page, searched: ReportData
) -> None:
    box = page.one("#candidates input[type=search]")
    box.send_keys("Kernel=7")
    wanted = [r.number for r in searched.records if r.choices["phases.2.kernel"] == 7]
    assert wanted and sorted(int(row[0]) for row in rows(page)) == wanted
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("no such thing")
    assert rows(page) == []
    assert "Nothing matches." in page.one("#candidates").text


def test_every_heading_sorts_both_ways_and_the_unknown_stays_last(
    page: Page, searched: ReportData
) -> None:
    show_all(page)
    for place, key in enumerate(sort_keys(searched)):
        if place:  # the table begins sorted by its first column
            page.press(page.all("#candidates th")[place])
        for arrow, word, turned in ((" ↑", "ascending", False), (" ↓", "descending", True)):
            heading = page.all("#candidates th")[place]
            assert heading.text.endswith(arrow)
            assert heading.get_attribute("aria-sort") == word
            assert [int(row[0]) for row in rows(page)] == in_order(key, turned)
            page.press(heading)


def test_a_row_opens_with_its_choices_and_closes(page: Page, searched: ReportData) -> None:
    record = searched.records[3]
    page.press(page.one(f"#candidate-{record.number} td:first-child"))
    detail = page.one("#candidates tr.detail").text
    assert record.id in detail
    for name, answer in record.choices.items():
        assert re.search(rf"^{re.escape(name)}\s+{re.escape(str(answer))}", detail, re.M), name
    assert "latency low" in detail or "latency_low_ms" in detail
    page.press(page.one(f"#candidate-{record.number} td:first-child"))
    assert page.all("#candidates tr.detail") == []


def test_a_row_opens_by_keyboard(page: Page) -> None:
    row = page.all("#candidates tr.row")[1]
    number = row.find_element("css selector", "td").text
    page.run("arguments[0].focus()", row)
    page.chrome.switch_to.active_element.send_keys(Keys.ENTER)
    assert len(page.all("#candidates tr.detail")) == 1
    # Focus stays where the reader was, though the table is drawn anew.
    assert page.chrome.switch_to.active_element.get_attribute("id") == f"candidate-{number}"


@pytest.mark.parametrize("name", ["Across", "Up", "Colour"])
def test_every_answer_of_a_picker_is_drawn_and_kept_in_the_address(page: Page, name: str) -> None:
    key = {"Across": "x", "Up": "y", "Colour": "colour"}[name]
    picker = page.picker("front", name)
    answers = [option.get_attribute("value") for option in picker.options]
    first = answers.index(picker.first_selected_option.get_attribute("value"))
    assert len(answers) >= 6
    # What is chosen already cannot be chosen first; it comes last.
    for answer in [*answers[first + 1 :], *answers[: first + 1]]:
        page.picker("front", name).select_by_value(answer)
        assert in_address(page, key) == answer
        if name != "Colour":
            shown = page.run(
                f"return document.querySelector('#front .plot').layout.{key}axis.title.text"
            )
            label = page.picker("front", name).first_selected_option.text
            assert shown.startswith("Candidate" if answer == "#" else label)
    page.chrome.refresh()
    assert page.picker("front", name).first_selected_option.get_attribute("value") == answers[first]


def test_colours_follow_a_choice_or_a_figure(page: Page, searched: ReportData) -> None:
    page.picker("front", "Colour").select_by_value("=phases.3.operator")
    painted = {name.split("= ")[-1] for name in traces(page)}
    assert {"attention", "ghost", "mbconv"} <= painted
    page.picker("front", "Colour").select_by_value("latency_ms")
    bar = page.run("return document.querySelector('#front .plot').querySelector('.colorbar, .cb')")
    assert bar is not None and "attention" not in str(traces(page))


@pytest.mark.parametrize(("nth", "axis"), [(0, "x"), (1, "y")])
def test_log_turns_one_axis(page: Page, nth: int, axis: str) -> None:
    kind = f"return document.querySelector('#front .plot')._fullLayout.{axis}axis.type"
    before = placed(page)
    page.press(page.toggle("front", "log", nth))
    assert page.run(kind) == "log" and in_address(page, f"log{axis}") == "1"
    assert placed(page) == before
    page.press(page.toggle("front", "log", nth))
    assert page.run(kind) == "linear" and in_address(page, f"log{axis}") is None


def test_lost_candidates_can_be_left_out(page: Page, searched: ReportData) -> None:
    lost = {r.number for r in searched.records if r.outcome in ("rejected", "stopped")}
    assert lost <= placed(page)
    page.press(page.toggle("front", "lost candidates"))
    assert placed(page) == {r.number for r in searched.records if r.outcome == "feasible"}
    assert in_address(page, "lost") == "0"


def test_hovering_over_a_mark_tells_its_candidate(page: Page, searched: ReportData) -> None:
    record = finalist(searched)
    page.move_to(*page.place_of("#front .plot", record.number)).perform()
    told = page.wait(lambda: hovered(page), "a label beside the mark")
    assert told.startswith(f"Candidate {record.number} · finalist")
    assert f"accuracy: {100 * record.values['accuracy']:.1f} %" in told
    assert f"width = {record.choices['width']:g}" in told.replace("\n", " ")


@pytest.mark.parametrize("plot", ["#front", "#trust"])
def test_clicking_a_mark_opens_its_row(page: Page, searched: ReportData, plot: str) -> None:
    # What was filtered out is shown again.
    page.press(page.all("#candidates button[value=rejected]")[0])
    checked = searched.checks[0].record
    record = finalist(searched) if plot == "#front" else checked
    page.move_to(*page.place_of(f"{plot} .plot", record.number)).click().perform()
    page.wait(lambda: page.all("#candidates tr.detail"), "the row of the candidate")
    assert record.id in page.one("#candidates tr.detail").text
    row = page.one(f"#candidate-{record.number}")
    page.wait(lambda: in_view(page, row), "the row in the window")


def test_hypervolume_goes_by_candidates_or_by_minutes(page: Page, searched: ReportData) -> None:
    last = "const box = document.querySelector('#progress .plot');"
    last += "return [box.data[0].x.at(-1), box.layout.xaxis.title.text]"
    assert page.run(last) == [len(searched.records), "Candidates finished"]
    page.picker("progress", "Against").select_by_value("minutes")
    minutes, title = page.run(last)
    ended = [record.finished_at for record in searched.records]
    assert minutes == pytest.approx((max(ended) - min(ended)) / 60, rel=0.1)
    assert title == "Minutes"


def test_a_choice_s_effect_opens_with_the_mean_of_each_answer(page: Page) -> None:
    effect = page.all("#importance details")[0]
    page.press(effect.find_element("css selector", "summary"))
    assert effect.get_attribute("open") is not None
    assert re.search(r"\d+ candidates?", effect.find_element("css selector", "ul").text)


def test_a_failure_opens_with_its_error_in_full(page: Page) -> None:
    line = page.all("#lost details")[0]
    page.press(line.find_element("css selector", "summary"))
    assert "CompileError: <Attention>" in line.find_element("css selector", "pre").text


def test_lines_through_all_objectives_are_drawn(page: Page, searched: ReportData) -> None:
    feasible = [record for record in searched.records if record.outcome == "feasible"]
    script = "const {line, dimensions} = document.querySelector('#parallel .plot').data[0];"
    count, axes = page.run(script + "return [line.color.length, dimensions.length]")
    assert count == len(feasible) and axes > 5
    assert len(page.all("#parallel .plot .axis-heading, #parallel .plot .y-axis")) >= axes


def test_the_links_of_the_page_s_head_lead_to_its_sections(page: Page) -> None:
    targets = [link.get_attribute("href").split("#")[1] for link in page.all("#links a")]
    assert targets == SECTIONS
    page.press(page.all("#links a")[-1])
    last = page.one("#repeat h2")
    page.wait(lambda: in_view(page, last), "the section in the window")


def test_the_command_is_copied_or_selected(page: Page, searched: ReportData) -> None:
    button = page.one("#repeat button", "Copy")
    page.press(button)
    page.wait(lambda: button.text in ("Copied", "Selected"), "an answer of the button")
    if button.text == "Selected":
        assert page.run("return getSelection().toString()") == searched.command


def test_a_dark_desktop_gets_dark_plots(page: Page) -> None:
    colours = "const box = document.querySelector('#front .plot');"
    colours += "return [box.layout.font.color, getComputedStyle(document.body).backgroundColor]"
    light = page.run(colours)
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page.wait(lambda: page.run(colours)[0] != light[0], "other colours in the plots")
        assert page.run(colours)[1] != light[1]
    finally:
        page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_no_width_makes_the_page_wider_than_the_window(
    chrome: webdriver.Chrome, file: Path, width: int
) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = Page(chrome, file).run("return document.documentElement.scrollWidth")
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width


@pytest.mark.parametrize("kept", ["nothing", "one", "lost", "no axes", "no finalists", "no times"])
def test_a_page_with_parts_missing_draws_the_rest(
    opened: Callable[[ReportData], Page], kept: str
) -> None:
    page = opened(PARTIAL[kept](study(26)))
    assert page.run("return performance.getEntriesByName('report drawn').length") == 1
    assert "could not be drawn" not in page.one("body").text
    assert page.all("#candidates") and page.all("#finalists")


def test_what_records_say_never_becomes_markup(opened: Callable[[ReportData], Page]) -> None:
    axis = Axis(HOSTILE, HOSTILE, "maximize", reference=0.0, max=1.0)
    records = [
        Record(
            number,
            Genotype("toy", "small", {}),
            "feasible" if number < 8 else "failed",
            {HOSTILE: number / 10},
            {HOSTILE: f"{HOSTILE}{number % 2}"},
            curve=(0.1, 0.2),
            error=HOSTILE if number >= 8 else "",
            reason=HOSTILE,
            origin=HOSTILE,
        )
        for number in range(9)
    ]
    data = ReportData(HOSTILE, HOSTILE, records, [axis], command=HOSTILE, plan={HOSTILE: HOSTILE})
    page = opened(data)
    for name in ("Across", "Colour"):
        for option in [o.get_attribute("value") for o in page.picker("front", name).options]:
            page.picker("front", name).select_by_value(option)
    page.move_to(*page.place_of("#front .plot", 3)).perform()
    page.wait(lambda: hovered(page), "a label beside the mark")
    page.press(page.one("#candidate-8 td:first-child"))
    assert page.all("img, #sections b b") == []
    assert page.texts("#repeat pre") == [HOSTILE]


PARTIAL: dict[str, Callable[[ReportData], ReportData]] = {
    "nothing": lambda data: ReportData("t", "", [], []),
    "one": lambda data: dataclasses.replace(data, records=of(data, "feasible")[:1], finalists=[]),
    "lost": lambda data: dataclasses.replace(
        data, records=[r for r in data.records if r.outcome != "feasible"], finalists=[]
    ),
    "no axes": lambda data: dataclasses.replace(data, axes=[]),
    "no finalists": lambda data: dataclasses.replace(data, finalists=[]),
    "no times": lambda data: dataclasses.replace(
        data, records=[dataclasses.replace(r, finished_at=0.0) for r in data.records]
    ),
}


def of(data: ReportData, outcome: str) -> list[Record]:
    return [record for record in data.records if record.outcome == outcome]


def finalist(searched: ReportData) -> Record:
    number = searched.finalists[0].number
    return next(record for record in searched.records if record.number == number)


def hovered(page: Page) -> str:
    """The text beside the mark under the mouse, a line of it a line."""
    script = "return [...document.querySelectorAll('.hoverlayer .hovertext tspan.line')]"
    return str(page.run(script + ".map((line) => line.textContent).join('\\n')"))


def traces(page: Page) -> list[str]:
    return list(page.run("return document.querySelector('#front .plot').data.map((t) => t.name)"))


def placed(page: Page) -> set[int]:
    """The candidates that have a mark in the trade-off."""
    script = "return document.querySelector('#front .plot').data.flatMap((t) => t.customdata || [])"
    return set(page.run(script))


def in_address(page: Page, key: str) -> str | None:
    script = "return new URLSearchParams(location.hash.slice(1)).get(arguments[0])"
    found = page.run(script, key)
    return None if found is None else str(found)


def in_view(page: Page, element: Any) -> bool:
    script = "const {top, bottom} = arguments[0].getBoundingClientRect();"
    return bool(page.run(script + "return top >= 0 && bottom <= innerHeight", element))


def sort_keys(searched: ReportData) -> list[dict[int, Any]]:
    """For each column of the table, candidate → what it is sorted by; None is unknown."""
    shown = payload(searched)
    members = set(shown["front"])
    found: list[dict[int, Any]] = [{} for _ in range(5 + len(shown["columns"]))]
    for row in shown["records"]:
        number = row["number"]
        outcome = f"{0 if number in members else 1}{row['outcome']}"
        texts = [row["origin"] or None, row["why"] or None]
        keys = [number, outcome, *row["figures"], row["seconds"] or None, *texts]
        for column, key in zip(found, keys, strict=True):
            column[number] = key
    return found


def in_order(keys: dict[int, Any], turned: bool) -> list[int]:
    """Candidates by key, ties by number; what is unknown comes last either way."""
    known = [number for number, key in keys.items() if key is not None]
    ordered = sorted(known, key=lambda number: keys[number], reverse=turned)
    return ordered + [number for number, key in keys.items() if key is None]
