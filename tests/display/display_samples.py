"""Turns, agents and errors made by hand, the way a log would make them: samples for the tests of the display, and to look at."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import numpy as np

from patter_nb.agent import Agent, Guardrail
from patter_nb.errors import PatterError, RateLimitError
from patter_nb.events import (
    AgentChanged,
    AudioSent,
    Body,
    Event,
    LLMChunked,
    LLMRequested,
    PlaybackEnded,
    PlaybackStarted,
    SentenceChecked,
    SentenceReady,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Log
from patter_nb.step.scene import Happened
from patter_nb.stt.base import Word
from patter_nb.tools.tool import tool
from patter_nb.turn import Turn
from patter_nb.turns import Turns

KEY = "sk-live-4f9c0d7e21b84c55"
RATE = 22_050
Told = tuple[float, int | None, Body]


class KeyedLLM:
    """A provider that holds a key where providers hold keys, and tells it in its own repr."""

    provider = "acme"
    model = "acme-large-2"

    def __init__(self) -> None:
        self.api_key = KEY
        self._client = {"headers": {"Authorization": f"Bearer {KEY}"}}

    def __repr__(self) -> str:
        return f"KeyedLLM(api_key={self.api_key!r})"

    async def stream(self, messages: Sequence[Any], tools: Sequence[Any] | None = None) -> AsyncIterator[str]:
        yield "Hello."


@tool(examples=[("what's it like in Rome", {"city": "Rome"}), "is it raining"])
def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather in a city.

    Args:
        city: Where to look.
        days: How many days ahead.
    """
    return f"{city}: sunny for {days} days."


@tool
def set_timer(minutes: int) -> str:
    """Set a timer."""
    return f"{minutes} minutes, starting now."


def agent(**changes: Any) -> Agent:
    """An agent with something in every part."""
    parts: dict[str, Any] = {
        "system_prompt": "You are a friendly weather assistant called {name}. Answer in one or two short sentences.",
        "llm": KeyedLLM(),
        "tools": (get_weather, set_timer),
        "first_message": "Hello, this is {name}.",
        "variables": {"name": "Joe", "token": KEY},
        "guardrails": (
            Guardrail("no prices", blocked_terms=("price", "dollar")),
            Guardrail("polite", check=lambda text: "!" in text, on="input"),
        ),
        "text_transforms": (str.strip,),
        "error_message": "I'm sorry, that did not work.",
        "filler": "One moment.",
    }
    return Agent(**{**parts, **changes})


def events(told: Iterable[Told]) -> list[Event]:
    """Events as the log would number and stamp them; times in seconds."""
    return [Event(seq, at * 1000, at, 0, turn, body) for seq, (at, turn, body) in enumerate(told)]


def log(told: Iterable[Told], *, heard_s: float = 0.0, spoken_s: float = 0.0) -> Log:
    """A log of these events, with a hum for sound."""
    made = Log(RATE)
    for at, turn, body in told:
        made.append(Happened(turn, 0, body), at * 1000, at)
    for track, seconds in ((made.heard, heard_s), (made.spoken, spoken_s)):
        when = np.arange(int(seconds * track.rate)) / track.rate
        track.append((np.sin(when * 2000) * 9000 * np.sin(when * 1.7) ** 2 * (np.sin(when * 23) > 0)).astype(np.int16))
    return made


def turns(told: Iterable[Told]) -> Turns:
    """The turns that these events make."""
    folded = Turns()
    for event in events(told):
        folded.fold(event)
    return folded


def only(told: Iterable[Told]) -> Turn:
    """The one turn that these events make."""
    (turn,) = turns(told)
    return turn


def chunks(turn: int, at: float, words: Sequence[str], *, round: int = 1, finish: str = "stop") -> list[Told]:
    """A stream of text, its usage and its end."""
    made = [LLMChunk("text", content=word) for word in words]
    made += [LLMChunk("usage", input_tokens=212, output_tokens=len(words)), LLMChunk("done", finish_reason=finish)]
    return [(at + place * 0.02, turn, LLMChunked(round, chunk)) for place, chunk in enumerate(made)]


def asked(turn: int, at: float, said: str, *, round: int = 1, by: tuple[str, str, bool] = ("local", "smollm2", False)) -> Told:
    """The model is asked: `by` is its provider, its name, and whether it costs."""
    message = {"role": "user", "content": said}
    return (at, turn, LLMRequested(round, *by, ("get_weather", "set_timer"), 4, (message,)))


def said(turn: int, at: float, *pieces: str) -> list[Told]:
    """Pieces are spoken."""
    told: list[Told] = []
    for index, text in enumerate(pieces):
        told += [(at, turn, SentenceReady(index, 1, text)), (at, turn, SentenceChecked(index, text))]
        told.append((at + 0.09, turn, AudioSent(index, index * RATE, (index + 1) * RATE)))
    return told


WEATHER_WORDS = [
    "It's",
    " eigh",
    "teen",
    " degrees",
    " and",
    " sunny",
    " in",
    " Paris",
    ".",
    " Your",
    " timer",
    " is",
    " running",
    " for",
    " ten",
    " minutes",
    ".",
]


def timed(words: str) -> tuple[Word, ...]:
    """Each word at 110 ms from the one before it."""
    return tuple(Word(word, number * 110.0, number * 110.0 + 90) for number, word in enumerate(words.split()))


def weather(number: int = 1, at: float = 1.0) -> list[Told]:
    """A spoken turn with two tools, interrupted after 2.1 s."""
    call = LLMChunk("tool_call", index=0, id="a", name="get_weather")
    part = LLMChunk("tool_call", index=0, arguments='{"city": ')
    rest = LLMChunk("tool_call", index=0, arguments='"Paris"}')
    words = "What's the weather in Paris, and set a timer for ten minutes."
    return [
        (at - 1.0, None, SpeechStarted(0)),
        (at + 0.2, None, SpeechStopped(16_000, 200)),
        (at + 0.32, None, TranscriptFinal(words, 0.97, timed(words))),
        (at + 0.5, number, TurnStarted("speech", words)),
        asked(number, at + 0.51, words),
        *((at + 0.74 + i * 0.01, number, LLMChunked(1, chunk)) for i, chunk in enumerate((call, part, rest))),
        (at + 0.78, number, LLMChunked(1, LLMChunk("done", finish_reason="tool_calls"))),
        (at + 0.78, number, ToolCalled("a", "get_weather", '{"city": "Paris"}')),
        (at + 0.78, number, ToolCalled("b", "set_timer", '{"minutes": 10}')),
        (at + 0.79, number, ToolEnded("b", "set_timer", "completed", "10 minutes, starting now.")),
        (at + 0.87, number, ToolEnded("a", "get_weather", "completed", json.dumps({"city": "Paris", "celsius": 18, "sky": "sunny"}))),
        asked(number, at + 0.88, words, round=2),
        *chunks(number, at + 1.0, WEATHER_WORDS, round=2),
        *said(number, at + 1.2, "It's eighteen degrees and sunny in Paris. ", "Your timer is running for ten minutes."),
        (at + 1.32, number, PlaybackStarted(0, 0.0)),
        (at + 2.0, number, TurnEnded("completed")),
        (at + 3.42, number, PlaybackEnded(int(2.1 * RATE), 9000)),
        (at + 3.42, number, TurnHeard("It's eighteen degrees and sunny in Paris. Your timer", True)),
    ]


def typed(
    number: int = 2, at: float = 6.0, ask: str = "Sorry, make that fifteen.", answer: str = "Fifteen minutes, starting now."
) -> list[Told]:
    """A typed turn, heard to its end."""
    return [
        (at, number, TurnStarted("typed", ask)),
        asked(number, at + 0.01, ask, by=("acme", "acme-large-2", True)),
        *chunks(number, at + 0.33, answer.split(" ")),
        *said(number, at + 0.5, answer),
        (at + 0.8, number, TurnEnded("completed")),
        (at + 2.0, number, TurnHeard(answer)),
    ]


def failed(number: int = 3, at: float = 10.0, error: PatterError | None = None) -> list[Told]:
    """A turn that failed in the language model, after a tool that failed."""
    error = error or RateLimitError(
        "acme takes no more than 3 requests a minute.",
        retry_after_s=21,
        hint="Wait 21 s, or take another model: session.llm = LocalLLM().",
        provider="acme",
        model="acme-large-2",
        status=429,
        request_id="req_77",
    )
    return [
        (at, number, TurnStarted("typed", "And tomorrow?")),
        asked(number, at, "And tomorrow?", by=("acme", "acme-large-2", True)),
        (at + 0.3, number, ToolCalled("c", "get_weather", '{"city": "Par')),
        (at + 0.4, number, ToolEnded("c", "get_weather", "failed", "{}", "The arguments of get_weather are no JSON.")),
        (at + 0.5, number, StageFailed("llm", error)),
        (at + 0.6, number, TurnEnded("failed", error)),
        (at + 0.6, number, TurnHeard("")),
    ]


def continued(number: int = 6, at: float = 40.0) -> list[Told]:
    """A typed turn in the middle of which another model took over: what was heard of the first one stands."""
    return [
        (at, number, TurnStarted("typed", "Tell me of the sea.")),
        asked(number, at + 0.01, "Tell me of the sea."),
        *chunks(number, at + 0.1, ["The", " sea", " is", " wide"]),
        *said(number, at + 0.2, "The sea is wide "),
        (at + 0.3, None, AgentChanged({"llm": ("local smollm2", "acme acme-large-2")}, "now")),
        asked(number, at + 0.31, "Tell me of the sea.", by=("acme", "acme-large-2", True)),
        *chunks(number, at + 0.4, ["and", " blue."]),
        (at + 0.5, number, SentenceReady(1, 1, "and blue.")),
        (at + 0.5, number, SentenceChecked(1, "and blue.")),
        (at + 0.6, number, TurnEnded("completed")),
        (at + 0.6, number, TurnHeard("The sea is wide and blue.")),
    ]


def offered(number: int = 4, at: float = 20.0) -> list[Told]:
    """Words that came too late."""
    return [(at, number, TurnStarted("speech", "Are you there?")), (at, number, TurnOffered("Are you there?", 7200.0))]


def hostile(number: int = 5, at: float = 30.0) -> list[Told]:
    """A person, a model and a tool that write markup, controls and overrides; and a right-to-left answer cut in the middle."""
    words = "<script>alert(1)</script> \u202egnp.exe \x1b[31mred\x00 <img src=x onerror=alert(1)> \ud800"
    answer = "الطقس مشمس في باريس اليوم. درجة الحرارة ثماني عشرة."
    return [
        (at, None, TranscriptFinal(words, None, timed(words))),
        (at, number, TurnStarted("speech", words)),
        asked(number, at, words, by=("<b>acme", '"><script>', False)),
        (at + 0.1, number, ToolCalled("d", "</div><script>", '{"q": "</code></details><style>*{display:none}</style>"}')),
        (at + 0.2, number, ToolEnded("d", "</div><script>", "completed", "<iframe src='https://example.com'></iframe>")),
        *chunks(number, at + 0.3, ["الطقس", " مشمس", " في", " باريس", "</bdi>", "|", "\u202e", "\n"]),
        *said(number, at + 0.4, answer),
        (at + 0.6, number, TurnEnded("completed")),
        (at + 1.6, number, TurnHeard("الطقس مشمس في باريس اليوم.", True)),
    ]


def conversation() -> list[Told]:
    """All of them, one after the other."""
    started = (0.0, None, SessionStarted({"llm": "local smollm2"}, RATE))
    return [started, *weather(), *typed(), *failed(), *offered(), *hostile(), *continued()]
