"""A session that hears by a vendor: from a recording to an answer, with a change of ears on the way, and with ears that fail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recognisers import ASSEMBLYAI, CARTESIA, DEEPGRAM, OPENAI, Vendor, every_vendor
from talking import bodies, silence, until

from patter_nb.audio.wav import read_wav
from patter_nb.errors import AuthenticationError, TruncatedStream
from patter_nb.events import SpeechUsed, StageFailed, TranscriptFinal, TranscriptPartial
from patter_nb.patter import Patter
from patter_nb.pipeline.listener import PREROLL_MS
from patter_nb.session import Session
from patter_nb.testing import RecordedVAD, ScriptedLLM, ScriptedTTS
from patter_nb.testing.wire.speech_script import LONG_MS, WORD_MS, Fault, Said
from patter_nb.testing.wire.speech_sockets import SpeechServer
from patter_nb.transports.wav import WavTransport

QUESTION = Path(__file__).parents[2] / "notebooks" / "question.wav"
ROME = "what is the weather in rome"
"""Two seconds of speech, each time."""
FIRST, SECOND = (500.0, 2500.0), (6000.0, 8000.0)


@asynccontextmanager
async def talking(**parts: Any) -> AsyncIterator[Session]:
    """A session of an agent with these parts. Only the connections to vendors outlive it, and what the vendors do in this loop."""
    transport = parts.pop("transport")
    async with Patter().serve(Patter().agent(**parts), transport=transport, name="test") as session:
        yield session
    assert session.state == "stopped"
    left = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
    assert not {name for name in left if name != "keeping connections" and not re.fullmatch(r"Task-\d+", name)}, left


@every_vendor
async def test_a_spoken_question_is_answered(vendor: Vendor) -> None:
    pcm, rate = read_wav(QUESTION)
    length = len(pcm) * 1000 / rate
    recording = np.concatenate([np.zeros(rate // 2, np.int16), pcm, np.zeros(rate * 2, np.int16)])
    transport = WavTransport((recording, rate), paced=False)
    vad = RecordedVAD.speaking((500.0, 500.0 + length))
    with ScriptedLLM(["It is sunny in Rome."]) as llm:
        async with SpeechServer([ROME]) as server:
            tts = ScriptedTTS()
            async with talking(transport=transport, stt=vendor.stt(server), llm=llm, tts=tts, vad=vad) as session:
                await session.wait()
            (turn,) = session.turns
            assert (turn.user_text, turn.agent_text.strip(), turn.status) == (ROME, "It is sunny in Rome.", "completed")
            assert llm.requests[0].user_text == ROME
            assert tts.said == ["It is sunny in Rome."]
            assert [body.text for body in bodies(session, TranscriptFinal)] == [ROME]
            assert bool(bodies(session, TranscriptPartial)) == vendor.socket
            assert not bodies(session, StageFailed)
            (call,) = server.calls
            if vendor.rate == rate:
                assert np.array_equal(np.trim_zeros(call.audio), np.trim_zeros(pcm))
            to_come = 0.0 if vendor.socket else 0.3  # the silence behind the last words is uploaded with the next
            assert turn.usage["stt_seconds"] == pytest.approx(len(call.audio) / vendor.rate + to_come, abs=0.1)
            assert (turn.costs["llm"], turn.costs["tts"]) == (0, 0)
            assert turn.cost == turn.costs["stt"]
            assert turn.cost is not None
            assert turn.cost > 0


async def test_tokens_that_the_vendor_tells_are_what_is_charged() -> None:
    """Of whisper-1 and of others the minutes are."""
    async with SpeechServer([ROME]) as server:
        parts = {"llm": ScriptedLLM(["Sunny."]), "tts": ScriptedTTS(), "vad": RecordedVAD.speaking(FIRST)}
        async with talking(transport=silence(4.0), stt=OPENAI.stt(server), **parts) as session:
            await session.wait()
    ((used, charge), *_) = (use for use in session.turns[0].speech if use[0].stage == "stt")
    (tokens,) = used.tokens
    assert used.seconds is not None
    assert tokens.input_tokens == pytest.approx(used.seconds * 10, abs=1)
    assert charge.cost == (Decimal(6 * (tokens.input_tokens or 0)) + 10 * (tokens.output_tokens or 0)) / 1_000_000


async def test_words_are_in_the_log_where_they_lie_in_the_sound() -> None:
    """To the sample: at a word's time what was heard is, bit for bit, what the vendor got at the word's time on its own clock."""
    noise = np.random.default_rng(1).integers(-9000, 9000, 10 * 16_000, dtype=np.int16)
    transport = WavTransport((noise, 16_000), paced=False)
    with ScriptedLLM(["One.", "Two."]) as llm:
        async with SpeechServer(["good morning", "but how is it at night"]) as server:
            async with talking(transport=transport, stt=DEEPGRAM.stt(server), llm=llm, vad=RecordedVAD.speaking(FIRST, SECOND)) as session:
                await session.wait()
        (call,) = server.calls
        heard, finals = np.asarray(session.audio.heard), bodies(session, TranscriptFinal)
        assert [turn.words for turn in session.turns] == [final.words for final in finals]
        assert [[word.text for word in final.words] for final in finals] == [["good", "morning"], "but how is it at night".split()]
        assert FIRST[0] - PREROLL_MS < finals[0].words[0].start_ms < FIRST[1]
        assert SECOND[0] < finals[1].words[-1].start_ms < SECOND[1], "across what was not sent"
        for final in finals:
            starts = [round(word.start_ms * 16) for word in final.words]
            there = [call.audio.tobytes().find(heard[start : start + 320].tobytes()) / 32 for start in starts]
            assert np.diff(there).tolist() == [WORD_MS] * (len(there) - 1)
            assert [word.stop_ms - word.start_ms for word in final.words] == [LONG_MS] * len(there)


async def test_ears_are_changed_in_a_live_session() -> None:
    """From Deepgram to AssemblyAI to Cartesia: no word is lost, and the sockets of those that went are closed."""
    vad = RecordedVAD.speaking(FIRST, SECOND, (11_500.0, 13_500.0))
    replies = ["One.", "Two.", "Three."]
    with ScriptedLLM(replies) as llm:
        async with SpeechServer(["first words", "second words", "third words"]) as server:
            async with talking(transport=silence(16.0), stt=DEEPGRAM.stt(server), llm=llm, vad=vad) as session:
                await session.wait_turn()
                session.use(stt=ASSEMBLYAI.stt(server))
                await session.wait_turn()
                session.use(stt=CARTESIA.stt(server))
                await session.wait()
            assert [(turn.user_text, turn.agent_text.strip()) for turn in session.turns] == [
                ("first words", "One."),
                ("second words", "Two."),
                ("third words", "Three."),
            ]
            assert [call.path for call in server.calls] == ["/v1/listen", "/v3/ws", "/stt/websocket"]
            for call in server.calls:
                await asyncio.wait_for(call.closed.wait(), 10)
                assert call.ended
            assert not bodies(session, StageFailed)


@every_vendor
async def test_ears_that_fail_are_told_and_others_hear_what_follows(vendor: Vendor) -> None:
    vad = RecordedVAD.speaking(FIRST, SECOND)
    broken = Said(ROME, fault=Fault("drop", 3 if vendor.by_itself else None))
    with ScriptedLLM(["Fine."]) as llm:
        async with SpeechServer([broken]) as server, SpeechServer(["and now"]) as other:
            async with talking(transport=silence(10.0), stt=vendor.stt(server), llm=llm, vad=vad, error_message="Sorry.") as session:
                failed = await session.wait_turn()
                assert failed.status == "failed"
                session.use(stt=OPENAI.stt(other))
                await session.wait()
            assert [turn.user_text for turn in session.turns][1:] == ["and now"]
            error = failed.error
            assert error is not None
            assert error.provider == vendor.stt(server).provider
            if vendor.by_itself:
                assert isinstance(error, TruncatedStream)
                assert error.partial_text == "what is the"
                assert bodies(session, TranscriptPartial)[2].text == "what is the"


@every_vendor
async def test_the_same_ears_hear_again_after_a_failure(vendor: Vendor) -> None:
    vad = RecordedVAD.speaking(FIRST, SECOND)
    broken = Said(ROME, fault=Fault("garbage", 3 if vendor.by_itself else None))
    with ScriptedLLM(["Fine."]) as llm:
        async with SpeechServer([broken, "and now"]) as server:
            async with talking(transport=silence(10.0), stt=vendor.stt(server), llm=llm, vad=vad) as session:
                await session.wait()
            assert [(turn.user_text, turn.status) for turn in session.turns][1:] == [("and now", "completed")]
            assert session.turns[0].status == "failed"


@every_vendor
async def test_sound_that_a_vendor_refused_is_charged_by_nobody(vendor: Vendor) -> None:
    async with SpeechServer(key="another") as server:
        ears, vad = vendor.stt(server), RecordedVAD.speaking(FIRST, SECOND)
        async with talking(transport=silence(9.0), stt=ears, llm=ScriptedLLM([]), vad=vad) as session:
            await session.wait()
        assert {type(failed.error) for failed in bodies(session, StageFailed)} == {AuthenticationError}
        assert not bodies(session, SpeechUsed)
        assert session.costs().total == 0


async def test_a_wrong_key_is_told_when_the_session_begins() -> None:
    async with SpeechServer(key="another") as server:
        async with talking(transport=silence(1.0), stt=DEEPGRAM.stt(server), llm=ScriptedLLM([]), vad=RecordedVAD([])) as session:
            await until(lambda: bodies(session, StageFailed))
            (failed,) = bodies(session, StageFailed)
            await session.wait()
        assert failed.stage == "stt"
        assert isinstance(failed.error, AuthenticationError)
        assert "DEEPGRAM_API_KEY" in str(failed.error)
