"""A voice that is the browser's: text goes out with a place on the output axis, and what was heard is what the page says it spoke."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from talking import bodies, silence, talking, until
from voice_ways import pieces

from patter_nb import Patter, PatterConfigError, Session, WavTransport
from patter_nb.audio.frames import Block
from patter_nb.console.transport import OUTPUT_RATE, ConsoleTransport, ListenBy
from patter_nb.display import mimebundle
from patter_nb.errors import AudioError
from patter_nb.events import PlaybackEnded, PlaybackPaused, PlaybackStarted
from patter_nb.step.state import LETTERS_A_SECOND
from patter_nb.testing import Hold, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.transports.base import LocalPause, Played
from patter_nb.tts.base import TTS, BrowserSpeech
from patter_nb.tts.browser import BrowserTTS

A_LETTER = OUTPUT_RATE // LETTERS_A_SECOND


async def speeches(tts: BrowserTTS, text: str | AsyncIterator[str]) -> list[BrowserSpeech]:
    return [speech async for speech in tts.synthesize(text)]


class Page:
    """A page's loudspeaker with the browser's voice in the hand of the test."""

    def __init__(self, transport: ConsoleTransport) -> None:
        self.transport = transport
        self.blocks: list[Block] = []
        self.told: list[str] = []

    def play(self, block: Block, rate: int) -> None:
        assert rate == OUTPUT_RATE
        self.blocks.append(block)

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def flush(self) -> None:
        self.told.append("flush")

    @property
    def texts(self) -> list[str]:
        return [block.speech.text for block in self.blocks if block.speech is not None]

    def reaches(self, letters: int, block: int = -1) -> None:
        """The browser has spoken so many letters of a text."""
        self.transport.offer(Played(self.blocks[block].start + letters * A_LETTER))

    def ends(self, block: int = -1) -> None:
        self.transport.offer(Played(self.blocks[block].start + len(self.blocks[block].pcm)))


@asynccontextmanager
async def spoken_to(**parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    transport = ConsoleTransport()
    async with talking(transport=transport, **parts) as session:
        page = Page(transport)
        transport.offer(ListenBy(page, greets=False))
        await until(lambda: transport.speaker is page)
        yield session, page


# --- the voice


def test_what_it_is() -> None:
    tts = BrowserTTS()
    assert isinstance(tts, TTS)
    assert (tts.provider, tts.model, tts.format, tts.costs) == ("browser", None, None, False)
    assert BrowserTTS("Anna").model == "Anna"


@pytest.mark.parametrize("wrong", [{"speed": 0}, {"speed": 11}, {"pitch": -1}, {"pitch": 3}])
def test_what_no_browser_takes_is_refused_at_once(wrong: dict[str, float]) -> None:
    with pytest.raises(PatterConfigError, match=next(iter(wrong))):
        BrowserTTS(**wrong)  # type: ignore[arg-type]


def test_an_unknown_keyword_is_an_error_with_a_hint() -> None:
    with pytest.raises(TypeError, match=r"BrowserTTS\(\).*'rate'"):
        BrowserTTS(rate=2.0)
    with pytest.raises(TypeError, match="Did you mean language="):
        BrowserTTS(langage="it")


async def test_a_text_is_a_speech_as_it_is_asked_for() -> None:
    tts = BrowserTTS("Anna", language="en-GB", speed=1.5, pitch=0.5)
    assert await speeches(tts, "It is sunny.") == [BrowserSpeech("It is sunny.", "Anna", "en-GB", 1.5, 0.5)]
    assert [speech.text for speech in await speeches(tts, pieces("It is sun", "ny. Take", " a hat."))] == ["It is sunny. ", "Take a hat."]


@pytest.mark.parametrize("text", ["", " ", "...", pieces(" ", "?!")])
async def test_without_a_word_nothing_is_spoken(text: str | AsyncIterator[str]) -> None:
    assert await speeches(BrowserTTS(), text) == []


async def test_a_long_text_is_several_speeches() -> None:
    text = "It is sunny in Rome today. " * 40
    told = [speech.text for speech in await speeches(BrowserTTS(), text)]
    assert max(map(len, told)) <= 300
    assert "".join(told).split() == text.split()


# --- where it is carried


async def test_a_transport_without_a_browser_rejects_it(tmp_path: Any) -> None:
    sound = (np.zeros(16_000, np.int16), 16_000)
    for transport in (WavTransport(sound, paced=False), WavTransport(sound, tmp_path / "out.wav", paced=False)):
        agent = Patter().agent(stt=ScriptedSTT([]), llm=ScriptedLLM([]), tts=BrowserTTS())
        with pytest.raises(PatterConfigError, match=r"BrowserTTS speaks by a browser, and a recording has none.*PiperTTS\(\)"):
            await Patter().serve(agent, transport=transport, name="test")
    async with talking(llm=ScriptedLLM(["One.", "Two."]), tts=(before := ScriptedTTS())) as session:
        with pytest.raises(PatterConfigError, match="BrowserTTS speaks by a browser"):
            session.tts = BrowserTTS()
        assert session.tts is before
        await session.ask("Go on.")
    assert before.said == ["One."]


async def test_silence_is_a_recording_too() -> None:
    agent = Patter().agent(stt=ScriptedSTT([]), llm=ScriptedLLM([]), tts=BrowserTTS())
    with pytest.raises(PatterConfigError, match="a recording has none"):
        await Patter().serve(agent, transport=silence(), name="test")


# --- a conversation


async def test_each_piece_goes_out_as_text_with_a_place_and_counts_as_heard_when_it_was_spoken() -> None:
    story = "It is sunny in Rome today. Take a hat with you, and some water to drink."
    async with spoken_to(llm=ScriptedLLM([story]), tts=BrowserTTS("Anna")) as (session, page):
        turn = await session.ask("Weather?")
        assert "".join(f"{text} " for text in page.texts) == f"{story} "
        first, second = page.blocks
        assert (len(first.pcm), second.start) == (len("It is sunny in Rome today.") * A_LETTER, len(first.pcm))
        assert first.speech is not None
        assert first.speech.voice == "Anna"
        assert not bodies(session, PlaybackStarted)
        page.reaches(1, block=0)
        await until(lambda: bodies(session, PlaybackStarted))
        assert not bodies(session, PlaybackEnded)
        page.ends(0)
        page.reaches(9)
        page.ends()
        await until(lambda: turn.heard_text)
        assert turn.heard_text == story
        assert len(bodies(session, PlaybackEnded)) == 1


async def test_who_interrupts_has_heard_what_was_spoken_until_then() -> None:
    story = "It is sunny in Rome today and tomorrow as well."
    llm = ScriptedLLM([story, "All right."])
    async with spoken_to(llm=llm, tts=BrowserTTS()) as (session, page):
        first = await session.ask("Weather?")
        page.reaches(len("It is sunny in") + 1)
        await until(lambda: bodies(session, PlaybackStarted))
        await session.ask("Stop.")
        assert first.heard_text.strip() == "It is sunny in"
        assert page.told == ["flush"]
        assert page.texts[-1] == "All right."
        assert page.blocks[-1].start == page.blocks[0].start + len(page.blocks[0].pcm)
    assert [message["content"].strip() for message in llm.requests[1].messages if message["role"] == "assistant"] == ["It is sunny in"]


async def test_it_is_held_and_goes_on() -> None:
    async with spoken_to(llm=ScriptedLLM(["It is sunny in Rome today."]), tts=BrowserTTS()) as (session, page):
        await session.ask("Weather?")
        page.reaches(6)
        await until(lambda: bodies(session, PlaybackStarted))
        page.transport.offer(LocalPause(page.blocks[0].start + 7 * A_LETTER))
        await until(lambda: bodies(session, PlaybackPaused))
        await until(lambda: "resume" in page.told)
        page.ends()
        await until(lambda: session.turns[-1].heard_text)
        assert session.turns[-1].heard_text == "It is sunny in Rome today."


async def test_a_page_that_takes_its_place_speaks_the_rest() -> None:
    async with spoken_to(llm=ScriptedLLM(["It is sunny in Rome today."]), tts=BrowserTTS()) as (session, page):
        await session.ask("Weather?")
        for letters in (3, 4, 8, 13):
            page.reaches(letters)
        await until(lambda: bodies(session, PlaybackStarted))
        other = Page(page.transport)
        page.transport.offer(ListenBy(other))
        await until(lambda: other.blocks)
        assert other.texts == ["in Rome today."]
        assert other.blocks[0].start == page.blocks[0].start + 13 * A_LETTER
        other.ends()
        await until(lambda: session.turns[-1].heard_text)


async def test_the_voice_is_swapped_in_a_live_session() -> None:
    hum = ScriptedTTS()
    async with spoken_to(llm=ScriptedLLM(["One.", "Two.", "Three."]), tts=hum) as (session, page):
        await session.ask("Count.")
        session.tts = BrowserTTS()
        await session.ask("Go on.")
        session.tts = hum
        await session.ask("Go on.")
        assert page.texts == ["Two."]
        places = [(block.start, len(block.pcm)) for block in page.blocks]
        assert all(start + length == following for (start, length), (following, _) in itertools.pairwise(places))
    assert hum.said == ["One.", "Three."]


async def test_the_voice_is_swapped_in_mid_word() -> None:
    story = ["It is sunny in Rome today. Take", Hold(asyncio.Event())]
    hum = ScriptedTTS()
    async with spoken_to(llm=ScriptedLLM([story, "and so on."]), tts=BrowserTTS()) as (session, page):
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: page.blocks)
        page.reaches(6)
        await until(lambda: bodies(session, PlaybackStarted))
        session.use(when="now", tts=hum)
        assert (await asking).status == "completed"
        assert "flush" in page.told
    assert hum.said


async def test_views_say_that_nothing_of_it_was_recorded() -> None:
    async with spoken_to(llm=ScriptedLLM(["It is sunny."]), tts=BrowserTTS()) as (session, page):
        await session.ask("Weather?")
        page.ends()
        await until(lambda: session.turns[-1].heard_text)
        assert not np.asarray(session.audio.spoken).any()
        for shown in mimebundle(session.audio).values():
            assert "800 ms of it by the browser’s own voice and not recorded" in shown


class Mute:
    """A voice without a format that yields sound all the same."""

    provider = "mute"
    model = None
    format = None

    async def synthesize(self, text: str) -> AsyncIterator[Any]:
        yield np.zeros(100, np.int16)

    async def aclose(self) -> None:
        """Nothing is held."""


async def test_sound_of_a_voice_without_a_format_is_an_error_that_says_so() -> None:
    async with spoken_to(llm=ScriptedLLM(["Hello."]), tts=Mute()) as (session, _):
        turn = await session.ask("Hi.")
    assert (turn.status, type(turn.error)) == ("failed", AudioError)
    assert "has no format" in str(turn.error)
