"""A vendor's own asynchronous client as the way to the vendor: its objects as plain values, its exceptions as our errors.

For whoever needs what only the client does: Azure's or Vertex's authentication, a region, a company's proxy. It costs ten times the time
of the wire per chunk (bench/llm_stream). Clients are foreign types of several packages, so they are looked at by name, never imported.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from patter_nb.errors import ConnectionFailed, PatterConfigError, PatterError, RequestTimeout
from patter_nb.llm.wire.decoding import ErrorEvent
from patter_nb.llm.wire.exchange import BrokeOff, Refused
from patter_nb.tasks import closing
from patter_nb.wire.refusals import Source, refusal_of
from patter_nb.wire.retrying import asked_wait_s

__all__ = ["Objects", "by_keywords", "events_of", "plain", "without_retries"]

Objects: TypeAlias = AsyncIterator[Mapping[str, Any]]

_END: Final = object()


def without_retries(client: Any) -> Any:
    """The same client, never asking again by itself: one policy, ours, is enough. One that cannot be told so is used as it is.

    Cerebras' own client would open a connection to warm up whenever one is made, and block the loop for it.
    """
    with_options = getattr(client, "with_options", None)
    if with_options is None:
        return client
    warms_up = "warm_tcp_connection" in inspect.signature(with_options).parameters
    return with_options(max_retries=0, **({"warm_tcp_connection": False} if warms_up else {}))


def by_keywords(create: Callable[..., Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` as keywords of `create`; what it does not know goes into the body beside them."""
    known = inspect.signature(create).parameters
    keywords = {key: value for key, value in body.items() if key in known}
    beside = {key: value for key, value in body.items() if key not in known}
    return {**keywords, "extra_body": beside} if beside else keywords


async def plain(opened: Awaitable[Any]) -> Objects:
    """The events of a client's stream, an async iterator of pydantic models that `opened` gives, as plain values; closed at the end."""
    stream = await opened
    try:
        async for event in stream:
            yield _as_plain(event)
    finally:
        await _close(stream)


def _as_plain(event: Any) -> Mapping[str, Any]:
    options = {"by_alias": True, "exclude_unset": True, "warnings": False}
    try:
        dumped: Mapping[str, Any] = event.model_dump(mode="json", **options)
    except ValueError:  # pydantic writes no half of a character as JSON
        dumped = event.model_dump(mode="python", **options)
    return dumped


async def _close(stream: Any) -> None:
    for name in ("aclose", "close"):
        if (close := getattr(stream, name, None)) is not None:
            await close()
            return


async def events_of(objects: Objects, source: Source, cancel_event: asyncio.Event | None) -> Objects:
    """`objects` until they end or `cancel_event` is set. Raises `Refused`, `ErrorEvent`, `BrokeOff`, or a `PatterError`."""
    begun = False
    cancelled = None if cancel_event is None else asyncio.ensure_future(cancel_event.wait())
    try:
        async with closing(objects):
            while True:
                with _failures(source, begun):
                    event = await _next_of(objects, cancelled)
                if event is _END:
                    return
                begun = True
                yield event
    finally:
        if cancelled is not None:
            cancelled.cancel()


async def _next_of(objects: Objects, cancelled: asyncio.Future[Any] | None) -> Any:
    """The next event; `_END` after the last one, or when `cancelled` is done."""
    if cancelled is None:
        return await anext(objects, _END)
    coming = asyncio.ensure_future(_as_coroutine(anext(objects, _END)))
    try:
        await asyncio.wait((coming, cancelled), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.wait((coming,))
    return _END if cancelled.done() else coming.result()


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@contextmanager
def _failures(source: Source, begun: bool) -> Iterator[None]:
    """What a client raises, as what the wire would have raised."""
    try:
        yield
    except (PatterError, asyncio.CancelledError, GeneratorExit):
        raise
    except Exception as error:  # whatever a client, or what it stands on, may raise
        raise _as_ours(error, source, begun) from error


def _as_ours(error: Exception, source: Source, begun: bool) -> Exception:
    status, body, response = (getattr(error, name, None) for name in ("status_code", "body", "response"))
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    status = status if isinstance(status, int) else code if isinstance(code, int) else None
    told = body if body is not None else details if isinstance(details, (dict, list)) else None
    headers = getattr(response, "headers", None) or {}
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    where: dict[str, Any] = {"provider": source.provider, "model": source.model}
    if status is not None and status >= 400:  # HTTP's errors
        refusal = refusal_of(told if told is not None else {"message": str(error)}, status=status, headers=dict(headers))
        return Refused(refusal, asked_wait_s(dict(headers), refusal.details))
    if told is not None:
        return ErrorEvent(refusal_of(told))
    if begun:
        return BrokeOff(f"{type(error).__name__}: {error}")
    if "Timeout" in names:
        return RequestTimeout(f"{source.provider} did not answer in time.", hint="Try again in a moment.", **where)
    if any(kind in names for kind in ("Connect", "Transport", "Network", "ClientError", "OSError")):
        told_by = str(error) or type(error).__name__
        return ConnectionFailed(f"{source.provider} could not be reached: {told_by}", hint="Check the network and the client.", **where)
    if isinstance(error, (TypeError, ValueError, AttributeError)):
        hint = "Pass the vendor's own asynchronous client, AsyncOpenAI() for example."
        return PatterConfigError(f"client= could not be used: {type(error).__name__}: {error}", hint=hint)
    return PatterError(f"The client of {source.provider} failed: {type(error).__name__}: {error}", **where)
