"""A session as its user meets it: talking to it, changing it while it runs, from its own loop and from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from talking import bodies, one_utterance, settle, silence, talking, until

from patter_nb.agent import Filler, PipelineHooks
from patter_nb.audio.frames import Frame
from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError, PatterError, RequestTimeout
from patter_nb.events import (
    AgentChanged,
    Event,
    SentenceReady,
    SentenceSpoken,
    SessionStopped,
    StageFailed,
    StateChanged,
    Tick,
    ToolEnded,
    TurnHeard,
    TurnOffered,
)
from patter_nb.patter import Patter
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.session import Session
from patter_nb.testing import Call, Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.tools.tool import tool
from patter_nb.transports.base import Played, Transport, TransportInput
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.turn import Turn

# --- ask and say


async def test_ask_returns_the_complete_turn() -> None:
    async with talking(llm=ScriptedLLM(["It is sunny in Rome. Enjoy!"])) as session:
        turn = await session.ask("Weather?")
        assert session.turns[-1] is turn
    assert (turn.id, turn.source, turn.status) == (1, "typed", "completed")
    assert (turn.user_text, turn.agent_text, turn.heard_text) == ("Weather?", "It is sunny in Rome. Enjoy!", "It is sunny in Rome. Enjoy!")
    assert (turn.provider, turn.model, turn.error) == ("scripted", "script", None)


@pytest.mark.parametrize("text", ["", "  \n", None, 5])
async def test_empty_text_is_refused(text: Any) -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        with pytest.raises(PatterConfigError, match="ask"):
            await session.ask(text)
        with pytest.raises(PatterConfigError, match="say"):
            await session.say(text)
        assert len(session.turns) == 0


async def test_asking_while_it_answers_interrupts() -> None:
    held = asyncio.Event()
    llm = ScriptedLLM([["The first answer. ", Hold(held)], "The second."])
    async with talking(llm=llm) as session:
        first = asyncio.create_task(session.ask("One?"))
        await until(lambda: bool(bodies(session, SentenceReady)) or len(session.chunks) > 2)
        second = await session.ask("Two?")
        assert (await first).status == "interrupted"
        assert (second.status, second.agent_text) == ("completed", "The second.")


async def test_asking_while_it_is_heard_interrupts_and_keeps_what_was_heard() -> None:
    class Cursor(KeyboardTransport):
        plays = True

    llm = ScriptedLLM(["One two three four five.", "Yes?"])
    async with talking(transport=Cursor(ManualClock()), llm=llm, tts=ScriptedTTS()) as session:
        turn = await session.ask("Count.")
        assert (turn.status, turn.heard_text) == ("completed", "")
        session._conductor.feed(Played(len("One two three ") * 960))
        await session.ask("Stop.")
        assert (turn.status, turn.heard_text, turn.agent_text) == ("interrupted", "One two three", "One two three four five.")
    assert llm.requests[1].messages[1] == {"role": "assistant", "content": "One two three"}


async def test_say_speaks_without_the_model_and_is_history() -> None:
    llm, tts = ScriptedLLM(["Fine."]), ScriptedTTS()
    async with talking(llm=llm, tts=tts) as session:
        turn = await session.say("Good morning. How are you?")
        assert (turn.source, turn.user_text, turn.agent_text) == ("say", "", "Good morning. How are you?")
        assert llm.requests == []
        await session.ask("Well.")
    assert llm.requests[0].messages[0] == {"role": "assistant", "content": "Good morning. How are you?"}
    assert tts.said[0].startswith("Good morning.")


async def test_several_says_are_spoken_in_order_each_as_its_own_turn() -> None:
    async with talking(llm=ScriptedLLM([]), tts=ScriptedTTS()) as session:
        turns = await asyncio.gather(*(session.say(f"Number {n}.") for n in range(4)))
        assert [turn.agent_text for turn in turns] == [f"Number {n}." for n in range(4)]
        assert [turn.id for turn in turns] == [1, 2, 3, 4]


async def test_say_waits_until_the_answer_is_over() -> None:
    held = asyncio.Event()
    async with talking(llm=ScriptedLLM([["Wait. ", Hold(held), "Done."]])) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: bool(session.chunks))
        saying = asyncio.create_task(session.say("And now this."))
        await until(lambda: bool(session._conductor.state.queue))
        assert len(session.turns) == 1
        held.set()
        assert (await asking).status == "completed"
        assert (await saying).id == 2


async def test_a_greeting_is_a_turn_and_variables_fill_it() -> None:
    llm = ScriptedLLM(["Fine, {name}."])
    parts: dict[str, Any] = {
        "system_prompt": "Help {name}, {other}.",
        "first_message": "Hello {name}!",
        "variables": {"name": "{other}", "unused": 1},
    }
    async with talking(llm=llm, **parts) as session:
        await until(lambda: bool(session.events.of(TurnHeard)))
        assert (session.turns[0].source, session.turns[0].agent_text) == ("greeting", "Hello {other}!")
        turn = await session.ask("How are you?")
    assert llm.requests[0].messages[0] == {"role": "system", "content": "Help {other}, {other}."}
    assert turn.agent_text == "Fine, {name}.", "only what the agent is told is filled in, never what the model says"


# --- timeouts


async def test_a_timeout_fails_the_turn_and_the_next_one_works() -> None:
    clock = ManualClock()
    llm = ScriptedLLM([["What I know is this. ", Hold(asyncio.Event())], "Better."])
    async with talking(clock=clock, llm=llm, error_message="Sorry, that took too long.") as session:
        asking = asyncio.create_task(session.ask("Well?", timeout_s=5))
        await until(lambda: bool(session.chunks))
        clock.advance(4999)
        await settle()
        assert not asking.done()
        clock.advance(1)
        turn = await asking
        assert turn.status == "failed"
        assert isinstance(turn.error, RequestTimeout)
        assert "5 s" in str(turn.error)
        assert "Sorry" not in turn.agent_text, "the caller knows, and the person was told nothing by a voice that may hang"
        assert (await session.ask("Again?", timeout_s=5)).status == "completed"


async def test_a_timeout_holds_also_where_the_voice_hangs() -> None:
    class Hung(ScriptedTTS):
        async def synthesize(self, text: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    clock = ManualClock()
    async with talking(clock=clock, llm=ScriptedLLM(["Here you are."]), tts=Hung(), error_message="Sorry.") as session:
        asking = asyncio.create_task(session.ask("Well?", timeout_s=1))
        await until(lambda: bool(session.events.of(SentenceReady)))
        clock.advance(1000)
        turn = await asking
        assert (turn.status, clock.now_ms()) == ("failed", 1000)
        assert "1 s" in str(turn.error)


async def test_a_timeout_holds_also_after_a_change_in_the_middle_of_the_answer() -> None:
    clock = ManualClock()
    async with talking(clock=clock, llm=ScriptedLLM([[Hold(asyncio.Event())]])) as session:
        asking = asyncio.create_task(session.ask("Well?", timeout_s=5))
        await until(lambda: session.state == "thinking" and bool(session._conductor.state.answer and session._conductor.state.answer.base))
        session.use(when="now", llm=ScriptedLLM([[Hold(asyncio.Event())]]))
        await settle()
        clock.advance(5000)
        assert isinstance((await asking).error, RequestTimeout)


async def test_a_timeout_that_was_not_needed_leaves_nothing() -> None:
    async with talking(llm=ScriptedLLM(["Quick."] * 3)) as session:
        await session.ask("Go.", timeout_s=1000)
        before = len(asyncio.all_tasks())
        await session.ask("Go.", timeout_s=1000)
        await session.ask("Go.", timeout_s=1000)
        await until(lambda: len(asyncio.all_tasks()) == before)


async def test_cancelling_an_ask_leaves_the_session_alive() -> None:
    held = asyncio.Event()
    async with talking(llm=ScriptedLLM([[Hold(held), "Late."], "Next."])) as session:
        asking = asyncio.create_task(session.ask("Well?"))
        await until(lambda: session.state == "thinking")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await session.ask("Go on.")).agent_text == "Next."


# --- wait, wait_turn, stop, accept


async def test_wait_turn_gives_the_next_turn_that_is_over() -> None:
    async with talking(llm=ScriptedLLM(["One.", RuntimeError("no")])) as session:
        waiting = asyncio.create_task(session.wait_turn())
        await settle()
        asked = await session.ask("Go.")
        assert await waiting is asked
        waiting = asyncio.create_task(session.wait_turn())
        await settle()
        await session.ask("Go.")
        assert (await waiting).status == "failed"


async def test_what_waits_is_told_when_the_session_stops() -> None:
    async with talking(llm=ScriptedLLM([[Hold(asyncio.Event())]])) as session:
        ending = asyncio.create_task(session.wait())
        asking = asyncio.create_task(session.ask("Well?"))
        await until(lambda: session.state == "thinking")
        saying = asyncio.create_task(session.say("Later."))
        await until(lambda: bool(session._conductor.state.queue))
        await session.stop()
        await ending
        assert (await asking).status == "interrupted"
        with pytest.raises(PatterConfigError, match="ended before"):
            await saying


async def test_wait_turn_is_told_when_the_session_stops() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        waiting = asyncio.create_task(session.wait_turn())
        await settle()
        await session.stop()
        with pytest.raises(PatterConfigError, match="ended before"):
            await waiting


async def test_stopping_twice_is_the_same_as_once() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        await asyncio.gather(session.stop(), session.stop())
        await session.stop()
    assert len(session.events.of(SessionStopped)) == 1


@pytest.mark.parametrize("verb", ["ask", "say"])
async def test_a_session_that_is_over_says_so(verb: str) -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        pass
    with pytest.raises(PatterConfigError, match=r"over.*phone\.serve"):
        await (session.ask("Hi") if verb == "ask" else session.say("Hi"))
    with pytest.raises(PatterConfigError, match="over"):
        await session.wait_turn()
    with pytest.raises(PatterConfigError, match="over"):
        session.system_prompt = "x"
    assert session.state == "stopped"


class Late(KeyboardTransport):
    """Brings two seconds of sound whose frames are all six seconds late."""

    async def inputs(self) -> AsyncIterator[TransportInput]:
        for seq in range(150):
            yield Frame(np.zeros(320, np.int16), seq, seq * 20.0, late_ms=6000.0)
        await self._closed.wait()


async def test_words_that_come_too_late_are_offered_and_can_be_accepted() -> None:
    llm = ScriptedLLM(["Sunny."])
    parts: dict[str, Any] = {"stt": ScriptedSTT(["The weather?"]), "vad": one_utterance(), "tts": ScriptedTTS()}
    async with talking(transport=Late(ManualClock()), llm=llm, **parts) as session:
        turn = await session.wait_turn()
        assert (turn.status, turn.user_text, llm.requests) == ("offered", "The weather?", [])
        assert bodies(session, TurnOffered)[0].late_ms == 6000.0
        assert await session.accept(turn) is turn
        assert (turn.status, turn.agent_text) == ("completed", "Sunny.")
        with pytest.raises(PatterConfigError, match="completed"):
            await session.accept(turn)
        with pytest.raises(PatterConfigError, match="not one of this session"):
            await session.accept(Turn(1, status="offered"))


@pytest.mark.parametrize("moment", ["greeting", "checking", "thinking", "calling", "speaking", "listening"])
async def test_stopping_in_the_middle_of_anything_leaves_nothing(moment: str) -> None:
    never = asyncio.Event()

    async def wait(*_: object) -> str:
        await never.wait()
        return ""

    class Slow(ScriptedTTS):
        async def synthesize(self, text: Any) -> AsyncIterator[Any]:
            await never.wait()
            async for block in super().synthesize(text):
                yield block

    parts: dict[str, dict[str, Any]] = {
        "greeting": {"first_message": "Hello.", "tts": Slow()},
        "checking": {"hooks": PipelineHooks(after_transcribe=wait)},
        "thinking": {"llm": ScriptedLLM([[Hold(never)]])},
        "calling": {"llm": ScriptedLLM([Call("wait")]), "tools": [_waiting(never)]},
        "speaking": {"llm": ScriptedLLM(["Hello."]), "tts": Slow()},
        "listening": {"stt": ScriptedSTT([]), "vad": RecordedVAD.speaking((0, 60_000))},
    }
    transport: Transport = KeyboardTransport(ManualClock()) if moment != "listening" else silence(30)
    async with talking(transport=transport, **{"llm": ScriptedLLM([]), **parts[moment]}) as session:
        asking = None if moment in ("greeting", "listening") else asyncio.create_task(session.ask("Go."))
        states = {"checking": "thinking", "greeting": "thinking", "speaking": "thinking"}
        await until(lambda: session.state == states.get(moment, moment))
        if moment == "speaking":
            await until(lambda: bool(session.events.of(SentenceReady)))
        await session.stop()
        if asking is not None:
            assert (await asking).status == "interrupted"
    if moment == "calling":
        assert [body.status for body in bodies(session, ToolEnded)] == ["cancelled"]


def _waiting(never: asyncio.Event) -> Callable[[], Any]:
    async def wait() -> str:
        await never.wait()
        return "never"

    return wait


async def test_stopping_from_within_a_tool() -> None:
    sessions: list[Session] = []

    async def hang_up() -> str:
        await sessions[0].stop()
        return "gone"

    async with talking(llm=ScriptedLLM([Call("hang_up")]), tools=[hang_up]) as session:
        sessions.append(session)
        turn = await session.ask("Goodbye.")
        await session.wait()
    assert turn.status == "interrupted"


# --- what ends a session


async def test_an_error_at_the_end_is_raised_by_wait_and_by_stop(caplog: pytest.LogCaptureFixture) -> None:
    class Unwritable(KeyboardTransport):
        async def aclose(self) -> None:
            await super().aclose()
            raise OSError("disk full")

    before = asyncio.all_tasks()
    session = await Patter().serve(Patter().agent(llm=ScriptedLLM([])), transport=Unwritable())
    with pytest.raises(PatterError, match="disk full"):
        await session.stop()
    with pytest.raises(PatterError, match="disk full"):
        await session.wait()
    assert "could not close" in caplog.text
    assert asyncio.all_tasks() == before


async def test_a_transport_that_breaks_ends_the_session_with_its_error() -> None:
    class Broken(KeyboardTransport):
        async def inputs(self) -> AsyncIterator[TransportInput]:
            raise ConnectionResetError("the line is dead")
            yield

    before = asyncio.all_tasks()
    session = await Patter().serve(Patter().agent(llm=ScriptedLLM([])), transport=Broken())
    with pytest.raises(PatterError, match=r"transport failed.*the line is dead") as raised:
        await session.wait()
    assert isinstance(raised.value.__cause__, ConnectionResetError)
    assert [body.stage for body in bodies(session, StageFailed)] == ["transport"]
    assert session.state == "stopped"
    assert asyncio.all_tasks() == before


async def test_a_fault_in_the_machinery_is_not_swallowed(caplog: pytest.LogCaptureFixture) -> None:
    async def crash() -> None:
        raise ZeroDivisionError("a bug")

    session = await Patter().serve(Patter().agent(llm=ScriptedLLM([])), transport=KeyboardTransport())
    session._conductor.tasks.spawn(crash(), "a task with a bug")
    with caplog.at_level(logging.ERROR, "patter_nb"), pytest.raises(PatterError, match="a bug"):
        await session.wait()
    assert "a bug" in caplog.text
    assert [body.stage for body in bodies(session, StageFailed)] == ["session"]


@pytest.mark.parametrize("at", ["turn_started", "llm_requested", "turn_ended", "session_stopped"])
async def test_a_bug_in_a_fold_of_our_own_ends_the_session_with_it(at: str, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def fold(event: Event) -> None:
        if event.type == at:
            raise ZeroDivisionError("a bug in a fold")

    before = asyncio.all_tasks()
    session = await Patter().serve(Patter().agent(llm=ScriptedLLM(["Fine."])), transport=KeyboardTransport(ManualClock()))
    session.events.subscribe(lambda event: told.append(event.type))
    session.events.add_fold(fold)
    with contextlib.suppress(PatterConfigError):
        await session.ask("Hi")
    with pytest.raises(PatterError, match="a bug in a fold"):
        await session.stop()
    assert told == [event.type for event in session.events][-len(told) :], "listeners were told everything"
    assert {at, "session_stopped"} <= set(told)
    assert "a bug in a fold" in caplog.text
    assert asyncio.all_tasks() == before


async def test_the_turns_are_folded_before_any_listener_is_told() -> None:
    seen: list[int] = []
    async with talking(llm=ScriptedLLM(["Fine."])) as session:
        session.events.subscribe(lambda event: seen.append(len(session.turns)) if event.type == "turn_started" else None)
        await session.ask("Hi")
    assert seen == [1]


async def test_a_recording_that_ends_ends_the_session() -> None:
    async with talking(transport=silence(1), llm=ScriptedLLM([]), stt=ScriptedSTT([]), vad=RecordedVAD([])) as session:
        await session.wait()
        assert bodies(session, SessionStopped)[0].reason == "the person has finished"


# --- changing it while it runs


async def test_use_takes_effect_at_the_next_turn() -> None:
    held = asyncio.Event()
    new = ScriptedLLM(["New."])
    async with talking(llm=ScriptedLLM([["Old", Hold(held), " one."]])) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: bool(session.chunks))
        change = session.use(llm=new, system_prompt="Be new.")
        assert isinstance(change, AgentChanged)
        assert set(change.changes) == {"llm", "system_prompt"}
        assert session.llm is new, "what was set is what is read"
        held.set()
        assert (await asking).agent_text == "Old one."
        assert (await session.ask("Again.")).agent_text == "New."
    assert new.requests[0].messages[0]["content"] == "Be new."


async def test_use_now_goes_on_with_the_new_part() -> None:
    never = asyncio.Event()
    new = ScriptedLLM(["from the new one."])
    async with talking(llm=ScriptedLLM([[Hold(never)]])) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: bool(session.turns[-1].requests) if session.turns else False)
        session.use(when="now", llm=new)
        turn = await asking
    assert (turn.status, turn.agent_text, len(turn.requests)) == ("completed", "from the new one.", 2)
    new.verify()


async def test_a_turn_that_another_model_went_on_with_names_both() -> None:
    class Mine(ScriptedLLM):
        provider, model = "mine", "my-model"

    held = asyncio.Event()
    async with talking(llm=ScriptedLLM([["The old one said this. And", Hold(held)]]), tts=ScriptedTTS()) as session:
        asking = asyncio.create_task(session.ask("Go."))
        await until(lambda: bool(session.events.of(SentenceSpoken)))
        session.use(when="now", llm=Mine(["the new one that."]))
        turn = await asking
    assert turn.agent_text == "The old one said this. the new one that."
    assert [(request.provider, request.model) for request in turn.requests] == [("scripted", "script"), ("mine", "my-model")]
    assert (turn.provider, turn.model) == ("mine", "my-model")
    assert "scripted script, then mine my-model" in turn._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"lmm": None}, TypeError, "Did you mean llm="),
        ({"system_promt": "x"}, TypeError, "Did you mean system_prompt="),
        ({"llm": "gpt-4o"}, PatterConfigError, "llm is str"),
        ({"llm": ScriptedLLM}, PatterConfigError, "Write llm=ScriptedLLM"),
        ({"tools": "get_weather"}, PatterConfigError, "tools is str"),
        ({"tools": [settle, settle]}, PatterConfigError, "Two tools are named 'settle'"),
        ({"guardrails": ["swordfish"]}, PatterConfigError, "guardrails"),
        ({"variables": [1]}, PatterConfigError, "variables"),
        ({"turn_taking": 500}, PatterConfigError, "TurnTaking"),
        ({"filler": 5}, PatterConfigError, "filler"),
        ({"text_transforms": [1]}, PatterConfigError, "no function"),
        ({"when": "soon"}, PatterConfigError, "when='soon'"),
    ],
)
async def test_a_rejected_value_leaves_the_old_one(parts: dict[str, Any], error: type[Exception], message: str) -> None:
    async with talking(llm=ScriptedLLM(["Still here."])) as session:
        before = session.agent
        with pytest.raises(error, match=message):
            session.use(**parts)
        assert session.agent is before
        assert (await session.ask("Hi")).agent_text == "Still here."
        assert session.events.of(AgentChanged) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("llm", ScriptedLLM([])),
        ("stt", ScriptedSTT([])),
        ("tts", ScriptedTTS()),
        ("vad", RecordedVAD([])),
        ("system_prompt", "New."),
        ("variables", {"name": "Ann"}),
        ("turn_taking", TurnTaking(endpointing_ms=800)),
    ],
)
async def test_every_property_is_read_and_set(name: str, value: object) -> None:
    async with talking(llm=ScriptedLLM([]), vad=RecordedVAD([])) as session:
        setattr(session, name, value)
        assert getattr(session, name) == value
        assert list(bodies(session, AgentChanged)[-1].changes) == [name]


async def test_what_use_returns_is_what_the_log_says() -> None:
    async with talking(llm=ScriptedLLM([]), system_prompt="old") as session:
        assert (
            session.use(system_prompt="new") == bodies(session, AgentChanged)[-1] == AgentChanged({"system_prompt": ("old", "new")}, "turn")
        )
        assert session.use() == AgentChanged({}, "turn")


async def test_a_listener_that_fails_or_changes_the_agent_does_not_derail_the_session(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def listen(event: Event) -> None:
        told.append(event.type)
        if event.type == "turn_started":
            session.system_prompt = "Set by a listener."
        if event.type == "turn_ended":
            raise ZeroDivisionError("a view is broken")

    llm = ScriptedLLM(["Fine.", "Still fine."])
    async with talking(llm=llm, tts=ScriptedTTS()) as session:
        session.events.subscribe(listen)
        assert (await session.ask("Hi")).status == "completed"
        assert (await session.ask("Hi")).status == "completed"
        assert session.events.of(StageFailed) == []
    assert told.count("turn_heard") == 2
    assert llm.requests[1].messages[0]["content"] == "Set by a listener."
    assert "a view is broken" in caplog.text


async def test_no_key_is_in_the_log_of_a_change() -> None:
    class Keyed(ScriptedLLM):
        api_key = "sk-123456"

        def __repr__(self) -> str:
            return f"Keyed({self.api_key})"

    async with talking(llm=ScriptedLLM([])) as session:
        session.llm = Keyed([])
        assert "sk-123456" not in json.dumps([event.to_dict() for event in session.events])


async def test_the_decorator_adds_and_replaces_tools() -> None:
    llm = ScriptedLLM([Call("greet", {"name": "Ann"}), "Said.", Call("greet", {"name": "Bob"}), "Said."])
    async with talking(llm=llm) as session:

        @session.tool
        def greet(name: str) -> str:
            return f"Hello {name}"

        assert greet("you") == "Hello you"
        assert (await session.ask("Greet.")).tool_calls[0].result == "Hello Ann"

        @session.tool(name="greet", description="Greet someone.")
        def greet_loudly(name: str) -> str:
            return f"HELLO {name}"

        assert [item.name for item in session.tools] == ["greet"]
        assert (await session.ask("Greet.")).tool_calls[0].result == "HELLO Bob"
        assert [call.result for call in session.tool_calls] == ["Hello Ann", "HELLO Bob"]
        with pytest.raises(PatterConfigError):
            session.tool(5)  # type: ignore[call-overload]


async def test_from_other_threads() -> None:
    llm, second = ScriptedLLM([Call("late"), "One."]), ScriptedLLM(["Two."])
    async with talking(llm=llm) as session:

        def elsewhere() -> Turn:
            session.system_prompt = "From a thread."

            @session.tool
            def late() -> str:
                return "in time"

            with pytest.raises(PatterConfigError):
                session.llm = 5
            with pytest.raises(TypeError, match="Did you mean"):
                session.use(lllm=second)

            async def talk() -> Turn:
                first = await session.ask("Hi")
                session.llm = second
                assert (await session.ask("Hi again", timeout_s=10)).agent_text == "Two."
                assert (await session.say("Three.")).agent_text == "Three."
                with pytest.raises(PatterConfigError):
                    await session.ask("")
                return first

            return asyncio.run(talk())

        first = await asyncio.to_thread(elsewhere)
        assert (first.agent_text, first.tool_calls[0].result) == ("One.", "in time")
        assert session.system_prompt == "From a thread."
        await asyncio.to_thread(lambda: asyncio.run(session.stop()))
        assert session.state == "stopped"


async def test_a_tool_on_its_thread_may_change_the_session() -> None:
    sessions: list[Session] = []

    def rename(name: str) -> str:
        sessions[0].variables = {"name": name}
        return "renamed"

    llm = ScriptedLLM([Call("rename", {"name": "Ann"}), "Done.", "Hello."])
    async with talking(llm=llm, tools=[rename], system_prompt="I am {name}.") as session:
        sessions.append(session)
        await session.ask("Call yourself Ann.")
        await session.ask("Who are you?")
    assert llm.requests[-1].messages[0]["content"] == "I am Ann."


def test_between_two_runs_of_its_loop_it_can_be_changed() -> None:
    loop = asyncio.new_event_loop()
    try:
        session = loop.run_until_complete(_started())
        session.llm = ScriptedLLM(["Changed."])
        assert loop.run_until_complete(session.ask("Hi")).agent_text == "Changed."
        loop.run_until_complete(session.stop())
    finally:
        loop.close()


async def _started() -> Session:
    return await Patter().serve(Patter().agent(llm=ScriptedLLM([])), name="by hand")


async def test_a_new_voice_and_new_ears_are_used() -> None:
    tts, stt = ScriptedTTS(), ScriptedSTT(["Good morning."])
    async with talking(transport=silence(6), llm=ScriptedLLM(["Hello."]), stt=ScriptedSTT([]), vad=RecordedVAD([])) as session:
        session.use(stt=stt, vad=one_utterance(), tts=tts)
        await session.wait()
    assert [turn.user_text for turn in session.turns] == ["Good morning."]
    assert tts.said == ["Hello."]
    stt.verify()


async def test_ears_set_while_it_speaks_hear_the_next_words() -> None:
    old, new = ScriptedSTT(["One."]), ScriptedSTT(["Two."])
    parts: dict[str, Any] = {"stt": old, "tts": ScriptedTTS(), "vad": RecordedVAD.speaking((500, 1500), (6000, 7000))}
    async with talking(transport=silence(9), llm=ScriptedLLM(["First.", "Second."]), **parts) as session:
        await until(lambda: session.state == "speaking")
        session.stt = new
        await session.wait()
        assert [turn.user_text for turn in session.turns] == ["One.", "Two."]
    old.verify()
    new.verify()


async def test_two_changes_of_ears_at_once_leave_one_pair_at_work() -> None:
    class Counted(ScriptedSTT):
        def __init__(self, heard: list[str]) -> None:
            super().__init__(heard)
            self.opened = self.closed = 0

        async def open(self, format: Any) -> None:
            await asyncio.sleep(0)
            self.opened += 1

        async def aclose(self) -> None:
            await asyncio.sleep(0)
            self.closed += 1

    ears = [Counted([]), Counted([]), Counted(["Hello."])]
    async with talking(transport=silence(6), llm=ScriptedLLM(["Hi."]), stt=ears[0], vad=one_utterance()) as session:
        session.stt = ears[1]
        session.stt = ears[2]
        await session.wait()
        assert [turn.user_text for turn in session.turns] == ["Hello."]
    assert [(one.opened, one.closed) for one in ears] == [(1, 1), (1, 1), (1, 1)]


# --- slow answers


async def test_a_filler_is_spoken_once_when_nothing_comes() -> None:
    clock, held = ManualClock(), asyncio.Event()
    tts = ScriptedTTS()
    async with talking(
        clock=clock, llm=ScriptedLLM([[Hold(held), "Here it is."]]), tts=tts, filler=Filler("One moment.", after_ms=3000)
    ) as session:
        asking = asyncio.create_task(session.ask("Well?"))
        await until(lambda: bool(session.turns and session.turns[0].requests))
        clock.advance(2999)
        await settle()
        assert tts.said == []
        clock.advance(1)
        await until(lambda: tts.said == ["One moment."])
        clock.advance(20_000)
        await settle()
        held.set()
        turn = await asking
        assert tts.said == ["One moment.", "Here it is."]
        assert (turn.agent_text, turn.heard_text) == ("Here it is.", "Here it is.")
    assert session.history[-1]["content"] == "Here it is."


async def test_timers_ring_on_session_time_however_old_the_clock() -> None:
    class Watched(ManualClock):
        asked = 0

        async def sleep_until(self, t_ms: float) -> None:
            self.asked += 1
            await super().sleep_until(t_ms)

    clock, held, tts = Watched(), asyncio.Event(), ScriptedTTS()
    clock.advance(1096.06)  # with 3000 ms more, and the same off again, a float is just short of 3000
    llm = ScriptedLLM([[Hold(held), "Here it is."]])
    async with talking(clock=clock, llm=llm, tts=tts, filler=Filler("One moment.", after_ms=3000)) as session:
        asking = asyncio.create_task(session.ask("Well?", timeout_s=10))
        await until(lambda: bool(session.turns and session.turns[0].requests))
        clock.advance(2999)
        await settle()
        assert (tts.said, clock.asked) == ([], 2), "the timer and the timeout, each once"
        clock.advance(1)
        await until(lambda: tts.said == ["One moment."])
        (rung,) = session.events.of(Tick)
        assert (rung.body, rung.t_ms) == (Tick(3000), pytest.approx(3000))
        clock.advance(6999)
        await settle()
        assert not asking.done()
        clock.advance(1)
        assert isinstance((await asking).error, RequestTimeout)


async def test_no_filler_for_a_quick_answer() -> None:
    clock, tts = ManualClock(), ScriptedTTS()
    async with talking(clock=clock, llm=ScriptedLLM(["Quick."]), tts=tts, filler="One moment.") as session:
        await session.ask("Well?")
        clock.advance(60_000)
        await settle()
    assert tts.said == ["Quick."]


# --- views


async def test_the_states_of_a_typed_turn_with_a_tool() -> None:
    llm = ScriptedLLM([Call("look"), "Found it."])
    async with talking(llm=llm, tools=[_named("look")]) as session:
        await session.ask("Look.")
        assert [body.state for body in bodies(session, StateChanged)] == ["ready", "thinking", "calling", "thinking", "ready"]


def _named(name: str) -> Any:
    return tool(lambda: "here", name=name)


async def test_the_sound_lies_beside_the_log() -> None:
    parts: dict[str, Any] = {"llm": ScriptedLLM(["Hello."]), "stt": ScriptedSTT(["Hi"]), "tts": ScriptedTTS(), "vad": one_utterance()}
    async with talking(transport=silence(3), **parts) as session:
        await session.wait()
    assert len(session.audio.spoken) == len("Hello.") * 60 * 16
    assert len(session.audio.heard) == len(session.events.frames) * 320
    assert np.asarray(session.audio.heard).dtype == np.int16
    assert "heard: " in session.audio._repr_mimebundle_()["text/plain"]
    assert len(session.audio.heard) >= 3 * 16_000
    assert repr(session) == "<Session 'test': stopped, 1 turns>"
