"""The section on estimates: what is drawn, what is said, and when there is none."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.analysis.agreement import Correlation
from orchestrator.records import Check
from orchestrator.report import ReportData
from orchestrator.report.figures import payload


def checked(search, count, *, worth, epochs=2):
    """The first feasible candidates, estimated too low, and trained to what `worth` says."""
    records = [record for record in search.records if record.outcome == "feasible"][:count]
    return [
        Check(
            record,
            0.9 * record.values["accuracy"],
            worth(record),
            epochs,
            macs=record.values["macs"],
        )
        for record in records
    ]


def accuracy(record):
    return record.values["accuracy"]


def reverse(record):
    return 1 - record.values["accuracy"]


def trust_of(search, **parts):
    return payload(dataclasses.replace(search, **parts))["agreement"]


def test_without_checks_and_correlations_there_is_no_section(search):
    assert payload(search)["agreement"] is None
    assert payload(ReportData("t", "", [], []))["agreement"] is None
    few = [Correlation("zen", 0.8, 0.5, 5), Correlation("odd", None, None, 40)]
    assert trust_of(search, correlations=few) is None


def test_a_point_is_a_candidate_s_estimate_and_what_training_made_of_it(search):
    checks = checked(search, 3, worth=accuracy)
    points = trust_of(search, checks=checks)["points"]
    assert [point["id"] for point in points] == [check.record.id for check in checks]
    assert points[0]["estimated"] == pytest.approx(0.9 * points[0]["trained"])
    assert points[0]["macs"] == checks[0].record.values["macs"]


def test_a_point_s_size_is_the_check_s_and_of_older_runs_the_candidate_s(search):
    (check,) = checked(search, 1, worth=accuracy)
    kept = dataclasses.replace(check, macs=12.0)
    older = dataclasses.replace(check, macs=0.0)
    points = trust_of(search, checks=[kept, older])["points"]
    assert [point["macs"] for point in points] == [12.0, check.record.values["macs"]]


def test_both_taus_are_told_with_what_they_mean(search):
    plain, given = trust_of(search, checks=checked(search, 8, worth=accuracy))["taus"]
    assert (plain["label"], plain["value"]) == ("Kendall's tau", "1.00")
    assert "in 100\u00a0% of cases" in plain["note"] and "0.6 to 0.75" in plain["note"]
    assert "chance" not in plain["note"]
    assert given["value"] == "1.00" and "beyond size" in given["note"]


def test_few_checks_say_that_it_may_be_chance(search):
    plain, given = trust_of(search, checks=checked(search, 3, worth=accuracy))["taus"]
    assert plain["note"].endswith("Over 3 candidates chance alone reaches ±1.00.")
    assert (given["value"], given["note"][:4]) == ("–", "What")
    alone = trust_of(search, checks=checked(search, 1, worth=accuracy))["taus"]
    assert alone[0]["note"].startswith("1 candidate cannot be ranked")


def test_poor_estimates_come_with_advice(search):
    poor = trust_of(search, checks=checked(search, 8, worth=reverse))
    assert poor["taus"][0]["value"] == "−1.00"
    assert "use estimator=train" in poor["advice"]
    assert trust_of(search, checks=checked(search, 8, worth=accuracy))["advice"] == ""


def test_longer_training_is_drawn_and_does_not_count(search):
    longer = checked(search, 4, worth=reverse, epochs=6)
    shown = trust_of(search, checks=[*checked(search, 8, worth=accuracy), *longer])
    assert len(shown["points"]) == 12
    assert shown["taus"][0]["value"] == "1.00"


def test_a_check_that_failed_is_not_drawn(search):
    (check,) = checked(search, 1, worth=accuracy)
    failed = dataclasses.replace(check, record=dataclasses.replace(check.record, outcome="failed"))
    assert trust_of(search, checks=[failed]) is None


def test_the_table_begins_with_what_tells_most_beyond_size(search):
    known = [
        Correlation("macs", 0.7, None, 30),
        Correlation("zen", 0.5, -0.1, 30),
        Correlation("naswot", 0.4, 0.3, 29),
    ]
    rows = trust_of(search, correlations=known)["objectives"]
    assert [row["label"] for row in rows] == ["naswot", "zen", "MACs"]
    assert [row["given"]["text"] for row in rows] == ["0.30", "−0.10", "–"]
    assert rows[0]["count"] == 29
    assert rows[0]["chance"] == "±0.26"
