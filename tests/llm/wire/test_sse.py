"""Events come out the same however their bytes were cut, and a line ends where the standard says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.errors import MalformedStream
from patter_nb.llm.wire import sse
from patter_nb.llm.wire.sse import EventParser, ServerSentEvent

STREAM = (
    b"\xef\xbb\xbf: keep-alive\n\n"
    b'event: message\ndata: {"a": 1}\r\n\r\n'
    b"data:no space\rdata:  two spaces\r\r"
    b"id: 7\nretry: 100\nunknown\n\n"
    b"data\n\n"
    b'data: {"text": "\xe2\x80\xa8 \xc2\x85 \xf0\x9f\x98\x80"}\n\n\n\n'
    b"\xef\xbb\xbfdata: a mark is one at the beginning only\n\n"
    b"data: [DONE]\n\n"
    b"data: not ended\n"
)
EVENTS = [
    (b"message", b'{"a": 1}'),
    (b"", b"no space\n two spaces"),
    (b"", b""),
    (b"", b'{"text": "\xe2\x80\xa8 \xc2\x85 \xf0\x9f\x98\x80"}'),
    (b"", b"[DONE]"),
]


def fed(*pieces: bytes) -> list[ServerSentEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def test_a_stream_in_one_piece() -> None:
    assert fed(STREAM) == EVENTS


def test_a_stream_byte_by_byte() -> None:
    assert fed(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert fed(*(STREAM[start:stop] for start, stop in pairwise(places))) == EVENTS


def test_an_event_that_ends_in_cr_is_not_kept_waiting_for_lf() -> None:
    parser = EventParser()
    assert parser.feed(b"data: now\r\r") == [(b"", b"now")]
    assert parser.feed(b"\ndata: next\r\n\r") == [(b"", b"next")]
    assert parser.feed(b"\n") == []


def test_what_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 1000)
    parser = EventParser()
    with pytest.raises(MalformedStream, match="more than 1,000 bytes"):
        for _ in range(200):
            parser.feed(b"<html> ")
