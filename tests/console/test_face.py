"""A face and a page that speaks its protocol: what the page ends up with is what the log says, whatever it missed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from page import Page, applied
from talking import bodies, talking, until

from patter_nb.clock import ManualClock
from patter_nb.console.face import Face
from patter_nb.console.picture import Picture
from patter_nb.console.transport import ConsoleTransport
from patter_nb.errors import PatterConfigError
from patter_nb.events import ListenerChanged, MicrophoneMuted, PersonHungUp, PlaybackPaused, PlaybackStarted, StageFailed, TurnHeard
from patter_nb.llm.base import LLMChunk
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import Call, Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


@asynccontextmanager
async def shown(**parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    """A session that hears and sounds in a page."""
    async with talking(transport=ConsoleTransport(), **parts) as session:
        page = Page(session)
        page.tell("ready", last=-1)
        await until(lambda: page.got("snapshot"))
        yield session, page


def copy_of(page: Page) -> dict[str, Any]:
    """The picture that the page has by now, made of the newest snapshot and the batches after it."""
    messages = page.got("snapshot", "batch")
    at = max(number for number, message in enumerate(messages) if message["kind"] == "snapshot")
    picture = json.loads(json.dumps(messages[at]["picture"]))
    seq = messages[at]["seq"]
    for message in messages[at + 1 :]:
        assert message["seq"] == seq + 1
        seq = message["seq"]
        picture = applied(picture, json.loads(json.dumps(message["ops"])))
    return dict(picture)


def truth_of(session: Session) -> dict[str, Any]:
    return dict(json.loads(json.dumps(Picture(session).whole())))


async def test_a_page_follows_the_log_chunk_by_chunk() -> None:
    llm = ScriptedLLM([[Call("get_weather", {"city": "Rome"})], "It is sunny in Rome."])
    async with shown(llm=llm, tools=[get_weather]) as (session, page):
        page.tell("typed", text="What's the weather in Rome?")
        await until(lambda: session.turns and session.turns[-1].heard_text)
        await until(lambda: copy_of(page) == truth_of(session))
        picture = copy_of(page)
        (turn,) = picture["turns"]
        assert turn["user"] == "What's the weather in Rome?"
        assert turn["heard"] == "It is sunny in Rome."
        assert [(call["name"], call["arguments"], call["status"], call["result"]) for call in turn["tools"]] == [
            ("get_weather", '{"city": "Rome"}', "completed", "Sunny in Rome.")
        ]
        assert "".join(words for kind, words in turn["chunks"] if kind == "text") == "It is sunny in Rome."


class Paid(ScriptedLLM):
    """What a known model would cost, without the model."""

    provider, model, costs = "openai", "gpt-4o-mini", True


async def test_what_each_stage_has_cost_is_told_once_its_turn_is_over_and_stays_when_another_takes_its_place() -> None:
    hold = asyncio.Event()
    llm = Paid([[Hold(hold), "Hello.", LLMChunk("usage", input_tokens=1000, output_tokens=1000)]])
    async with shown(llm=llm, tts=ScriptedTTS()) as (session, page):
        page.tell("typed", text="Hi")
        await until(lambda: session.turns and session.turns[-1].requests)
        await until(lambda: copy_of(page)["turns"])
        assert (copy_of(page)["spent"], copy_of(page)["spent_by"]) == ({"usd": None, "unpriced": 0}, {}), "nothing is known yet"
        hold.set()
        cost = {"usd": "0.00075", "unpriced": 0}
        await until(lambda: copy_of(page)["spent_by"].get("thinks") == cost)
        assert copy_of(page)["spent"] == cost
        session.use(llm=ScriptedLLM([]))
        await until(lambda: not copy_of(page)["runs"]["thinks"]["costs"])
        assert copy_of(page)["spent_by"]["thinks"] == cost


async def test_a_page_that_comes_late_gets_all_of_it_at_once() -> None:
    async with shown(llm=ScriptedLLM(["One.", "Two."])) as (session, page):
        await session.ask("first")
        await session.ask("second")
        late = Page(session, "page two")
        late.tell("ready", last=-1)
        await until(lambda: len(page.got("snapshot")) == 2)
        assert page.got("snapshot")[-1]["picture"] == truth_of(session)
        assert session.face is late.face


async def test_two_thousand_chunks_are_few_messages_and_none_is_dropped() -> None:
    words = [f"w{number} " for number in range(2000)]
    async with shown(llm=ScriptedLLM([[LLMChunk("text", content=word) for word in words]])) as (session, page):
        before = len(page.got("batch"))
        await session.ask("go")
        await until(lambda: copy_of(page)["turns"] and len(copy_of(page)["turns"][-1]["chunks"]) == 2000)
        batches = page.got("batch")[before:]
        assert "".join(text for _, text in copy_of(page)["turns"][-1]["chunks"]) == "".join(words)
        assert len(batches) < 100
        chunks = [op for batch in batches for op in batch["ops"] if op[0] == "chunks"]
        assert len(json.dumps(chunks)) < 50_000
        for batch in batches:
            pieces = [tuple(op[1:3]) for op in batch["ops"] if op[0] == "piece"]
            assert len(pieces) == len(set(pieces)), "a piece is told as it is, not as it was in between"


async def test_the_greeting_waits_for_somebody_to_listen() -> None:
    async with shown(llm=ScriptedLLM([]), tts=ScriptedTTS(), first_message="Welcome.") as (session, page):
        page.tell("muted", muted=True)
        await until(lambda: bodies(session, MicrophoneMuted))
        assert not session.turns
        page.tell("talk", facts={})
        await until(lambda: page.got("sound"))
        assert session.turns[0].source == "greeting"
        assert bodies(session, ListenerChanged)[0].listens
        sound = page.got("sound")[0]
        assert (sound["to"], sound["start"], sound["rate"]) == ("page one", 0, 24_000)


async def test_who_types_before_talking_is_not_greeted_any_more() -> None:
    async with shown(llm=ScriptedLLM(["Yes?"]), tts=ScriptedTTS(), first_message="Welcome.") as (session, page):
        page.tell("typed", text="Hello")
        await until(lambda: session.turns and session.turns[-1].status == "completed")
        page.tell("talk", facts={})
        await until(lambda: bodies(session, ListenerChanged))
        assert [turn.source for turn in session.turns] == ["typed"]


async def test_sound_that_a_page_had_not_played_goes_to_the_page_that_takes_its_place() -> None:
    async with shown(llm=ScriptedLLM(["A long answer that is spoken."]), tts=ScriptedTTS()) as (session, page):
        page.tell("sound_on")
        await session.ask("go")
        await until(lambda: session.turns[-1].status == "completed")
        sent = sum(len(buffers[0]) // 2 for data, buffers in page.face.screen.comm.sent if buffers)
        page.tell("played", position=1000)
        other = Page(session, "page two")
        other.tell("ready", last=-1)
        other.tell("sound_on")
        await until(lambda: any(message["to"] == "page two" for message in page.got("sound")))
        again = [message for message in page.got("sound") if message["to"] == "page two"]
        assert again[0]["start"] == 1000
        page.tell("played", position=sent)  # the old page has no say any more
        other.tell("played", position=sent)
        await until(lambda: bodies(session, TurnHeard))


async def test_sound_comes_back_to_a_page_that_had_lost_it() -> None:
    async with shown(llm=ScriptedLLM(["A long answer that is spoken."]), tts=ScriptedTTS()) as (session, page):
        other = Page(session, "page two")
        page.tell("sound_on")
        await session.ask("go")
        other.tell("sound_on")
        await until(lambda: any(message["to"] == "page two" for message in page.got("sound")))
        assert [message["to"] for message in page.got("flush")] == ["page one"]
        page.tell("sound_on")
        await until(lambda: page.got("sound")[-1]["to"] == "page one")
        assert [message["to"] for message in page.got("flush")] == ["page one", "page two"]


async def test_who_types_first_is_not_greeted_though_the_page_begins_to_sound() -> None:
    async with shown(llm=ScriptedLLM(["Yes?"]), tts=ScriptedTTS(), first_message="Welcome.") as (session, page):
        page.tell("sound_on", answering=True)
        page.tell("typed", text="Hello")
        await until(lambda: session.turns and session.turns[-1].status == "completed")
        assert [turn.source for turn in session.turns] == ["typed"]


async def test_an_agent_without_a_voice_greets_at_once() -> None:
    async with shown(llm=ScriptedLLM([]), first_message="Welcome.") as (session, _):
        assert [(turn.source, turn.agent_text) for turn in session.turns] == [("greeting", "Welcome.")]


async def test_words_spoken_before_stop_are_in_no_later_turn() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["first words", "second words"]), "vad": RecordedVAD.speaking((0, 800), (1200, 2000))}
    async with shown(llm=ScriptedLLM(["Fine."]), **parts) as (session, page):
        for number in range(20):
            page.speak(2 * number)
        await until(lambda: session.state == "listening")
        page.tell("stop")
        await until(lambda: bodies(session, PersonHungUp))
        for number in range(20, 150):
            page.speak(2 * number)
        await until(lambda: session.turns and session.turns[-1].status == "completed")
        assert [turn.user_text for turn in session.turns] == ["second words"]


async def test_with_the_page_gone_everything_counts_as_heard() -> None:
    async with shown(llm=ScriptedLLM(["A long answer."]), tts=ScriptedTTS()) as (session, page):
        page.tell("sound_on")
        await session.ask("go")
        assert not bodies(session, TurnHeard)
        page.tell("bye")
        await until(lambda: bodies(session, TurnHeard))
        assert session.turns[-1].heard_text == "A long answer."


async def test_a_page_that_paused_by_itself_waits_for_the_sessions_word() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT([]), "vad": RecordedVAD.speaking(), "tts": ScriptedTTS()}
    async with shown(llm=ScriptedLLM(["A long answer."]), **parts) as (session, page):
        page.tell("sound_on")
        await session.ask("go")
        page.tell("played", position=500)
        page.tell("paused", position=600)
        await until(lambda: bodies(session, PlaybackPaused))
        assert bodies(session, PlaybackPaused)[0].by == "transport"
        await until(lambda: page.got("resume"))


async def test_a_page_says_when_its_first_sample_sounds_and_that_ends_the_gap() -> None:
    clock = ManualClock()
    async with talking(transport=ConsoleTransport(clock), llm=ScriptedLLM(["A long answer."]), tts=ScriptedTTS()) as session:
        page = Page(session)
        page.tell("ready", last=-1, sent=1_000_000.0)
        page.tell("clock", sent=1_000_000.0, told=0.0, received=1_000_000.0)
        page.tell("sound_on")
        await until(lambda: bodies(session, ListenerChanged))
        await session.ask("go")
        clock.advance(100)
        page.tell("played", position=480, at=1_000_160.0)  # 20 ms of sound, of which the last sample sounds at 160 ms
        await until(lambda: bodies(session, PlaybackStarted))
        fall = session.turns[-1].waterfall
        assert fall.gap_ms == pytest.approx(140.0, abs=1.0), "the voice begins with a sample or two that nobody hears"
        assert next(part for part in fall.parts if part.name == "browser").duration_ms == pytest.approx(140.0)
        await until(lambda: copy_of(page) == truth_of(session))
        parts = copy_of(page)["turns"][-1]["waterfall"]["parts"]
        assert ["browser", 140.0, "browser", "from handing it over until it sounded", True] in parts
        assert [name for name, *_ in parts] == [part.name for part in fall.parts if not 0 < part.duration_ms < 0.05]


async def test_a_page_that_does_not_say_when_it_sounds_is_believed_to_tell_at_once() -> None:
    async with shown(llm=ScriptedLLM(["A long answer."]), tts=ScriptedTTS()) as (session, page):
        page.tell("sound_on")
        await session.ask("go")
        page.tell("played", position=480)
        await until(lambda: bodies(session, PlaybackStarted))
        assert bodies(session, PlaybackStarted)[0].ago_ms == 20.0


async def test_stop_silences_the_agent_and_leaves_the_session_alive() -> None:
    held = asyncio.Event()
    async with shown(llm=ScriptedLLM([["One. ", Hold(held), "Two."], "Here."])) as (session, page):
        page.tell("typed", text="count")
        await until(lambda: session.chunks)
        page.tell("stop")
        await until(lambda: bodies(session, PersonHungUp))
        assert session.turns[-1].status == "interrupted"
        assert (await session.ask("Still there?")).agent_text == "Here."


async def test_trouble_of_the_page_is_in_the_log_and_on_screen() -> None:
    async with shown(llm=ScriptedLLM([])) as (session, page):
        page.tell("trouble", name="denied", cause="The microphone was denied.", remedy="Allow it in the address bar.")
        await until(lambda: copy_of(page)["faults"])
        (failed,) = bodies(session, StageFailed)
        assert failed.stage == "transport"
        assert failed.error.hint == "Allow it in the address bar."
        assert copy_of(page)["faults"][0]["message"] == "The microphone was denied."
        assert session.state == "ready"


@pytest.mark.parametrize("content", [{"kind": "typed"}, {"kind": "frames", "seq": 0}, {"kind": "played", "position": "far"}, {}])
async def test_a_malformed_message_is_reported_and_the_session_goes_on(content: dict[str, Any]) -> None:
    async with shown(llm=ScriptedLLM(["Fine."])) as (session, page):
        page.tell("sound_on")
        await until(lambda: bodies(session, ListenerChanged))
        page.tell(content.pop("kind", "frames"), **content)
        await until(lambda: bodies(session, StageFailed))
        assert (await session.ask("go")).agent_text == "Fine."


async def test_sound_is_acknowledged_from_inside_the_handler() -> None:
    async with shown(llm=ScriptedLLM([])) as (_, page):
        for number in range(30):
            page.speak(2 * number)
        assert [ack["seq"] for ack in page.acks()] == [0, 50]


async def test_frames_reach_the_log_in_order_with_their_sound() -> None:
    async with shown(llm=ScriptedLLM([])) as (session, page):
        for number in (0, 2, 1, 3):
            page.speak(2 * number)
        await until(lambda: len(session.audio.heard) == 8 * 320)


async def test_a_view_is_one_widget_however_often_it_is_asked_for() -> None:
    async with shown(llm=ScriptedLLM([])) as (session, page):
        assert isinstance(session.face, Face)
        assert session.view("transcript") is session.view("transcript")
        assert session.view("chunks").part == "chunks"
        with pytest.raises(PatterConfigError, match="There is no view 'latencies'"):
            session.view("latencies")
        assert page.face.view("tools").screen is page.face.screen


@pytest.mark.parametrize(("part", "kept"), [("transcript", "Hello back."), ("latency", "Latency"), ("chunks", "Hello"), ("tools", "tool")])
async def test_a_part_leaves_what_it_showed_in_a_saved_notebook(part: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown_here: list[dict[str, Any]] = []
    for module in ("widgets", "keepsake"):
        monkeypatch.setattr(f"patter_nb.console.{module}.display", lambda bundle, **options: shown_here.append(bundle))
    async with shown(llm=ScriptedLLM(["Hello back."])) as (session, _):
        await session.ask("Hi")
        view = session.view(part)
        view._ipython_display_()
        live, static = shown_here
        assert "application/vnd.jupyter.widget-view+json" in live
        assert live["text/plain"] == f"<View '{part}', live in a notebook>"
        assert f'data-patter-keepsake="{view.keepsake}"' in static["text/html"]
        assert kept in static["text/html"]


async def test_a_session_over_another_transport_is_shown_and_typed_to() -> None:
    async with talking(clock=ManualClock(), llm=ScriptedLLM(["Yes."])) as session:
        page = Page(session)
        page.tell("ready", last=-1)
        page.tell("typed", text="Anybody?")
        await until(lambda: session.turns and session.turns[-1].status == "completed")
        assert not page.got("snapshot")[0]["hears"]


async def test_the_agents_own_voice_is_no_speech_whatever_the_detector_makes_of_it() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT([]), "vad": RecordedVAD.speaking((0, 4000)), "tts": ScriptedTTS()}
    async with shown(llm=ScriptedLLM([]), **parts) as (session, page):
        for number in range(50):
            page.speak(2 * number, echo=[True, True])
        await until(lambda: len(session.audio.heard) == 100 * 320)
        assert session.state == "ready"
        for number in range(50, 100):
            page.speak(2 * number, echo=[False, False])
        await until(lambda: session.state == "listening")


async def test_a_session_in_a_loop_of_its_own_is_followed_from_there() -> None:
    threads: list[str] = []
    session = await Patter().serve(Patter().agent(llm=ScriptedLLM(["Yes."])), transport=ConsoleTransport(), name="apart", runtime="thread")
    try:
        subscribe = session.events.subscribe
        session.events.subscribe = lambda listener: (threads.append(threading.current_thread().name), subscribe(listener))[1]  # type: ignore[method-assign]
        page = Page(session)
        page.tell("ready", last=-1)
        await session.ask("go")
        await until(lambda: page.got("snapshot") and copy_of(page)["turns"] and copy_of(page)["turns"][-1]["heard"])
        assert set(threads) == {"patter_nb"}
        assert copy_of(page) == truth_of(session)
    finally:
        await session.stop()


async def test_what_a_page_tells_after_the_end_starts_nothing_and_is_kept_nowhere() -> None:
    async with shown(llm=ScriptedLLM([])) as (_, page):
        pass
    before = asyncio.all_tasks()
    page.speak(0)
    page.tell("ready", last=-1)
    await until(lambda: len(page.got("snapshot")) == 2)
    assert asyncio.all_tasks() == before
    assert not page.face._transport._arrivals  # type: ignore[union-attr]


async def test_what_is_kept_of_a_turn_is_its_text_in_one_piece_once_it_was_heard() -> None:
    async with shown(llm=ScriptedLLM(["One. Two.", "Three. Four."]), tts=ScriptedTTS()) as (session, page):
        page.tell("sound_on")
        await session.ask("first")
        page.tell("played", position=len(session.audio.spoken))
        await until(lambda: page.face.screen.picture["turns"] and page.face.screen.picture["turns"][0]["heard"])
        (kept,) = page.face.screen.picture["turns"]
        pieces = copy_of(page)["turns"][0]["pieces"]
        assert len(pieces) == 2
        assert kept["pieces"] == [{**pieces[0], "text": "One. Two.", "stop": pieces[1]["stop"]}]
