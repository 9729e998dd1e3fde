"""The log as spans with OpenTelemetry's conventions for generative AI. Off unless it is asked for; nothing here sends anything by itself.

`session.spans()` gives them as plain values, by a fold over the log, without OpenTelemetry; `session.trace(exporter)` sends them live.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from patter_nb.events import Event
from patter_nb.tracing.fold import Fold
from patter_nb.tracing.saved import read_events
from patter_nb.tracing.span import Span, SpanEvent, Spans
from patter_nb.tracing.tree import Growing

__all__ = ["Span", "SpanEvent", "Spans", "read_events", "spans"]


class _Collected:
    """Keeps every span that begins."""

    def __init__(self) -> None:
        self.all: list[Growing] = []

    def started(self, span: Growing) -> None:
        self.all.append(span)

    def ended(self, span: Growing) -> None:
        """It is kept already."""


def spans(src: Iterable[Event] | str | PathLike[str], *, name: str = "main", began_ns: int = 0, capture_content: bool = False) -> Spans:
    """The spans of a log, or of a saved one: a path to events.jsonl.

    A file does not say when the session began: `began_ns`, in nanoseconds since 1970, does; without it times count from the session's
    start. `name` is that of the session. Raises `PatterError` for a file that cannot be read.
    """
    events = read_events(src) if isinstance(src, (str, PathLike)) else tuple(src)
    collected = _Collected()
    fold = Fold(name, began_ns, collected, capture_content=capture_content)
    for event in events:
        fold.fold(event)
    return Spans([span.snapshot() for span in collected.all])
