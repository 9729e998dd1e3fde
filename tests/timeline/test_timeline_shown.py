"""The static picture of a timeline: without script, of a bounded size however long the session was, and readable as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from talking import talking
from timeline_rooms import ANSWER, QUESTION, asked_by_voice, interrupted_by_voice

from patter_nb.display import mimebundle
from patter_nb.errors import ServerError
from patter_nb.events import (
    AgentChanged,
    AudioSent,
    LLMRequested,
    PlaybackEnded,
    SentenceReady,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnHeard,
    TurnStarted,
)
from patter_nb.log import FRAME_VALUES, Log
from patter_nb.step.scene import Happened
from patter_nb.stt.base import Word
from patter_nb.testing import ScriptedLLM
from patter_nb.timeline import Timeline

HOSTILE = '<script>alert("x")</script> \u202e & "quotes" '


class Tags(HTMLParser):
    """The names of all elements, the attributes that act, and all text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.acting: set[str] = set()
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.acting |= {name for name, _ in attrs if name.startswith("on") or name in ("href", "src", "xlink:href")}

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_it_shows_both_voices_the_turn_and_the_words() -> None:
    async with asked_by_voice() as session:
        told = session.timeline._repr_mimebundle_()
        page = Tags(told["text/html"])
        assert {"svg", "path", "text"} <= page.names
        assert "1 What's the weather?" in page.text
        assert ANSWER[:6] in page.text
        for colour in ("you", "agent"):
            (wave,) = re.findall(rf'<path class="{colour}" stroke-width="[\d.]+" d="([^"]+)"', told["text/html"])
            assert wave.count("M") > 20
        assert f"turn 1 completed: {QUESTION}" in told["text/plain"]


async def test_an_interruption_goes_through_both_voices() -> None:
    async with interrupted_by_voice() as session:
        assert mimebundle(session.timeline)["text/html"].count('class="cut"') == 1


async def test_before_anything_happened_there_is_a_picture_too() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        assert "0 turns" in mimebundle(session.timeline)["text/html"]
    assert "0 turns" in mimebundle(Timeline(Log(16_000)))["text/plain"]


@pytest.mark.parametrize("hours", [1, 4])
def test_a_long_session_full_of_everything_weighs_less_than_100_kb(hours: int) -> None:
    told = mimebundle(Timeline(crowded(hours)))
    assert len(told["text/html"].encode()) < 100_000
    page = Tags(told["text/html"])
    assert not page.names & {"script", "iframe", "foreignobject", "image", "use", "a"}
    assert not page.acting
    assert "\u202e" not in told["text/html"]
    assert 1 <= told["text/html"].count("<svg") <= 6
    assert f"{hours * 300:,} turns" in told["text/plain"]


def crowded(hours: int) -> Log:
    """A turn every twelve seconds, each with words, tools, an interruption, a change and a failure, and never any silence."""
    log = Log(16_000)
    rng = np.random.default_rng(1)
    log.heard.append(rng.integers(-30_000, 30_000, 16_000 * 60).astype(np.int16))
    rows = np.zeros(3000, FRAME_VALUES)
    rows["t_ms"] = np.linspace(20, hours * 3_600_000, 3000)
    rows["probability"] = rng.uniform(0, 1, 3000)
    log.frames.append(rows)
    log.spoken.append(rng.integers(-30_000, 30_000, hours * 300 * 16_000).astype(np.int16))
    for number in range(hours * 300):
        at, turn = number * 12_000.0, number + 1
        words = tuple(Word(f"w{HOSTILE}", at + 100 * each, at + 100 * each + 80) for each in range(8))
        bodies = [
            TranscriptFinal(HOSTILE, None, words),
            TurnStarted("typed", HOSTILE * 3),
            LLMRequested(1, "scripted", HOSTILE, False, (), 0, ()),
            ToolCalled("1", HOSTILE, HOSTILE),
            ToolEnded("1", HOSTILE, "completed", HOSTILE),
            SentenceReady(0, 1, HOSTILE),
            AudioSent(0, number * 16_000, (number + 1) * 16_000),
            PlaybackEnded((number + 1) * 16_000),
            TurnHeard(HOSTILE, interrupted=True),
            AgentChanged({"llm": (HOSTILE, HOSTILE)}, "turn"),
            StageFailed("llm", ServerError(HOSTILE)),
        ]
        for place, body in enumerate(bodies):
            log.append(Happened(turn, 0, body), at + 1000 * place, at / 1000 + place)
    return log
