"""Server-sent events, out of bytes as they come, by the WHATWG standard (HTML, section 9.2.6, "Interpreting an event stream").

Vendors cut their streams anywhere, gateways between change line ends, and a model may write any character: a line ends at LF, CR or CRLF
and at nothing else (not at U+2028 or U+0085, where `str.splitlines` would cut a text in two), so all of this is done on bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from patter_nb.errors import MalformedStream

__all__ = ["EventParser", "ServerSentEvent"]

LARGEST_EVENT: Final = 16 * 1024 * 1024
"""Bytes. An event of a model's answer has some hundred; whatever fills this never ends."""

_BOM: Final = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event: its `name` (the field "event", mostly empty) and its `data`, several lines of which are joined by LF."""

    name: bytes
    data: bytes


class EventParser:
    """Takes bytes, cut anywhere; gives events. What has no blank line behind it is no event yet, and at the end of the stream never is.

    >>> EventParser().feed(b"data: one\\r\\rdata: two\\n\\ndata: thr")
    [ServerSentEvent(name=b'', data=b'one'), ServerSentEvent(name=b'', data=b'two')]
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_cr = False
        self._begun = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that are complete now. Raises `MalformedStream` for one of more than 16 MiB."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._rest += data
        if not self._begun and not self._begin():
            return []
        if len(self._rest) > LARGEST_EVENT:
            raise MalformedStream(f"An event of more than {LARGEST_EVENT:,} bytes came.", hint="Is this the address of the API?")
        if b"\n" not in data:
            return []
        *blocks, rest = bytes(self._rest).split(b"\n\n")
        if not blocks:
            return []
        self._rest = bytearray(rest)
        return [event for block in blocks if (event := _event(block)) is not None]

    def _begin(self) -> bool:
        """Skip a byte order mark; whether enough has come to know that there is none."""
        if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
            return False
        self._begun = True
        if self._rest.startswith(_BOM):
            del self._rest[: len(_BOM)]
        return True


def _event(block: bytes) -> ServerSentEvent | None:
    """The event of these lines, None where they hold no data."""
    if block.startswith(b"data:") and b"\n" not in block:  # nearly all
        return ServerSentEvent(b"", block[6:] if block[5:6] == b" " else block[5:])
    name, lines = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
    return ServerSentEvent(name, b"\n".join(lines)) if lines else None
