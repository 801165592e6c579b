"""What is known of a search's images as HTML: a section of the report, and a page of `plan`."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from orchestrator.data.counting import DataSummary
from orchestrator.data.sheet import Strip

__all__ = ["data_page", "data_section"]

_STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em;
  padding: 0 1em }
table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: right }
td:first-child, th:first-child { text-align: left } img { image-rendering: pixelated }"""


def data_section(summary: DataSummary, strips: Sequence[Strip]) -> str:
    """Counts, what is left out, what is there twice, and the contact sheet; text is escaped."""
    parts = [
        "<h2>The images</h2>",
        f"<p>{html.escape(summary.told)}. Fingerprints: {_pairs(summary.fingerprints)}.</p>",
        *(f"<p><b>{html.escape(text)}</b></p>" for text in summary.warnings),
        _table(summary),
        _left_out(summary.left_out),
        "<p>Training images as the networks see them:</p>" if strips else "",
        *(_row(name, uri) for name, uri in strips),
    ]
    return f'<section id="data">{"".join(part for part in parts if part)}</section>'


def data_page(title: str, summary: DataSummary, strips: Sequence[Strip]) -> str:
    """The section as a page of its own, which loads nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{data_section(summary, strips)}</body></html>\n"
    )


def _pairs(told: Mapping[str, str]) -> str:
    return ", ".join(f"{html.escape(name)} {html.escape(text)}" for name, text in told.items())


def _table(summary: DataSummary) -> str:
    if not summary.by_class:
        return ""
    splits = list(summary.by_class)
    rows = zip(summary.classes, *summary.by_class.values(), strict=True)
    cells = ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows]
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in ("class", *splits))
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _left_out(counted: Mapping[str, int]) -> str:
    if not counted:
        return ""
    told = "".join(f"<li>{count:,}: {html.escape(why)}</li>" for why, count in counted.items())
    return f"<p>Files left out:</p><ul>{told}</ul>"


def _row(name: str, uri: str) -> str:
    return f'<p>{html.escape(name)}<br><img alt="{html.escape(name)}" src="{html.escape(uri)}"></p>'
