"""A server of one's own in place of a vendor's, for tests of what goes over the wire."""

from patter_nb.testing.wire.http import HttpConnection, WireRequest
from patter_nb.testing.wire.script import (
    Blocked,
    CallFragment,
    Cut,
    End,
    Event,
    Finish,
    HttpError,
    KeepAlive,
    Raw,
    Reasoning,
    Refusal,
    Reply,
    Stall,
    StreamError,
    Usage,
)
from patter_nb.testing.wire.server import WireServer

__all__ = [
    "Blocked",
    "CallFragment",
    "Cut",
    "End",
    "Event",
    "Finish",
    "HttpConnection",
    "HttpError",
    "KeepAlive",
    "Raw",
    "Reasoning",
    "Refusal",
    "Reply",
    "Stall",
    "StreamError",
    "Usage",
    "WireRequest",
    "WireServer",
]
