"""The spans as they grow: each lies within its parent, is ended once, and is told of when it begins and when it ends.

Times are seconds of the session's wall time; its first span begins at a known nanosecond since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from patter_nb.tracing.names import CONTENT, ERROR
from patter_nb.tracing.span import Kind, Span, SpanEvent, Value


class Watcher(Protocol):
    """Whoever is told of the spans: a parent begins before its children and ends after them."""

    def started(self, span: Growing) -> None:
        """It has begun, with the attributes that are known by then."""
        ...

    def ended(self, span: Growing) -> None:
        """It is complete."""
        ...


@dataclass(slots=True, eq=False)
class Growing:
    """A span that is not complete. Only its `Tree` ends it."""

    id: int
    parent: Growing | None
    name: str
    kind: Kind
    start_ns: int
    attributes: dict[str, Value]
    end_ns: int | None = None
    events: list[SpanEvent] = field(default_factory=list)
    error: str | None = None
    message: str | None = None
    open: list[Growing] = field(default_factory=list)
    """Its children that have not ended."""
    reaches_ns: int = 0
    """Where the last of its children and events lies."""

    def snapshot(self) -> Span:
        """What there is of it now."""
        parent = None if self.parent is None else self.parent.id
        told = (dict(self.attributes), tuple(self.events), self.error, self.message)
        return Span(self.id, parent, self.name, self.kind, self.start_ns, self.end_ns, *told)


class Tree:
    """Begins and ends spans. `capture_content` keeps attributes that hold what was said."""

    def __init__(self, began_ns: int, watcher: Watcher, *, capture_content: bool) -> None:
        self._began_ns = began_ns
        self._origin_ns: int | None = None
        self._watcher = watcher
        self.captures = capture_content
        self._count = 0

    def _ns(self, at_s: float) -> int:
        if self._origin_ns is None:
            self._origin_ns = self._began_ns - round(at_s * 1e9)
        return self._origin_ns + round(at_s * 1e9)

    def start(
        self, parent: Growing | None, name: str, at_s: float, attributes: Mapping[str, Value | None], *, kind: Kind = "internal"
    ) -> Growing:
        """Begin a span at `at_s`, or where its parent begins, which has not ended."""
        self._count += 1
        start_ns = self._ns(at_s) if parent is None else max(self._ns(at_s), parent.start_ns)
        span = Growing(self._count, parent, name, kind, start_ns, {}, reaches_ns=start_ns)
        self.tell(span, attributes)
        if parent is not None:
            parent.open.append(span)
        self._watcher.started(span)
        return span

    def tell(self, span: Growing, attributes: Mapping[str, Value | None]) -> None:
        """Give a span that has not ended attributes, but those that are None, and what was said where that is not wanted."""
        kept = attributes.items() if self.captures else ((name, value) for name, value in attributes.items() if name not in CONTENT)
        span.attributes |= {name: value for name, value in kept if value is not None}

    def mark(self, span: Growing, name: str, at_s: float, attributes: Mapping[str, Value | None] | None = None) -> None:
        """Something happens in a span that has not ended."""
        at_ns = max(self._ns(at_s), span.start_ns)
        told = {key: value for key, value in (attributes or {}).items() if value is not None}
        span.events.append(SpanEvent(f"patter.event.{name}", at_ns, told))
        span.reaches_ns = max(span.reaches_ns, at_ns)

    def fail(self, span: Growing, error: str, message: str) -> None:
        """A span that has not ended ends with an error, the first that is told. Its message may quote what was said."""
        if span.error is None:
            span.error = error
            span.message = message if self.captures else None
            span.attributes[ERROR] = error

    def end(self, span: Growing, at_s: float) -> None:
        """End a span and whatever is still open in it; not before what lies in it. Ending it again changes nothing."""
        if span.end_ns is not None:
            return
        for child in tuple(span.open):
            self.end(child, at_s)
        span.end_ns = max(self._ns(at_s), span.start_ns, span.reaches_ns)
        if span.parent is not None:
            span.parent.open.remove(span)
            span.parent.reaches_ns = max(span.parent.reaches_ns, span.end_ns)
        self._watcher.ended(span)
