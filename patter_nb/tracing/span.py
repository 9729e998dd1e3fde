"""A span as plain values, and the spans of a session together: what is shown in a notebook, without OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

Value: TypeAlias = str | bool | int | float | tuple[str, ...]
"""What an attribute may hold."""
Kind: TypeAlias = Literal["internal", "client"]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened in a span, at `at_ns`."""

    name: str
    at_ns: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. `start_ns` and `end_ns` are nanoseconds since 1970; `end_ns` is None while it goes on.

    `id` is unique among the spans of a session, `parent` the id of the span that it is part of. `error` is the type of what it ended
    with, None where nothing failed; `message` what the failure says, where content was asked for.
    """

    id: int
    parent: int | None
    name: str
    kind: Kind
    start_ns: int
    end_ns: int | None
    attributes: Mapping[str, Value]
    events: tuple[SpanEvent, ...] = ()
    error: str | None = None
    message: str | None = None

    @property
    def duration_ms(self) -> float | None:
        """How long it took, None while it goes on."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / 1e6


class Spans(Sequence[Span]):
    """The spans of a session, each before those in it, siblings by their start."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._children: dict[int | None, list[Span]] = {}
        for span in sorted(spans, key=lambda one: (one.start_ns, one.id)):
            self._children.setdefault(span.parent, []).append(span)
        placed = list(self._below(None, 0))
        self._spans = [span for span, _ in placed]
        self.depths = [depth for _, depth in placed]
        """How deep each of them lies; the conversation is at 0."""

    def _below(self, parent: int | None, depth: int) -> Iterator[tuple[Span, int]]:
        for span in self._children.get(parent, ()):
            yield span, depth
            yield from self._below(span.id, depth + 1)

    def children(self, span: Span) -> list[Span]:
        """The spans right below `span`."""
        return list(self._children.get(span.id, ()))

    def named(self, name: str) -> list[Span]:
        """The spans whose name, or its first word, is `name`: "chat", say."""
        return [span for span in self._spans if name in (span.name, span.name.partition(" ")[0])]

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> list[Span]: ...
    def __getitem__(self, index: int | slice) -> Span | list[Span]:
        return self._spans[index]

    def __len__(self) -> int:
        return len(self._spans)

    def __repr__(self) -> str:
        return f"<Spans: {len(self)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)
