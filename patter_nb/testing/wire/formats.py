"""What the vendors' formats have in common: how an event is written, and how a request is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, get_args

from patter_nb.testing.scripted import Hold
from patter_nb.testing.wire.http import WireRequest
from patter_nb.testing.wire.script import Cut, Raw, Said, Stall, Step

Written: TypeAlias = bytes | Hold | Stall | Cut
"""What the server sends, or does, next."""


_SAID = get_args(Said)


class Speaker(Protocol):
    """Writes one answer, and knows where in it it is."""

    def say(self, place: int, step: Said) -> Iterator[bytes]:
        """The events of step number `place`."""


class Rejected(Exception):
    """The vendor would not take this request. `code` is the vendor's own word for it, `param` the place."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class WireFormat(Protocol):
    """One vendor's side of the wire."""

    def id_prefix(self, request: WireRequest) -> str | None:
        """What the ids of this answer's calls begin with; None where the vendor sends none."""

    def key(self, request: WireRequest) -> str | None:
        """The key that came with the request."""

    def key_error(self, key: str | None) -> Rejected:
        """What a missing or wrong key is told."""

    def check(self, request: WireRequest, models: Sequence[str]) -> None:
        """Raise `Rejected` for what the vendor rejects."""

    def speaker(self, steps: Sequence[Step], request: WireRequest) -> Speaker:
        """What writes the answer that these steps make."""

    def error_body(self, error: Rejected) -> bytes:
        """The body of an error."""

    def blocked(self, reason: str) -> Rejected | None:
        """The error that a refused prompt is; None where the stream says it."""

    def list_models(self, models: Sequence[str]) -> Mapping[str, Any]:
        """The body of the list of models."""

    def request_id(self, number: int) -> Mapping[str, str]:
        """The headers that name a request."""


def written(wire: WireFormat, steps: Sequence[Step], request: WireRequest) -> Iterator[Written]:
    """The answer, event by event, with what the server is to do in between."""
    speaker = wire.speaker(steps, request)
    for place, step in enumerate(steps):
        if isinstance(step, (Hold, Stall, Cut)):
            yield step
        elif isinstance(step, Raw):
            yield step.data
        elif isinstance(step, _SAID):
            yield from speaker.say(place, step)
        else:
            raise TypeError(f"{step!r} is no step of a reply; see patter_nb.testing.wire.script.")


def wire_json(value: object) -> bytes:
    """JSON as vendors write it: no spaces, UTF-8 as it is; a lone surrogate, which UTF-8 does not have, is escaped.

    >>> wire_json({"text": "caffè \\ud83d"}).decode()
    '{"text":"caffè \\\\ud83d"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def sse(data: object, name: str | None = None, *, line_end: bytes = b"\n") -> bytes:
    """One event of a stream.

    >>> sse({"a": 1}, "ping")
    b'event: ping\\ndata: {"a":1}\\n\\n'
    """
    lines = [] if name is None else [b"event: " + name.encode()]
    return line_end.join([*lines, b"data: " + wire_json(data), b"", b""])


def a_list(value: object, what: str) -> list[Any]:
    """`value`, if it is a list that holds something."""
    if not isinstance(value, list) or not value:
        raise Rejected(400, f"{what}: expected an array that is not empty.", param=what)
    return value


def no_others(given: Iterable[str], known: Iterable[str], message: str) -> None:
    """Reject a key that is not known; `message` has a place for it."""
    for key in given:
        if key not in known:
            raise Rejected(400, message.format(key), param=key)


def tool_schemas(value: object) -> Iterator[Mapping[str, Any]]:
    """All schemas within a schema, itself included; names of properties are no keywords."""
    if not isinstance(value, Mapping):
        return
    yield value
    for key in ("properties", "$defs", "definitions"):
        for child in (value.get(key) or {}).values():
            yield from tool_schemas(child)
    for key in ("anyOf", "any_of", "oneOf", "allOf"):
        for child in value.get(key) or ():
            yield from tool_schemas(child)
    yield from tool_schemas(value.get("items"))
