"""Every noun shows itself: complete, escaped, within bounds, the same each time, and without a key."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import display_samples as samples
import pytest

from patter_nb.agent import Agent
from patter_nb.audio.tracks import PcmTrack
from patter_nb.display import mimebundle
from patter_nb.errors import AllProvidersFailed, PatterConfigError, PatterError, TruncatedStream
from patter_nb.events import BreakpointHit, BreakpointLeft, ToolCalled, TurnEnded, TurnHeard, TurnStarted
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Log
from patter_nb.patter import Patter
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.session import Session
from patter_nb.step.scene import Happened
from patter_nb.testing import ScriptedLLM
from patter_nb.tools.tool import Tool
from patter_nb.turn import ToolCall, Turn
from patter_nb.vad.energy import EnergyVAD

LIMIT = 100_000
SAFE_TAGS = {
    *("b", "bdi", "code", "dd", "details", "div", "dl", "dt", "em", "i", "li", "ol", "p", "path", "pre", "rect", "s", "small"),
    *("span", "style", "summary", "svg", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
SAFE_ATTRIBUTES = {
    *("class", "role", "colspan", "style", "aria-label", "viewbox", "height", "width", "x", "d", "fill"),
    *("stroke", "stroke-width", "stroke-dasharray", "preserveaspectratio", "title"),
}


class Reader(HTMLParser):
    """What a browser would make of it: tags, attributes, and the text outside the style sheet."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "tags left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def page(thing: object) -> str:
    return mimebundle(thing)["text/html"]


def read(thing: object) -> str:
    return " ".join(Reader(page(thing)).text.split())


def failures() -> list[PatterError]:
    inner = samples.only(samples.failed()).error
    assert inner is not None
    return [
        inner,
        PatterConfigError("There is no language model.", hint="Pass llm=LocalLLM()."),
        TruncatedStream("The answer broke off.", partial_text="<b>It is"),
        AllProvidersFailed("Both failed.", [inner, TimeoutError("late")]),
    ]


def nouns() -> list[object]:
    """One of each at least; sessions need a loop and have tests of their own."""
    log = samples.log(samples.conversation(), heard_s=34, spoken_s=9)
    call = ToolCall("a", "look_up", {"city": "Paris"})
    return [
        samples.agent(),
        Agent(),
        *samples.turns(samples.conversation()),
        samples.turns(samples.conversation()),
        samples.turns([]),
        call,
        samples.get_weather,
        Tool("ping", handler=lambda: "pong"),
        *log,
        log,
        Log(16_000),
        LLMChunk("text", content=" <i>"),
        LLMChunk("usage", input_tokens=3, output_tokens=4),
        *failures(),
        log.heard,
        PcmTrack(),
        samples.KeyedLLM(),
        EnergyVAD(),
    ]


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    """A live session in which one thing was asked."""
    async with Patter().serve(Agent(llm=ScriptedLLM(["Hello <b>you</b>."]), tools=(samples.get_weather,)), name="shown") as live:
        await live.ask("Hi & hello?")
        yield live


@pytest.mark.parametrize("noun", nouns(), ids=lambda noun: type(noun).__name__)
def test_noun_shows_itself_in_words_and_as_markup(noun: object) -> None:
    shown = mimebundle(noun)
    assert set(shown) == {"text/plain", "text/html"}
    assert shown["text/plain"].strip()
    assert shown == mimebundle(noun)
    assert type(shown["text/html"]) is str
    for text in shown.values():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert len(text.encode()) < LIMIT


@pytest.mark.parametrize("noun", nouns(), ids=lambda noun: type(noun).__name__)
def test_markup_stands_alone_and_runs_nothing(noun: object) -> None:
    shown = page(noun)
    reader = Reader(shown)
    assert reader.tags <= SAFE_TAGS
    assert {name for name, _ in reader.attributes} <= SAFE_ATTRIBUTES
    outside = [value for _, value in reader.attributes] + re.findall(r"<style>(.*?)</style>", shown, re.DOTALL)
    assert not any(re.search(r"//|url\(|@import", value) for value in outside)
    assert reader.text.strip()


def test_the_same_conversation_looks_the_same() -> None:
    assert page(samples.turns(samples.conversation())) == page(samples.turns(samples.conversation()))


def test_unknown_thing_gets_its_repr() -> None:
    assert mimebundle({"a": 1}) == {"text/plain": "{'a': 1}"}
    assert mimebundle(EnergyVAD) == {"text/plain": repr(EnergyVAD)}


# --- foreign text


def test_markup_in_foreign_text_is_shown_as_text() -> None:
    shown = read(samples.only(samples.hostile()))
    assert r"<script>alert(1)</script> \u202egnp.exe \x1b[31mred\x00 <img src=x onerror=alert(1)> \ud800" in shown
    assert "</div><script>" in shown
    assert "<iframe src='https://example.com'></iframe>" in shown
    assert '<b>acme "><script>' in shown


def test_right_to_left_text_keeps_to_itself() -> None:
    shown = page(samples.only(samples.hostile()))
    assert "<bdi>الطقس مشمس في باريس اليوم. <s>درجة الحرارة ثماني عشرة.</s></bdi>" in shown


# --- keys


@dataclass
class KeyedDataclass:
    """A provider whose generated repr tells its key."""

    api_key: str
    provider: str = "acme"

    async def stream(self, messages: list[Any], tools: list[Any] | None = None) -> AsyncIterator[str]:
        yield self.api_key


@pytest.mark.parametrize("llm", [samples.KeyedLLM(), KeyedDataclass(samples.KEY)])
async def test_a_key_is_never_shown(llm: Any) -> None:
    assert samples.KEY in repr(llm)
    agent = samples.agent(llm=llm)
    async with Patter().serve(agent, name="keyed") as live:
        shown = [mimebundle(thing) for thing in (llm, agent, live, live.events, *live.events, live.turns)]
    assert not any(samples.KEY in text for bundle in shown for text in bundle.values())
    assert "acme" in shown[0]["text/plain"]


def test_an_error_does_not_tell_what_its_cause_said() -> None:
    error = PatterError("The connection broke.")
    error.__cause__ = ConnectionError(f"https://acme.example/?key={samples.KEY}")
    assert "caused by ConnectionError" in " ".join(re.sub("<[^>]+>", " ", page(error)).split())
    assert samples.KEY not in page(error) + mimebundle(error)["text/plain"]


# --- a turn


def test_heard_is_ink_and_never_heard_is_struck() -> None:
    turn = samples.only(samples.weather())
    assert "in Paris. Your timer <s>is running for ten minutes.</s>" in page(turn)
    assert "in Paris. Your timer [not heard: is running for ten minutes.]" in mimebundle(turn)["text/plain"]


def test_the_persons_words_tell_when_they_were_said() -> None:
    shown = page(samples.only(samples.weather()))
    assert 'title="0.00 What&#x27;s 0.11 the 0.22 weather' in shown
    assert "title" not in page(samples.only(samples.typed()))


def test_interruption_says_after_how_much() -> None:
    assert "interrupted after 9 words; the rest was never heard" in read(samples.only(samples.weather()))


def test_interruption_says_after_how_long_where_the_rate_of_the_sound_is_known() -> None:
    turn = samples.turns(samples.conversation())[0]
    assert "interrupted after 2.1 s; the rest was never heard" in read(turn)


def test_turn_shows_the_borders_of_its_chunks() -> None:
    turn = samples.only(samples.weather())
    assert "It's<i>|</i> eigh<i>|</i>teen<i>|</i> degrees" in page(turn)
    assert "2 requests, 23 chunks" in read(turn)


def test_what_is_still_to_be_heard_is_not_struck() -> None:
    turn = samples.only([told for told in samples.typed() if not isinstance(told[2], TurnHeard)])
    assert "<bdi>Fifteen minutes, starting now.</bdi>" in page(turn)
    assert "still being spoken when this was shown" in read(turn)


def test_turn_tells_who_answered_what_it_took_and_cost() -> None:
    assert "local smollm2 · tokens 212 in, 17 out · $0 (runs here)" in read(samples.only(samples.weather()))
    typed = read(samples.only(samples.typed()))
    assert "acme acme-large-2 · tokens 212 in, 4 out · unpriced" in typed
    assert "response not measured" in typed
    assert "first token 320 ms" in typed


def test_turn_tells_that_another_model_went_on() -> None:
    turn = samples.only(samples.continued())
    assert (turn.provider, turn.model) == ("acme", "acme-large-2")
    assert "local smollm2, then acme acme-large-2 · tokens" in read(turn)
    assert "local smollm2, then acme acme-large-2 · tokens" in mimebundle(turn)["text/plain"]
    assert re.search(r"round 1 by local smollm2 .*round 1 by acme acme-large-2 ", read(turn)), "which of them said what"


def test_a_model_that_is_asked_again_is_named_once() -> None:
    turn = samples.only(samples.weather())
    assert len(turn.requests) == 2
    assert "then" not in mimebundle(turn)["text/plain"]


def test_tool_calls_tell_arguments_status_result_and_duration() -> None:
    shown = read(samples.only(samples.weather()))
    assert 'get_weather completed 90 ms{"city": "Paris"}→ {"city": "Paris", "celsius": 18, "sky": "sunny"}' in shown
    assert "The arguments of get_weather are no JSON." in read(samples.only(samples.failed()))


def test_failed_turn_is_an_error_card_with_cause_and_remedy() -> None:
    turn = samples.only(samples.failed())
    assert 'role="alert"' in page(turn)
    assert "RateLimitErroracme takes no more than 3 requests a minute.What to do: Wait 21 s" in read(turn)
    assert "Traceback" not in read(turn)


def test_late_turn_says_that_it_waits() -> None:
    assert "came too late to be answered unasked" in read(samples.only(samples.offered()))


def test_running_turn_says_so() -> None:
    assert "still running" in read(samples.only([(0.0, 1, TurnStarted("typed", "Hi"))]))


@pytest.mark.parametrize("shows", [read, lambda turn: mimebundle(turn)["text/plain"]], ids=["markup", "words"])
def test_a_turn_that_stopped_at_a_breakpoint_says_before_what(shows: Any) -> None:
    rome, oslo = '{"city": "Rome"}', '{"city": "Oslo"}'
    told: list[Happened] = [
        (0.0, 1, TurnStarted("typed", "Hi")),
        (0.1, 1, ToolCalled("a", "get_weather", rome)),
        (0.1, 1, ToolCalled("b", "get_weather", oslo)),
        (0.1, 1, BreakpointHit("tool_call", f"get_weather({rome})", "a")),
    ]
    stopped = shows(samples.only(told))
    assert "stopped before get_weather(city='Rome'): session.resume(...)" in stopped
    assert "stopped here" in stopped
    assert "waits" in stopped
    assert "running" not in stopped
    left = shows(samples.only([*told, (0.2, 1, BreakpointLeft("tool_call", {}, "a"))]))
    assert "still running" in left
    assert "stopped" not in left
    over = shows(samples.only([*told, (0.2, 1, TurnEnded("interrupted"))]))
    assert "stopped" not in over


# --- the others


async def test_session_tells_state_stages_counts_and_turns(session: Session) -> None:
    shown = read(session)
    assert "Session shown ● Ready" in shown
    assert "thinks" in shown
    assert "scripted script" in shown
    assert "1 turn · 0 tool calls · " in shown
    assert "Hello <b>you</b>." in shown
    assert "<i>|</i>" in page(session)
    assert "Session shown: ready" in mimebundle(session)["text/plain"].replace("Ready", "ready")


def test_agent_tells_its_parts() -> None:
    shown = read(samples.agent())
    for told in (
        "acme acme-large-2",
        "You are a friendly weather assistant",
        "set_timer(minutes: integer)",
        "2 blocked terms",
        "name, token",
    ):
        assert told in shown


def test_tool_tells_its_signature_and_parameters() -> None:
    shown = mimebundle(samples.get_weather)
    assert shown["text/plain"] == "get_weather(city: string, days: integer = 1)\n    Look up the weather in a city."
    assert "daysinteger default 1How many days ahead." in read(samples.get_weather)


def test_chunks_of_one_stream_share_a_row_of_the_log_with_their_borders() -> None:
    log = samples.log(samples.weather())
    assert "It's<i>|</i> eigh<i>|</i>teen<i>|</i> degrees" in page(log)
    assert "text, 17 chunks" in read(log)


# --- size


def test_ten_megabytes_of_a_tool_are_cut_and_it_is_said_by_how_much() -> None:
    call = ToolCall("a", "dump", {"query": "<" * 10_000_000}, "\x00" * 10_000_000, status="completed", duration_ms=2.0)
    assert len(page(call).encode()) < LIMIT
    assert re.search(r"… 9,99\d,\d{3} more characters not shown", read(call))
    assert len(mimebundle(call)["text/plain"]) < LIMIT


def test_a_turn_of_giants_stays_small() -> None:
    giant = "&\u202e" * 2_000_000
    turn = Turn(1, "speech", giant, giant, giant[:1_000_000], status="interrupted", error=PatterError(giant, hint=giant, code=giant))
    turn.tool_calls += [ToolCall(str(place), giant, {giant: giant}, giant, giant, "failed") for place in range(30)]
    shown = page(turn)
    assert len(shown.encode()) < LIMIT
    assert "… 20 more calls not shown" in Reader(shown).text


async def test_a_session_of_giants_stays_small(session: Session) -> None:
    giant = "&\u202e" * 5_000
    for number in range(2, 40):
        told = samples.hostile(number) + samples.failed(number, error=PatterError(giant, hint=giant))[2:]
        told[0] = (30.0, number, TurnStarted("speech", giant))
        told[1] = samples.asked(number, 30.0, giant, by=(giant, giant, False))
        told[4:4] = [(30.0, number, body) for _, _, body in samples.chunks(number, 30.0, [giant] * 50)]
        told += [*samples.said(number, 31.0, giant, giant), (32.0, number, TurnHeard(giant, True))]
        for at, turn, body in told:
            session.events.append(Happened(turn, 0, body), at * 1000, at)
    for thing in (session, session.turns, session.events):
        assert len(page(thing).encode()) < LIMIT
        assert len(mimebundle(thing)["text/plain"].encode()) < LIMIT
    assert "… 19 earlier turns not shown" in read(session)


def test_three_thousand_chunks_are_cut_and_it_is_said_by_how_many() -> None:
    words = [f"<{place}>" for place in range(3_000)]
    told = [*samples.weather()[:5], *samples.chunks(1, 2.0, words)]
    for noun in (samples.log(told), samples.only(told)):
        shown = read(noun)
        assert len(page(noun).encode()) < LIMIT
        assert "text, 3,000 chunks <0>|<1>|<2>" in shown
        assert re.search(r"… [12],?\d{3} more chunks not shown", shown)


def test_long_log_shows_both_ends() -> None:
    log = samples.log([(float(place), None, TurnHeard(str(place))) for place in range(10_000)])
    shown = read(log)
    assert "… 9,950 more events not shown" in shown
    assert "9999.000" in shown
    assert len(page(log).encode()) < LIMIT


def test_how_turns_are_taken_is_told() -> None:
    class Ear:
        provider, threshold, hold_ms = "smart-turn", 0.5, 1200.0

        def probability(self, pcm: object) -> float:
            raise AssertionError

    def told(taking: TurnTaking) -> str:
        return str(mimebundle(Agent(turn_taking=taking))["text/plain"])

    assert "500 ms of silence end a turn; can be interrupted, confirmed within 600 ms" in told(TurnTaking())
    judged = told(TurnTaking(detector=Ear(), half_duplex=True, preemptive=True))
    assert "smart-turn judges when a turn ends, 1.2 s of silence at the latest; deaf while it speaks; begins to answer early" in judged
