"""A report on a session as a table by topic."""

from __future__ import annotations

from patter_nb.display.markup import Html, foreign, join, tag
from patter_nb.doctor import Report

__all__ = ["report_page", "report_text"]

_ROOM = 400


def report_text(report: Report) -> str:
    """The report in lines of plain text."""
    return str(report)


def report_page(report: Report) -> Html:
    """The report as a table; what is in the way of something says what helps."""
    parts: list[Html] = []
    for topic in dict.fromkeys(finding.topic for finding in report.findings):
        rows = [
            join(tag("dt", finding.name), tag("dd", foreign(finding.value, _ROOM), _remedy(finding.remedy)))
            for finding in report.findings
            if finding.topic == topic
        ]
        parts += [tag("b", topic.capitalize()), tag("dl", *rows)]
    return join(*parts)


def _remedy(remedy: str) -> Html:
    return tag("div", tag("small", remedy, cls="warn")) if remedy else Html()
