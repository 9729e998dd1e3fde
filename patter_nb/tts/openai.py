"""OpenAI's voices: POST /v1/audio/speech, whose body is raw PCM as it is made (OpenAI's API reference, "Create speech")."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from patter_nb.errors import PatterConfigError
from patter_nb.tasks import closing
from patter_nb.tts.wire.failing import Failed, refused
from patter_nb.tts.wire.posting import Post, posted, touched
from patter_nb.tts.wire.vendor import VendorTTS
from patter_nb.tts.wire.words import Words, by_sentences
from patter_nb.wire.refusals import refusal_of

__all__ = ["TTS", "OpenAITTS"]

LONGEST: Final = 4096
"""Characters of one request."""


class OpenAITTS(VendorTTS):
    """A voice of OpenAI's, by default alloy of gpt-4o-mini-tts; the key is OPENAI_API_KEY. Mono PCM16 at 24,000 Hz.

    speed         0.25 to 4.0, default 1.0; gpt-4o-mini-tts takes no notice of it
    instructions  how to speak, in words ("Speak in a calm, low voice."); tts-1 and tts-1-hd take none
    base_url      before /audio/speech: a server of the same form may be anywhere

    The other arguments are those of `VendorTTS`. An iterator of text, or a text of more than 4,096 characters, is spoken by
    sentences, each in a request of its own.
    """

    provider: ClassVar[str] = "openai"
    key_name: ClassVar[str] = "OPENAI_API_KEY"
    models: ClassVar[Sequence[str]] = ("gpt-4o-mini-tts", "tts-1", "tts-1-hd")
    voices: ClassVar[Sequence[str]] = ("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse")

    def __init__(
        self,
        api_key: str | None = None,
        *,
        model: str = "gpt-4o-mini-tts",
        voice: str = "alloy",
        base_url: str = "https://api.openai.com/v1",
        speed: float | None = None,
        instructions: str | None = None,
        timeout_s: float = 20.0,
        max_retries: int = 2,
        **unknown: Any,
    ) -> None:
        if speed is not None and not 0.25 <= speed <= 4.0:
            raise PatterConfigError(f"OpenAITTS cannot speak with speed={speed!r}.", hint="It takes 0.25 to 4.0; 1.0 is as people speak.")
        super().__init__(
            api_key,
            model=model,
            voice=voice,
            base_url=base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            options={"speed": speed, "instructions": instructions},
            unknown=unknown,
        )

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", **self._user_agent}

    def _portions(self, words: Words) -> AsyncIterator[Words]:
        return by_sentences(words, longest=LONGEST)

    async def _attempt(self, words: Words, *, fresh: bool) -> AsyncIterator[bytes]:
        text = "".join([piece async for piece in words.pieces()])
        body = {"model": self.model, "voice": self.voice, "input": text, "response_format": "pcm", **self.options}
        post = Post(f"{self.base_url}/audio/speech", self._headers, body, self._refused)
        async with closing(posted(post, self._source, rate=self.format.sample_rate, timeout_s=self.timeout_s)) as sound:
            async for data in sound:
                yield data

    def _refused(self, status: int, body: bytes, headers: Mapping[str, str], asked_wait_s: float | None) -> Failed:
        refusal = refusal_of(body, status=status, headers=headers)
        if status == 400 and "voice" in refusal.message.lower():  # an unknown one is "invalid_request_error", in words
            return refused(refusal, self._voice_source, meant=404)
        return refused(refusal, self._source, asked_wait_s=asked_wait_s)

    async def _warm(self) -> None:
        await touched(f"{self.base_url}/models", self._headers, self._source)


TTS = OpenAITTS
