"""An hour's conversation put into a session's log as if it had been held: real speech as both voices, and the events that go with it.

A notebook's cell calls `fill(session)`; nothing of it has to be waited for.
"""

from __future__ import annotations

from itertools import count
from typing import Final

import numpy as np

from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.console.recording import example
from patter_nb.events import (
    AgentChanged,
    AudioSent,
    Body,
    LLMChunked,
    LLMRequested,
    PlaybackEnded,
    PlaybackStarted,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    SpeechStarted,
    SpeechStopped,
    StateChanged,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TranscriptPartial,
    TurnEnded,
    TurnHeard,
    TurnJudged,
    TurnStarted,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.log import CURSOR_VALUES, FRAME_VALUES, Log
from patter_nb.session import Session
from patter_nb.step.scene import Happened
from patter_nb.stt.base import Word

TURN_MS: Final = 12_000
CHUNKS_A_TURN: Final = 60
QUESTION: Final = "What is the weather in Paris, and set a timer for ten minutes?"
ANSWER: Final = "It is eighteen degrees and sunny in Paris. Your timer is running for ten minutes. Is there anything else that I can do?"


class _Teller:
    """Appends to a log whatever is told, each with its time."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def tell(self, t_ms: float, body: Body, turn: int | None = None) -> None:
        self.log.append(Happened(turn, 0, body), t_ms, t_ms / 1000)


def fill(session: Session, minutes: float = 60.0) -> None:
    """Put so many minutes of conversation into the session's log: 5 turns a minute, each with a question and an answer."""
    log = session.events
    rate = log.spoken.rate
    asked, heard_rate = example()
    person = resample(asked, heard_rate, log.heard.rate)[: 3 * log.heard.rate]
    agent = np.tile(resample(asked, heard_rate, rate), 3)[: 5 * rate]
    rng = np.random.default_rng(3)
    teller, first = _Teller(log), len(session.turns) + 1
    for number in range(round(minutes * 60_000 / TURN_MS)):
        gain = rng.uniform(0.4, 1.0)
        _hear(log, number, (person * gain).astype(np.int16), rng)
        _turn(teller, number * TURN_MS, first + number, (agent * gain).astype(np.int16), rate)


def _hear(log: Log, number: int, speech: Pcm, rng: np.random.Generator) -> None:
    """Twelve seconds of the microphone: a question, and a room."""
    frames = TURN_MS // FRAME_MS
    pcm = rng.integers(-60, 60, frames * FRAME_SAMPLES).astype(np.int16)
    pcm[: len(speech)] += speech
    log.heard.append(pcm)
    rows = np.zeros(frames, FRAME_VALUES)
    rows["after_seq"] = len(log)
    rows["t_ms"] = number * TURN_MS + np.arange(1, frames + 1) * FRAME_MS + rng.uniform(0, 15, frames)
    spoken = np.arange(frames) < len(speech) // FRAME_SAMPLES
    rows["probability"] = np.where(spoken, rng.uniform(0.6, 1.0, frames), rng.uniform(0.0, 0.2, frames))
    log.frames.append(rows)


def _turn(teller: _Teller, at: float, turn: int, sound: Pcm, rate: int) -> None:
    """The events of one turn, which begins at `at` ms with the person's speech."""
    sample = round(at * 16)
    words = QUESTION.split()
    teller.tell(at + 60, SpeechStarted(sample))
    teller.tell(at + 60, StateChanged("listening"))
    for said in range(2, len(words) + 1, 2):
        teller.tell(at + 230 * said, TranscriptPartial(" ".join(words[:said])))
    teller.tell(at + 3200, SpeechStopped(sample + 48_000, 200.0))
    teller.tell(at + 3230, TurnJudged(sample + 48_000, 0.2 + 0.7 * (turn % 3 > 0)))
    each = 3000 / len(words)
    timed = tuple(Word(word, at + place * each, at + (place + 1) * each - 20) for place, word in enumerate(words))
    teller.tell(at + 3300, TranscriptFinal(QUESTION, 0.9, timed))
    teller.tell(at + 3400, TurnStarted("speech", QUESTION), turn)
    teller.tell(at + 3400, StateChanged("thinking"), turn)
    teller.tell(at + 3410, LLMRequested(1, "scripted", "script", False, (), 0, ()), turn)
    if turn % 4 == 0:
        teller.tell(at + 3600, ToolCalled(f"call_{turn}", "get_weather", '{"city": "Paris"}'), turn)
        teller.tell(at + 3900, ToolEnded(f"call_{turn}", "get_weather", "completed", "Sunny, 18 degrees."), turn)
        teller.tell(at + 3910, LLMRequested(2, "scripted", "script", False, (), 0, ()), turn)
    text = iter(ANSWER.split() * 3)
    for chunk in range(CHUNKS_A_TURN):
        teller.tell(at + 3950 + 20 * chunk, LLMChunked(1, LLMChunk("text", content=f"{next(text)} ")), turn)
    teller.tell(at + 5200, LLMChunked(1, LLMChunk("done", finish_reason="stop")), turn)
    _speak(teller, at, turn, sound, rate)


def _speak(teller: _Teller, at: float, turn: int, sound: Pcm, rate: int) -> None:
    """The answer's sound, made at once and heard as it plays; every seventh is interrupted."""
    log, start = teller.log, len(teller.log.spoken)
    pieces = [f"{piece}." for piece in ANSWER.split(".") if piece.strip()]
    each = len(sound) // len(pieces)
    for index, piece in enumerate(pieces):
        teller.tell(at + 4300 + index, SentenceReady(index, 1, piece), turn)
        teller.tell(at + 4310 + index, SentenceChecked(index, piece), turn)
        log.spoken.append(sound[index * each : (index + 1) * each])
        teller.tell(at + 4400 + index, AudioSent(index, start + index * each, start + (index + 1) * each), turn)
        teller.tell(at + 4450 + index, SentenceSpoken(index), turn)
    end = start + each * len(pieces)
    heard = end if turn % 7 else start + 2 * rate
    step = rate * 60 // 1000
    for moved in count(1):
        position = min(start + moved * step, heard)
        t_ms = at + 4600 + 60.0 * moved
        log.cursor.append(np.array((len(log), t_ms, position), CURSOR_VALUES))
        if moved == 1:
            teller.tell(t_ms, PlaybackStarted(start), turn)
            teller.tell(t_ms, StateChanged("speaking"), turn)
        if position == heard:
            break
    teller.tell(t_ms, PlaybackEnded(heard, end - heard), turn)
    teller.tell(t_ms, TurnEnded("completed" if heard == end else "interrupted"), turn)
    teller.tell(t_ms, TurnHeard(ANSWER if heard == end else ANSWER[:40], heard != end), turn)
    teller.tell(t_ms, StateChanged("ready"))
    if turn % 50 == 0:
        teller.tell(t_ms + 100, AgentChanged({"llm": ("scripted script", "openai gpt-4o-mini")}, "turn"))
