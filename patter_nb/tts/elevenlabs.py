"""ElevenLabs' voices: the WebSocket that takes text while it speaks, or one request for each sentence.

From its API reference ("WebSocket", "Stream speech"): /v1/text-to-speech/{voice}/stream-input opens with {"text": " "}, takes
{"text": "A sentence. "} and ends with {"text": ""}; it answers {"audio": base64} and at last {"isFinal": true}. A refusal is a message
{"error", "message", "code"} before a close of code 1008, after a handshake that went well whatever the key, or, over HTTP, {"detail":
{"status", "code", "message"}} with a status that says less than that word (401 for a used-up quota, 400 for an unknown voice).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from patter_nb.errors import MalformedStream, PatterConfigError
from patter_nb.tasks import closing
from patter_nb.tts.wire.failing import BrokeOff, Failed, refused
from patter_nb.tts.wire.posting import Post, posted, touched
from patter_nb.tts.wire.sockets import Shelf, Socket, opened
from patter_nb.tts.wire.vendor import Stale, VendorTTS
from patter_nb.tts.wire.words import Words, by_sentences, sentences
from patter_nb.wire.refusals import Refusal, refusal_of

__all__ = ["TTS", "ElevenLabsTTS"]

INACTIVITY_S: Final = 60
LONGEST: Final = 40_000
"""Characters of one request, with eleven_flash_v2_5."""
_MARGIN_S: Final = 5
"""A socket this near to its end is not begun with."""
_CLOSED_WELL: Final = 1000
_POLICY_VIOLATED: Final = 1008
_MEANT: Final[Mapping[str, int]] = {
    "invalid_api_key": 401,
    "missing_api_key": 401,
    "authentication_required": 401,
    "missing_permissions": 403,
    "quota_exceeded": 402,
    "invalid_uid": 404,
    "voice_not_found": 404,
    "voice_id_does_not_exist": 404,
    "model_not_found": 404,
    "model_id_does_not_exist": 404,
    "too_many_concurrent_requests": 429,
    "rate_limit_exceeded": 429,
    "system_busy": 503,
    "input_timeout_exceeded": 408,
}
"""The status that its own words for what went wrong stand for."""


class ElevenLabsTTS(VendorTTS):
    """A voice of ElevenLabs', by default Sarah of eleven_flash_v2_5; the key is ELEVENLABS_API_KEY. Mono PCM16 at 24,000 Hz.

    streaming        True: a WebSocket takes the text as it comes (`auto_mode`: the vendor waits for no more text than a sentence).
                     One serves one text; the next is opened ahead, and thrown away when nobody speaks for 55 s.
                     False: a request for each text, or for each sentence of an iterator
    language_code    ISO 639-1; models before v2.5 take none
    stability        0 to 1, `similarity_boost` 0 to 1, `style` 0 to 1, `speed` 0.7 to 1.2: the voice's own settings unless given

    The other arguments are those of `VendorTTS`. Raises `PatterConfigError` for eleven_v3, whose sound comes too late for a conversation
    and never over the WebSocket.
    """

    provider: ClassVar[str] = "elevenlabs"
    key_name: ClassVar[str] = "ELEVENLABS_API_KEY"
    models: ClassVar[Sequence[str]] = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2")
    voices: ClassVar[Sequence[str]] = ("EXAVITQu4vr4xnSDxMaL", "21m00Tcm4TlvDq8ikWAM")

    def __init__(  # noqa: PLR0913  # the API's own options, each a keyword with a default
        self,
        api_key: str | None = None,
        *,
        model: str = "eleven_flash_v2_5",
        voice: str = "EXAVITQu4vr4xnSDxMaL",
        base_url: str = "https://api.elevenlabs.io",
        streaming: bool = True,
        language_code: str | None = None,
        stability: float | None = None,
        similarity_boost: float | None = None,
        style: float | None = None,
        speed: float | None = None,
        timeout_s: float = 10.0,
        max_retries: int = 2,
        **unknown: Any,
    ) -> None:
        if isinstance(model, str) and model.startswith("eleven_v3"):
            told = f"ElevenLabsTTS cannot speak with {model}: it has no WebSocket, and its first sound comes too late for a conversation."
            raise PatterConfigError(told, hint=f'Use one of {", ".join(self.models)}: model="{self.models[0]}".')
        settings = {"stability": stability, "similarity_boost": similarity_boost, "style": style, "speed": speed}
        super().__init__(
            api_key,
            model=model,
            voice=voice,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            options={"streaming": streaming, "language_code": language_code, **settings},
            unknown=unknown,
        )
        self._streaming = streaming
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._shelf = Shelf(self._open, kept_s=INACTIVITY_S - _MARGIN_S)

    @property
    def _headers(self) -> dict[str, str]:
        return {"xi-api-key": self._key, **self._user_agent}

    def _url(self, last: str, **query: str) -> str:
        language = {"language_code": str(code)} if (code := self.options.get("language_code")) else {}
        asked = urlencode({"output_format": f"pcm_{self.format.sample_rate}", **query, **(language if query else {})})
        return f"{self.base_url}/v1/text-to-speech/{quote(self.voice, safe='')}/{last}?{asked}"

    async def _open(self) -> Socket:
        url = self._url("stream-input", model_id=self.model, auto_mode="true", inactivity_timeout=str(INACTIVITY_S))
        return await opened(url, self._headers, self._source, timeout_s=self.timeout_s)

    def _portions(self, words: Words) -> AsyncIterator[Words]:
        return super()._portions(words) if self._streaming else by_sentences(words, longest=LONGEST)

    def _attempt(self, words: Words, *, fresh: bool) -> AsyncIterator[bytes]:
        return self._over_socket(words, fresh=fresh) if self._streaming else self._over_http(words)

    # --- the WebSocket

    async def _over_socket(self, words: Words, *, fresh: bool) -> AsyncIterator[bytes]:
        socket = await self._shelf.take(fresh=fresh)
        self._shelf.stock()
        try:
            async with closing(socket.messages(self._tell(socket, words), timeout_s=self.timeout_s)) as messages:
                async for message in messages:
                    if "error" in message:
                        raise self._judged_message(message)
                    if message.get("audio"):
                        yield self._decoded(message["audio"])
                    if message.get("isFinal"):
                        return
        except BrokeOff as broken:
            if broken.code == _CLOSED_WELL and socket.answered:
                return  # the end too, as the vendor's own client has it
            if socket.kept and not socket.answered:
                raise Stale from broken
            raise
        finally:
            await socket.aclose()

    async def _tell(self, socket: Socket, words: Words) -> None:
        first: dict[str, Any] = {"text": " "}
        await socket.send(first | {"voice_settings": self._settings} if self._settings else first)
        async with closing(sentences(words)) as pieces:
            async for piece in pieces:
                await socket.send({"text": piece if piece.endswith(" ") else f"{piece} "})
        await socket.send({"text": ""})

    def _judged_message(self, message: Mapping[str, Any]) -> Failed:
        code, told = str(message["error"]), str(message.get("message") or message["error"])
        unnamed = 400 if message.get("code") == _POLICY_VIOLATED else 500
        return self._refusal(Refusal(0, told, code), unnamed=unnamed)

    def _decoded(self, audio: object) -> bytes:
        try:
            return base64.b64decode(str(audio), validate=True)
        except binascii.Error as error:
            told = "elevenlabs sent sound that is no base64."
            raise MalformedStream(told, hint="Check base_url if you set it.", provider=self.provider, model=self.model) from error

    def _refusal(self, refusal: Refusal, asked_wait_s: float | None = None, *, unnamed: int | None = None) -> Failed:
        code = refusal.code or ""
        source = self._voice_source if code.startswith(("voice", "invalid_uid")) else self._source
        return refused(refusal, source, meant=_MEANT.get(code, unnamed), asked_wait_s=asked_wait_s)

    # --- one request

    async def _over_http(self, words: Words) -> AsyncIterator[bytes]:
        text = "".join([piece async for piece in words.pieces()])
        body: dict[str, Any] = {"text": text, "model_id": self.model}
        if language := self.options.get("language_code"):
            body["language_code"] = language
        if self._settings:
            body["voice_settings"] = self._settings
        post = Post(self._url("stream"), self._headers, body, self._refused)
        async with closing(posted(post, self._source, rate=self.format.sample_rate, timeout_s=self.timeout_s)) as sound:
            async for data in sound:
                yield data

    def _refused(self, status: int, body: bytes, headers: Mapping[str, str], asked_wait_s: float | None) -> Failed:
        return self._refusal(refusal_of(_plain(body), status=status, headers=headers), asked_wait_s)

    # --- both

    async def _warm(self) -> None:
        if self._streaming:
            await self._shelf.fill()
        else:
            await touched(f"{self.base_url}/v1/models", self._headers, self._source)

    async def aclose(self) -> None:
        """Close the connection that was opened ahead."""
        await self._shelf.aclose()


def _plain(body: bytes) -> bytes | Mapping[str, Any]:
    """An error's body in the form that others have: {"detail": {"status", "code", "message"}}, or a list of what is not valid.

    Of its two words the status says more: "invalid_api_key" beside the code "unauthorized".
    """
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    if isinstance(detail, dict):
        words = [str(word) for word in (detail.get("status"), detail.get("code")) if word]
        return {
            "code": next((word for word in words if word in _MEANT), words[0] if words else None),
            "message": detail.get("message"),
            "request_id": detail.get("request_id"),
        }
    if isinstance(detail, list):
        return {"message": "; ".join(f"{item.get('loc')}: {item.get('msg')}" for item in detail if isinstance(item, dict))}
    return {"message": str(detail)}


TTS = ElevenLabsTTS
