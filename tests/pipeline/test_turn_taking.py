"""Turn taking in a whole session: a detector that judges, fails or hangs; answers that are begun early, and what they cost."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from talking import bodies, one_utterance, silence, talking, until

from patter_nb import Patter
from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from patter_nb.console.picture import Picture
from patter_nb.errors import PatterConfigError
from patter_nb.events import LLMRequested, PreemptiveDropped, StageFailed, TurnJudged, TurnStarted
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.fallback import FallbackLLM
from patter_nb.llm.on_message import OnMessageLLM
from patter_nb.llm.openai import OpenAILLM
from patter_nb.pipeline.turn_taking import BACKCHANNELS, TurnTaking
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.testing.wire.script import Stall
from patter_nb.testing.wire.server import WireServer
from patter_nb.transports.wav import WavTransport


class Detector:
    """Says what it is told to, and keeps what it was shown."""

    threshold, hold_ms = 0.5, 1200.0

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)
        self.seen: list[Pcm] = []

    def probability(self, pcm: Pcm) -> float:
        self.seen.append(pcm)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[return-value]  # also what a detector must not return


def parts(*words: str, vad: RecordedVAD | None = None, **taking: Any) -> dict[str, Any]:
    heard = {"stt": ScriptedSTT(list(words)), "vad": vad or one_utterance()}
    return {**heard, "tts": ScriptedTTS(), "turn_taking": TurnTaking(**taking)}


def ended_ms(session: Any) -> float:
    """When the turn began, in session time; the person's last voice was at 1500 ms."""
    return float(session.events.of(TurnStarted)[0].t_ms)


class TestDetector:
    async def test_it_sees_what_was_said_and_half_a_second_before(self) -> None:
        noise = np.random.default_rng(1).integers(-1000, 1000, 4 * SAMPLE_RATE).astype(np.int16)
        detector = Detector(0.9)
        transport = WavTransport((noise, SAMPLE_RATE), paced=False)
        said = parts("Hello.", vad=RecordedVAD.speaking((1000, 2000)), detector=detector)
        async with talking(transport=transport, llm=ScriptedLLM(["Hi."]), **said) as session:
            await session.wait()
        start, stop = 500 * SAMPLE_RATE // 1000, 2200 * SAMPLE_RATE // 1000
        assert len(detector.seen) == 1
        assert abs(len(detector.seen[0]) - (stop - start)) <= 2 * FRAME_SAMPLES
        assert detector.seen[0].tobytes() in noise.tobytes()

    async def test_what_it_takes_for_complete_is_answered_before_silence_would_end_it(self) -> None:
        async with talking(transport=silence(), llm=ScriptedLLM(["Hi."]), **parts("Hello.", detector=Detector(0.9))) as session:
            await session.wait()
        assert ended_ms(session) <= 1500 + 300

    async def test_what_it_does_not_is_waited_for(self) -> None:
        async with talking(transport=silence(), llm=ScriptedLLM(["Hi."]), **parts("Hello.", detector=Detector(0.1))) as session:
            await session.wait()
        assert ended_ms(session) == pytest.approx(1500 + 1200, abs=40)
        assert len(bodies(session, TurnJudged)) == 5, "every 200 ms"

    @pytest.mark.parametrize("outcome", [ZeroDivisionError("no model"), 1.5, "yes", None])
    async def test_one_that_fails_is_told_once_and_silence_decides(self, outcome: object) -> None:
        vad = RecordedVAD.speaking((500, 1500), (4000, 5000))
        said = parts("Hello.", "And you?", vad=vad, detector=Detector(outcome))
        async with talking(transport=silence(8), llm=ScriptedLLM(["Hi.", "Fine."]), **said) as session:
            await session.wait()
        assert [body.stage for body in bodies(session, StageFailed)] == ["turn_detector"]
        assert [turn.status for turn in session.turns] == ["completed", "completed"]
        assert ended_ms(session) == pytest.approx(1500 + 500, abs=40)

    async def test_a_new_one_takes_over_in_a_live_session(self) -> None:
        vad = RecordedVAD.speaking((500, 1500), (4000, 5000))
        said = parts("Hello.", "And you?", vad=vad, detector=Detector(0.1))
        async with talking(transport=silence(8), llm=ScriptedLLM(["Hi.", "Fine."]), **said) as session:
            newer = TurnTaking(detector=Detector(0.9))
            session.events.subscribe(lambda event: event.type == "turn_started" and session.use(turn_taking=newer) and None)
            await session.wait()
        second = session.events.of(TurnStarted)[1]
        assert second.t_ms <= 5000 + 300

    async def test_one_that_hangs_does_not_keep_the_next_from_judging(self) -> None:
        release = threading.Event()

        class Stuck(Detector):
            def probability(self, pcm: Pcm) -> float:
                stuck.set()
                release.wait()
                return 0.9

        stuck, newer = threading.Event(), Detector(0.9)
        vad = RecordedVAD.speaking((300, 800), (2500, 3000))
        said = parts("Hello.", "And you?", vad=vad, detector=Stuck())
        transport = WavTransport((np.zeros(9 * SAMPLE_RATE // 2, np.int16), SAMPLE_RATE))
        async with talking(transport=transport, llm=ScriptedLLM(["Hi.", "Fine."]), **said) as session:
            await until(stuck.is_set)
            session.turn_taking = TurnTaking(detector=newer)
            await session.wait()
        release.set()
        assert newer.seen
        assert len(session.turns) == 2

    @pytest.mark.parametrize(
        ("taking", "said"),
        [
            ({"detector": Detector}, "not an instance"),
            ({"detector": object()}, "no probability"),
            ({"detector": RecordedVAD([])}, "threshold=None"),
            ({"backchannels": "mhm"}, "no list of texts"),
            ({"backchannels": [1]}, "no list of texts"),
        ],
    )
    def test_what_cannot_judge_is_refused(self, taking: dict[str, Any], said: str) -> None:
        with pytest.raises(PatterConfigError, match=said):
            TurnTaking(**taking)

    def test_its_repr_tells_what_is_not_as_usual(self) -> None:
        assert repr(TurnTaking()) == "TurnTaking()"
        assert repr(TurnTaking(endpointing_ms=800, half_duplex=True)) == "TurnTaking(endpointing_ms=800, half_duplex=True)"
        assert TurnTaking().backchannels == BACKCHANNELS


HESITATING = ((500, 1500), (1900, 2500))
"""A pause of 400 ms: long enough for the words so far, too short for a turn."""


class TestPreemptive:
    async def test_what_was_thrown_away_is_counted_and_paid_for(self) -> None:
        usage = LLMChunk("usage", input_tokens=20, output_tokens=5, provider="scripted", model="scripted")
        llm = ScriptedLLM([["Sunny. ", usage], ["Cloudy. ", usage]])
        said = parts("What's the weather", "in Rome?", vad=RecordedVAD.speaking(*HESITATING), preemptive=True)
        own = {"scripted": {"scripted": {"input": 1_000_000, "output": 0}}}
        agent = Patter(pricing=own).agent(llm=llm, **said)
        async with Patter(pricing=own).serve(agent, transport=silence()) as session:
            await session.wait()
        [turn] = session.turns
        assert (turn.user_text, turn.heard_text) == ("What's the weather in Rome?", "Cloudy.")
        assert turn.wasted == {"input_tokens": 20, "output_tokens": 5}
        assert turn.usage["input_tokens"] == 20, "what the answer took"
        assert turn.cost == Decimal(40), "what was paid"
        assert [request.user_text for request in llm.requests] == ["What's the weather", "What's the weather in Rome?"]
        assert [body.reason for body in bodies(session, PreemptiveDropped)] == ["the person went on"]
        assert [turn["user"] for turn in Picture(session).whole()["turns"]] == ["What's the weather in Rome?"]

    async def test_over_a_real_wire_the_model_is_asked_once_and_its_answer_is_the_turns(self) -> None:
        async with WireServer([["It is ", "sunny."]]) as server:
            said = parts("What's the weather?", preemptive=True)
            llm = OpenAILLM("test-key", base_url=server.openai_url)
            async with Patter().serve(Patter().agent(llm=llm, **said), transport=silence()) as session:
                await session.wait()
            await llm.aclose()
        [turn] = session.turns
        assert (turn.heard_text, turn.wasted) == ("It is sunny.", {})
        [request] = [request for request in server.requests if request.method == "POST"]
        assert [message["role"] for message in request.body["messages"]] == ["user"]
        [asked], [started] = session.events.of(LLMRequested), session.events.of(TurnStarted)
        assert asked.seq < started.seq

    async def test_a_stream_that_is_cut_off_is_estimated(self) -> None:
        async with WireServer([["It is sunny in all of Italy. ", Stall()], ["Cloudy."]]) as server:
            said = parts("What's the weather", "in Rome?", vad=RecordedVAD.speaking(*HESITATING), preemptive=True)
            llm = OpenAILLM("test-key", base_url=server.openai_url)
            transport = WavTransport((np.zeros(7 * SAMPLE_RATE // 2, np.int16), SAMPLE_RATE))
            async with Patter().serve(Patter().agent(llm=llm, **said), transport=transport) as session:
                await session.wait()
            await llm.aclose()
        [turn] = session.turns
        assert turn.heard_text == "Cloudy."
        assert turn.wasted == {"input_tokens": len("What's the weather") // 4, "output_tokens": len("It is sunny in all of Italy. ") // 4}
        assert turn.thrown_away[0].usage is not None
        assert turn.thrown_away[0].usage.estimated

    def test_a_handler_of_ones_own_is_not_run_for_nothing_behind_another_either(self) -> None:
        handler = OnMessageLLM(lambda text: "Hello.")
        assert FallbackLLM([ScriptedLLM([]), ScriptedLLM([])]).repeatable
        assert not FallbackLLM([ScriptedLLM([]), handler]).repeatable

    async def test_a_tool_runs_once_and_only_for_what_the_person_meant(self) -> None:
        ran: list[str] = []

        def book(city: str) -> str:
            ran.append(city)
            return "booked"

        said = parts("Book a table in Paris", "no, in Rome", vad=RecordedVAD.speaking(*HESITATING), preemptive=True)
        llm = ScriptedLLM([Call("book", {"city": "Paris"}), Call("book", {"city": "Rome"}), "Booked in Rome."])
        async with talking(transport=silence(), llm=llm, tools=[book], **said) as session:
            await session.wait()
        assert ran == ["Rome"]
        assert session.turns[0].heard_text == "Booked in Rome."
