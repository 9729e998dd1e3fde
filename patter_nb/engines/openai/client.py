"""The Realtime connection of an official `openai.AsyncOpenAI`, in place of a WebSocket of our own.

For whoever needs what only the client does: another authentication, a gateway, headers of a company. What comes is taken as bytes, so that
the same decoder reads it. The client and the `websockets` that it stands on are foreign, so they are looked at by name, never imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from patter_nb.engines.socket import Socket
from patter_nb.errors import ConnectionFailed, MalformedStream, PatterConfigError, PatterError, RequestTimeout
from patter_nb.wire.pool import CONNECT_S
from patter_nb.wire.refusals import Source, refusal_of
from patter_nb.wire.retrying import asked_wait_s
from patter_nb.wire.websocket import HandshakeRefused

__all__ = ["connected_by", "manager_of"]

_GOODBYE_S: Final = 1.0
_CLIENT_HINT: Final = "Pass the official asynchronous client: OpenAIRealtime(client=openai.AsyncOpenAI(...))."
_INSTALL_HINT: Final = 'Run: pip install --upgrade "openai[realtime]"'


class _ClientSocket:
    """A Realtime connection of the client's as a `Socket`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._closed = False
        self._code: int | None = None
        self._reason = ""

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def close_code(self) -> int | None:
        return self._code

    @property
    def close_reason(self) -> str:
        return self._reason

    async def send(self, message: Mapping[str, Any]) -> None:
        with self._until_it_ends():
            await self._connection.send(message)

    async def receive(self, idle_s: float | None) -> str | bytes | None:
        with self._until_it_ends():
            async with asyncio.timeout(idle_s):
                data: bytes = await self._connection.recv_bytes()
                return data
        return None

    @contextmanager
    def _until_it_ends(self) -> Iterator[None]:
        """Note the end that the client tells of by an exception; any other travels on."""
        try:
            yield
        except Exception as error:
            if "ConnectionClosed" not in _kinds(error):
                raise
            told = getattr(error, "rcvd", None)
            self._closed, self._code, self._reason = True, getattr(told, "code", None), getattr(told, "reason", "")

    async def close(self) -> None:
        self._closed = True
        await self._connection.close()


def manager_of(client: Any, model: str) -> Any:
    """What `client` would connect by; nothing is opened. Raises `PatterConfigError` for an object that is no asynchronous client."""
    connect = getattr(getattr(client, "realtime", None), "connect", None)
    given = type(client).__name__
    if not callable(connect):
        told = f"OpenAIRealtime cannot use client=<{given}>, which has no realtime.connect()."
        raise PatterConfigError(told, hint=f"{_CLIENT_HINT} One of an old release: {_INSTALL_HINT[5:]}")
    try:
        manager = connect(model=model, websocket_connection_options={"close_timeout": _GOODBYE_S})
    except TypeError as error:
        raise PatterConfigError(f"OpenAIRealtime cannot use client=<{given}>: {error}.", hint=_CLIENT_HINT) from error
    if not hasattr(manager, "__aenter__"):
        raise PatterConfigError(f"OpenAIRealtime cannot use client=<{given}>, which is not asynchronous.", hint=_CLIENT_HINT)
    return manager


async def connected_by(client: Any, source: Source) -> Socket:
    """A new connection to `source.model` by `client`.

    Raises `HandshakeRefused`, `RequestTimeout`, `ConnectionFailed`, `MalformedStream` where there is no WebSocket, `PatterConfigError` for
    a client that cannot connect, and `PatterError` for whatever else it raises.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            return _ClientSocket(await manager_of(client, source.model).__aenter__())
    except PatterError:
        raise
    except Exception as error:  # whatever a client, or what it stands on, may raise
        raise _as_ours(error, source) from error


def _as_ours(error: Exception, source: Source) -> Exception:
    where: dict[str, Any] = {"provider": source.provider, "model": source.model}
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        headers = _headers(response)
        body = getattr(response, "body", None) or getattr(response, "content", None) or b""
        if status >= 400:
            return HandshakeRefused(refusal_of(bytes(body), status=status, headers=headers), asked_wait_s(headers))
        sent = f"{source.provider} sent HTTP {status} where a WebSocket should open."
        return MalformedStream(sent, hint="Check the base_url of the client.", **where)
    if isinstance(error, TimeoutError):
        return RequestTimeout(f"{source.provider} opened no WebSocket in time.", hint="Try again in a moment.", **where)
    if isinstance(error, OSError):
        hint = "Check the network, and the base_url of the client."
        return ConnectionFailed(f"{source.provider} could not be reached: {told}.", hint=hint, **where)
    if "InvalidHandshake" in _kinds(error):
        return MalformedStream(f"{source.provider} opened no WebSocket: {told}.", hint="Check the base_url of the client.", **where)
    if isinstance(error.__cause__, ImportError):
        return PatterConfigError(f"OpenAIRealtime cannot connect by client=: {error}.", hint=_INSTALL_HINT)
    if isinstance(error, (TypeError, ValueError, AttributeError)) or "InvalidURI" in _kinds(error):
        return PatterConfigError(f"OpenAIRealtime cannot connect by client=: {told}.", hint=_CLIENT_HINT)
    return PatterError(f"The client of {source.provider} failed: {told}.", hint="Check the client's authentication.", **where)


def _headers(response: Any) -> dict[str, str]:
    """The headers of a response of websockets, where a name may come twice, or of httpx."""
    headers = response.headers
    return {str(name): str(value) for name, value in getattr(headers, "raw_items", headers.items)()}


def _kinds(error: Exception) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)
