"""The doubles do as they are told, and complain about what they were not told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import settle, talking, until

from patter_nb import testing
from patter_nb.audio.frames import AudioFormat, Frame
from patter_nb.errors import ServerError
from patter_nb.llm.base import LLMChunk, LLMProvider
from patter_nb.stt.base import STT, Transcript
from patter_nb.testing import (
    Call,
    Clock,
    ConvAIServer,
    GeminiLiveServer,
    Hold,
    RealtimeServer,
    RecordedVAD,
    Request,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    VoiceServer,
)
from patter_nb.testing.wire.engine_server import Utterance
from patter_nb.testing.wire.voices import Saying
from patter_nb.tts.base import TTS
from patter_nb.vad.base import VAD

ASK = [{"role": "system", "content": "Hm."}, {"role": "user", "content": "Hi"}, {"role": "user", "content": "Well?"}]


async def answer(llm: ScriptedLLM, **options: Any) -> list[LLMChunk]:
    return [chunk async for chunk in llm.stream(ASK, **options)]


def frame(seq: int) -> Frame:
    return Frame(np.zeros(320, np.int16), seq, seq * 20.0)


def test_they_are_what_they_stand_for() -> None:
    assert isinstance(ScriptedLLM([]), LLMProvider)
    assert isinstance(ScriptedSTT([]), STT)
    assert isinstance(ScriptedTTS(), TTS)
    assert isinstance(RecordedVAD([]), VAD)


# --- the model


@given(st.text(max_size=80))
def test_text_is_streamed_in_pieces_that_are_the_text(text: str) -> None:
    chunks = asyncio.run(answer(ScriptedLLM([text])))
    assert "".join(chunk.content or "" for chunk in chunks) == text
    assert chunks[-1] == LLMChunk("done", finish_reason="stop")


async def test_text_is_streamed_word_by_word() -> None:
    chunks = await answer(ScriptedLLM(["It is sunny."]))
    assert [chunk.content for chunk in chunks[:-1]] == ["It", " is", " sunny."]


async def test_a_call_has_an_id_and_ends_the_round() -> None:
    chunks = await answer(ScriptedLLM([["Wait. ", Call("a", {"x": 1}), Call("b", "{broken")]]))
    made = [chunk for chunk in chunks if chunk.type == "tool_call"]
    assert [(chunk.index, chunk.name, chunk.arguments) for chunk in made] == [(0, "a", '{"x": 1}'), (1, "b", "{broken")]
    assert len({chunk.id for chunk in made}) == 2
    assert chunks[-1].finish_reason == "tool_calls"


async def test_a_done_of_its_own_is_the_last() -> None:
    chunks = await answer(ScriptedLLM([["Cut", LLMChunk("done", finish_reason="length"), "never"]]))
    assert [chunk.type for chunk in chunks] == ["text", "done"]
    assert chunks[-1].finish_reason == "length"


async def test_an_exception_is_raised_where_it_stands() -> None:
    seen: list[LLMChunk] = []
    with pytest.raises(ServerError):
        async for chunk in ScriptedLLM([["One", ServerError("down")]]).stream(ASK):
            seen.append(chunk)
    assert [chunk.content for chunk in seen] == ["One"]


async def test_a_function_is_asked_with_the_request() -> None:
    def reply(request: Request) -> str:
        return f"{request.user_text} {len(request.tools)}"

    chunks = await answer(ScriptedLLM([reply]), tools=[{"type": "function"}])
    assert "".join(chunk.content or "" for chunk in chunks) == "Well? 1"


async def test_a_hold_waits_for_its_event_or_for_the_end() -> None:
    event, cancel = asyncio.Event(), asyncio.Event()
    waiting = asyncio.create_task(answer(ScriptedLLM([[Hold(event), "Go."]]), cancel_event=cancel))
    await settle()
    event.set()
    assert [chunk.type for chunk in await waiting] == ["text", "done"]
    replies: list[list[Any]] = [[Hold(asyncio.Event()), "never"], [Hold(asyncio.Event())]]
    for reply in replies:
        waiting = asyncio.create_task(answer(ScriptedLLM([reply]), cancel_event=cancel))
        cancel.set()
        assert await waiting == [LLMChunk("done", finish_reason="cancelled")]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_request_too_many_is_an_error_now_and_at_the_end() -> None:
    llm = ScriptedLLM([])
    with pytest.raises(AssertionError, match=r"once more than scripted.*'Well\?'"):
        await answer(llm)
    with pytest.raises(AssertionError, match=r"more often than scripted, after: 'Well\?'"):
        llm.verify()


async def test_a_reply_that_nobody_asked_for_is_an_error_at_the_end() -> None:
    with pytest.raises(AssertionError, match=r"1 replies that nobody asked for; the next is 'Two\.'"):
        with ScriptedLLM(["One.", "Two."]) as llm:
            await answer(llm)


async def test_an_error_in_the_block_is_not_covered_up() -> None:
    with pytest.raises(KeyError), ScriptedLLM(["One."]):
        raise KeyError
    with ScriptedLLM(["One."]) as llm:
        await answer(llm)
    assert repr(llm) == "ScriptedLLM(0 replies left)"


# --- speech to text


async def hear(stt: ScriptedSTT, frames: int) -> list[Transcript]:
    heard: list[Transcript] = []

    async def read() -> None:
        async for transcript in stt.transcripts():
            heard.append(transcript)

    reading = asyncio.create_task(read())
    for seq in range(frames):
        await stt.push(frame(seq))
    await stt.finalize()
    await until(lambda: bool(heard and heard[-1].is_final) or reading.done())
    if reading.done():
        await reading
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return heard


async def test_partials_come_with_the_sound_and_the_final_at_the_end() -> None:
    stt = ScriptedSTT([["what", "what is", "what is it"], "bye"])
    await stt.open(AudioFormat())
    assert [(one.text, one.is_final) for one in await hear(stt, 30)] == [("what", False), ("what is", False), ("what is it", True)]
    assert [one.text for one in await hear(stt, 30)] == ["bye"]
    assert stt.pushed == 60
    stt.verify()


async def test_an_exception_in_the_script_comes_out_of_transcripts() -> None:
    with pytest.raises(ServerError):
        await hear(ScriptedSTT([ServerError("down")]), 1)


async def test_words_that_were_not_scripted_are_an_error_now_and_at_the_end() -> None:
    stt = ScriptedSTT([])
    with pytest.raises(AssertionError, match="more often"):
        await stt.finalize()
    with pytest.raises(AssertionError, match="1 times more often"):
        stt.verify()


def test_words_that_nobody_asked_for_are_an_error_at_the_end() -> None:
    with pytest.raises(AssertionError, match="2 entries"):
        ScriptedSTT(["a", "b"]).verify()


# --- text to speech


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
async def test_the_voice_hums_as_long_as_the_text(rate: int) -> None:
    tts = ScriptedTTS(sample_rate=rate, ms_per_char=50)
    blocks = [block async for block in tts.synthesize("Hello there")]
    assert sum(map(len, blocks)) == int(11 * 50 * rate / 1000)
    assert all(block.dtype == np.int16 and len(block) <= rate // 10 for block in blocks)
    assert 1500 < max(int(abs(block).max()) for block in blocks) <= 2000
    assert (tts.format.sample_rate, tts.said) == (rate, ["Hello there"])


async def test_the_voice_takes_text_in_parts_and_fails_where_told() -> None:
    async def parts() -> Any:
        yield "Hello "
        yield "there"

    tts = ScriptedTTS(failing={"Oh": OSError("no")})
    async for _ in tts.synthesize(parts()):
        pass
    with pytest.raises(OSError, match="no"):
        async for _ in tts.synthesize("Oh"):
            pass
    assert tts.said == ["Hello there"]


async def spoken(tts: ScriptedTTS, *texts: str) -> None:
    for text in texts:
        async for _ in tts.synthesize(text):
            pass


async def test_a_voice_with_a_script_is_given_that_and_nothing_else() -> None:
    with ScriptedTTS(["Hello.", "Bye."]) as tts:
        await spoken(tts, "Hello.", "Bye. ")
    assert tts.said == ["Hello.", "Bye. "]


async def test_a_piece_that_was_not_scripted_is_an_error_now_and_at_the_end() -> None:
    for script, told in ((["Hello."], "'Hi' in place of 'Hello.'"), ([], "'Hi' in place of nothing more")):
        tts = ScriptedTTS(script)
        with pytest.raises(AssertionError, match=told):
            await spoken(tts, "Hi")
        with pytest.raises(AssertionError, match=f"was given {told}"):
            tts.verify()
        assert tts.said == []


async def test_a_piece_that_never_came_is_an_error_at_the_end() -> None:
    with pytest.raises(AssertionError, match=r"1 pieces that nobody gave it; the next is 'Bye\.'"), ScriptedTTS(["Hello.", "Bye."]) as tts:
        await spoken(tts, "Hello.")


async def test_an_exception_in_the_script_comes_in_place_of_a_piece() -> None:
    with ScriptedTTS([ServerError("down"), "Bye."]) as tts:
        with pytest.raises(ServerError):
            await spoken(tts, "Hello.")
        await spoken(tts, "Bye.")


async def test_a_turn_fails_where_the_voice_was_to_say_something_else() -> None:
    async with talking(llm=ScriptedLLM(["It is 18 degrees."]), tts=ScriptedTTS(["It is 19 degrees."])) as session:
        turn = await session.ask("How warm is it?")
    assert turn.status == "failed" and "in place of 'It is 19 degrees.'" in str(turn.error)


def test_an_error_in_the_block_of_any_double_is_not_covered_up() -> None:
    for double in (ScriptedSTT(["Hello."]), ScriptedTTS(["Hello."])):
        with pytest.raises(KeyError), double:
            raise KeyError
        with pytest.raises(AssertionError, match="nobody"), double:
            pass


# --- servers of voices and engines


async def test_what_nobody_asked_a_server_of_voices_for_is_an_error_at_the_end() -> None:
    with pytest.raises(AssertionError, match="VoiceServer has 1 sayings that nobody asked for"):
        async with VoiceServer(sayings=[Saying()]):
            pass


@pytest.mark.parametrize("kind", [RealtimeServer, ConvAIServer, GeminiLiveServer])
async def test_what_nobody_said_to_a_server_of_engines_is_an_error_at_the_end(kind: Any) -> None:
    with pytest.raises(AssertionError, match=f"{kind.__name__} was not given the sound of"):
        async with kind(hears=[Utterance(0, 500, "Hi")]):
            pass


async def test_what_a_server_of_engines_has_no_reply_for_is_an_error_now_and_at_the_end() -> None:
    with pytest.raises(AssertionError, match="RealtimeServer was asked 1 times more than it has replies"):
        async with RealtimeServer() as server:
            with pytest.raises(AssertionError, match="asked for more than it has replies"):
                server.next_reply()


# --- the room


def test_each_public_name_is_there_and_found_before_it_is_used() -> None:
    code = "import patter_nb.testing as room; print(*sorted(set(room.__all__) - set(dir(room))))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60).stdout.strip() == b""
    assert [name for name in testing.__all__ if name != "Clock" and getattr(testing, name).__name__ != name] == []
    assert testing.__all__ == sorted(testing.__all__)
    with pytest.raises(AttributeError, match="ScriptedLMM"):
        testing.ScriptedLMM  # noqa: B018


# --- the detector and the clock


def test_the_detector_answers_from_its_recording() -> None:
    vad = RecordedVAD.speaking((40, 80), (120, 140), probability=0.8)
    assert [vad.probability(frame(seq)) for seq in range(9)] == [0, 0, 0.8, 0.8, 0, 0, 0.8, 0, 0]
    assert RecordedVAD.speaking().probability(frame(0)) == 0.0
    assert RecordedVAD([0.5]).probability(frame(0)) == 0.5


async def test_the_clock_moves_by_hand_and_wakes_in_order() -> None:
    clock, woken = Clock(), []

    async def sleep(t_ms: float) -> None:
        await clock.sleep_until(t_ms)
        woken.append(t_ms)

    sleepers = [asyncio.create_task(sleep(t_ms)) for t_ms in (30, 10, 20, 0)]
    await until(lambda: woken == [0])
    clock.advance(20)
    await until(lambda: woken == [0, 10, 20])
    assert (clock.now_ms(), clock.wall_s()) == (20, 0.02)
    sleepers[0].cancel()
    clock.advance(100)
    await asyncio.gather(*sleepers, return_exceptions=True)
    assert woken == [0, 10, 20]
    with pytest.raises(ValueError, match="-1"):
        clock.advance(-1)
