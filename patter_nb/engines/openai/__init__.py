"""OpenAI's Realtime API: speech to speech over a WebSocket, in the shape of its general availability.

From OpenAI's API reference, "Realtime" (client events, server events). Sound is PCM16 at 24 kHz both ways, in base64. The server hears when
the person begins and has finished, gives its own answer up when they begin, and transcribes them beside that, often later than it answers.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from patter_nb.audio.frames import SAMPLE_RATE, AudioFormat, Frame
from patter_nb.audio.resampling import Resampler
from patter_nb.engines.base import (
    AnswerBegan,
    AnswerChunk,
    AnswerEnded,
    AnswerFailed,
    AnswerSound,
    Complaint,
    EngineEvent,
    Heard,
    VoiceBegan,
    VoiceEnded,
)
from patter_nb.engines.openai.client import connected_by, manager_of
from patter_nb.engines.socket import Socket, SocketEngine
from patter_nb.engines.sound import Sound
from patter_nb.errors import AudioError, AuthenticationError, ModelNotFound, PatterConfigError
from patter_nb.events import SpeechUsed
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.wire.openai_usage import transcription_tokens
from patter_nb.wire.refusals import Source, refusal_of

if TYPE_CHECKING:
    from patter_nb.agent import Agent

__all__ = ["OpenAIRealtime"]

RATE: Final = 24_000
_FORMAT: Final = {"type": "audio/pcm", "rate": RATE}
_VENDORS_SILENCE_MS: Final = 500
"""What server_vad waits for where it is not told; the end of speech that it tells of lies behind it (the reference of
input_audio_buffer.speech_stopped: audio_end_ms "includes the min_silence_duration_ms configured in the Session")."""
_SERVER_VAD: Final = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 300}
_PASSING: Final = frozenset(("response_cancel_not_active", "item_truncate_invalid_item_id", "session_expired"))
"""Errors of what came too late (an answer that had ended when it was given up, sound that had been heard by then), and of a conversation
that has reached the vendor's length: its connection is closed, and opened again."""
LONGEST_S: Final = 50 * 60.0
"""A conversation lasts for an hour at most, and nothing announces its end ("Realtime", limits): from so long on, the first pause begins
another."""
_BUSY: Final = "conversation_already_has_active_response"
_TRUNCATING: Final = "truncate"
_ASKING: Final = "ask"
_FATAL: Final = (AuthenticationError, ModelNotFound)
_ENDS: Final = {"completed": "stop", "cancelled": "cancelled", "incomplete": "length"}
_KEY_HINT: Final = "Set the environment variable OPENAI_API_KEY to a valid key, or pass api_key=."
_MODELS: Final = ("gpt-realtime-mini", "gpt-realtime")


class OpenAIRealtime(SocketEngine):
    """A speech-to-speech model of OpenAI's, by default gpt-realtime-mini with the voice alloy; the key is OPENAI_API_KEY.

    turn_detection          who notices that the person has finished: {"type": "server_vad", "threshold", "prefix_padding_ms",
                            "silence_duration_ms"} or {"type": "semantic_vad", "eagerness"}; default the first with 0.5, 300 and 300
    noise_reduction         "near_field" (a headset) or "far_field" (a laptop); None for none
    transcription_model     what writes down the person's words, default whisper-1; `transcription_language` an ISO 639-1 code
    reasoning_effort        of models that reason
    base_url                default wss://api.openai.com/v1
    client                  an official `openai.AsyncOpenAI` with Realtime (pip install "openai[realtime]"), whose key, address and headers
                            are then used; `api_key` and `base_url` are not

    Raises `PatterConfigError` where there is no key or the client is another object, `TypeError` for an unknown keyword.
    """

    provider: ClassVar[str] = "openai"
    takes_over_calls: ClassVar[bool] = True
    key_names: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    idle_s: ClassVar[float | None] = 20.0
    costs = True

    def __init__(  # noqa: PLR0913  # the API's own options, each a keyword with a default
        self,
        api_key: str | None = None,
        *,
        model: str = "gpt-realtime-mini",
        voice: str = "alloy",
        turn_detection: Mapping[str, Any] | None = None,
        noise_reduction: Literal["near_field", "far_field"] | None = None,
        transcription_model: str = "whisper-1",
        transcription_language: str | None = None,
        reasoning_effort: str | None = None,
        base_url: str = "wss://api.openai.com/v1",
        client: Any = None,
        **unknown: Any,
    ) -> None:
        known = ("api_key", "model", "voice", "turn_detection", "noise_reduction", "transcription_model", "transcription_language")
        reject_unknown("OpenAIRealtime", unknown, (*known, "reasoning_effort", "base_url", "client"))
        if client is not None:
            manager_of(client, model)
        self._client = client
        self._key = "" if client is not None else (api_key or os.environ.get("OPENAI_API_KEY", "")).strip()
        if not self._key and client is None:
            raise PatterConfigError("OpenAIRealtime has no API key.", hint=_KEY_HINT)
        others = ", ".join(name for name in _MODELS if name != model)
        super().__init__(Source(self.provider, model, _KEY_HINT, f"Other models are {others}.", self._key))
        self.model = model
        self.voice = voice
        self._base_url = base_url.rstrip("/")
        self._turn_detection = dict(turn_detection or _SERVER_VAD)
        waits = _VENDORS_SILENCE_MS if self._turn_detection.get("type") == "server_vad" else 0
        self._silence_ms = float(self._turn_detection.get("silence_duration_ms", waits))
        self._noise_reduction = noise_reduction
        self._transcription = {"model": transcription_model} | ({"language": transcription_language} if transcription_language else {})
        self._reasoning = {} if reasoning_effort is None else {"reasoning": {"effort": reasoning_effort}}
        self._up = Resampler(SAMPLE_RATE, RATE)
        self._restart()

    def _restart(self) -> None:
        self._asked = 0
        self._answer: str | None = None
        self._item: str | None = None
        self._sound = Sound(self.source)
        self._calls: dict[str, tuple[int, str]] = {}
        self._partials: dict[str, str] = {}
        self._said_item = ""
        self._speaking = self._rests = False
        self._request: dict[str, Any] | None = None
        self._again: dict[str, Any] | None = None

    def __repr__(self) -> str:
        """Never with the key."""
        return f"OpenAIRealtime(model={self.model!r}, voice={self.voice!r})"

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(RATE)

    @property
    def output_format(self) -> AudioFormat:
        return AudioFormat(RATE)

    # --- to the server

    async def address(self) -> tuple[str, Mapping[str, str]]:
        return f"{self._base_url}/realtime?model={self.model}", {"Authorization": f"Bearer {self._key}"}

    async def connect(self) -> Socket:
        return await super().connect() if self._client is None else await connected_by(self._client, self.source)

    async def begin(self, agent: Agent, history: Sequence[Message]) -> None:
        self._restart()
        await self.send({"type": "session.update", "session": self._session(agent)})
        for item in _items(history):
            await self.send({"type": "conversation.item.create", "item": item})

    def _session(self, agent: Agent) -> dict[str, Any]:
        heard: dict[str, Any] = {"format": _FORMAT, "transcription": self._transcription}
        heard |= {"turn_detection": {**self._turn_detection, "create_response": True, "interrupt_response": True}}
        if self._noise_reduction is not None:
            heard["noise_reduction"] = {"type": self._noise_reduction}
        spoken = {"format": _FORMAT, "voice": self.voice}
        session = {"type": "realtime", "output_modalities": ["audio"], "audio": {"input": heard, "output": spoken}}
        tools = [{"type": "function", **function} for function in (tool.spec()["function"] for tool in agent.tools)]
        return {**session, "instructions": agent.render(agent.system_prompt), "tools": tools, "tool_choice": "auto", **self._reasoning}

    async def update(self, agent: Agent) -> None:
        """Take over another prompt or other tools, from the next answer on. The voice stays: the API keeps it for a conversation."""
        self._agent = agent
        session = self._session(agent)
        changed = {key: session[key] for key in ("type", "instructions", "tools", "tool_choice")}
        await self.send({"type": "session.update", "session": changed})

    async def push(self, frame: Frame) -> None:
        pcm = self._up.push(frame.pcm)
        if len(pcm):
            sound = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
            await self.send({"type": "input_audio_buffer.append", "audio": sound})

    async def send_text(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        await self._respond({})

    async def say(self, text: str) -> None:
        instructions = f"Say exactly the following to the person, word for word, and nothing else:\n\n{text}"
        await self._respond({"instructions": instructions, "tool_choice": "none"})

    async def send_tool_result(self, results: Sequence[tuple[str, str]], *, answer: bool = True) -> None:
        for id, content in results:
            item = {"type": "function_call_output", "call_id": id, "output": content}
            await self.send({"type": "conversation.item.create", "item": item})
        if answer:
            await self._respond({})

    async def _respond(self, response: Mapping[str, Any]) -> None:
        """Ask for an answer. If the server begins one by itself just then it is asked again when that has ended."""
        self._asked += 1
        told = {**response, "metadata": {"asked": str(self._asked)}}
        self._request = {"type": "response.create", "event_id": f"{_ASKING}_{self._asked}", "response": told}
        await self.send(self._request)

    async def cancel(self) -> None:
        if self._answer is not None:
            await self.send({"type": "response.cancel", "response_id": self._answer})

    async def truncate(self, played_ms: float) -> None:
        if self._item is not None:
            told = {"item_id": self._item, "content_index": 0, "audio_end_ms": round(played_ms)}
            await self.send({"type": "conversation.item.truncate", "event_id": f"{_TRUNCATING}_{self._item}", **told})

    # --- from the server

    def idle(self) -> Iterable[EngineEvent]:
        self._rests = self._answer is None and self._request is None and not self._calls and not self._speaking
        return ()

    def is_spent(self) -> bool:
        return self._rests and self.age_s >= LONGEST_S

    def take(self, message: Mapping[str, Any]) -> Iterable[EngineEvent]:
        kind, self._rests = str(message.get("type")), False
        if kind == "error":
            return self._refused(message.get("error") or {})
        return self._of_person(kind, message) if "input_audio" in kind else self._of_answer(kind, message)

    def _refused(self, told: Mapping[str, Any]) -> Iterable[EngineEvent]:
        """What the server will not do. It goes on, except without a valid key or a model."""
        of, code = str(told.get("event_id") or "").partition("_")[0], told.get("code")
        if code in _PASSING or of == _TRUNCATING:
            return ()
        error = self.error(refusal_of({"error": told}))
        if isinstance(error, _FATAL):
            raise error
        if code == _BUSY:
            self._again = self._request
            return ()
        if self._request is None or of != _ASKING:
            return (Complaint(error),)
        self._request = None
        return (AnswerFailed(None, error),)

    def _of_person(self, kind: str, message: Mapping[str, Any]) -> Iterable[EngineEvent]:
        match kind.rpartition(".")[2]:
            case "speech_started":
                self._speaking = True
                return (VoiceBegan(float(message.get("audio_start_ms") or 0)),)
            case "speech_stopped":
                self._speaking = False
                self._said_item = str(message.get("item_id") or "")
                return (VoiceEnded(max(0.0, float(message.get("audio_end_ms") or 0) - self._silence_ms)),)
            case "delta":
                item = str(message.get("item_id") or "")
                self._partials[item] = self._partials.get(item, "") + str(message.get("delta") or "")
                return (Heard(self._partials[item], is_final=False, item=item),)
            case "completed" | "failed":
                item, text = str(message.get("item_id") or ""), str(message.get("transcript") or "").strip()
                self._partials.pop(item, None)
                used = self._transcribed(message.get("usage") or {}) if kind.endswith("completed") else None
                return (Heard(text, is_final=True, item=item, used=used),)
        return ()

    def _of_answer(self, kind: str, message: Mapping[str, Any]) -> Iterable[EngineEvent]:
        id, delta = str(message.get("response_id")), str(message.get("delta") or "")
        match kind:
            case "response.output_audio.delta":
                item = str(message.get("item_id"))
                if item != self._item:
                    self._item = item
                    self._sound.clear()
                return (AnswerSound(id, self._sound.push(delta)),)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                return (AnswerChunk(id, LLMChunk("text", content=delta)),)
            case "response.created":
                response = message.get("response") or {}
                self._answer, self._calls = str(response.get("id")), {}
                return (self._begun(response.get("metadata") or {}),)
            case "response.output_item.added" | "response.output_item.done":
                return self._item_of(id, message.get("item") or {})
            case "response.function_call_arguments.delta":
                return self._arguments(id, str(message.get("item_id")), delta)
            case "response.done":
                return self._done(message.get("response") or {})
            case "session.updated":
                self._check_sound(message.get("session") or {})
        return ()

    def _begun(self, metadata: Mapping[str, Any]) -> AnswerBegan:
        """The answer to what was asked for, or to what was said. Servers that only resemble OpenAI's may not give the metadata back."""
        if "asked" in metadata or (self._request is not None and not self._said_item):
            self._request = None
            return AnswerBegan(str(self._answer), asked=True)
        said, self._said_item = self._said_item, ""
        return AnswerBegan(str(self._answer), asked=False, item=said)

    def _check_sound(self, session: Mapping[str, Any]) -> None:
        """Raise `AudioError` where the server means to speak or hear in another form than it was asked for."""
        for way, sound in (session.get("audio") or {}).items():
            told = (sound or {}).get("format") or _FORMAT
            if told != _FORMAT:
                hint = "Check base_url if you set it: the server there takes no PCM16 at 24000 Hz."
                raise AudioError(f"openai set its {way} to {told}, not {_FORMAT}.", provider=self.provider, model=self.model, hint=hint)

    def _item_of(self, answer: str, item: Mapping[str, Any]) -> Iterable[EngineEvent]:
        """A call, as it begins or is complete; its name is here, also where the events of its arguments leave it out."""
        if item.get("type") != "function_call":
            return ()
        known, id = self._calls.get(str(item.get("id"))), str(item.get("id"))
        if known is None:
            self._calls[id] = (len(self._calls), "")
            index = self._calls[id][0]
            return (AnswerChunk(answer, LLMChunk("tool_call", index=index, id=item.get("call_id"), name=item.get("name"))),)
        index, told = known
        rest = str(item.get("arguments") or "").removeprefix(told)
        return self._arguments(answer, id, rest) if rest else ()

    def _arguments(self, answer: str, item: str, text: str) -> Iterable[EngineEvent]:
        index, told = self._calls.get(item, (len(self._calls), ""))
        self._calls[item] = (index, told + text)
        return (AnswerChunk(answer, LLMChunk("tool_call", index=index, arguments=text)),)

    def _done(self, response: Mapping[str, Any]) -> Iterable[EngineEvent]:
        id, status = str(response.get("id")), str(response.get("status"))
        self._answer = None
        if self._again is not None:
            self.replies.append(self._again)
            self._again = None
        if status == "failed":
            details = (response.get("status_details") or {}).get("error") or {}
            return (AnswerFailed(id, self.error(refusal_of({"error": details}))),)
        finish = "tool_calls" if self._calls and status == "completed" else _ENDS.get(status, "stop")
        if status == "incomplete" and (response.get("status_details") or {}).get("reason") == "content_filter":
            finish = "content_filter"
        usage = response.get("usage")
        counted = (AnswerChunk(id, self._usage(usage)),) if isinstance(usage, Mapping) else ()
        return (*counted, AnswerEnded(id, finish))

    def _transcribed(self, usage: Mapping[str, Any]) -> SpeechUsed:
        """What writing down the person's words is charged for: by the price of the model that does it, not of this one."""
        model = str(self._transcription["model"])
        seconds = float(usage["seconds"]) if usage.get("type") == "duration" else None
        tokens = (transcription_tokens(usage, self.provider),) if usage.get("type") == "tokens" else ()
        return SpeechUsed("stt", self.provider, model, True, seconds=seconds, tokens=tokens)

    def _usage(self, usage: Mapping[str, Any]) -> LLMChunk:
        """The count; what of it is sound rides along under the names of `pricing`."""
        details, out = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
        cached = int(details.get("cached_tokens") or 0)
        sound = {
            "input_audio_tokens": int(details.get("audio_tokens") or 0),
            "cache_audio_read_tokens": int((details.get("cached_tokens_details") or {}).get("audio_tokens") or 0),
            "output_audio_tokens": int(out.get("audio_tokens") or 0),
        }
        return LLMChunk(
            "usage",
            input_tokens=max(0, int(usage.get("input_tokens") or 0) - cached),
            output_tokens=int(usage.get("output_tokens") or 0),
            cache_read_tokens=cached,
            provider=self.provider,
            model=self.model,
            extra={self.provider: sound},
        )


def _items(history: Sequence[Message]) -> Iterable[dict[str, Any]]:
    """What was said before, as items of a conversation."""
    for message in history:
        content = message.get("content")
        match message["role"]:
            case "user" if content:
                yield {"type": "message", "role": "user", "content": [{"type": "input_text", "text": content}]}
            case "assistant":
                if content:
                    yield {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": content}]}
                for call in message.get("tool_calls") or ():
                    yield {"type": "function_call", "call_id": call["id"], **call["function"]}
            case "tool":
                yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": content}
