"""Cartesia's voices: one WebSocket for many texts, each a context of it that can be continued and cancelled.

From its API reference ("Live session (WebSocket)", "Contexts"), version 2025-04-16: a text is sent as {"context_id", "transcript",
"continue", "model_id", "voice", "output_format", ...}, "continue" false ends it; the answers are {"type": "chunk", "data": base64} and
{"type": "done"}, or {"type": "error", "status_code", "error"} (later versions: "title", "message", "error_code"). {"context_id", "cancel":
true} gives a context up; what is under way may still come, and is dropped.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlencode
from uuid import uuid4

from patter_nb.errors import MalformedStream, PatterConfigError, PatterError
from patter_nb.tasks import closing
from patter_nb.tts.wire.failing import BrokeOff, Failed, refused
from patter_nb.tts.wire.sockets import Shelf, Socket, opened
from patter_nb.tts.wire.vendor import Stale, VendorTTS
from patter_nb.tts.wire.words import Words
from patter_nb.wire.refusals import Refusal

__all__ = ["TTS", "CartesiaTTS"]

VERSION: Final = "2025-04-16"
_KEPT_S: Final = 24 * 3600.0
"""The vendor ends a socket that lies idle; that is noticed, so there is no need to throw one away."""


class CartesiaTTS(VendorTTS):
    """A voice of Cartesia's, by default Katie of sonic-3; the key is CARTESIA_API_KEY. Mono PCM16 at 24,000 Hz.

    language             ISO 639-1, default "en"; None: the voice's own
    speed, volume        0.6 to 1.5 and 0.5 to 2.0, default 1.0; `emotion` a word such as "content": for sonic-3
    max_buffer_delay_ms  how long the vendor may wait for more text before it speaks, 0 to 5000; its own default unless given

    The other arguments are those of `VendorTTS`. A socket is kept and used for the next text; an iterator's pieces are sent as they come,
    and joined as they are.
    """

    provider: ClassVar[str] = "cartesia"
    key_name: ClassVar[str] = "CARTESIA_API_KEY"
    models: ClassVar[Sequence[str]] = ("sonic-3", "sonic-2", "sonic-turbo")

    def __init__(  # noqa: PLR0913  # the API's own options, each a keyword with a default
        self,
        api_key: str | None = None,
        *,
        model: str = "sonic-3",
        voice: str = "f786b574-daa5-4673-aa0c-cbe3e8534c02",
        base_url: str = "https://api.cartesia.ai",
        language: str | None = "en",
        speed: float | None = None,
        volume: float | None = None,
        emotion: str | None = None,
        max_buffer_delay_ms: int | None = None,
        timeout_s: float = 10.0,
        max_retries: int = 2,
        **unknown: Any,
    ) -> None:
        if max_buffer_delay_ms is not None and not 0 <= max_buffer_delay_ms <= 5000:
            told = f"CartesiaTTS cannot wait max_buffer_delay_ms={max_buffer_delay_ms!r}."
            raise PatterConfigError(told, hint="It takes 0 to 5000 milliseconds.")
        style = {"speed": speed, "volume": volume, "emotion": emotion}
        super().__init__(
            api_key,
            model=model,
            voice=voice,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            options={"language": language, "max_buffer_delay_ms": max_buffer_delay_ms, **style},
            unknown=unknown,
        )
        self._style = {name: value for name, value in style.items() if value is not None}
        self._shelf = Shelf(self._open, kept_s=_KEPT_S)

    async def _open(self) -> Socket:
        url = f"{self.base_url}/tts/websocket?{urlencode({'cartesia_version': VERSION})}"
        headers = {"X-API-Key": self._key, "Cartesia-Version": VERSION, **self._user_agent}
        return await opened(url, headers, self._source, timeout_s=self.timeout_s)

    async def _attempt(self, words: Words, *, fresh: bool) -> AsyncIterator[bytes]:
        socket, context = await self._shelf.take(fresh=fresh), uuid4().hex
        usable = cancels = False
        try:
            async with closing(socket.messages(self._tell(socket, context, words), timeout_s=self.timeout_s)) as messages:
                cancels = True
                async for message in messages:
                    if message.get("context_id") not in (context, None):
                        continue  # the rest of a context that was cancelled
                    match message.get("type"):
                        case "chunk":
                            yield self._decoded(message.get("data"))
                        case "done":
                            usable, cancels = True, False
                            return
                        case "error":
                            usable, cancels = True, False
                            raise self._refusal(message)
        except BrokeOff as broken:
            cancels = False
            if socket.kept and not socket.answered:
                raise Stale from broken
            raise
        except PatterError:
            cancels = False  # who speaks no sense is not spoken with again
            raise
        finally:
            await self._leave(socket, context, usable=usable, cancels=cancels)

    async def _leave(self, socket: Socket, context: str, *, usable: bool, cancels: bool) -> None:
        """Keep the socket for the next text, or close it; a context that was given up is cancelled."""
        if cancels and socket.is_open:
            try:
                await socket.send({"context_id": context, "cancel": True})
                usable = True
            except BrokeOff:
                usable = False
        if usable and socket.is_open:
            self._shelf.put(socket)
        else:
            await socket.aclose()

    async def _tell(self, socket: Socket, context: str, words: Words) -> None:
        if words.is_whole:
            async for text in words.pieces():
                await socket.send(self._request(context, text, more=False))
            return
        async with closing(words.pieces()) as pieces:
            async for piece in pieces:
                if piece:
                    await socket.send(self._request(context, piece, more=True))
        await socket.send(self._request(context, "", more=False))

    def _request(self, context: str, text: str, *, more: bool) -> dict[str, Any]:
        request: dict[str, Any] = {
            "context_id": context,
            "model_id": self.model,
            "transcript": text,
            "voice": {"mode": "id", "id": self.voice},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": self.format.sample_rate},
            "continue": more,
        }
        if language := self.options.get("language"):
            request["language"] = language
        if (delay_ms := self.options.get("max_buffer_delay_ms")) is not None:
            request["max_buffer_delay_ms"] = delay_ms
        if self._style:
            request["generation_config"] = self._style
        return request

    def _decoded(self, data: object) -> bytes:
        try:
            return base64.b64decode(str(data or ""), validate=True)
        except binascii.Error as error:
            told = "cartesia sent sound that is no base64."
            raise MalformedStream(told, hint="Check base_url if you set it.", provider=self.provider, model=self.model) from error

    def _refusal(self, message: Mapping[str, Any]) -> Failed:
        status, code = message.get("status_code"), message.get("error_code")
        told = message.get("error") or ": ".join(str(part) for part in (message.get("title"), message.get("message")) if part)
        refusal = Refusal(status if isinstance(status, int) else 500, str(told), str(code) if code else None, message.get("request_id"))
        named = f"{refusal.code} {refusal.message}".lower()
        if refusal.status in (400, 404) and "voice" in named:
            return refused(refusal, self._voice_source, meant=404)
        return refused(refusal, self._source, meant=404 if refusal.status == 400 and "invalid model" in named else None)

    async def _warm(self) -> None:
        await self._shelf.fill()

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        await self._shelf.aclose()


TTS = CartesiaTTS
