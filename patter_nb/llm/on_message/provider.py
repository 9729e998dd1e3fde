"""The provider: functions called as they want to be, what they are told of the conversation, and an answer that can be given up."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from patter_nb.errors import MalformedStream, PatterConfigError, PatterError
from patter_nb.llm.base import LLMChunk, Message, ToolSpec
from patter_nb.llm.on_message.message_url import MessageURL
from patter_nb.llm.on_message.remote import Remote
from patter_nb.tasks import closing
from patter_nb.tools.off_loop import iterate_on_own_thread, on_own_thread

_log = logging.getLogger(__name__)

OnMessage: TypeAlias = Callable[[dict[str, Any]], Any] | MessageURL | str
"""A function of the message (plain or async, of text or of a generator of text), or a URL."""

_Entry: TypeAlias = tuple[str, str, float]
"""Role, words, and when."""


class OnMessageLLM:
    """Answers with what `handler` says. It costs nothing here, sees no tools, and calls none.

    A plain function, or a generator, runs on a thread of its own; an async one in the session's loop. `now_s` gives Unix seconds.
    Raises `PatterConfigError` for what cannot be called with one message.
    """

    provider: Final = "on_message"
    costs: Final = False
    repeatable: Final = False
    """Whether it may be asked for nothing, as `TurnTaking(preemptive=True)` does: a handler may do something."""

    def __init__(self, handler: OnMessage, *, now_s: Callable[[], float] = time.time) -> None:
        self.handler = handler
        self._url = MessageURL(handler) if isinstance(handler, str) else handler if isinstance(handler, MessageURL) else None
        self._remote = None if self._url is None else Remote(self._url)
        self._function = _function(handler) if self._url is None else None
        if self._url is not None and not self._url.is_private and not self._url.allow_hosts:
            _log.warning("on_message: what is said goes to %s as plain text; https or wss keeps it private.", self._url.host)
        self._now_s = now_s
        self._call_id: str | None = None
        self._said: list[_Entry] = []

    @property
    def model(self) -> str:
        """The function's name, or the URL's host."""
        return self._url.host if self._url is not None else str(getattr(self.handler, "__name__", type(self.handler).__name__))

    async def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        *,
        cancel_event: asyncio.Event | None = None,
        call_id: str | None = None,
    ) -> AsyncIterator[LLMChunk]:
        said: list[str] = []
        message = self._message(messages, call_id)
        try:
            async with closing(_relayed(self._pieces(message), cancel_event)) as pieces:
                async for piece in pieces:
                    said.append(piece)
                    yield LLMChunk("text", content=piece)
        except PatterError:
            raise
        except Exception as error:  # the handler's own
            told = ": ".join(part for part in (type(error).__name__, str(error)) if part)
            hint = "Its cause is chained to this error, as __cause__."
            raise PatterError(f"on_message ({self.model}) failed: {told}", provider=self.provider, model=self.model, hint=hint) from error
        finally:
            if said:
                self._said.append(("assistant", "".join(said), self._now_s()))
        if cancel_event is not None and cancel_event.is_set():
            yield LLMChunk("done", finish_reason="cancelled")
            return
        if not "".join(said).strip():
            self._malformed("answered with nothing.", hint="Return or yield the words to be said, also when they are few.")
        yield LLMChunk("done", finish_reason="stop")

    async def aclose(self) -> None:
        """Close the connections to the URL; a later message opens new ones."""
        if self._remote is not None:
            await self._remote.aclose()

    def _message(self, messages: Sequence[Message], call_id: str | None) -> dict[str, Any]:
        """What the handler is given."""
        known = self._said if call_id == self._call_id else []
        self._said = [*_entries(messages, deque(known), self._now_s())]
        self._call_id = call_id
        history = [{"role": role, "text": text, "timestamp": when} for role, text, when in self._said]
        text = next((text for role, text, _ in reversed(self._said) if role == "user"), "")
        return {"text": text, "call_id": call_id, "caller": "", "callee": "", "history": history}

    async def _pieces(self, message: dict[str, Any]) -> AsyncIterator[str]:
        source = self._remote.answer(message) if self._remote is not None else self._called(message)
        async with closing(source) as pieces:
            async for piece in pieces:
                if piece:
                    yield piece

    def _malformed(self, told: str, *, hint: str) -> NoReturn:
        raise MalformedStream(f"on_message ({self.model}) {told}", provider=self.provider, model=self.model, hint=hint)

    async def _called(self, message: dict[str, Any]) -> AsyncGenerator[str, None]:
        assert self._function is not None
        what = f"on_message {self.model}"
        call = functools.partial(self._function, message)
        value = call() if _is_async(self._function) else await on_own_thread(what, call)
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, AsyncIterable):
            async with closing(aiter(value)) as pieces:
                async for piece in pieces:
                    yield self._text(piece)
        elif isinstance(value, Iterator):
            async with closing(iterate_on_own_thread(what, value)) as pieces:
                async for piece in pieces:
                    yield self._text(piece)
        elif value is not None:
            yield self._text(value)

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            self._malformed(f"gave {type(value).__name__} {value!r:.80}, not text.", hint="Return text, or yield it piece by piece.")
        return value

    def __repr__(self) -> str:
        return f"OnMessageLLM({self.model})"


def _function(handler: object) -> Callable[[dict[str, Any]], Any]:
    """`handler`, which can be called with one message. Raises `PatterConfigError` otherwise."""
    if isinstance(handler, type) or not callable(handler):
        is_llm = callable(getattr(handler, "stream", None))
        hint = "Pass it as llm=." if is_llm else 'Pass a function of one message, "https://..." or "wss://...".'
        raise PatterConfigError(f"on_message is {handler!r:.80}, neither a function nor a URL.", hint=hint)
    try:
        signature = inspect.signature(handler)
    except ValueError:  # some functions of C have none
        return handler
    try:
        signature.bind({})
    except TypeError as error:
        told = f"on_message cannot be called with one message: {error}."
        raise PatterConfigError(told, hint="Write def answer(message): return ...") from error
    return handler


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it returns at once: what it gives is awaited or iterated in the loop."""
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in (function, type(function).__call__))


def _entries(messages: Sequence[Message], known: deque[_Entry], now: float) -> Iterator[_Entry]:
    """The words of a conversation with their times: a known entry has its own, also where only part of it was heard.

    A session joins neighbours of one role by a line break, for instance what the person said before and after an answer that failed;
    what is known to be two is two here.
    """
    for one in messages:
        role, rest = str(one["role"]), one.get("content")
        if role not in ("user", "assistant") or not isinstance(rest, str) or not rest.strip():
            continue
        while known and (known[0][0] != role or rest.startswith(f"{known[0][1]}\n")):
            entry = known.popleft()
            if entry[0] == role:
                yield entry
                rest = rest[len(entry[1]) + 1 :]
        same = bool(known) and (rest.startswith(known[0][1]) or known[0][1].startswith(rest))
        yield role, rest, known.popleft()[2] if same else now


async def _relayed(pieces: AsyncIterator[str], cancel_event: asyncio.Event | None) -> AsyncGenerator[str, None]:
    """The same pieces, all made by one task, as a generator with a timeout around its yields needs it; none once the event is set.

    At most one is made ahead. Closing this ends that task and closes `pieces`.
    """
    handed: asyncio.Queue[str | None] = asyncio.Queue(1)
    left = False

    async def relay() -> None:
        try:
            async with closing(pieces):
                async for piece in pieces:
                    await handed.put(piece)
        finally:
            if not left:
                await handed.put(None)

    async def watch(event: asyncio.Event) -> None:
        await event.wait()
        relaying.cancel()

    relaying = asyncio.create_task(relay(), name="on_message")
    tasks = [relaying] if cancel_event is None else [relaying, asyncio.create_task(watch(cancel_event), name="on_message's end")]
    try:
        while (piece := await handed.get()) is not None:
            if cancel_event is not None and cancel_event.is_set():
                return
            yield piece
        if cancel_event is None or not cancel_event.is_set():
            await relaying
    finally:
        left = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
