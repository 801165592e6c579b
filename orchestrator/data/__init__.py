"""The images of a search: counted, pinned down and shown."""

from orchestrator.data.counting import DataSummary, summarise
from orchestrator.data.page import data_page, data_section
from orchestrator.data.pinning import Pins, check_pins, keep_pins, kept_summary
from orchestrator.data.sheet import Strip, contact_sheet

__all__ = [
    "DataSummary",
    "Pins",
    "Strip",
    "check_pins",
    "contact_sheet",
    "data_page",
    "data_section",
    "keep_pins",
    "kept_summary",
    "summarise",
]
