"""Bugs that others had: one test for each, named after its row in the table of instructive bugs."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from local_web import saying, serving
from talking import assert_tools_answered, bodies, one_utterance, silence, talking, until

from patter_nb.agent import Agent, Guardrail
from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError
from patter_nb.events import ToolCalled, ToolEnded, TurnEnded
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.patter import Patter
from patter_nb.pipeline.sentences import SentenceState, flush, push
from patter_nb.testing import Call, Hold, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.outcome import ToolCallError
from patter_nb.tools.tool import Tool, tool
from patter_nb.transports.keyboard import KeyboardTransport


def pieces_of(text: str) -> list[str]:
    """The pieces of `text`, streamed to the chunker one character at a time."""
    state = SentenceState()
    pieces: list[str] = []
    for char in text:
        state, new = push(state, char)
        pieces += new
    return [*pieces, *flush(state)]


def user_words(messages: Sequence[Message]) -> str:
    return " / ".join(str(message["content"]) for message in messages if message["role"] == "user")


async def test_row_01_user_message_reaches_the_model_once() -> None:
    held = asyncio.Event()
    llm = ScriptedLLM(["Fine.", ["Well", Hold(held)], "Yes."])
    async with talking(llm=llm) as session:
        await session.ask("alpha")
        cut = asyncio.create_task(session.ask("beta"))
        await until(lambda: len(llm.requests) == 2)
        await session.ask("gamma")
        await cut
    for request, said in zip(llm.requests, (["alpha"], ["alpha", "beta"], ["alpha", "beta", "gamma"]), strict=True):
        words = user_words(request.messages)
        assert [words.count(word) for word in ("alpha", "beta", "gamma")] == [int(word in said) for word in ("alpha", "beta", "gamma")]


async def test_row_01_spoken_words_reach_the_model_once() -> None:
    llm = ScriptedLLM(["Hello there."])
    async with talking(transport=silence(), llm=llm, stt=ScriptedSTT([["al", "alpha"]]), tts=ScriptedTTS(), vad=one_utterance()) as session:
        await session.wait()
    assert user_words(llm.requests[0].messages) == "alpha"


async def test_row_02_the_turn_after_an_interruption_speaks() -> None:
    held = asyncio.Event()
    llm, tts = ScriptedLLM([["One moment. ", Hold(held)], "Here is the answer."]), ScriptedTTS()
    async with talking(llm=llm, tts=tts) as session:
        first = asyncio.create_task(session.ask("Tell me."))
        await until(lambda: len(llm.requests) == 1)
        second = await session.ask("No, wait.")
        assert (await first).status == "interrupted"
    assert (second.status, second.agent_text) == ("completed", "Here is the answer.")
    assert tts.said[-1] == "Here is the answer."


async def test_row_03_half_received_arguments_never_run() -> None:
    ran: list[str] = []
    held = asyncio.Event()
    half = LLMChunk("tool_call", index=0, id="c1", name="book", arguments='{"seat": "1')
    llm = ScriptedLLM([[half, Hold(held)], "Nothing was booked."])

    def book(seat: str) -> str:
        ran.append(seat)
        return "booked"

    async with talking(llm=llm, tools=[book]) as session:
        first = asyncio.create_task(session.ask("Book a seat."))
        await until(lambda: bool(session.chunks))
        await session.ask("Stop!")
        await first
        assert bodies(session, ToolCalled) == []
    assert ran == []
    assert_tools_answered(llm.requests[1].messages)


@pytest.mark.parametrize("arguments", ['{"city": ', "Rome", "null", "[1]", '{"town": "Rome"}', "{} {}"])
async def test_row_04_malformed_arguments_are_not_run(arguments: str) -> None:
    ran: list[str] = []

    def get_weather(city: str) -> str:
        ran.append(city)
        return "sunny"

    llm = ScriptedLLM([Call("get_weather", arguments), "Which city?"])
    async with talking(llm=llm, tools=[get_weather]) as session:
        turn = await session.ask("Weather?")
    assert ran == []
    assert (turn.status, turn.tool_calls[0].status) == ("completed", "failed")
    told = json.loads(llm.requests[1].messages[-1]["content"])
    assert "get_weather" in told["error"] or "city" in told["error"]


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
async def test_row_04_empty_arguments_run_with_none(arguments: str) -> None:
    ran: list[int] = []

    def ring() -> str:
        ran.append(1)
        return "rung"

    llm = ScriptedLLM([Call("ring", arguments), "Done."])
    async with talking(llm=llm, tools=[ring]) as session:
        turn = await session.ask("Ring!")
    assert ran == [1]
    assert (turn.tool_calls[0].status, turn.tool_calls[0].result, turn.tool_calls[0].arguments) == ("completed", "rung", {})
    assert llm.requests[1].messages[-2]["tool_calls"][0]["function"]["arguments"] == "{}"


async def test_row_05_history_holds_no_orphan_tool_message() -> None:
    started = asyncio.Event()

    async def slow() -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    async def quick() -> str:
        return "quick as that"

    llm = ScriptedLLM([Call("slow"), "Never mind.", [Call("slow"), Call("quick")], "Both."])
    async with talking(llm=llm, tools=[slow, quick]) as session:
        first = asyncio.create_task(session.ask("Be slow."))
        await started.wait()
        await session.ask("Forget it.")
        await first
        started.clear()
        again = asyncio.create_task(session.ask("Once more."))
        await until(lambda: "completed" in [call.status for call in session.tool_calls])
        await session.ask("And stop.")
        await again
        assert sorted(body.status for body in bodies(session, ToolEnded)) == ["cancelled", "cancelled", "completed"]
        assert_tools_answered(session.history)
    for request in llm.requests:
        assert_tools_answered(request.messages)


async def test_row_18_every_call_is_answered_even_of_an_unknown_tool() -> None:
    llm = ScriptedLLM([[Call("get_wether"), Call("get_weather"), Call("rm_rf")], "It is sunny."])
    async with talking(llm=llm, tools=[Tool("get_weather", handler=lambda: "sunny")]) as session:
        turn = await session.ask("Weather?")
    messages = llm.requests[1].messages
    assert_tools_answered(messages)
    assert [call["id"] for call in messages[-4]["tool_calls"]] == [message["tool_call_id"] for message in messages[-3:]]
    assert "Did you mean get_weather?" in messages[-3]["content"]
    assert [call.status for call in turn.tool_calls] == ["failed", "completed", "failed"]
    assert turn.agent_text == "It is sunny."


class Plain:
    """A provider that takes what the protocol asks for first, and nothing more."""

    async def stream(self, messages: Sequence[Message], tools: Any = None) -> AsyncIterator[str]:
        yield "Plain as it is."


async def test_row_19_a_provider_without_the_keywords_works() -> None:
    async with talking(llm=Plain()) as session:
        assert (await session.ask("Hi")).agent_text == "Plain as it is."


async def test_row_20_chunks_dicts_and_text_are_accepted() -> None:
    class Mixed:
        async def stream(
            self, messages: Sequence[Message], tools: Any = None, **options: object
        ) -> AsyncIterator[LLMChunk | Mapping[str, Any] | str]:
            yield "One, "
            yield {"type": "text", "content": "two, ", "unknown": 1}
            yield LLMChunk("text", content="three.")
            yield {"type": "usage", "input_tokens": 5, "output_tokens": 3}
            yield {"type": "done", "finish_reason": "stop"}

    async with talking(llm=Mixed()) as session:
        turn = await session.ask("Count.")
    assert turn.agent_text == "One, two, three."
    assert turn.usage == {"input_tokens": 5, "output_tokens": 3}


SECRET = Guardrail("no secrets", blocked_terms=["Swordfish"], replacement="I can't tell.")


@pytest.mark.parametrize("fragments", [["The word is Sword", "fish, friend."], list("The word is swordfish!"), ["SWORDFISH"]])
async def test_row_21_a_term_split_over_tokens_is_blocked(fragments: list[str]) -> None:
    tts = ScriptedTTS()
    async with talking(llm=ScriptedLLM([fragments]), tts=tts, guardrails=[SECRET]) as session:
        turn = await session.ask("The password?")
    assert turn.agent_text == "I can't tell."
    assert tts.said == ["I can't tell."]


async def test_row_22_history_holds_the_replacement() -> None:
    llm = ScriptedLLM(["Of course. It is swordfish, dear friend. Anything else I can do?", "No."])
    async with talking(llm=llm, tts=ScriptedTTS(), guardrails=[SECRET]) as session:
        turn = await session.ask("The password?")
        await session.ask("Again?")
    assert "swordfish" not in turn.agent_text + turn.heard_text
    kept = llm.requests[1].messages[1]
    assert kept["role"] == "assistant"
    assert "I can't tell." in kept["content"]
    assert "swordfish" not in kept["content"].casefold()
    assert kept["content"].endswith("Anything else I can do?")


ABBREVIATIONS = (
    "Mr. Mrs. Ms. Dr. Prof. Rev. Gen. Sen. Rep. Gov. Capt. Lt. Col. Sgt. St. Inc. Ltd. Jr. Sr. Co. vs. Vol. pp. cf. Mt. "
    "Ave. Blvd. Sig. Dott. Ing. Avv. Sig.ra Dott.ssa e.g. i.e. Ph.D. J. U.K. Hon. Sra."
).split()


@pytest.mark.parametrize("abbreviation", ABBREVIATIONS)
def test_row_23_an_abbreviation_does_not_end_a_sentence(abbreviation: str) -> None:
    assert len(ABBREVIATIONS) == 40
    text = f"Yesterday we met with {abbreviation} Harrison about it. Then we left the building together."
    assert pieces_of(text)[0].strip().endswith("about it.")


def test_row_24_capitals_end_a_sentence_and_acronyms_do_not() -> None:
    _, pieces = push(SentenceState(), "The name of the caller is RAMESH. What now")
    assert pieces == ("The name of the caller is RAMESH. ",)
    assert pieces_of("She moved to the U.S. Army base in the north. Good.")[0].startswith("She moved to the U.S. Army base")


@pytest.mark.parametrize(
    "whole", ["3.14", "3,14", "1,234,567.89", "https://example.com/a.b?c=d", "www.example.org", "me@example.co.uk", "10.0.0.1"]
)
def test_row_25_numbers_and_addresses_stay_whole(whole: str) -> None:
    pieces = pieces_of(f"As far as I can tell the value of it is {whole} today. And that was all of it.")
    assert any(whole in piece for piece in pieces)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("今天天气很好。我们去公园吧。", "今天天气很好。"),
        ("आज मौसम बहुत अच्छा है। हम बाहर जाएँगे।", "आज मौसम बहुत अच्छा है।"),
        ("كيف حالك اليوم يا صديقي؟ أنا بخير.", "كيف حالك اليوم يا صديقي؟"),
    ],
)
def test_row_26_other_scripts_end_their_sentences_at_once(text: str, first: str) -> None:
    _, pieces = push(SentenceState(), text[: len(first)])
    assert "".join(pieces).strip() == first


@given(st.lists(st.sampled_from(["Hello", " ", ".", "!", "\n", "3.14", "Dr.", "。", ", ", "“", "”", "a", "  "]), max_size=60))
def test_row_27_the_pieces_joined_are_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert "".join(pieces_of(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "The population was about 1,234,567 people in that year and it grew.",
        'He said "well, of course, whatever you like, my friend" and he went away.',
        'Take this one: {"city": "Rome", "country": "Italy", "people": 3, "sunny": true} and send it.',
        "It costs exactly about the sum of $ 1,500 for the two of us together.",
    ],
)
def test_row_28_a_comma_inside_something_does_not_cut(text: str) -> None:
    for piece in pieces_of(text)[:-1]:
        assert not piece.rstrip().endswith(","), piece


def test_row_28_only_the_first_piece_ends_at_a_comma() -> None:
    pieces = pieces_of("When the sun had set behind the long hills, we all went home. When the moon rose over the quiet sea, we slept.")
    assert pieces[0] == "When the sun had set behind the long hills, "
    assert pieces[-1] == "When the moon rose over the quiet sea, we slept."


async def test_row_29_a_result_json_does_not_know_is_told_after_one_attempt() -> None:
    calls: list[int] = []

    def when() -> dict[str, datetime.date]:
        calls.append(1)
        return {"day": datetime.date(2024, 2, 29)}

    llm = ScriptedLLM([Call("when"), "On the 29th."])
    async with talking(llm=llm, tools=[when]) as session:
        turn = await session.ask("When?")
    assert calls == [1]
    assert turn.tool_calls[0].status == "completed"
    assert json.loads(llm.requests[1].messages[-1]["content"]) == {"day": "2024-02-29"}


async def test_row_30_a_tool_that_hangs_times_out_and_names_the_time() -> None:
    async def hang() -> str:
        await asyncio.Event().wait()
        return "never"

    llm = ScriptedLLM([Call("hang"), "It takes too long."])
    assert DefaultToolExecutor().timeout_s == 10.0
    async with talking(llm=llm, tools=[hang], executor=DefaultToolExecutor(timeout_s=0.1)) as session:
        turn = await session.ask("Go.")
    assert turn.tool_calls[0].status == "failed"
    assert "within 0.1 s" in str(turn.tool_calls[0].error)
    assert "within 0.1 s" in llm.requests[1].messages[-1]["content"]
    assert turn.agent_text == "It takes too long."


async def test_row_31_a_webhook_is_read_to_its_limit_and_no_further() -> None:
    stopped = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        finally:
            stopped.set()

    llm = ScriptedLLM([Call("hook"), "It says too much."])
    async with serving(endless) as server:
        tools, executor = [Tool("hook", webhook_url=server.url)], DefaultToolExecutor(allow_hosts=[server.host])
        async with talking(llm=llm, tools=tools, executor=executor) as session:
            turn = await session.ask("Go.")
            async with asyncio.timeout(30):
                await stopped.wait()
        assert len(server.asked) == 1
    assert turn.tool_calls[0].status == "failed" and "too large" in str(turn.tool_calls[0].error)
    assert turn.agent_text == "It says too much."


async def test_row_32_a_half_open_breaker_lets_one_probe_through() -> None:
    clock, probing, running = ManualClock(), asyncio.Event(), 0

    async def flaky(fail: bool) -> str:
        nonlocal running
        if fail:
            raise RuntimeError("down")
        running += 1
        await probing.wait()
        return "up"

    executor = DefaultToolExecutor([tool(flaky)], clock=clock)
    for _ in range(5):
        with pytest.raises(ToolCallError):
            await executor.execute("flaky", {"fail": True})
    with pytest.raises(ToolCallError, match="paused"):
        await executor.execute("flaky", {"fail": False})
    clock.advance(30_000)
    burst = [asyncio.create_task(executor.execute("flaky", {"fail": False})) for _ in range(10)]
    await until(lambda: running and sum(task.done() for task in burst) == 9)
    assert running == 1
    probing.set()
    outcomes = await asyncio.gather(*burst, return_exceptions=True)
    assert outcomes.count("up") == 1
    assert all(isinstance(outcome, ToolCallError) and outcome.code == "circuit_open" for outcome in outcomes if outcome != "up")


THIS_MACHINE = (
    *("127.0.0.1", "2130706433", "0177.0.0.1", "017700000001", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.1", "0"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "localhost", "localhost.", "127.0.0.1.", "１２７.０.０.１"),
)


@pytest.mark.parametrize("spelling", THIS_MACHINE)
async def test_row_33_no_spelling_of_this_machine_is_called(spelling: str) -> None:
    llm = ScriptedLLM([Call("hook"), "I cannot reach it."])
    async with serving(saying("secret")) as server:
        async with talking(llm=llm, tools=[Tool("hook", webhook_url=f"http://{spelling}:{server.port}/")]) as session:
            turn = await session.ask("Go.")
        async with Patter().serve(Patter().agent(), on_message=lambda message: "Hi.", transport=KeyboardTransport(ManualClock())) as other:
            with pytest.raises(PatterConfigError, match="refused"):
                other.use(on_message=f"http://{spelling}:{server.port}/")
        assert server.asked == []
    assert turn.tool_calls[0].status == "failed" and "not allowed" in str(turn.tool_calls[0].error)
    assert turn.agent_text == "I cannot reach it."


async def test_row_34_what_a_callback_returns_counts_and_what_it_raises_ends_only_its_turn() -> None:
    def answer(message: Mapping[str, Any]) -> str:
        if message["text"] == "Break.":
            raise RuntimeError("broken")
        return f"You said {message['text']}"

    async with Patter().serve(Patter().agent(), on_message=answer, transport=KeyboardTransport(ManualClock()), name="test") as session:
        turns = [await session.ask(text) for text in ("One.", "Break.", "Two.")]
        assert session.state != "stopped"
    assert [turn.status for turn in turns] == ["completed", "failed", "completed"]
    assert (turns[0].agent_text, turns[2].agent_text) == ("You said One.", "You said Two.")
    assert "RuntimeError: broken" in str(turns[1].error)


class Falsy(ScriptedLLM):
    """Something that is there, though it counts as false."""

    def __len__(self) -> int:
        return 0


class NoTools(DefaultToolExecutor):
    def __len__(self) -> int:
        return 0


async def test_row_35_what_is_empty_is_kept() -> None:
    tools: dict[str, Tool] = {}
    executor = NoTools(tools)
    variables: dict[str, str] = {}
    agent = Patter().agent("Hi {name}", variables=variables, executor=executor, llm=Falsy([Call("late"), "Done."]))
    assert agent.variables == variables
    assert agent.executor is executor
    tools["late"] = Tool("late", handler=lambda: "in time")
    assert agent.render("Hi {name}") == "Hi {name}"
    async with talking(**{name: getattr(agent, name) for name in Agent.__dataclass_fields__}) as session:
        turn = await session.ask("Go.")
        assert bodies(session, TurnEnded)[-1].status == "completed"
    assert turn.tool_calls[0].result == "in time"


async def test_row_36_two_sessions_do_not_hear_with_the_same_ears() -> None:
    ears = ScriptedSTT([])
    async with talking(transport=silence(60.0), llm=ScriptedLLM([]), stt=ears, vad=one_utterance()):
        with pytest.raises(PatterConfigError, match="in use by the session 'test'"):
            await Patter().serve(Patter().agent(llm=ScriptedLLM([]), stt=ears), transport=silence(), name="other")
