"""Whatever fails, hangs or talks nonsense: the log and the turn say so, what was said is kept, and the next turn works."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from talking import Microphone, assert_tools_answered, bodies, one_utterance, settle, silence, talking, until

import patter_nb.conductor
import patter_nb.pipeline.thinker
from patter_nb.audio.frames import Block, Frame
from patter_nb.clock import ManualClock
from patter_nb.errors import ContentFiltered, MalformedStream, PatterError, RequestTimeout, ServerError
from patter_nb.events import AudioSent, SentenceSpoken, SessionStopped, StageFailed, ToolCalled, ToolEnded
from patter_nb.llm.base import LLMChunk
from patter_nb.patter import Patter, Serving
from patter_nb.session import Session
from patter_nb.step.answering import ANSWER_CHARS
from patter_nb.step.failing import LLM_SILENCE_MS
from patter_nb.testing import Call, Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.tool import Tool
from patter_nb.transports.base import TransportInput
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.transports.wav import WavTransport


async def failed_turn(session: Session, stage: str) -> Any:
    """Ask; the turn fails in `stage` and says so; the one after it completes."""
    turn = await session.ask("Well?")
    assert turn.status == "failed"
    assert isinstance(turn.error, PatterError)
    failures = bodies(session, StageFailed)
    assert [(body.stage, body.error) for body in failures] == [(stage, turn.error)]
    assert (await session.ask("And now?")).status == "completed"
    assert len(session.events.of(StageFailed)) == 1
    return turn


# --- the language model


async def test_a_model_that_raises_before_a_word() -> None:
    tts = ScriptedTTS()
    llm = ScriptedLLM([ServerError("overloaded", provider="x", status=529), "Fine."])
    async with talking(llm=llm, tts=tts, error_message="Sorry, try again.") as session:
        turn = await failed_turn(session, "llm")
        assert (turn.error.status, turn.agent_text, turn.heard_text) == (529, "Sorry, try again.", "Sorry, try again.")
    assert tts.said == ["Sorry, try again.", "Fine."]
    assert [message["role"] for message in llm.requests[1].messages] == ["user", "assistant", "user"]


async def test_a_model_that_raises_after_some_words_has_said_them() -> None:
    tts = ScriptedTTS()
    llm = ScriptedLLM([["The first thing is this. And the sec", ConnectionError("gone")], "Fine."])
    async with talking(llm=llm, tts=tts, error_message="Sorry.") as session:
        turn = await failed_turn(session, "llm")
        assert "ConnectionError: gone" in str(turn.error)
    assert tts.said == ["The first thing is this.", "And the sec", "Sorry.", "Fine."]
    assert turn.heard_text.startswith("The first thing is this. And the sec")
    assert llm.requests[1].messages[1]["content"].startswith("The first thing is this.")


async def test_without_an_apology_the_turn_fails_all_the_same() -> None:
    async with talking(llm=ScriptedLLM([ValueError("no"), "Fine."]), tts=ScriptedTTS()) as session:
        assert (await failed_turn(session, "llm")).agent_text == ""


@pytest.mark.parametrize(
    "nothing", ["", "  \n ", [], [LLMChunk("usage", input_tokens=1)], [LLMChunk("reasoning", content="Hm.")], [LLMChunk("done")]]
)
async def test_a_model_that_says_nothing(nothing: Any) -> None:
    async with talking(llm=ScriptedLLM([nothing, "Fine."])) as session:
        turn = await failed_turn(session, "llm")
        assert isinstance(turn.error, MalformedStream)
        assert "nothing" in str(turn.error)


async def test_an_answer_that_is_filtered_before_its_first_word_is_a_failure() -> None:
    async with talking(llm=ScriptedLLM([[LLMChunk("done", finish_reason="content_filter")], "Fine."])) as session:
        assert isinstance((await failed_turn(session, "llm")).error, ContentFiltered)


class Streams:
    """A model whose first answer is whatever `first` returns; from then on it is sane."""

    def __init__(self, first: Callable[[], Any]) -> None:
        self.first: Callable[[], Any] | None = first

    def stream(self, messages: Any, tools: Any = None) -> Any:
        first, self.first = self.first, None
        return first() if first is not None else iter(["Fine."])


async def chunks(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def a_coroutine() -> Any:
    return iter(["no"])


@pytest.mark.parametrize(
    "first",
    [
        lambda: chunks(None),
        lambda: chunks(5),
        lambda: chunks(b"bytes"),
        lambda: chunks({"no": "type"}),
        lambda: chunks({"type": "bogus"}),
        lambda: chunks({"type": ["text"]}),
        lambda: chunks({"type": "text", "content": 5}),
        lambda: chunks(LLMChunk("text", content=["a"])),  # type: ignore[arg-type]
        lambda: chunks(LLMChunk("bogus")),  # type: ignore[arg-type]
        lambda: chunks({"type": "tool_call", "index": "0", "name": "x", "arguments": "{}"}),
        lambda: chunks({"type": "tool_call", "index": 0, "name": "x", "arguments": {"a": 1}}),
        lambda: chunks({"type": "usage", "input_tokens": "many"}),
        lambda: chunks("Well, ", object()),
        lambda: None,
        lambda: "text",
        lambda: ["text"],
        a_coroutine,
    ],
)
async def test_a_model_that_streams_nonsense(first: Callable[[], Any]) -> None:
    async with talking(llm=Streams(first)) as session:
        turn = await failed_turn(session, "llm")
        assert isinstance(turn.error, MalformedStream)
        assert turn.error.hint


async def test_a_model_may_be_a_plain_generator() -> None:
    def answer() -> Iterator[Any]:
        yield "One, "
        yield {"type": "text", "content": "two."}

    async with talking(llm=Streams(answer)) as session:
        assert (await session.ask("Count.")).agent_text == "One, two."


async def test_a_plain_generator_that_raises_is_reported() -> None:
    def answer() -> Iterator[str]:
        yield "One, "
        raise OSError("no more")

    async with talking(llm=Streams(answer)) as session:
        turn = await failed_turn(session, "llm")
    assert turn.heard_text == "One,"


async def test_nothing_counts_after_done_and_the_stream_is_closed() -> None:
    closed: list[bool] = []

    async def answer() -> AsyncIterator[Any]:
        try:
            yield "Hello."
            yield {"type": "done", "finish_reason": "stop"}
            yield " And more."
        finally:
            closed.append(True)

    async with talking(llm=Streams(answer)) as session:
        assert (await session.ask("Hi")).agent_text == "Hello."
        await settle()
        assert closed == [True]


async def test_a_model_that_talks_forever_is_cut_off() -> None:
    closed: list[bool] = []

    async def forever() -> AsyncIterator[str]:
        try:
            while True:
                yield "And then they went on and on and on, and on. " * 20
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    async with talking(llm=Streams(forever), error_message="That was long.") as session:
        turn = await failed_turn(session, "llm")
    assert isinstance(turn.error, MalformedStream)
    assert str(ANSWER_CHARS) in str(turn.error)
    assert turn.heard_text.startswith("And then they went on")
    assert turn.heard_text.endswith("That was long.")
    assert closed == [True]


@pytest.mark.parametrize("chunk", ["", LLMChunk("reasoning", content="Hm."), LLMChunk("tool_call", index=0, name="x", arguments="1")])
async def test_a_model_that_never_comes_to_words_is_cut_off(monkeypatch: pytest.MonkeyPatch, chunk: Any) -> None:
    monkeypatch.setattr(patter_nb.pipeline.thinker, "MAX_CHUNKS", 500)

    async def forever() -> AsyncIterator[Any]:
        while True:
            yield chunk
            await asyncio.sleep(0)

    async with talking(llm=Streams(forever)) as session:
        assert isinstance((await failed_turn(session, "llm")).error, MalformedStream)


async def test_a_model_that_hangs_is_given_up_after_a_silence() -> None:
    clock = ManualClock()
    llm = ScriptedLLM([["What I know is this. ", Hold(asyncio.Event())], "Fine."])
    async with talking(clock=clock, llm=llm, error_message="Sorry.") as session:
        asking = asyncio.create_task(session.ask("Well?"))
        await until(lambda: len(session.chunks) == 6)
        clock.advance(LLM_SILENCE_MS - 1)
        await settle()
        assert not asking.done()
        clock.advance(1)
        turn = await asking
        assert isinstance(turn.error, RequestTimeout)
        assert turn.heard_text == "What I know is this. Sorry."
        assert (await session.ask("And now?")).status == "completed"


async def test_a_model_that_cancels_itself_is_a_failure() -> None:
    async def answer() -> AsyncIterator[str]:
        yield "Well"
        raise asyncio.CancelledError

    async with talking(llm=Streams(answer)) as session:
        assert "CancelledError" in str((await failed_turn(session, "llm")).error)


async def test_without_a_model_the_remedy_is_told() -> None:
    async with talking(llm=ScriptedLLM(["Fine."])) as session:
        session.llm = None
        turn = await session.ask("Well?")
        assert (turn.status, "session.llm = " in str(turn.error)) == ("failed", True)
        session.llm = ScriptedLLM(["Fine."])
        assert (await session.ask("And now?")).status == "completed"


async def test_a_model_that_never_stops_calling_tools() -> None:
    offered: list[int] = []

    def again(request: Any) -> Any:
        offered.append(len(request.tools))
        return Call("look")

    async with talking(llm=ScriptedLLM([*[again] * 10, "Fine."]), tools=[look], error_message="Sorry.") as session:
        turn = await failed_turn(session, "llm")
        assert "10 rounds" in str(turn.error)
        assert len(session.events.of(ToolCalled)) == len(session.events.of(ToolEnded)) == 9
        assert_tools_answered(session.history)
    assert offered == [1] * 9 + [0]


def look() -> str:
    return "there"


# --- tools


def explode() -> str:
    raise RuntimeError("boiler pressure")


def huge() -> str:
    return "x" * 10_000_000


def rubbish() -> Any:
    return {1: object(), "self": threading.Lock()}


def nothing() -> None:
    return None


@pytest.mark.parametrize(
    ("function", "status", "told"),
    [
        (explode, "failed", "boiler pressure"),
        (huge, "failed", "10,000,000 bytes"),
        (rubbish, "completed", "lock"),
        (nothing, "completed", "null"),
    ],
)
async def test_a_tool_that_misbehaves_is_told_to_the_model(function: Any, status: str, told: str) -> None:
    llm = ScriptedLLM([Call(function.__name__), "I see."])
    async with talking(llm=llm, tools=[function]) as session:
        turn = await session.ask("Go.")
        assert session.events.of(StageFailed) == []
    assert (turn.status, turn.agent_text, turn.tool_calls[0].status) == ("completed", "I see.", status)
    content = llm.requests[1].messages[-1]["content"]
    assert told in content
    assert len(content) < 2000
    assert (turn.tool_calls[0].error is None) == (status == "completed")


async def test_calls_of_one_round_run_at_once_and_are_answered_in_their_order() -> None:
    order: list[str] = []
    last = asyncio.Event()

    async def slow(name: str) -> str:
        order.append(f"{name} begins")
        if name == "c":
            last.set()
        await last.wait()
        order.append(f"{name} ends")
        return name.upper()

    llm = ScriptedLLM([[Call("slow", {"name": name}) for name in "abc"], "Done."])
    async with talking(llm=llm, tools=[slow]) as session:
        turn = await session.ask("Go.")
    assert order[:3] == ["a begins", "b begins", "c begins"]
    assert [message["content"] for message in llm.requests[1].messages[-3:]] == ["A", "B", "C"]
    assert [call.result for call in turn.tool_calls] == ["A", "B", "C"]


async def test_words_before_a_call_are_spoken_at_once() -> None:
    said: list[list[str]] = []
    tts = ScriptedTTS()

    async def look_up() -> str:
        await until(lambda: bool(tts.said))
        said.append(list(tts.said))
        return "42"

    llm = ScriptedLLM([["Let me check that for you. ", Call("look_up")], "It is 42."])
    async with talking(llm=llm, tools=[look_up], tts=tts) as session:
        turn = await session.ask("Well?")
    assert said == [["Let me check that for you."]]
    assert turn.agent_text == "Let me check that for you. It is 42."
    assert llm.requests[1].messages[-2]["content"].strip() == "Let me check that for you."


async def test_an_interruption_cancels_a_tool_and_its_result_is_never_used() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return "late"

    llm = ScriptedLLM([Call("slow"), "Stopped."])
    async with talking(llm=llm, tools=[slow]) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await started.wait()
        turn = await session.ask("Stop!")
        assert (await asking).status == "interrupted"
        await cancelled.wait()
        assert [body.status for body in bodies(session, ToolEnded)] == ["cancelled"]
        assert turn.agent_text == "Stopped."
    assert "late" not in str(llm.requests)


async def test_a_blocking_tool_that_is_given_up_keeps_nothing_waiting() -> None:
    release = threading.Event()

    def block() -> str:
        release.wait(timeout=30)
        return "late"

    llm = ScriptedLLM([Call("block"), "Stopped."])
    async with talking(llm=llm, tools=[block]) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: session.state == "calling")
        assert (await session.ask("Stop!")).agent_text == "Stopped."
        await asking
        release.set()


async def test_an_executor_of_ones_own_may_raise_anything() -> None:
    class Broken(DefaultToolExecutor):
        async def execute(self, name: str, arguments: Any, ctx: Any = None) -> str:
            raise KeyError(name)

    llm = ScriptedLLM([Call("look"), "I see."])
    async with talking(llm=llm, tools=[look], executor=Broken()) as session:
        turn = await session.ask("Go.")
    assert (turn.status, turn.tool_calls[0].status) == ("completed", "failed")
    assert "The tool executor failed: KeyError: 'look'" in str(turn.tool_calls[0].error)


async def test_a_tool_that_was_taken_away_does_not_run() -> None:
    executor = DefaultToolExecutor()
    llm = ScriptedLLM([Call("look"), "I see.", Call("look"), "I do not see."])
    async with talking(llm=llm, tools=[look], executor=executor) as session:
        await session.ask("Look.")
        session.use(tools=[])
        await session.ask("Look again.")
        assert [call.status for call in session.tool_calls] == ["completed", "failed"]
        assert "no tool 'look'" in str(session.tool_calls[1].error)
    assert executor.tools == {}


async def test_two_sessions_with_one_executor_have_each_its_own_tools() -> None:
    executor = DefaultToolExecutor()
    asked = [Call("look"), "Done."]

    def serving(name: str, *tools: Tool) -> Serving:
        agent = Patter().agent(llm=ScriptedLLM(asked), tools=tools, executor=executor)
        return Patter().serve(agent, transport=KeyboardTransport(ManualClock()), name=name)

    one, two = (serving(word, Tool("look", handler=lambda word=word: word)) for word in ("one", "two"))
    told = []
    async with one as first, two as second, serving("none") as third:
        for session in (first, second, third, first):
            session.llm = ScriptedLLM(asked)
            told.append((await session.ask("Look.")).tool_calls[0].result)
    assert told == ["one", "two", None, "one"]


async def test_a_tool_that_is_paused_stays_so_when_others_change() -> None:
    def broken() -> str:
        raise OSError("no")

    def turns(n: int) -> ScriptedLLM:
        return ScriptedLLM([Call("broken"), "Hm."] * n)

    async with talking(llm=turns(5), tools=[broken], executor=DefaultToolExecutor(clock=ManualClock())) as session:
        for _ in range(5):
            await session.ask("Try.")
        session.use(tools=[*session.tools, look], llm=turns(1))
        assert "paused" in str((await session.ask("Try.")).tool_calls[0].error)


async def test_an_executor_that_cancels_itself_is_a_failure() -> None:
    class Broken(DefaultToolExecutor):
        async def execute(self, name: str, arguments: Any, ctx: Any = None) -> str:
            raise asyncio.CancelledError

    async with talking(llm=ScriptedLLM([Call("look"), "I see."]), tools=[look], executor=Broken()) as session:
        turn = await session.ask("Go.")
    assert (turn.status, turn.tool_calls[0].status) == ("completed", "failed")


async def test_a_failed_turn_cancels_its_tools() -> None:
    class Slow(ScriptedTTS):
        async def synthesize(self, text: Any) -> AsyncIterator[Any]:
            await started.wait()
            raise OSError("no voice")
            yield

    started = asyncio.Event()

    async def slow() -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    llm = ScriptedLLM([["Let me check that for you. ", Call("slow")], "Fine."])
    async with talking(llm=llm, tools=[slow], tts=Slow()) as session:
        turn = await session.ask("Go.")
        assert (turn.status, turn.tool_calls[0].status) == ("failed", "cancelled")
        assert_tools_answered(session.history)


# --- the voice


class Voice(ScriptedTTS):
    """Says what `blocks` yields, once; from then on it hums."""

    def __init__(self, blocks: Callable[[], Any]) -> None:
        super().__init__()
        self.blocks: Callable[[], Any] | None = blocks

    def synthesize(self, text: Any) -> AsyncIterator[Any]:
        blocks, self.blocks = self.blocks, None
        return blocks() if blocks is not None else super().synthesize(text)


async def breaks_off() -> AsyncIterator[Any]:
    yield np.ones(1600, np.int16)
    raise ConnectionError("the voice is gone")


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (breaks_off, "the voice is gone"),
        (chunks, "no sound"),
        (lambda: chunks(b"\x00\x00"), "bytes"),
        (lambda: chunks(np.zeros(10, np.float32)), "float32"),
        (lambda: chunks(np.zeros((10, 2), np.int16)), "shape"),
        (lambda: chunks(None), "NoneType"),
        (lambda: None, "tts failed"),
    ],
)
async def test_a_voice_that_fails(blocks: Callable[[], Any], message: str) -> None:
    async with talking(llm=ScriptedLLM(["Hello there, my friend."] * 2), tts=Voice(blocks), error_message="Sorry.") as session:
        turn = await failed_turn(session, "tts")
        assert message in str(turn.error)
        assert "Sorry" not in turn.agent_text, "with a voice that fails nothing can be apologised for"


async def test_a_voice_that_fails_at_its_second_piece_keeps_the_first() -> None:
    tts = ScriptedTTS(failing={"Take a hat.": OSError("out of breath")})
    async with talking(llm=ScriptedLLM(["It is sunny in Rome. Take a hat.", "Fine."]), tts=tts) as session:
        turn = await failed_turn(session, "tts")
        assert (turn.heard_text, session.history[1]["content"].startswith("It is sunny in Rome.")) == ("It is sunny in Rome.", True)


async def test_a_voice_of_another_rate_is_resampled() -> None:
    async with talking(llm=ScriptedLLM(["Hello."]), tts=ScriptedTTS(sample_rate=22_050)) as session:
        await session.ask("Hi")
        assert sum(body.stop - body.start for body in bodies(session, AudioSent)) == pytest.approx(6 * 60 * 16, abs=2)
        assert len(session.events.of(SentenceSpoken)) == 1


# --- the ears


def heard(*words: Any) -> dict[str, Any]:
    """Two utterances, of which speech-to-text hears these words."""
    return {"stt": ScriptedSTT(words), "vad": RecordedVAD.speaking((500, 1500), (4000, 5000))}


async def test_speech_to_text_that_raises() -> None:
    parts = heard(ConnectionError("no line"), "Hello.")
    async with talking(transport=silence(8), llm=ScriptedLLM(["Hi."]), tts=ScriptedTTS(), error_message="Sorry?", **parts) as session:
        turn = await session.wait_turn()
        assert (turn.status, turn.agent_text) == ("failed", "Sorry?")
        assert "no line" in str(turn.error)
        await session.wait()
    assert [body.stage for body in bodies(session, StageFailed)] == ["stt"]
    assert [(turn.user_text, turn.status) for turn in session.turns] == [("", "failed"), ("Hello.", "completed")]


@pytest.mark.parametrize("method", ["push", "finalize"])
async def test_speech_to_text_that_fails_at_taking_sound(method: str) -> None:
    class Broken(ScriptedSTT):
        broken = True

        async def push(self, frame: Any) -> None:
            if self.broken and method == "push":
                raise ValueError("not this frame")
            await super().push(frame)

        async def finalize(self) -> None:
            if self.broken and method == "finalize":
                raise ValueError("no words")
            await super().finalize()

    stt = Broken(["Hello."])
    async with talking(transport=silence(8), llm=ScriptedLLM(["Hi."]), **{**heard(), "stt": stt}) as session:
        assert (await session.wait_turn()).status == "failed"
        assert len(session.events.of(StageFailed)) == 1
        stt.broken = False
        await session.wait()
    assert [turn.status for turn in session.turns] == ["failed", "completed"]


async def test_speech_to_text_that_was_not_told_enough_fails_the_turn_and_the_test() -> None:
    parts = heard("Hello.")
    async with talking(transport=silence(8), llm=ScriptedLLM(["Hi."]), **parts) as session:
        await session.wait()
    assert [turn.status for turn in session.turns] == ["completed", "failed"]
    with pytest.raises(AssertionError, match="more often"):
        parts["stt"].verify()


@pytest.mark.parametrize("value", [None, "loud", float("nan"), 1.5, -0.1, ZeroDivisionError("no model")])
async def test_a_detector_that_fails_is_told_once_and_can_be_replaced(value: Any) -> None:
    class Broken(RecordedVAD):
        calls = 0

        def probability(self, frame: Any) -> float:
            self.calls += 1
            if isinstance(value, Exception):
                raise value
            return value  # type: ignore[no-any-return]

    broken = Broken([])
    transport = WavTransport((np.zeros(16_000 * 8, np.int16), 16_000), paced=False)
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Hello."]), "vad": broken, "llm": ScriptedLLM(["Typed.", "Hi."])}
    async with talking(transport=transport, **parts) as session:
        await until(lambda: bool(session.events.of(StageFailed)))
        assert (await session.ask("Hi")).agent_text == "Typed.", "the session goes on by text"
        session.vad = RecordedVAD.speaking((4000, 5000))
        await session.wait()
    assert [body.stage for body in bodies(session, StageFailed)] == ["vad"]
    assert broken.calls == 1
    assert [turn.user_text for turn in session.turns] == ["Hi", "Hello."]


async def test_sound_without_ears_is_told_once() -> None:
    async with talking(transport=Microphone(), llm=ScriptedLLM([])) as session:
        await session.wait()
    assert ["stt=" in str(body.error) for body in bodies(session, StageFailed)] == [True]


async def test_old_ears_that_fail_at_closing_do_not_keep_new_ones_out() -> None:
    class Clinging(ScriptedSTT):
        async def aclose(self) -> None:
            raise OSError("will not go")

    async with talking(transport=silence(6), llm=ScriptedLLM(["Hi."]), stt=Clinging([]), vad=one_utterance()) as session:
        session.stt = ScriptedSTT(["Hello."])
        await session.wait()
    assert [turn.status for turn in session.turns] == ["completed"]
    assert ["will not go" in str(body.error) for body in bodies(session, StageFailed)] == [True]


async def test_new_ears_that_do_not_open_are_told_and_hold_nothing_up() -> None:
    class Deaf(ScriptedSTT):
        async def open(self, format: Any) -> None:
            raise PatterError("no ears")

    async with talking(transport=silence(6), llm=ScriptedLLM(["Typed."]), stt=ScriptedSTT([]), vad=one_utterance()) as session:
        session.stt = Deaf([])
        assert (await session.ask("Hi")).status == "completed"
        await session.wait()
    failures = bodies(session, StageFailed)
    assert [(body.stage, "no ears" in str(body.error)) for body in failures] == [("stt", True)] * 2, "at once, and for the words lost"
    assert [turn.status for turn in session.turns] == ["completed", "failed"]


async def test_new_ears_that_do_not_open_while_the_person_speaks() -> None:
    class Deaf(ScriptedSTT):
        async def open(self, format: Any) -> None:
            raise PatterError("no ears")

    vad = RecordedVAD.speaking((500, 3000))
    async with talking(transport=silence(6), llm=ScriptedLLM(["Typed."]), stt=ScriptedSTT([]), vad=vad) as session:
        await until(lambda: session.state == "listening")
        session.stt = Deaf([])
        turn = await session.wait_turn()
        assert (turn.status, turn.source) == ("failed", "speech")
        assert (await session.say("Sorry.")).status == "completed"
        assert (await session.ask("Hi")).agent_text == "Typed."
        await session.wait()
    assert {body.stage for body in bodies(session, StageFailed)} == {"stt"}
    assert bodies(session, SessionStopped)[0].reason == "the person has finished"


async def test_words_said_while_new_ears_open_are_not_lost() -> None:
    opening, opened = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedSTT):
        async def open(self, format: Any) -> None:
            opening.set()
            await opened.wait()

    class Patient(KeyboardTransport):
        async def inputs(self) -> AsyncIterator[TransportInput]:
            await opening.wait()
            for seq in range(120):
                yield Frame(np.zeros(320, np.int16), seq, seq * 20.0)
            opened.set()
            await self._closed.wait()

    new = Slow(["Hello."])
    async with talking(transport=Patient(ManualClock()), llm=ScriptedLLM(["Hi."]), stt=ScriptedSTT([]), vad=one_utterance()) as session:
        session.stt = new
        turn = await session.wait_turn()
        assert (turn.user_text, turn.status) == ("Hello.", "completed")
    assert new.pushed > 50


class Hasty(ManualClock):
    """Its patience with a provider is over as soon as nothing more happens by itself; `waits` counts how often it was."""

    waits = 0

    async def wait_wall(self, outcome: asyncio.Future[Any], limit_s: float) -> bool:
        if limit_s != patter_nb.conductor.PATIENCE_S:
            return await super().wait_wall(outcome, limit_s)
        await settle()
        self.waits += not outcome.done()
        return outcome.done()


def hasty(seconds: float) -> tuple[WavTransport, Hasty]:
    transport, clock = silence(seconds), Hasty()
    transport.clock = transport._virtual = clock
    return transport, clock


async def test_a_model_that_hangs_holds_up_the_time_of_a_file_only_once() -> None:
    transport, clock = hasty(70)
    parts: dict[str, Any] = {"stt": ScriptedSTT(["One?", "Two?"]), "vad": RecordedVAD.speaking((500, 1500), (65_000, 66_000))}
    llm = ScriptedLLM([[Hold(asyncio.Event())], "Fine."])
    async with talking(transport=transport, llm=llm, tts=ScriptedTTS(), **parts) as session:
        await session.wait()
    assert [turn.status for turn in session.turns] == ["failed", "completed"]
    assert isinstance(session.turns[0].error, RequestTimeout)
    assert clock.waits == 1


async def test_a_recording_ends_though_speech_to_text_hangs_for_ever() -> None:
    class Stuck(ScriptedSTT):
        async def push(self, frame: Any) -> None:
            await asyncio.Event().wait()

    transport, clock = hasty(4)
    async with talking(transport=transport, llm=ScriptedLLM([]), stt=Stuck([]), vad=one_utterance()) as session:
        await session.wait()
    assert [turn.status for turn in session.turns] == ["failed"]
    assert bodies(session, SessionStopped)[0].reason == "the person has finished"
    assert clock.waits <= 3


async def test_a_detector_that_hangs_is_told_once_and_can_be_replaced() -> None:
    stuck, release = threading.Event(), threading.Event()

    class Stuck(RecordedVAD):
        def probability(self, frame: Any) -> float:
            if frame.seq < 10:
                return 0.0
            stuck.set()
            release.wait()
            return 1.0

    class Clock(ManualClock):
        async def wait_wall(self, outcome: asyncio.Future[Any], limit_s: float) -> bool:
            await until(lambda: outcome.done() or stuck.is_set())
            return outcome.done()

    transport = silence(8)
    transport.clock = transport._virtual = Clock()
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Hello."]), "vad": Stuck([]), "llm": ScriptedLLM(["Typed.", "Hi."])}
    async with talking(transport=transport, **parts) as session:
        await until(lambda: bool(session.events.of(StageFailed)))
        stuck.clear()
        assert (await session.ask("Hi")).agent_text == "Typed.", "the session goes on by text"
        session.vad = RecordedVAD.speaking((4000, 5000))
        await session.wait()
    release.set()
    assert [(body.stage, type(body.error)) for body in bodies(session, StageFailed)] == [("vad", RequestTimeout)]
    assert [turn.user_text for turn in session.turns] == ["Hi", "Hello."]


SCRIPT = """
import asyncio, threading
import numpy as np
from patter_nb import Patter, WavTransport
from patter_nb.testing import ScriptedLLM, ScriptedSTT

stuck = threading.Event()

class Stuck:
    def probability(self, frame):
        stuck.set()
        threading.Event().wait()
    def reset(self):
        pass

async def main():
    transport = WavTransport((np.zeros(16000, np.int16), 16000), paced=False)
    async with Patter().serve(Patter().agent(llm=ScriptedLLM([]), stt=ScriptedSTT([]), vad=Stuck()), transport=transport):
        await asyncio.to_thread(stuck.wait)

asyncio.run(main())
"""


def test_a_detector_that_hangs_does_not_keep_the_process_from_ending() -> None:
    assert subprocess.run([sys.executable, "-c", SCRIPT], timeout=60, check=False).returncode == 0


# --- the transport


async def test_a_loudspeaker_that_fails_is_told_and_the_session_ends_all_the_same() -> None:
    class Broken(WavTransport):
        failing = True

        async def play(self, block: Block) -> None:
            if self.failing:
                raise OSError("no loudspeaker")
            await super().play(block)

    transport = Broken((np.zeros(16_000 * 8, np.int16), 16_000), paced=False)
    async with talking(transport=transport, llm=ScriptedLLM(["Hi.", "Hello."]), tts=ScriptedTTS(), **heard("One.", "Two.")) as session:
        turn = await session.wait_turn()
        assert turn.error is None, "the turn was answered; it was the loudspeaker that failed"
        transport.failing = False
        await session.wait()
    assert {body.stage for body in bodies(session, StageFailed)} == {"transport"}
    assert session.turns[1].error is None
    assert session.turns[1].heard_text == "Hello."


async def test_a_loudspeaker_that_cannot_be_silenced_is_told() -> None:
    class Broken(KeyboardTransport):
        plays = True

        async def flush(self) -> None:
            raise OSError("cannot flush")

    held = asyncio.Event()
    llm = ScriptedLLM([["Let me see what there is. And", Hold(held)], "Yes."])
    async with talking(transport=Broken(ManualClock()), llm=llm, tts=ScriptedTTS()) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: bool(session.events.of(AudioSent)))
        assert (await session.ask("Stop.")).status == "completed"
        assert (await asking).status == "interrupted"
        assert ["cannot flush" in str(body.error) for body in bodies(session, StageFailed)] == [True]
