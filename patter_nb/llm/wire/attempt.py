"""One attempt at a vendor: what was really sent and what really came back, without keys, in the vendor's own words.

The bytes are kept as they came and read only when somebody looks, so that keeping them costs a stream next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from patter_nb.llm.wire.sse import EventParser
from patter_nb.reading import reading

__all__ = ["ANSWER_ROOM", "Answered", "Attempt", "Sent"]

ANSWER_ROOM: Final = 256 * 1024
"""Bytes of one answer that are kept; of a longer one its beginning."""


@dataclass(slots=True)
class Sent:
    """What was sent. Without `url` the vendor's own client sent it, whose address, headers and size are not known here.

    size        bytes on the wire, as packed and compressed; None where that is not known
    plain_size  bytes of the same body as plain JSON
    headers     keys are redacted
    body        the vendor's JSON as a Python object; None once it was let go of, so that a long session stays small
    """

    method: str
    url: str | None
    headers: Mapping[str, str]
    size: int | None
    plain_size: int
    _json: bytes | None = field(default=None, repr=False)

    @reading
    def body(self) -> Any:
        return None if self._json is None else json.loads(self._json)

    @property
    def saved(self) -> int:
        """Bytes by which the body was made smaller than plain JSON."""
        return 0 if self.size is None else max(0, self.plain_size - self.size)


@dataclass(slots=True)
class Answered:
    """What came back. It grows while it comes; `total_ms` is None until it ends.

    status         HTTP's, None where the vendor's own client does not tell
    headers        those worth seeing: the request's name, limits, when to ask again
    first_byte_ms  from sending to the first byte of the answer's head
    total_ms       from sending to its end, or until nobody wanted more of it
    is_complete    whether its last word came
    size           bytes of the answer, so far
    """

    status: int | None
    headers: Mapping[str, str]
    request_id: str | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    is_complete: bool = False
    size: int = 0
    _pieces: list[bytes] | None = field(default_factory=list, repr=False)
    _is_stream: bool = field(default=True, repr=False)
    _shown_by: Any = field(default=None, repr=False)
    """What hides keys in an answer that still comes."""

    @property
    def raw(self) -> bytes | None:
        """The answer as it came, as far as it is kept: at most its first 256 KiB; None once it was let go of."""
        if self._pieces is None:
            return None
        whole = b"".join(self._pieces)
        return whole if self._shown_by is None else bytes(self._shown_by.scrub(whole))

    @reading
    def events(self) -> list[Any] | None:
        """The events as Python objects, in the vendor's words, as far as they are kept; the one body of a refusal."""
        raw = self.raw
        if raw is None:
            return None
        if not self._is_stream:
            return [_value(raw)] if raw else []
        return [_value(event.data) for event in EventParser().feed(raw)]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is kept."""
        return self._pieces is not None and self.size <= ANSWER_ROOM


@dataclass(slots=True)
class Attempt:
    """One attempt, number `number` of its session: `attempt` counts from 1 and rises where a vendor is asked again.

    `by` is "wire", "client" for a vendor's own client, or "socket" for the conversation of an engine, whose messages are only counted:
    `told` and `heard` say how many of each kind. `error` is what went wrong.
    """

    number: int
    provider: str
    model: str | None
    attempt: int
    by: Literal["wire", "client", "socket"]
    sent: Sent
    answered: Answered | None = None
    error: str | None = None
    told: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)

    @property
    def kept_bytes(self) -> int:
        """How much of bodies it holds."""
        pieces = self.answered._pieces if self.answered is not None else None
        return len(self.sent._json or b"") + sum(map(len, pieces or ()))

    def let_go(self) -> None:
        """Keep the figures alone."""
        self.sent._json = None
        if self.answered is not None:
            self.answered._pieces = None


def _value(data: bytes) -> Any:
    """JSON, or else the text that it is."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
