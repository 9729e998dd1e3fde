"""Somebody's own logic in the place of a language model: `serve(agent, on_message=answer)`, where `answer` is a function or a URL.

It is a provider like any other, so that a session needs no second way for it. What is called, or posted, is one dict:

    text      what the person said, or typed
    call_id   the session's name
    caller    "", as `callee`: nobody is telephoned with
    history   [{role: "user" | "assistant", text, timestamp}, ...], ending with what the person just said. `timestamp` is in Unix
              seconds: when the words arrived here, or were answered
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import inspect
import json
import logging
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    MalformedStream,
    PatterConfigError,
    PatterError,
    RequestTimeout,
    ServerError,
    TruncatedStream,
)
from patter_nb.llm.base import LLMChunk, Message, ToolSpec
from patter_nb.tasks import closing
from patter_nb.tools.kept_client import KeptClient
from patter_nb.tools.off_loop import iterate_on_own_thread, on_own_thread
from patter_nb.tools.url_guard import WEB, UrlGuard

if TYPE_CHECKING:
    import aiohttp

    from patter_nb.tools.guarded_http import Reply

__all__ = ["MessageURL", "OnMessage", "OnMessageLLM"]

REPLY_S: Final = 30.0
CONNECT_S: Final = 10.0
GOODBYE_S: Final = 1.0
"""How long a WebSocket's server may take to say goodbye: who interrupts waits for it."""
MAX_REPLY_BYTES: Final = 64 * 1024
SIGNATURE_HEADER: Final = "X-Patter-Signature"

_CHECK = "Check what answers there."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class MessageURL:
    """Where the person's words are sent to be answered.

    url          "https://..." is posted the message and answers with JSON {"text"}, a JSON string, or text/plain, at most 64 KiB within
                 30 s. "wss://..." is sent it once and streams its answer in frames: {"text"}, plain text, and {"done": true} at the end;
                 10 s to connect, 30 s for each frame. http and ws are plain text on the wire
    secret       if given, the header X-Patter-Signature holds the HMAC-SHA256 of the body in hex, so that the server knows its sender
    allow_hosts  hosts that may be called though they are not public: "localhost", "127.0.0.1:8080"

    Raises `PatterConfigError` for what is no such URL, or one that is not public.

    >>> MessageURL("https://example.com/answer?key=k", secret="s3cret")
    MessageURL('https://example.com/...')
    """

    url: str
    secret: str | None = field(default=None, kw_only=True)
    allow_hosts: Sequence[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self.guard().check(self.url, WEB)
        object.__setattr__(self, "allow_hosts", tuple(self.allow_hosts))
        if self.secret is not None and not (isinstance(self.secret, str) and self.secret):
            raise PatterConfigError(
                "The secret of a MessageURL is no text, or empty.", hint="Pass the text that the server knows, or None."
            )

    @property
    def is_socket(self) -> bool:
        """Whether it is a WebSocket's."""
        return self.url.lower().startswith("ws")

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read what is sent."""
        return self.url.lower().startswith(("https:", "wss:"))

    @property
    def host(self) -> str:
        """The part that may be shown."""
        return re.split(r"[/?#]", self.url)[2]

    def __repr__(self) -> str:
        """Without what may be a key: secret, path and query."""
        return f"MessageURL('{self.url.split(':')[0]}://{self.host}/...')"

    def guard(self) -> UrlGuard:
        """What checks each address before it is connected to."""
        return UrlGuard(self.allow_hosts)

    def headers(self, body: bytes) -> dict[str, str]:
        """The signature, where there is a secret."""
        if self.secret is None:
            return {}
        return {SIGNATURE_HEADER: hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}


_Entry: TypeAlias = tuple[str, str, float]
"""Role, words, and when."""

OnMessage: TypeAlias = Callable[[dict[str, Any]], Any] | MessageURL | str
"""A function of the message (plain or async, of text or of a generator of text), or a URL."""


class OnMessageLLM:
    """Answers with what `handler` says. It costs nothing here, sees no tools, and calls none.

    A plain function, or a generator, runs on a thread of its own; an async one in the session's loop. `now_s` gives Unix seconds.
    Raises `PatterConfigError` for what cannot be called with one message.
    """

    provider: Final = "on_message"
    costs: Final = False

    def __init__(self, handler: OnMessage, *, now_s: Callable[[], float] = time.time) -> None:
        _require_handler(handler)
        self.handler = handler
        self._url = MessageURL(handler) if isinstance(handler, str) else handler if isinstance(handler, MessageURL) else None
        self._function: Callable[[dict[str, Any]], Any] | None = handler if self._url is None and callable(handler) else None
        self._kept = None if self._url is None else KeptClient(self._url.guard())
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
        if self._kept is not None:
            await self._kept.aclose()

    def _message(self, messages: Sequence[Message], call_id: str | None) -> dict[str, Any]:
        """What the handler is given."""
        known = self._said if call_id == self._call_id else []
        self._said = [*_entries(messages, deque(known), self._now_s())]
        self._call_id = call_id
        history = [{"role": role, "text": text, "timestamp": when} for role, text, when in self._said]
        text = next((text for role, text, _ in reversed(self._said) if role == "user"), "")
        return {"text": text, "call_id": call_id, "caller": "", "callee": "", "history": history}

    async def _pieces(self, message: dict[str, Any]) -> AsyncIterator[str]:
        url = self._url
        source = self._called(message) if url is None else self._streamed(url, message) if url.is_socket else self._posted(url, message)
        async with closing(source) as pieces:
            async for piece in pieces:
                if piece:
                    yield piece

    def _malformed(self, told: str, *, hint: str, cause: BaseException | None = None) -> NoReturn:
        raise MalformedStream(f"on_message ({self.model}) {told}", provider=self.provider, model=self.model, hint=hint) from cause

    # --- a function

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

    # --- a URL

    async def _posted(self, url: MessageURL, message: dict[str, Any]) -> AsyncGenerator[str, None]:
        import httpx

        from patter_nb.tools.guarded_http import ReplyTooLarge, post

        assert self._kept is not None
        body = json.dumps(message, ensure_ascii=False).encode()
        try:
            async with asyncio.timeout(REPLY_S), self._kept.client() as client:
                reply = await post(client, url.url, body, limit=MAX_REPLY_BYTES, headers=url.headers(body))
        except TimeoutError as error:
            self._late(f"did not answer within {REPLY_S:.0f} s", error)
        except ReplyTooLarge as error:
            self._malformed(f"answered with too much: {error}, and at most {MAX_REPLY_BYTES:,} are read.", hint=_CHECK, cause=error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._unreachable(error)
        yield self._words_of(reply)

    def _words_of(self, reply: Reply) -> str:
        if not reply.is_success:
            self._refused(reply.status, reply.excerpt)
        if reply.media_type == "text/plain":
            return reply.body.decode("utf-8", "replace")
        try:
            value = json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            hint = 'Answer with JSON {"text": "..."}, or with Content-Type: text/plain.'
            self._malformed(f"answered with neither JSON nor text/plain ({reply.media_type or 'no Content-Type'}).", hint=hint, cause=error)
        words = self._words_in(value, reply.body.decode("utf-8", "replace"))
        if words is None:
            self._malformed(f"answered with {value!r:.80}, which holds no text.", hint='Answer with JSON {"text": "..."}.')
        return words

    def _words_in(self, value: object, written: str) -> str | None:
        """The words in a JSON value; None in an object that has none. A number or a boolean is said as it was written."""
        match value:
            case str():
                return value
            case {"text": str(text)}:
                return text
            case {"text": None} | None:
                return None
            case Mapping() if "text" not in value:
                return None
            case bool() | int() | float():
                return written.strip()
        self._malformed(f"answered with {value!r:.80}, which holds no text.", hint='Answer with JSON {"text": "..."}.')

    async def _streamed(self, url: MessageURL, message: dict[str, Any]) -> AsyncGenerator[str, None]:
        import aiohttp

        from patter_nb.tools.guarded_ws import guarded_session

        body = json.dumps(message, ensure_ascii=False)
        said: list[str] = []
        async with guarded_session(url.guard()) as session:
            try:
                async with asyncio.timeout(CONNECT_S):
                    timeout = aiohttp.ClientWSTimeout(ws_close=GOODBYE_S)
                    headers = url.headers(body.encode())
                    ws = await session.ws_connect(url.url, headers=headers, max_msg_size=MAX_REPLY_BYTES, timeout=timeout)
                    await ws.send_str(body)
            except TimeoutError as error:
                self._late(f"could not be connected to within {CONNECT_S:.0f} s", error)
            except aiohttp.WSServerHandshakeError as error:
                self._refused(error.status, "it opens no WebSocket there.")
            except (aiohttp.ClientError, OSError) as error:
                self._unreachable(error)
            try:
                while True:
                    try:
                        frame = await ws.receive(timeout=REPLY_S)
                    except TimeoutError as error:
                        self._late(f"sent nothing for {REPLY_S:.0f} s", error)
                    if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                        self._ended(ws, frame, "".join(said))
                        return
                    text, done = self._frame(frame.data if isinstance(frame.data, str) else frame.data.decode("utf-8", "replace"))
                    if text:
                        said.append(text)
                        yield text
                    if done:
                        return
            finally:
                await ws.close()

    def _frame(self, written: str) -> tuple[str | None, bool]:
        """The words of a frame, and whether it is the last."""
        try:
            value = json.loads(written)
        except (ValueError, RecursionError):
            return written, False
        return self._words_in(value, written), isinstance(value, Mapping) and value.get("done") is True

    def _ended(self, ws: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage, said: str) -> None:
        """The server closed without {"done": true}: that is an end too, if it did so in good order and had said something."""
        if said and ws.close_code == 1000:
            return
        told = (
            f"broke off ({frame.type.name.lower()}, code {ws.close_code}{f', {frame.data}' if isinstance(frame.data, Exception) else ''})"
        )
        where: dict[str, Any] = {"provider": self.provider, "model": self.model, "hint": 'Send {"done": true} at the end of an answer.'}
        if said:
            raise TruncatedStream(f"on_message ({self.model}) {told}.", partial_text=said, **where)
        raise ConnectionFailed(f"on_message ({self.model}) {told} before its first word.", **where)

    def _late(self, told: str, cause: BaseException) -> NoReturn:
        hint = "Answer sooner, or stream the answer over a WebSocket."
        raise RequestTimeout(f"on_message ({self.model}) {told}.", provider=self.provider, model=self.model, hint=hint) from cause

    def _refused(self, status: int, said: str) -> NoReturn:
        kind = AuthenticationError if status in (401, 403) else ServerError if status >= 500 else BadRequest
        told = f"on_message ({self.model}) answered with status {status}{f': {said}' if said else '.'}"
        raise kind(told, provider=self.provider, model=self.model, status=status, hint=_CHECK)

    def _unreachable(self, cause: Exception) -> NoReturn:
        reason = f"{type(cause).__name__}: {cause}".rstrip(": ").replace(self._url.url if self._url else "", self.model)
        told = f"on_message ({self.model}) could not be reached ({reason})."
        raise ConnectionFailed(
            told, provider=self.provider, model=self.model, hint="Check the URL, and whether its server runs."
        ) from cause

    def __repr__(self) -> str:
        return f"OnMessageLLM({self.model})"


def _require_handler(handler: object) -> None:
    if isinstance(handler, MessageURL):
        return
    if isinstance(handler, str):
        MessageURL(handler)
        return
    if isinstance(handler, type) or not callable(handler):
        is_llm = callable(getattr(handler, "stream", None))
        hint = "Pass it as llm=." if is_llm else 'Pass a function of one message, "https://..." or "wss://...".'
        raise PatterConfigError(f"on_message is {handler!r:.80}, neither a function nor a URL.", hint=hint)
    try:
        signature = inspect.signature(handler)
    except ValueError:  # some functions of C have none
        return
    try:
        signature.bind({})
    except TypeError as error:
        told = f"on_message cannot be called with one message: {error}."
        raise PatterConfigError(told, hint="Write def answer(message): return ...") from error


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
