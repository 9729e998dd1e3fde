"""Google's Live API: speech to speech over a WebSocket that carries generateContent's parts both ways.

From Google's reference "Live API - WebSockets". The server hears when the person interrupts, and writes down both sides piece by piece;
nothing says when the person's words are complete but the answer that follows. It announces the end of a conversation before it comes.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from patter_nb.audio.frames import FRAME_MS, SAMPLE_RATE, AudioFormat, Frame
from patter_nb.engines.base import AnswerBegan, AnswerChunk, AnswerEnded, AnswerSound, EngineEvent, Heard, VoiceBegan, VoiceEnded
from patter_nb.engines.socket import SocketEngine
from patter_nb.engines.sound import Sound
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.llm.gemini.parts import contents_of
from patter_nb.llm.gemini.schema import gemini_schema
from patter_nb.llm.wire.history import sound
from patter_nb.wire.refusals import Refusal, Source, refusal_of

if TYPE_CHECKING:
    from patter_nb.agent import Agent

__all__ = ["GeminiLive"]

OUT_RATE: Final = 24_000
_PATH: Final = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_KEYS: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_KEY_HINT: Final = "Set the environment variable GEMINI_API_KEY or GOOGLE_API_KEY to a valid key, or pass api_key=."


class GeminiLive(SocketEngine):
    """A speech-to-speech model of Google's, by default gemini-2.5-flash-native-audio-preview-09-2025 with the voice Puck.

    The key is GEMINI_API_KEY, or else GOOGLE_API_KEY. `temperature` is the model's; `base_url` default wss://generativelanguage.googleapis.com.
    Raises `PatterConfigError` where there is no key, `TypeError` for an unknown keyword.
    """

    asking_interrupts: ClassVar[bool] = True
    provider: ClassVar[str] = "google"
    key_names: ClassVar[tuple[str, ...]] = _KEYS
    costs = True

    def __init__(
        self,
        api_key: str | None = None,
        *,
        model: str = "gemini-2.5-flash-native-audio-preview-09-2025",
        voice: str = "Puck",
        temperature: float | None = None,
        base_url: str = "wss://generativelanguage.googleapis.com",
        **unknown: Any,
    ) -> None:
        reject_unknown("GeminiLive", unknown, ("api_key", "model", "voice", "temperature", "base_url"))
        self._key = (api_key or next((key for name in _KEYS if (key := os.environ.get(name, "").strip())), "")).strip()
        if not self._key:
            raise PatterConfigError("GeminiLive has no API key.", hint=_KEY_HINT)
        super().__init__(Source(self.provider, model, _KEY_HINT, "Take a model that speaks by the Live API.", self._key))
        self.model = model
        self.voice = voice
        self._temperature = {} if temperature is None else {"temperature": temperature}
        self._base_url = base_url.rstrip("/")
        self._restart()

    def _restart(self) -> None:
        self._frames = 0
        self._asked = 0
        self._answers = 0
        self._answer: str | None = None
        self._sound = Sound(self.source)
        self._words = ""
        self._calls: dict[str, str] = {}
        self._usage: LLMChunk | None = None
        self._leaving = False
        self._superseded: list[str] = []

    def __repr__(self) -> str:
        """Never with the key."""
        return f"GeminiLive(model={self.model!r}, voice={self.voice!r})"

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(SAMPLE_RATE)

    @property
    def output_format(self) -> AudioFormat:
        return AudioFormat(OUT_RATE)

    # --- to the server

    async def address(self) -> tuple[str, Mapping[str, str]]:
        return f"{self._base_url}{_PATH}", {"x-goog-api-key": self._key}

    async def begin(self, agent: Agent, history: Sequence[Message]) -> None:
        self._restart()
        spoken = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": self.voice}}}
        settings = {"responseModalities": ["AUDIO"], "speechConfig": spoken, **self._temperature}
        setup: dict[str, Any] = {"model": f"models/{self.model}", "generationConfig": settings}
        setup |= {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
        if prompt := agent.render(agent.system_prompt):
            setup["systemInstruction"] = {"parts": [{"text": prompt}]}
        if agent.tools:
            setup["tools"] = [{"functionDeclarations": [_declaration(tool.spec()["function"]) for tool in agent.tools]}]
        await self.send({"setup": setup})
        while "setupComplete" not in (message := await self.answer()):  # nothing may be sent before it
            self.take(message)
        if history:
            turns = contents_of(sound(history), self.provider, needs_signatures=False)
            await self.send({"clientContent": {"turns": turns, "turnComplete": False}})

    async def update(self, agent: Agent) -> None:
        """Begin anew with another prompt or other tools, since the API keeps those of the beginning."""
        self._agent = agent
        await self.reopen()

    async def push(self, frame: Frame) -> None:
        self._frames += 1
        data = base64.b64encode(frame.pcm.astype("<i2").tobytes()).decode()
        await self.send({"realtimeInput": {"audio": {"data": data, "mimeType": f"audio/pcm;rate={SAMPLE_RATE}"}}})

    async def send_text(self, text: str) -> None:
        await self._ask(text)

    async def say(self, text: str) -> None:
        await self._ask(f"Say exactly the following, word for word, and nothing else: {text}")

    async def _ask(self, text: str) -> None:
        """Ask for an answer. What the model says meanwhile is broken off, or was about to say: until the API says so, all that comes is
        still of that."""
        if self._answer is not None or self._asked:
            self._superseded.append(self._answer or "")  # each ends by itself: one that has not begun, too
        self._answer, self._asked = None, 1
        await self.send({"clientContent": {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}})

    async def send_tool_result(self, results: Sequence[tuple[str, str]], *, answer: bool = True) -> None:
        """Tell the results, and be answered. Calls that were given up the API has forgotten by itself."""
        if not answer:
            return
        self._asked += 1
        answers = [{"id": id, "name": self._calls.get(id, id), "response": {"result": content}} for id, content in results]
        await self.send({"toolResponse": {"functionResponses": answers}})

    async def cancel(self) -> None:
        """The API has no way to be told: what still comes of this answer is nobody's, until it is asked something else."""

    async def truncate(self, played_ms: float) -> None:
        """The API keeps what it thinks was heard."""

    # --- from the server

    def closed_for(self, code: int, reason: str) -> Refusal | None:
        """1008 "Requested entity was not found." comes now and then behind a tool's result, and says nothing of what was told."""
        refusal = super().closed_for(code, reason)
        return None if code == 1008 and refusal is not None and refusal.status == 400 else refusal

    def take(self, message: Mapping[str, Any]) -> Iterable[EngineEvent]:
        if "error" in message:
            raise self.error(refusal_of(message))
        events: list[EngineEvent] = []
        if (usage := message.get("usageMetadata")) is not None:
            self._usage = _usage(usage, self.provider, self.model)
        if "goAway" in message:
            self._leaving = True
        if (content := message.get("serverContent")) is not None:
            events += self._content(content)
        if (calls := message.get("toolCall")) is not None and self._superseded:
            self._superseded.pop(0)  # it ended in calls, which nobody waits for
        elif calls is not None:
            events += self._call(calls.get("functionCalls") or ())
        return events

    def is_spent(self) -> bool:
        return self._leaving and self._answer is None

    def _content(self, content: Mapping[str, Any]) -> Iterable[EngineEvent]:
        if self._superseded:
            if content.get("interrupted") or content.get("turnComplete"):
                ended, usage, self._usage = self._superseded.pop(0), self._usage, None
                if usage is not None:
                    yield AnswerChunk(ended, usage)
            return
        if content.get("interrupted"):
            self._asked = 0
            yield VoiceBegan(self._at_ms)
            yield from self._end("cancelled")
        if said := (content.get("inputTranscription") or {}).get("text"):
            yield from self._heard(str(said))
        if words := (content.get("outputTranscription") or {}).get("text"):
            yield from self._begin()
            yield AnswerChunk(str(self._answer), LLMChunk("text", content=str(words)))
        for part in (content.get("modelTurn") or {}).get("parts") or ():
            if data := (part.get("inlineData") or {}).get("data"):
                self._check_sound(str(part["inlineData"].get("mimeType") or ""))
                yield from self._begin()
                yield AnswerSound(str(self._answer), self._sound.push(str(data)))
        if content.get("turnComplete"):
            yield from self._end("stop")

    def _check_sound(self, kind: str) -> None:
        """Raise `AudioError` for sound that says it is something else, such as "audio/pcm;rate=16000"."""
        name, _, rate = kind.replace(" ", "").partition(";rate=")
        if name not in ("", "audio/pcm") or rate not in ("", str(OUT_RATE)):
            told = f"google sent {kind}, not PCM16 at {OUT_RATE} Hz."
            raise AudioError(told, provider=self.provider, model=self.model, hint="Check base_url if you set it, or take another model.")

    @property
    def _at_ms(self) -> float:
        return float(self._frames * FRAME_MS)

    def _heard(self, text: str) -> Iterable[EngineEvent]:
        """More of what the person says. Behind the beginning of the answer it is only written down."""
        if self._answer is None and not self._words:
            yield VoiceBegan(self._at_ms)
        self._words += text
        yield Heard(self._words.strip(), is_final=False)

    def _begin(self) -> Iterable[EngineEvent]:
        """An answer begins, if none is under way; the person has said all by then."""
        if self._answer is not None:
            return
        if self._words:
            yield from self._complete()
            yield VoiceEnded(self._at_ms)
        self._answers += 1
        self._answer = f"answer_{self._answers}"
        self._sound.clear()
        asked, self._asked = self._asked > 0, max(0, self._asked - 1)
        yield AnswerBegan(self._answer, asked)

    def _complete(self) -> Iterable[EngineEvent]:
        words, self._words = self._words.strip(), ""
        if words:
            yield Heard(words, is_final=True)

    def _end(self, reason: str) -> Iterable[EngineEvent]:
        ended, self._answer = self._answer, None
        yield from self._complete()
        if ended is not None:
            if self._usage is not None:
                yield AnswerChunk(ended, self._usage)
            yield AnswerEnded(ended, reason)
        self._usage = None

    def _call(self, calls: Iterable[Mapping[str, Any]]) -> Iterable[EngineEvent]:
        yield from self._begin()
        for index, call in enumerate(calls):
            id, name = str(call.get("id")), str(call.get("name"))
            self._calls[id] = name
            arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
            yield AnswerChunk(str(self._answer), LLMChunk("tool_call", index=index, id=id, name=name, arguments=arguments))
        yield from self._end("tool_calls")


def _usage(usage: Mapping[str, Any], provider: str, model: str) -> LLMChunk:
    prompt, answer = int(usage.get("promptTokenCount") or 0), int(usage.get("responseTokenCount") or 0)
    heard, spoken = _sound(usage.get("promptTokensDetails")), _sound(usage.get("responseTokensDetails"))
    sound = {"input_audio_tokens": min(heard, prompt), "output_audio_tokens": min(spoken, answer)}
    return LLMChunk("usage", input_tokens=prompt, output_tokens=answer, provider=provider, model=model, extra={provider: sound})


def _sound(details: object) -> int:
    """How many of the tokens are sound, which has another price than text."""
    told = details if isinstance(details, list) else []
    return sum(int(one.get("tokenCount") or 0) for one in told if isinstance(one, Mapping) and one.get("modality") == "AUDIO")


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters") or {}
    told = {"name": function["name"], "description": function.get("description") or function["name"]}
    schema = gemini_schema(parameters) if parameters else {}
    return told | ({"parameters": schema} if schema.get("properties") else {})
