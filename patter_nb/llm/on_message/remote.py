"""An answer from a URL: one POST, or one conversation over a WebSocket for each message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    MalformedStream,
    RequestTimeout,
    ServerError,
    TruncatedStream,
)
from patter_nb.llm.on_message.message_url import MessageURL
from patter_nb.tools.kept_client import KeptClient

if TYPE_CHECKING:
    import aiohttp

    from patter_nb.tools.guarded_http import Reply

REPLY_S: Final = 30.0
CONNECT_S: Final = 10.0
GOODBYE_S: Final = 1.0
"""How long a WebSocket's server may take to say goodbye: who interrupts waits for it."""
MAX_REPLY_BYTES: Final = 64 * 1024

_CHECK = "Check what answers there."


class Remote:
    """Asks `url`; its HTTP connections are kept until `aclose`. What goes wrong is raised as a `PatterError`."""

    def __init__(self, url: MessageURL) -> None:
        self._url = url
        self._kept = KeptClient(url.guard())

    def answer(self, message: dict[str, Any]) -> AsyncGenerator[str, None]:
        """The answer, piece by piece as it comes."""
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")  # a lone surrogate cannot be sent
        return self._streamed(body) if self._url.is_socket else self._posted(body)

    async def aclose(self) -> None:
        """Close the connections; a later message opens new ones."""
        await self._kept.aclose()

    async def _posted(self, body: bytes) -> AsyncGenerator[str, None]:
        import httpx

        from patter_nb.tools.guarded_http import ReplyTooLarge, post

        url = self._url
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

    async def _streamed(self, body: bytes) -> AsyncGenerator[str, None]:
        import aiohttp

        from patter_nb.tools.guarded_ws import guarded_session

        url = self._url
        said: list[str] = []
        refused: int | None = None
        async with guarded_session(url.guard()) as session:
            try:
                async with asyncio.timeout(CONNECT_S):
                    timeout = aiohttp.ClientWSTimeout(ws_close=GOODBYE_S)
                    headers = url.headers(body)
                    ws = await session.ws_connect(url.url, headers=headers, max_msg_size=MAX_REPLY_BYTES, timeout=timeout)
                    await ws.send_str(body.decode())
            except TimeoutError as error:
                self._late(f"could not be connected to within {CONNECT_S:.0f} s", error)
            except aiohttp.WSServerHandshakeError as error:
                refused = error.status  # raised outside, for this error shows the URL, and a key in it
            except (aiohttp.ClientError, OSError) as error:
                self._unreachable(error)
            if refused is not None:
                self._refused(refused, "it opens no WebSocket there.")
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
        where: dict[str, Any] = {**self._who, "hint": 'Send {"done": true} at the end of an answer.'}
        if said:
            raise TruncatedStream(f"on_message ({self._url.host}) {told}.", partial_text=said, **where)
        raise ConnectionFailed(f"on_message ({self._url.host}) {told} before its first word.", **where)

    def _late(self, told: str, cause: BaseException) -> NoReturn:
        hint = "Answer sooner, or stream the answer over a WebSocket."
        raise RequestTimeout(f"on_message ({self._url.host}) {told}.", **self._who, hint=hint) from cause

    def _refused(self, status: int, said: str) -> NoReturn:
        kind = AuthenticationError if status in (401, 403) else ServerError if status >= 500 else BadRequest
        told = f"on_message ({self._url.host}) answered with status {status}{f': {said}' if said else '.'}"
        raise kind(told, **self._who, status=status, hint=_CHECK)

    def _unreachable(self, cause: Exception) -> NoReturn:
        reason = f"{type(cause).__name__}: {cause}".rstrip(": ").replace(self._url.url, self._url.host)
        told = f"on_message ({self._url.host}) could not be reached ({reason})."
        raise ConnectionFailed(told, **self._who, hint="Check the URL, and whether its server runs.") from cause

    def _malformed(self, told: str, *, hint: str, cause: BaseException | None = None) -> NoReturn:
        raise MalformedStream(f"on_message ({self._url.host}) {told}", **self._who, hint=hint) from cause

    @property
    def _who(self) -> dict[str, Any]:
        return {"provider": "on_message", "model": self._url.host}
