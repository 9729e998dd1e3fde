"""Spans made of logs: which there are, in what, from when to when, and what they tell."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiOperationNameValues, GenAiProviderNameValues
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from span_rules import assert_sound, log_of, outline
from talking import one_utterance, silence, talking, until

from patter_nb import Patter
from patter_nb import events as ev
from patter_nb.clock import ManualClock
from patter_nb.display import mimebundle
from patter_nb.errors import AllProvidersFailed, PatterError, RateLimitError, ServerError
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.openai_compatible import OpenAICompatibleLLM
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.stt.base import Word
from patter_nb.testing import ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.testing.scripted import Call, Hold
from patter_nb.testing.wire import WireServer
from patter_nb.tools.tool import tool
from patter_nb.tracing import names, read_events, spans
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.turn import Turn
from patter_nb.turns import Turns

SECRET = "Rosebud"
STARTED = (0.0, None, ev.SessionStarted({"llm": "acme large"}, 16_000))
ASKED = ev.LLMRequested(1, "acme", "large", True, (), 1, ({"role": "user", "content": "Rome?"},))
DONE = LLMChunk("done", finish_reason="stop")
STOPPED = ev.SessionStopped("stop() was called")


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def spoken_turn() -> list[ev.Event]:
    """Someone speaks from 1.0 to 2.0 s; the answer calls a tool, and is heard from 3.6 s on."""
    usage = LLMChunk("usage", input_tokens=10, output_tokens=4, cache_read_tokens=90, reasoning_tokens=2, provider="acme", model="large-2")
    call = LLMChunk("tool_call", index=0, id="c1", name="get_weather", arguments="{}")
    return log_of(
        STARTED,
        (1.0, None, ev.SpeechStarted(16_000)),
        (2.2, None, ev.SpeechStopped(32_000, 200.0)),
        (2.25, None, ev.TurnJudged(32_000, 0.9)),
        (2.3, None, ev.SpeechUsed("stt", "ears", "e1", True, seconds=1.2)),
        (2.3, None, ev.TranscriptFinal("Rome?")),
        (2.5, 1, ev.TurnStarted("speech", "Rome?")),
        (2.5, 1, ev.StateChanged("thinking")),
        (2.5, 1, ev.SpeechUsed("stt", "ears", "e1", True, seconds=0.3)),
        (2.5, 1, ev.InputChecked("Rome?")),
        (2.5, 1, ASKED),
        (2.5, 1, ev.RequestSent(0, "llm", 1, "acme", "large", 1, "https://api.acme.test/v1/chat", 10, 10)),
        (2.8, 1, ev.LLMChunked(1, call)),
        (2.85, 1, ev.LLMChunked(1, usage)),
        (2.9, 1, ev.LLMChunked(1, LLMChunk("done", finish_reason="tool_calls"))),
        (2.9, 1, ev.ToolCalled("c1", "get_weather", "{}")),
        (3.1, 1, ev.ToolEnded("c1", "get_weather", "failed", "no such city", "no such city")),
        (3.1, 1, ev.LLMRequested(2, "acme", "large", True, (), 1, ())),
        (3.2, 1, ev.LLMChunked(2, LLMChunk("text", content="Sunny. Bye."))),
        (3.2, 1, ev.SentenceReady(0, 2, "Sunny. ")),
        (3.22, 1, ev.RequestAnswered(1, 200, "r2", 80.0, 120.0, 10)),
        (3.2, 1, ev.SentenceReady(1, 2, "Bye.")),
        (3.25, 1, ev.SentenceChecked(0, "Sunny. ")),
        (3.5, 1, ev.AudioSent(0, 0, 16_000)),
        (3.55, 1, ev.SpeechUsed("tts", "mouth", "m1", True, seconds=1.0, characters=7)),
        (3.55, 1, ev.SentenceSpoken(0)),
        (3.6, 1, ev.PlaybackStarted(0)),
        (3.7, 1, ev.AudioSent(1, 16_000, 24_000)),
        (3.8, 1, ev.SentenceSpoken(1)),
        (3.8, 1, ev.TurnEnded("completed")),
        (5.1, 1, ev.PlaybackEnded(24_000)),
        (5.1, 1, ev.TurnHeard("Sunny. Bye.")),
        (6.0, None, STOPPED),
    )


def test_a_spoken_turn_with_a_tool() -> None:
    made = spans(spoken_turn())
    assert outline(made) == [
        "conversation 0-6000",
        "  invoke_agent 1000-5100",
        "    speech_to_text 1000-2300",
        "    endpointing 2000-2500",
        "    chat large 2500-2900",
        "    execute_tool get_weather 2900-3100 ToolError",
        "    chat large 3100-3220",
        "    text_to_speech 3200-3550",
        "    text_to_speech 3550-3800",
        "    playback 3600-5100",
    ]
    assert_sound(made)


def held_calls(*, cleared: bool) -> list[ev.Event]:
    between = [(3.0, None, ev.BreakpointsSet(()))] if cleared else [(4.0, 1, ev.BreakpointHit("tool_call", "b", "b"))]
    second: list[Any] = [] if cleared else [(6.0, 1, ev.BreakpointLeft("tool_call", {"arguments": "{}"}, "b"))]
    return log_of(
        STARTED,
        (1.0, None, ev.BreakpointsSet(("tool_call",))),
        (1.0, 1, ev.TurnStarted("typed", "Hi")),
        (1.0, 1, ev.ToolCalled("a", "first", "{}")),
        (1.0, 1, ev.ToolCalled("b", "second", '{"x": 1}')),
        (1.0, 1, ev.BreakpointHit("tool_call", "a", "a")),
        *between[: int(cleared)],
        (4.0, 1, ev.BreakpointLeft("tool_call", {}, "a")),
        *between[int(cleared) :],
        *second,
        (7.0, 1, ev.ToolEnded("a", "first", "completed", "x", None)),
        (8.0, 1, ev.ToolEnded("b", "second", "completed", "x", None)),
        (9.0, 1, ev.TurnHeard("")),
    )


@pytest.mark.parametrize(("cleared", "begins"), [(True, 4), (False, 6)])
def test_a_tool_that_is_held_at_a_breakpoint_begins_when_it_is_let_go(cleared: bool, begins: int) -> None:
    made = spans(held_calls(cleared=cleared), capture_content=True)
    first, second = made.named("execute_tool")
    assert [(one.start_ns, one.end_ns) for one in (first, second)] == [(4 * 10**9, 7 * 10**9), (begins * 10**9, 8 * 10**9)]
    assert second.attributes[names.TOOL_ARGUMENTS] == ('{"x": 1}' if cleared else "{}")


def test_the_bar_of_a_conversation_that_goes_on_reaches_to_its_last_span() -> None:
    shown = mimebundle(spans(held_calls(cleared=True)))["text/html"]
    assert shown.count('<rect x="0.0" width="1000.0"') == 1
    assert "goes on" in shown


@pytest.mark.parametrize("length", range(1, len(spoken_turn())))
def test_a_log_that_breaks_off_has_sound_spans_too(length: int) -> None:
    begun = spoken_turn()[:length]
    assert_sound(spans(begun), over=False)
    stopped = log_of(*((event.wall_s, event.turn, event.body) for event in begun), (begun[-1].wall_s, None, STOPPED))
    assert_sound(spans(stopped))


def test_a_request_tells_what_the_conventions_ask_for() -> None:
    first, second = spans(spoken_turn()).named("chat")
    assert first.kind == "client"
    assert first.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "large",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "large-2",
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "gen_ai.response.time_to_first_chunk": 0.3,
        "gen_ai.usage.input_tokens": 100,  # those from the cache too
        "gen_ai.usage.cache_read.input_tokens": 90,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "api.acme.test",
        "server.port": 443,
        "patter.llm.iteration": 1,
        "patter.llm.history_size": 1,
    }
    assert "gen_ai.response.finish_reasons" not in second.attributes  # it never said why it ended


def test_the_other_spans_tell_theirs() -> None:
    made = spans(spoken_turn())
    (call,), (turn,), (heard,), (waited,) = map(made.named, ("execute_tool", "invoke_agent", "speech_to_text", "endpointing"))
    assert call.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.type": "function",
        "error.type": "ToolError",
        "patter.tool.status": "failed",
    }
    assert turn.attributes["gen_ai.usage.input_tokens"] == 100
    told = Turns()
    for event in spoken_turn():
        told.fold(event)
    latency = {f"patter.latency.{name}_ms": ms for name, ms in told[0].latency.items()}
    assert latency
    assert latency.items() <= turn.attributes.items()
    assert turn.attributes["patter.cost.stt_seconds"] == 1.5
    assert heard.attributes["patter.cost.stt_seconds"] == 1.5
    assert [event.attributes for event in waited.events] == [{"patter.turn.probability": 0.9}]
    voices = made.named("text_to_speech")
    assert [voice.attributes["patter.latency.ttfb_ms"] for voice in voices] == [300.0, 150.0]
    assert [voice.attributes.get("patter.cost.tts_chars") for voice in voices] == [7, None]
    assert made.named("playback")[0].attributes["patter.playback.heard_ms"] == 1500.0
    assert {span.attributes.get("gen_ai.conversation.id") for span in (made[0], turn)} == {"main-0"}


def test_every_name_is_one_of_the_conventions() -> None:
    known = {value for name, value in vars(conventions).items() if name.startswith("GEN_AI_")}
    known |= {error_attributes.ERROR_TYPE, server_attributes.SERVER_ADDRESS, server_attributes.SERVER_PORT}
    used = {key for span in spans(spoken_turn(), capture_content=True) for key in span.attributes if not key.startswith("patter.")}
    assert len(used) > 15
    assert not used - known
    ours = {value for value in vars(names).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    assert not ours - known
    operations = {one.value for one in GenAiOperationNameValues}
    assert {names.CHAT, names.INVOKE_AGENT, names.EXECUTE_TOOL} <= operations
    assert names.vendor("google") in {one.value for one in GenAiProviderNameValues}


def test_content_is_there_only_when_it_is_asked_for() -> None:
    silent, told = spans(spoken_turn()), spans(spoken_turn(), capture_content=True)
    assert not [span for span in silent if names.CONTENT & span.attributes.keys() or span.message]
    (heard,), (call,) = told.named("speech_to_text"), told.named("execute_tool")
    assert heard.attributes["patter.stt.text"] == "Rome?"
    assert (call.attributes["gen_ai.tool.call.result"], call.message) == ("no such city", "no such city")
    first, _ = told.named("chat")
    assert json.loads(str(first.attributes["gen_ai.input.messages"])) == [{"role": "user", "parts": [{"type": "text", "content": "Rome?"}]}]
    called = {"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {}}
    assert json.loads(str(first.attributes["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": [called], "finish_reason": "tool_call"}
    ]


def test_speech_that_became_no_turn_is_of_the_conversation() -> None:
    made = spans(
        log_of(
            STARTED,
            (1.0, None, ev.SpeechStarted(16_000)),
            (1.4, None, ev.SpeechStopped(20_000, 200.0)),
            (1.5, None, ev.TranscriptFinal("")),
            (1.7, None, ev.UtteranceDropped("", "no words")),
            (1.7, None, ev.SpeechUsed("stt", "ears", None, True, seconds=0.6)),
            (2.0, None, ev.SpeechStarted(32_000)),
            (2.5, None, ev.StageFailed("stt", ServerError("broke"))),
            (3.0, None, ev.SpeechStarted(48_000)),
            (3.5, None, STOPPED),
        )
    )
    assert outline(made) == [
        "conversation 0-3500",
        "  speech_to_text 1000-1500",
        "  speech_to_text 2000-2500 ServerError",
        "  speech_to_text 3000-3500",
    ]
    assert [span.attributes["patter.dropped"] for span in made[1:]] == ["no words", "speech-to-text failed", "stop() was called"]
    assert made[1].attributes["patter.cost.stt_seconds"] == 0.6
    assert_sound(made)


def test_words_that_never_came_fail_their_turn_and_its_hearing() -> None:
    error = ServerError("broke", status=503)
    made = spans(
        log_of(
            STARTED,
            (1.0, None, ev.SpeechStarted(16_000)),
            (2.0, 1, ev.TurnStarted("speech", "")),
            (2.0, 1, ev.StageFailed("stt", error)),
            (2.1, 1, ev.TurnEnded("failed", error)),
            (2.1, 1, ev.TurnHeard("")),
            (3.0, None, STOPPED),
        )
    )
    assert outline(made)[1:] == ["  invoke_agent 1000-2100 ServerError", "    speech_to_text 1000-2000 ServerError"]
    assert made[1].events[0].attributes == {"patter.stage": "stt", "error.type": "ServerError", "patter.error.status": 503}


def test_an_answer_begun_early_is_its_turns_or_thrown_away() -> None:
    made = spans(
        log_of(
            STARTED,
            (1.0, None, ev.SpeechStarted(16_000)),
            (1.6, None, ev.SpeechStopped(24_000, 100.0)),
            (1.6, None, ev.TranscriptFinal("Rome")),
            (1.6, 1, ev.PreemptiveStarted("Rome")),
            (1.6, 1, ASKED),
            (1.8, 1, ev.LLMChunked(1, LLMChunk("text", content="Rome is"))),
            (1.9, 1, ev.SpeechStarted(30_000)),
            (1.9, 1, ev.PreemptiveDropped("the person went on")),
            (2.3, None, ev.SpeechStopped(35_000, 100.0)),
            (2.3, None, ev.TranscriptFinal("or Pisa?")),
            (2.3, 1, ev.PreemptiveStarted("Rome or Pisa?")),
            (2.4, 1, ASKED),
            (2.5, 1, ev.LLMChunked(1, LLMChunk("text", content="Pisa."))),
            (2.6, 1, ev.TurnStarted("speech", "Rome or Pisa?")),
            (2.7, 1, ev.LLMChunked(1, DONE)),
            (2.7, 1, ev.TurnEnded("completed")),
            (2.7, 1, ev.TurnHeard("")),
            (3.0, None, STOPPED),
        )
    )
    assert outline(made) == [
        "conversation 0-3000",
        "  invoke_agent 1000-2700",
        "    speech_to_text 1000-2300",
        "    endpointing 2200-2600",
        "    chat large 2400-2700",
        "  discarded_answer 1600-1900",
        "    chat large 1600-1900",
    ]
    thrown_away = made[-1].attributes
    assert (thrown_away["patter.usage.estimated"], thrown_away["gen_ai.usage.output_tokens"]) == (True, 1)


def test_an_engine_and_what_it_tells_when_its_turn_is_over() -> None:
    made = spans(
        log_of(
            STARTED,
            (1.0, None, ev.SpeechStarted(16_000)),
            (2.0, None, ev.SpeechStopped(32_000, 0.0)),
            (2.4, 1, ev.TurnStarted("speech", "")),
            (2.4, 1, ev.LLMRequested(1, "google", "live", True, (), 0, (), "engine")),
            (2.5, 1, ev.SentenceReady(0, 1, "")),
            (2.5, 1, ev.AudioSent(0, 0, 1600)),
            (2.6, 1, ev.SentenceChecked(0, "Sunny.")),
            (2.6, 1, ev.LLMChunked(1, LLMChunk("text", content="Sunny."))),
            (2.7, 1, ev.TranscriptFinal("Rome?")),
            (2.7, 1, ev.TurnWords("Rome?")),
            (2.7, 1, ev.PlaybackStarted(0)),
            (2.8, 1, ev.SpeechStarted(40_000)),
            (2.8, 1, ev.TurnEnded("interrupted")),
            (2.8, 1, ev.PlaybackEnded(800, 800)),
            (2.8, 1, ev.TurnHeard("Sun", interrupted=True)),
            (2.9, 1, ev.LLMChunked(1, LLMChunk("usage", input_tokens=7, output_tokens=3))),
            (3.0, None, STOPPED),
        )
    )
    assert outline(made) == [
        "conversation 0-3000",
        "  invoke_agent 1000-2800",
        "    speech_to_text 1000-2400",
        "    endpointing 2000-2400",
        "    chat live 2400-2800",
        "    playback 2700-2800",
        "  speech_to_text 2800-3000",
    ]
    (asked,) = made.named("chat")
    assert (asked.attributes["gen_ai.output.type"], asked.attributes["gen_ai.provider.name"]) == ("speech", "gcp.gen_ai")
    assert [event.name for event in made[1].events] == ["patter.event.interruption"]
    late = made[0].events[-1]
    assert late.name == "patter.event.llm_chunk"
    assert late.attributes == {"patter.turn.id": 1, "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    assert_sound(made)


def test_a_turn_that_was_offered_is_taken_up_again() -> None:
    made = spans(
        log_of(
            STARTED,
            (1.0, 1, ev.TurnStarted("speech", "Rome?")),
            (1.0, 1, ev.TurnOffered("Rome?", 9000.0)),
            (4.0, 1, ev.TurnAccepted()),
            (4.0, 1, ASKED),
            (4.1, 1, ev.LLMChunked(1, DONE)),
            (4.2, 1, ev.TurnEnded("completed")),
            (4.2, 1, ev.TurnHeard("")),
        )
    )
    assert outline(made) == ["conversation 0-", "  invoke_agent 1000-1000", "  invoke_agent 4000-4200", "    chat large 4000-4100"]
    assert [span.attributes["patter.turn.status"] for span in made.named("invoke_agent")] == ["offered", "completed"]
    assert_sound(made, over=False)


def test_a_session_that_cannot_go_on_ends_with_its_error() -> None:
    made = spans(
        log_of(STARTED, (1.0, None, ev.StageFailed("transport", PatterError("gone"))), (1.0, None, ev.SessionStopped("it failed")))
    )
    assert outline(made) == ["conversation 0-1000 PatterError"]


async def test_a_real_session_that_is_typed_to() -> None:
    replies = [[SECRET, " ", Call("get_weather", {"city": SECRET})], f"It is {SECRET}."]
    async with talking(llm=ScriptedLLM(replies), tools=(get_weather,)) as session:
        await session.ask(f"Where is {SECRET}?")
        made = session.spans()
        assert [(span.name, depth) for span, depth in zip(made, made.depths, strict=True)] == [
            ("conversation", 0),
            ("invoke_agent", 1),
            ("chat script", 2),
            ("execute_tool get_weather", 2),
            ("chat script", 2),
        ]
        assert made[0].end_ns is None
        assert_sound(made, over=False)
    made = session.spans()
    assert_sound(made)
    assert SECRET not in repr(list(made))
    assert SECRET in repr(list(session.spans(capture_content=True)))


async def test_a_tool_that_runs_when_the_session_ends_is_cut_off_with_it() -> None:
    running = asyncio.Event()

    @tool
    async def wait_for_it() -> str:
        """Wait."""
        running.set()
        await asyncio.Event().wait()
        return "never"

    async with talking(llm=ScriptedLLM([Call("wait_for_it")]), tools=(wait_for_it,)) as session:
        asking = asyncio.ensure_future(session.ask("Wait."))
        await running.wait()
    await asking
    made = session.spans()
    (call,) = made.named("execute_tool")
    assert (call.attributes["patter.tool.status"], call.error) == ("cancelled", None)
    assert made.named("invoke_agent")[0].attributes["patter.turn.status"] == "interrupted"
    assert_sound(made)


async def test_a_model_and_a_voice_that_break() -> None:
    broken = ScriptedTTS(failing={"Fine.": ServerError(SECRET, status=500)})
    llm = ScriptedLLM([RateLimitError(SECRET, status=429), "Fine."])
    async with talking(llm=llm, tts=broken) as session:
        await session.ask("One?")
        await session.ask("Two?")
    made = session.spans()
    assert [span.error for span in made.named("invoke_agent")] == ["RateLimitError", "ServerError"]
    assert [span.error for span in made.named("chat")] == ["RateLimitError", None]
    assert [span.error for span in made.named("text_to_speech")] == ["ServerError"]
    assert_sound(made)
    assert SECRET not in repr(list(made))


async def test_a_vendor_is_named_by_its_address() -> None:
    async with WireServer(["It is sunny."], models=("test",)) as server:
        llm = OpenAICompatibleLLM(base_url=server.openai_url, model="test", api_key="test-key")
        async with Patter().serve(Patter().agent(llm=llm), transport=KeyboardTransport(ManualClock())) as session:
            await session.ask("Rome?")
    (asked,) = session.spans().named("chat")
    where = urlsplit(server.openai_url)
    assert (asked.attributes["server.address"], asked.attributes["server.port"]) == (where.hostname, where.port)
    assert asked.kind == "client"


def test_an_address_that_names_no_port_there_can_be_has_a_span() -> None:
    sent = ev.RequestSent(0, "llm", 1, "acme", "large", 1, "http://127.0.0.1:99999/v1", 10, 10)
    (asked,) = spans(log_of(STARTED, (1.0, 1, ev.TurnStarted("typed", "Rome?")), (1.0, 1, ASKED), (1.1, 1, sent))).named("chat")
    assert asked.attributes["server.address"] == "127.0.0.1"
    assert "server.port" not in asked.attributes


async def test_a_spoken_session_and_its_file_give_the_same_spans(tmp_path: Path) -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Rome?"]), "tts": ScriptedTTS(), "vad": one_utterance(), "tools": (get_weather,)}
    llm = ScriptedLLM([["Let me look. ", Call("get_weather", {"city": "Rome"})], "Sunny. Bye."])
    async with talking(llm=llm, transport=silence(), turn_taking=TurnTaking(preemptive=True), **parts) as session:
        await session.wait()
    made = session.spans(capture_content=True)
    assert {span.name.partition(" ")[0] for span in made} == {
        *("conversation", "invoke_agent", "speech_to_text", "endpointing", "chat", "execute_tool", "text_to_speech", "playback")
    }
    assert_sound(made)
    session.events.write(tmp_path / "events.jsonl")
    again = spans(tmp_path / "events.jsonl", name="test", began_ns=made[0].start_ns, capture_content=True)
    assert list(again) == list(made)


def test_every_kind_of_error_and_value_is_read_back(tmp_path: Path) -> None:
    limited = RateLimitError("slow", retry_after_s=2.0, provider="acme", status=429)
    used = ev.SpeechUsed("stt", "ears", None, True, tokens=(LLMChunk("usage", input_tokens=1),))
    written = log_of(
        STARTED,
        (1.0, None, ev.StageFailed("llm", AllProvidersFailed("all", [limited, ServerError("broke", status=500)]))),
        (1.0, None, ev.TranscriptFinal("Hi\u2028there\x85", 0.5, (Word("Hi", 0.0, 1.0),))),
        (1.0, None, used),
        (1.0, 1, ASKED),
        (2.0, None, STOPPED),
    )
    (tmp_path / "log").write_text("".join(json.dumps(event.to_dict(), ensure_ascii=False) + "\n" for event in written), "utf-8")
    read = read_events(tmp_path / "log")
    assert [event.to_dict() for event in read] == [event.to_dict() for event in written]
    assert isinstance(read[1].body, ev.StageFailed)
    assert isinstance(read[1].body.error, AllProvidersFailed)
    assert isinstance(read[1].body.error.errors[0], RateLimitError)
    assert (read[2], read[3], read[4]) == (written[2], written[3], written[4])


@pytest.mark.parametrize("line", ["{", "[]", '{"type": "no_such"}', '{"type": "tick"}', '{"type": "tick", "due_ms": 1}'])
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "log").write_text(json.dumps(log_of(STARTED)[0].to_dict()) + f"\n{line}\n")
    with pytest.raises(PatterError, match="Line 2"):
        read_events(tmp_path / "log")
    with pytest.raises(PatterError, match="cannot be read"):
        read_events(tmp_path / "nothing")


def test_a_waterfall_is_shown() -> None:
    bundle = mimebundle(spans(spoken_turn()))
    assert "    execute_tool get_weather  200 ms  ToolError" in bundle["text/plain"].splitlines()
    assert bundle["text/html"].count("<rect") == 10
    many = log_of(
        STARTED, *((float(at), None, body) for at in range(5000) for body in (ev.SpeechStarted(0), ev.UtteranceDropped("", "no")))
    )
    shown = mimebundle(spans(many))
    assert len(shown["text/html"]) < 100_000
    assert "4,801 more spans" in shown["text/html"]
    assert mimebundle(spans([]))["text/plain"] == "no spans"


def test_nothing_of_opentelemetry_is_loaded_by_a_session_and_its_spans() -> None:
    code = """
import asyncio, sys
from patter_nb import Patter
from patter_nb.clock import ManualClock
from patter_nb.testing import ScriptedLLM
from patter_nb.transports.keyboard import KeyboardTransport

async def main():
    phone = Patter()
    async with phone.serve(phone.agent(llm=ScriptedLLM(["Hi."])), transport=KeyboardTransport(ManualClock())) as session:
        await session.ask("Hello?")
    assert "patter_nb.tracing" not in sys.modules, "loaded though nobody asked"
    assert len(session.spans()) == 3
    session.spans()._repr_mimebundle_()

asyncio.run(main())
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PATTER_OTEL_ENABLED": "1"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


async def test_interrupted_by_the_next_words() -> None:
    gate = asyncio.Event()
    llm = ScriptedLLM([["Once upon ", Hold(gate), "a time."], "Yes?"])
    async with talking(llm=llm) as session:
        first = asyncio.ensure_future(session.ask("A story."))
        await until(lambda: session.turns and session.turns[0].chunks)
        await session.ask("Stop!")
        turn: Turn = await first
    assert turn.status == "interrupted"
    made = session.spans()
    one, two = made.named("invoke_agent")
    assert [event.name for event in one.events] == ["patter.event.interruption"]
    assert not two.events
    assert made.children(one)[0].end_ns == one.end_ns
    assert_sound(made)
