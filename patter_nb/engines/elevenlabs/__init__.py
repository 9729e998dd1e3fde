"""ElevenLabs' conversational agents: speech to speech over a WebSocket, with an agent that lives at the vendor and is overridden here.

From ElevenLabs' API reference, "Agents WebSocket", and its Python client. The server names no answers: one begins with its first words or
sound and is over when nothing more has come for a while. Sound of before an interruption may still come behind it; its number tells. A
conversation begins when its first message is sent, so that a greeting waits for somebody who hears it. It ends when the agent's
`max_duration_seconds` are over, unannounced; so a pause near that end begins another.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from patter_nb.audio import mulaw
from patter_nb.audio.frames import FRAME_MS, SAMPLE_RATE, AudioFormat, Frame
from patter_nb.audio.resampling import Resampler
from patter_nb.engines.base import AnswerBegan, AnswerChunk, AnswerEnded, AnswerSound, Complaint, EngineEvent, Heard, VoiceBegan, VoiceEnded
from patter_nb.engines.elevenlabs.account import LONGEST_S, Account
from patter_nb.engines.elevenlabs.pause import Pause
from patter_nb.engines.socket import SocketEngine
from patter_nb.engines.sound import Sound
from patter_nb.errors import AudioError, PatterConfigError, PatterError
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.wire.pool import pool
from patter_nb.wire.refusals import Refusal, Source

if TYPE_CHECKING:
    from patter_nb.agent import Agent

__all__ = ["ElevenLabsConvAI"]

logger = logging.getLogger("patter_nb")

_NEAR_THE_END: Final = 5 / 6
"""Of the time that a conversation lasts, so much is over when the next pause begins another."""
_KEY_HINT: Final = "Set the environment variable ELEVENLABS_API_KEY to a valid key, or pass api_key=."
_AGENT_HINT: Final = "Set ELEVENLABS_AGENT_ID to the id of an agent of your account, or pass agent_id=."


class ElevenLabsConvAI(SocketEngine):
    """An agent of ElevenLabs', with prompt, first message and language of the session's agent; the key is ELEVENLABS_API_KEY.

    agent_id   default ELEVENLABS_AGENT_ID. Overrides have to be allowed in its settings at the vendor, and its tools named there as
               client tools
    voice      the id of a voice, default the agent's own
    base_url   default https://api.elevenlabs.io

    What the person says is shown while they speak where the agent's client events include tentative_user_transcript. A key that may
    read the agent tells how long its conversations last; else ten minutes are taken for it, the vendor's default.
    Raises `PatterConfigError` where there is no key or agent, `TypeError` for an unknown keyword.
    """

    provider: ClassVar[str] = "elevenlabs"
    key_names: ClassVar[tuple[str, ...]] = ("ELEVENLABS_API_KEY",)
    setting_names: ClassVar[tuple[str, ...]] = ("ELEVENLABS_AGENT_ID",)
    idle_s: ClassVar[float | None] = 1.0
    asking_interrupts: ClassVar[bool] = True
    form_hint: ClassVar[str | None] = (
        "Look at the agent's settings at ElevenLabs: overrides of its prompt, first message, language and voice have to be allowed there."
    )
    costs = True

    def __init__(
        self,
        api_key: str | None = None,
        *,
        agent_id: str | None = None,
        voice: str | None = None,
        base_url: str = "https://api.elevenlabs.io",
        **unknown: Any,
    ) -> None:
        reject_unknown("ElevenLabsConvAI", unknown, ("api_key", "agent_id", "voice", "base_url"))
        self._key = (api_key or os.environ.get("ELEVENLABS_API_KEY", "")).strip()
        self.agent_id = (agent_id or os.environ.get("ELEVENLABS_AGENT_ID", "")).strip()
        if not self._key:
            raise PatterConfigError("ElevenLabsConvAI has no API key.", hint=_KEY_HINT)
        if not self.agent_id:
            raise PatterConfigError("ElevenLabsConvAI has no agent.", hint=_AGENT_HINT)
        super().__init__(Source(self.provider, self.agent_id, _KEY_HINT, _AGENT_HINT, self._key))
        self.model = self.agent_id
        self.voice = voice
        self._account = Account(base_url.rstrip("/"), self._key, self.agent_id)
        self._longest_s = LONGEST_S
        self._restart()

    def _restart(self) -> None:
        self._begun = False
        self._said: tuple[Message, ...] = ()
        self._output = SAMPLE_RATE
        self._mulaw_in = False
        self._in = Resampler(SAMPLE_RATE, SAMPLE_RATE)
        self._frames = 0
        self._asked = 0
        self._answers = 0
        self._answer: str | None = None
        self._interrupted = 0
        self._superseded = self._goes_on = False
        self._breaks = 0
        self._made = Sound(self.source)
        self._calls = 0
        self._speaking = self._rests = False
        self._pause = Pause(self.clock)

    def __repr__(self) -> str:
        """Never with the key."""
        return f"ElevenLabsConvAI(agent_id={self.agent_id!r})"

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(SAMPLE_RATE)

    @property
    def output_format(self) -> AudioFormat:
        return AudioFormat(self._output)

    # --- to the server

    async def address(self) -> tuple[str, Mapping[str, str]]:
        """A signed URL, which holds for this conversation and needs no key. Raises what the vendor says of the key and the agent."""
        answered = await self._account.sign()
        if answered.status != 200:  # the only one that brings a URL
            raise self.error(answered.refusal)
        return self._account.signed_url(answered), {}

    async def begin(self, agent: Agent, history: Sequence[Message]) -> None:
        """Nothing yet: what is sent first begins the conversation."""
        self._restart()
        self._said = tuple(history)
        pool().later(self._read())

    async def _read(self) -> None:
        """Learn how long conversations last. The conversation does not wait for that, and goes on without it."""
        try:
            self._longest_s = await self._account.longest_s()
        except PatterError as error:
            logger.info("How long a conversation may last is not known, and taken for %g s: %s", self._longest_s, error.message)

    async def _start(self, first_message: str = "") -> None:
        """Begin the conversation, if it has not, with the first message to say."""
        if self._begun:
            return
        self._begun = True
        assert self._agent is not None
        agent = self._agent
        prompt = "\n\n".join(part for part in (agent.render(agent.system_prompt), _told(self._said)) if part)
        spoken = {"prompt": {"prompt": prompt}, "first_message": first_message, "language": agent.language}
        override: dict[str, Any] = {"agent": spoken}
        if self.voice is not None:
            override["tts"] = {"voice_id": self.voice}
        await self.send({"type": "conversation_initiation_client_data", "conversation_config_override": override})

    async def update(self, agent: Agent) -> None:
        """Tell of another prompt. The vendor keeps that of the beginning, so it comes as context, from the next answer on."""
        self._agent = agent
        if self._begun:
            await self.send({"type": "contextual_update", "text": f"From now on: {agent.render(agent.system_prompt)}"})

    async def push(self, frame: Frame) -> None:
        await self._start()
        self._frames += 1
        self._pause.frame(frame.pcm)
        pcm = self._in.push(frame.pcm)
        if len(pcm):
            sound = mulaw.encode(pcm) if self._mulaw_in else pcm.astype("<i2").tobytes()
            await self.send({"user_audio_chunk": base64.b64encode(sound).decode()})

    async def send_text(self, text: str) -> None:
        await self._start()
        self._supersede()
        self._ask()
        await self.send({"type": "user_message", "text": text})

    async def say(self, text: str) -> None:
        """As the first message, where it is the first thing; later the vendor can only be asked to."""
        if not self._begun:
            self._ask()
            await self._start(text)
        else:
            self._supersede()
            self._ask()
            await self.send({"type": "user_message", "text": f"Say exactly the following, word for word, and nothing else: {text}"})

    async def send_tool_result(self, results: Sequence[tuple[str, str]], *, answer: bool = True) -> None:
        """Tell the results. The vendor goes on from them by itself, also where it need not answer."""
        if answer:
            self._ask()
        self._goes_on = not answer
        self._calls = max(0, self._calls - len(results))
        for id, content in results:
            await self.send({"type": "client_tool_result", "tool_call_id": id, "result": content, "is_error": False})

    def _ask(self) -> None:
        self._asked += 1
        self._pause.awaited()

    def _supersede(self) -> None:
        """The vendor breaks off what it says for what it is told now, or was about to say; until it says so, sound is still of that."""
        self._breaks += self._answer is not None or self._asked > 0 or self._goes_on
        self._superseded, self._answer = self._answer is not None, None
        self._asked, self._goes_on = 0, False

    async def cancel(self) -> None:
        """The vendor has no way to be told: what still comes of this answer is nobody's, until it is told something else."""

    async def truncate(self, played_ms: float) -> None:
        """The vendor reckons for itself what was heard, and tells that as a correction; the session knows it from who played it."""

    # --- from the server

    def take(self, message: Mapping[str, Any]) -> Iterable[EngineEvent]:
        self._rests = False
        event = message.get(f"{message.get('type')}_event") or {}
        match message.get("type"):
            case "conversation_initiation_metadata":
                self._formats(event)
            case "ping":
                self.replies.append({"type": "pong", "event_id": event.get("event_id")})
            case "audio":
                return self._sound(event)
            case "agent_response":
                return self._words(str(event.get("agent_response") or ""))
            case "tentative_user_transcript":
                return self._hearing(_written(message.get("tentative_user_transcription_event")))
            case "user_transcript":
                return self._heard(_written(message.get("user_transcription_event")))
            case "interruption":
                return self._interrupt(int(event.get("event_id") or 0))
            case "client_tool_call":
                return self._call(message.get("client_tool_call") or {})
            case "error":
                return self._failed(str(event.get("message") or message.get("message") or event.get("error_type") or "no explanation"))
        return ()

    def _failed(self, told: str) -> Iterable[EngineEvent]:
        """What the vendor says of an error: the end of the conversation where it is known to be, else a complaint."""
        refusal = self.closed_for(0, told)
        if refusal is not None:
            raise self.error(refusal)
        return (Complaint(self.error(Refusal(500, told))),)

    def idle(self) -> Iterable[EngineEvent]:
        self._superseded, self._breaks = False, 0
        self._rests = self._answer is None and not self._calls and self._pause.is_now
        return self._end("stop")

    def is_spent(self) -> bool:
        return self._rests and self.age_s >= self._longest_s * _NEAR_THE_END

    @property
    def _at_ms(self) -> float:
        return float(self._frames * FRAME_MS)

    def _formats(self, event: Mapping[str, Any]) -> None:
        spoken, heard = (str(event.get(f"{whose}_audio_format") or "pcm_16000") for whose in ("agent_output", "user_input"))
        is_mulaw, self._output = _format(spoken)
        self._made = Sound(self.source, is_mulaw=is_mulaw)
        self._mulaw_in, rate = _format(heard)
        self._in = Resampler(SAMPLE_RATE, rate)

    def _begin(self) -> list[EngineEvent]:
        """An answer begins, if none is under way."""
        if self._answer is not None:
            return []
        self._speaking = self._goes_on = False
        self._pause.answered()
        self._answers += 1
        self._answer = f"answer_{self._answers}"
        asked, self._asked = self._asked > 0, max(0, self._asked - 1)
        return [AnswerBegan(self._answer, asked)]

    def _end(self, reason: str) -> Iterable[EngineEvent]:
        ended, self._answer = self._answer, None
        self._made.clear()
        return () if ended is None else (AnswerEnded(ended, reason),)

    def _words(self, text: str) -> Iterable[EngineEvent]:
        if not text.strip():
            return ()
        self._superseded = False
        begun = self._begin()
        assert self._answer is not None
        return (*begun, AnswerChunk(self._answer, LLMChunk("text", content=text)))

    def _sound(self, event: Mapping[str, Any]) -> Iterable[EngineEvent]:
        if self._superseded or int(event.get("event_id") or 0) <= self._interrupted:
            return ()  # of before the interruption
        pcm, begun = self._made.push(str(event.get("audio_base_64") or "")), self._begin()
        assert self._answer is not None
        self._pause.said(len(pcm) / self._output)
        return (*begun, AnswerSound(self._answer, pcm))

    def _interrupt(self, at: int) -> Iterable[EngineEvent]:
        """The vendor has broken off what it said up to number `at`: for the person, or for what it was told."""
        self._interrupted = at
        if self._breaks:
            self._breaks -= 1
            self._superseded = False
            return ()
        if self._goes_on and self._answer is None:
            return ()  # of what it was about to say: whoever spoke will be told by their words
        self._pause.awaited()
        return (*self._speaks(), *self._end("cancelled"))

    def _speaks(self) -> Iterable[EngineEvent]:
        """The person speaks; that they began to is told once."""
        began, self._speaking = not self._speaking, True
        return (VoiceBegan(self._at_ms),) if began else ()

    def _hearing(self, text: str) -> Iterable[EngineEvent]:
        """What the person seems to say so far. Over an answer that the vendor does not break off for it, it is only written down."""
        if not text:
            return ()
        self._pause.awaited()
        return (*(self._speaks() if self._answer is None else ()), Heard(text, is_final=False))

    def _heard(self, text: str) -> Iterable[EngineEvent]:
        self._pause.awaited()
        events = (*self._end("stop"), *self._speaks(), Heard(text, is_final=True), VoiceEnded(self._at_ms))
        self._speaking, self._goes_on = False, True
        return events

    def _call(self, call: Mapping[str, Any]) -> Iterable[EngineEvent]:
        begun = self._begin()
        assert self._answer is not None
        arguments = json.dumps(call.get("parameters") or {})
        chunk = LLMChunk("tool_call", index=0, id=call.get("tool_call_id"), name=call.get("tool_name"), arguments=arguments)
        self._calls += 1
        return (*begun, AnswerChunk(self._answer, chunk), *self._end("tool_calls"))


def _format(name: str) -> tuple[bool, int]:
    """Whether it is mu-law, and its rate. Raises `AudioError` for a format that is neither."""
    kind, _, rate = name.partition("_")
    if kind not in ("pcm", "ulaw") or not rate.isdigit():
        hint = "Choose a PCM or mu-law format in the agent's settings at ElevenLabs."
        raise AudioError(f"ElevenLabs speaks {name!r}, which is not understood here.", provider="elevenlabs", hint=hint)
    return kind == "ulaw", int(rate)


def _written(event: Mapping[str, Any] | None) -> str:
    return str((event or {}).get("user_transcript") or "").strip()


def _lines(message: Message) -> Iterable[str]:
    """Who said what, which calls were made, and what they brought."""
    if message["role"] in ("user", "assistant", "tool") and message.get("content"):
        yield f"{message['role']}: {message['content']}"
    for call in message.get("tool_calls") or ():
        yield f"call: {call['function']['name']}({call['function']['arguments']})"


def _told(said: Sequence[Message]) -> str:
    """What was said before, as a part of the prompt, since a conversation cannot be put there."""
    lines = [line for message in said for line in _lines(message)]
    return "The conversation so far, which you go on with:\n" + "\n".join(lines) if lines else ""
