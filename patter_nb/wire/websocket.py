"""The handshake of a WebSocket to a vendor, by the loop's pool: what stands in the way is an error of our own, and shows no key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp

from patter_nb.errors import ConnectionFailed, MalformedStream, RequestTimeout
from patter_nb.wire.pool import CONNECT_S, pool
from patter_nb.wire.refusals import Refusal, Source
from patter_nb.wire.retrying import asked_wait_s
from patter_nb.wire.unreachable import cause_of

__all__ = ["HandshakeRefused", "connected"]

PING_S: Final = 20.0
"""How often the vendor is asked whether it is still there: the network may be gone without a word, when a machine slept."""
LARGEST_MESSAGE: Final = 16 * 1024 * 1024
_REQUEST_IDS: Final = ("x-request-id", "dg-request-id", "cf-ray")
_EXPLAINED: Final = "dg-error"
"""The header in which Deepgram says what it did not take; a WebSocket's client is not shown the body."""


class HandshakeRefused(Exception):
    """The vendor opens no WebSocket: why, and how many seconds it asks to wait, None where it does not say."""

    def __init__(self, refusal: Refusal, asked_wait_s: float | None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.asked_wait_s = asked_wait_s


async def connected(
    url: str, headers: Mapping[str, str], source: Source, *, timeout_s: float = CONNECT_S, goodbye_s: float = 1.0
) -> aiohttp.ClientWebSocketResponse:
    """A new WebSocket to `url` (https:// or wss://). `goodbye_s` is how long the vendor's word of farewell is waited for, at its end.

    Raises `HandshakeRefused`, `RequestTimeout`, `ConnectionFailed`, and `MalformedStream` where there is no WebSocket.
    """
    shared, name, model = pool(), source.provider, source.model
    try:
        async with asyncio.timeout(timeout_s):
            return await shared.session.ws_connect(
                url,
                headers=headers,
                proxy=shared.proxy_for(url),
                max_msg_size=LARGEST_MESSAGE,
                heartbeat=PING_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=goodbye_s),
            )
    except TimeoutError as error:
        told = f"{name} opened no WebSocket within {timeout_s:g} s."
        raise RequestTimeout(told, hint="Try again in a moment, or raise timeout_s.", provider=name, model=model) from error
    except aiohttp.WSServerHandshakeError as error:  # it shows the headers, and the key in them: so nothing is raised from it
        if error.status < 400:
            told = f"{name} sent HTTP {error.status} where a WebSocket should open."
            raise MalformedStream(told, hint="Check base_url if you set it.", provider=name, model=model) from None
        raise HandshakeRefused(_refusal(error), asked_wait_s(error.headers or {})) from None
    except (aiohttp.ClientError, OSError) as error:
        why, cause = cause_of(error)
        told = f"{name} could not be reached at {url.partition('?')[0]}: {why}."
        raise ConnectionFailed(told, hint="Check the network, and base_url if you set it.", provider=name, model=model) from cause


def _refusal(error: aiohttp.WSServerHandshakeError) -> Refusal:
    told = {key.lower(): value for key, value in (error.headers or {}).items()}
    phrase = HTTPStatus(error.status).phrase if error.status in set(HTTPStatus) else "no explanation"
    request_id = next((told[key] for key in _REQUEST_IDS if key in told), None)
    return Refusal(error.status, told.get(_EXPLAINED, phrase), request_id=request_id)
