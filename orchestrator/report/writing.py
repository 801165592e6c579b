"""Puts figures, style, scripts and plotly.js into one file."""

from __future__ import annotations

import html
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from orchestrator.analysis.display import marked
from orchestrator.data import DataSummary, data_section
from orchestrator.files import write_whole
from orchestrator.records import Credit
from orchestrator.report.data import ReportData
from orchestrator.report.figures import payload

__all__ = ["build_report"]

# In this order: each file imports from those before it only. They are modules so that tools see
# who uses what; in the page they are one script, because modules inside a file cannot import.
SCRIPTS = (
    "dom.js",
    "plots.js",
    "candidates.js",
    "scatter.js",
    "front.js",
    "history.js",
    "choices.js",
    "mistakes.js",
    "finalists.js",
    "agreement.js",
    "losses.js",
    "main.js",
)


def build_report(path: Path, data: ReportData) -> None:
    """Write the report to `path` (about 5 MB, nearly all of it plotly.js), replacing it whole.

    Cost: below a second for a thousand candidates.
    """
    # Imported here: a command that writes no report need not wait for plotly.
    from plotly.offline import get_plotlyjs

    headline, *more = re.split(r"(?<=[.!?])\s+", data.summary.strip() or data.title, maxsplit=1)
    parts = {
        "title": html.escape(data.title),
        "headline": html.escape(headline),
        "more": html.escape(" ".join(more)),
        "credit": _credit(data.start),
        "findings": _findings(data),
        "data": _images(data),
        "style": _asset("style.css"),
        "payload": _embedded(payload(data)),
        "plotly": get_plotlyjs(),
        "script": "\n".join(_plain_script(_asset(name)) for name in SCRIPTS),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("template.html"))
    write_whole(path, page)


def _findings(data: ReportData) -> str:
    """What is wrong with the search and what to do; what was said before it, to be opened."""
    told = [
        f"<li><b>{html.escape(finding.seen)}</b> {html.escape(finding.advice)}</li>"
        for finding in data.findings
    ]
    before = [f"<li>{html.escape(text)}</li>" for text in data.warnings]
    parts = [f'<ul id="findings" class="findings">{"".join(told)}</ul>'] if told else []
    if before:
        parts.append(
            f'<details class="findings"><summary>Said before the search ({len(before)})</summary>'
            f"<ul>{''.join(before)}</ul></details>"
        )
    return "\n".join(parts)


def _credit(start: Credit | None) -> str:
    """A paragraph on the weights that networks started from; "" where that was noise."""
    if start is None:
        return ""
    near = "" if start.exact else " Their network here is only near to the released one."
    hashed = start.sha256 + ("" if start.checked else ", not checked: publisher tells none")
    text = (
        f"Starts from trained weights: {start.name} ({start.credit}), from {start.source}. Licence "
        f"{marked(start.licence)}. Trained on {start.data}. Taken: {start.part}.{near} sha256 "
        f"{hashed}."
    )
    return f'<p class="more" id="credit">{html.escape(text)}</p>'


def _images(data: ReportData) -> str:
    """A section on the images; "" for a run that does not tell."""
    if data.images is None:
        return ""
    return data_section(DataSummary.from_json(data.images), data.strips)


def _asset(name: str) -> str:
    folder = resources.files("orchestrator.report") / "page"
    return (folder / name).read_text(encoding="utf-8")


def _plain_script(module: str) -> str:
    """`module` without its imports and exports: what they name is in the same script."""
    without = re.sub(r"^import [^;]*;\n", "", module, flags=re.MULTILINE)
    return re.sub(r"^export ", "", without, flags=re.MULTILINE)


def _embedded(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the texts hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
