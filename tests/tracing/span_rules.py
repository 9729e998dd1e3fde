"""What holds of the spans of every session, and logs made by hand to make spans of."""

from __future__ import annotations

from collections.abc import Iterable

from patter_nb.events import Body, Event
from patter_nb.tracing import Span, Spans
from patter_nb.tracing.tree import Growing

Told = tuple[float, int | None, Body]


def log_of(*told: Told) -> list[Event]:
    """Events at these seconds, of these turns."""
    return [Event(seq, at_s * 1000, at_s, 0, turn, body) for seq, (at_s, turn, body) in enumerate(told)]


def outline(spans: Spans) -> list[str]:
    """Name and times in milliseconds of each span, indented as they lie in each other; what failed, and with what."""
    lines = []
    for span, depth in zip(spans, spans.depths, strict=True):
        end = "" if span.end_ns is None else f"{span.end_ns / 1e6:.0f}"
        lines.append(f"{'  ' * depth}{span.name} {span.start_ns / 1e6:.0f}-{end}{f' {span.error}' if span.error else ''}")
    return lines


def assert_sound(spans: Iterable[Span], *, over: bool = True) -> None:
    """Ids are unique, there is one root, each child lies within its parent, as do events; if it is `over`, every span has ended."""
    by_id = {span.id: span for span in spans}
    spans = list(spans)
    assert len(by_id) == len(spans)
    assert len([span for span in spans if span.parent is None]) == (1 if spans else 0)
    for span in spans:
        assert span.end_ns is not None or not over, span
        assert span.end_ns is None or span.start_ns <= span.end_ns
        inside = [event.at_ns for event in span.events]
        assert all(span.start_ns <= at_ns for at_ns in inside)
        assert span.end_ns is None or all(at_ns <= span.end_ns for at_ns in inside)
        if span.parent is None:
            continue
        parent = by_id[span.parent]
        assert parent.start_ns <= span.start_ns, (parent, span)
        if parent.end_ns is not None:
            assert span.end_ns is not None, (parent, span)
            assert span.end_ns <= parent.end_ns, (parent, span)


class Witness:
    """A watcher that checks the order in which it is told."""

    def __init__(self) -> None:
        self.open: list[Growing] = []
        self.ended_spans: list[Span] = []

    def started(self, span: Growing) -> None:
        assert span not in self.open
        assert span.parent is None or span.parent in self.open, "it begins in what has ended"
        assert span.end_ns is None
        self.open.append(span)

    def ended(self, span: Growing) -> None:
        self.open.remove(span)
        assert not [child for child in self.open if child.parent is span], "a child goes on"
        self.ended_spans.append(span.snapshot())
