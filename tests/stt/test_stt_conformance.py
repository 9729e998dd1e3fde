"""What every recogniser does with what is said, whoever's it is and whatever carries it. A provider adds a row to `recognisers`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import numpy as np
import pytest
from recognisers import (
    ASSEMBLYAI,
    DEEPGRAM,
    KEY,
    SOCKETS,
    VENDORS,
    WHISPER,
    WHISPER_STT,
    Vendor,
    every_socket,
    every_vendor,
    frames,
    hearing,
    installed,
    sound,
)
from talking import settle, until

from patter_nb.audio.frames import AudioFormat, Frame
from patter_nb.audio.resampling import resample
from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError
from patter_nb.stt.base import STT
from patter_nb.stt.moonshine import MoonshineSTT
from patter_nb.stt.whisper import WhisperSTT
from patter_nb.testing import ScriptedSTT
from patter_nb.testing.wire.speech_script import Said
from patter_nb.testing.wire.speech_sockets import SpeechServer

ROME = "what is the weather in rome"

# --- finals


@every_vendor
async def test_each_finalize_is_answered_by_one_final(vendor: Vendor) -> None:
    async with SpeechServer([ROME, "thank you", ""]) as server:
        stt = vendor.stt(server)
        if vendor is ASSEMBLYAI:
            stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            assert isinstance(stt, STT)
            for number, ms in enumerate((2000, 1000, 600)):
                await heard.push(ms)
                await stt.finalize()
                if vendor is ASSEMBLYAI and number == 2:  # which says nothing of sound without words
                    await until(lambda: clock.advance(50) or len(heard.finals) == 3)
                await heard.final(number + 1)
            assert heard.finals == [ROME, "thank you", ""]
            assert heard.said[-1].is_final


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(MoonshineSTT, marks=pytest.mark.models, id="moonshine"),
        pytest.param(WhisperSTT, marks=installed, id="whisper-here"),
        pytest.param(lambda: ScriptedSTT(["", ""]), id="scripted"),
    ],
)
async def test_so_do_the_recognisers_without_a_vendor(kind: Callable[[], STT]) -> None:
    stt = kind()
    await stt.open(AudioFormat())
    for _ in range(2):
        for frame in frames(400, level=0):
            await stt.push(frame)
        await stt.finalize()
    said = stt.transcripts()
    finals = [await anext(said), await anext(said)]
    assert [(one.text, one.is_final) for one in finals] == [("", True), ("", True)]
    waiting = asyncio.ensure_future(anext(said))
    await settle()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait((waiting,))
    await stt.aclose()


@every_vendor
async def test_a_finalize_without_sound_is_answered_and_asks_nobody(vendor: Vendor) -> None:
    async with SpeechServer(["yes"]) as server, hearing(vendor.stt(server)) as heard:
        await heard.stt.finalize()
        assert (await heard.final()).text == ""
        await heard.push(600)
        await heard.stt.finalize()
        await heard.stt.finalize()
        await heard.final(3)
        assert heard.finals == ["", "yes", ""]
        if vendor.asking:
            assert server.calls[0].texts.count(vendor.asking) == 1


@every_vendor
async def test_utterances_that_overlap_are_answered_in_order(vendor: Vendor) -> None:
    released = asyncio.Event()
    async with SpeechServer([Said("one two", hold=released), "three"]) as server, hearing(vendor.stt(server)) as heard:
        await heard.push(800)
        await heard.stt.finalize()
        await heard.push(600)
        await heard.stt.finalize()
        await server.until(lambda: len(server.calls) > (not vendor.socket))
        released.set()
        await heard.final(2)
        assert heard.finals == ["one two", "three"]


@pytest.mark.parametrize("vendor", [vendor for vendor in SOCKETS if vendor.by_itself], ids=lambda vendor: vendor.name)
async def test_finals_of_the_vendors_own_are_gathered_and_partials_show_them(vendor: Vendor) -> None:
    async with SpeechServer([Said(ROME, pauses_after=3)]) as server, hearing(vendor.stt(server)) as heard:
        await heard.push(2000)
        await heard.until(lambda: heard.partials[-1:] == [ROME])
        assert heard.finals == []
        words = ROME.split()
        assert heard.partials == [" ".join(words[: n + 1]) for n in range(len(words))]
        await heard.stt.finalize()
        assert (await heard.final()).text == ROME


@pytest.mark.parametrize("vendor", [vendor for vendor in SOCKETS if vendor.by_itself], ids=lambda vendor: vendor.name)
async def test_what_is_said_twice_is_shown_twice(vendor: Vendor) -> None:
    async with SpeechServer(["yes", "yes"]) as server, hearing(vendor.stt(server)) as heard:
        for number in (1, 2):
            await heard.push(600)
            await heard.until(lambda number=number: len(heard.partials) == number)  # type: ignore[misc]  # bound now
            await heard.stt.finalize()
            await heard.final(number)
        assert heard.partials == ["yes", "yes"]


# --- words


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.times], ids=lambda vendor: vendor.name)
async def test_words_have_their_time_on_the_capture_clock(vendor: Vendor) -> None:
    """Nothing was pushed for a second and a half in between; a vendor's own clock knows only what it heard."""
    async with SpeechServer(["good morning", "good night"]) as server, hearing(vendor.stt(server)) as heard:
        await heard.push(1000, first=100)
        await heard.stt.finalize()
        first = await heard.final(1)
        await heard.push(1000, first=225)
        await heard.stt.finalize()
        second = await heard.final(2)
    assert [(word.text, word.start_ms, word.stop_ms) for word in first.words] == [("good", 2100, 2350), ("morning", 2400, 2650)]
    padded = 40 if vendor.name == "assemblyai" else 0
    assert [word.text for word in second.words] == ["good", "night"]
    assert [word.start_ms for word in second.words] == pytest.approx([4600 - padded, 4900 - padded], abs=padded)
    for word in (*first.words, *second.words):
        assert word.confidence == (0.9 if vendor.confidence else None)


@every_vendor
async def test_confidence_is_the_vendors_or_none(vendor: Vendor) -> None:
    async with SpeechServer([Said("good morning", confidence=0.75)]) as server, hearing(vendor.stt(server)) as heard:
        await heard.push(1000)
        await heard.stt.finalize()
        final = await heard.final()
    assert final.confidence == (pytest.approx(0.75) if vendor.confidence else None)


# --- sound


@every_vendor
async def test_every_sample_arrives_once_and_in_order(vendor: Vendor) -> None:
    async with SpeechServer(["one", "two"]) as server, hearing(vendor.stt(server)) as heard:
        for number, ms in enumerate((1220, 740)):
            await heard.push(ms)
            await heard.stt.finalize()
            await heard.final(number + 1)
        parts = sound(heard.pushed[:61]), sound(heard.pushed[61:])
        came = np.concatenate([one.audio for one in server.calls])
        rate = server.calls[0].rate
        assert rate == vendor.rate
        place = 0
        for part in parts:
            whole = resample(part, 16_000, rate)
            assert np.array_equal(came[place : place + len(whole)], whole)
            place += len(whole)
            silence = came[place : place + rate // 10]
            place += len(silence) if not np.any(silence) else int(np.argmax(silence != 0))
        assert len(came) - sum(len(part) for part in parts) * rate // 16_000 <= rate // 5


@every_vendor
async def test_sound_of_another_rate_is_taken(vendor: Vendor) -> None:
    pcm = next(iter(frames(20))).pcm
    async with SpeechServer(["yes"]) as server, hearing(vendor.stt(server), rate=8_000) as heard:
        for seq in range(25):
            await heard.stt.push(Frame(pcm[:160], seq, seq * 20.0))
        await heard.stt.finalize()
        assert (await heard.final()).text == "yes"
        assert server.calls[0].ms == pytest.approx(500, abs=100)


@every_vendor
async def test_row_deepgram_empty_frame_closes_the_socket(vendor: Vendor) -> None:
    """A hook may take a frame's sound away; what is left is nothing to send."""
    async with SpeechServer(["yes"]) as server, hearing(vendor.stt(server)) as heard:
        await heard.stt.push(Frame(np.empty(0, np.int16), 0, 0.0))
        await heard.push(600, first=1)
        await heard.stt.push(Frame(np.empty(0, np.int16), 31, 620.0))
        await heard.stt.finalize()
        await heard.stt.push(Frame(np.empty(0, np.int16), 32, 640.0))
        assert (await heard.final()).text == "yes"
        await heard.stt.finalize()
        await heard.final(2)
        assert len(server.calls) == 1
        assert 0 not in server.calls[0].sizes


@every_vendor
async def test_row_odd_byte_pcm(vendor: Vendor) -> None:
    async with SpeechServer(["yes"]) as server, hearing(vendor.stt(server)) as heard:
        for seq, length in enumerate((319, 1, 321, 333, 8000)):
            await heard.stt.push(Frame(np.full(length, seq + 1, np.int16), seq, seq * 20.0))
        await heard.stt.finalize()
        assert (await heard.final()).text == "yes"
        assert not [size for size in server.calls[0].sizes if size % 2]


async def test_row_whisper_chunks_out_of_order() -> None:
    slow = asyncio.Event()
    async with SpeechServer([Said("first", hold=slow), "second", "third"]) as server, hearing(WHISPER.stt(server)) as heard:
        for number in range(3):
            await heard.push(400 + 200 * number)
            await heard.stt.finalize()
            await server.until(lambda number=number: len(server.calls) == number + 1)  # type: ignore[misc]  # bound now
        assert [round(one.ms) for one in server.calls] == [400, 600, 800]
        slow.set()
        await heard.final(3)
        assert heard.finals == ["first", "second", "third"]


@every_vendor
async def test_row_providers_silently_falling_through_to_a_default(vendor: Vendor) -> None:
    """What was asked for is what is asked of the vendor, or an error."""
    with pytest.raises(PatterConfigError, match="no model of that name" if vendor is WHISPER_STT else "model=''"):
        vendor.kind(KEY, model="")
    if vendor is WHISPER_STT:  # it is one model of the vendor's, and many of this machine's
        with pytest.raises(PatterConfigError, match=r"no model of that name.*OpenAITranscribeSTT"):
            vendor.kind(KEY, model="my-own-model")
        return
    assert vendor.kind(KEY, model="my-own-model").model == "my-own-model"


# --- one session at a time


@every_vendor
async def test_row_36_one_stt_instance_shared_across_calls_mixes_transcripts(vendor: Vendor) -> None:
    async with SpeechServer(["mine"]) as server, hearing(vendor.stt(server)) as heard:
        await heard.push(600)
        with pytest.raises(PatterConfigError, match="another session already") as caught:
            await heard.stt.open(AudioFormat())
        assert "an instance of its own" in str(caught.value)
        await heard.stt.finalize()
        assert (await heard.final()).text == "mine"


@every_vendor
async def test_after_its_session_it_serves_the_next(vendor: Vendor) -> None:
    async with SpeechServer(["first", "second"]) as server:
        stt = vendor.stt(server)
        async with hearing(stt) as heard:
            await heard.push(600)
            await heard.push(400)
            await heard.stt.finalize()
            assert (await heard.final()).text == "first"
        async with hearing(stt) as heard:
            await heard.push(600, first=7)
            await heard.stt.finalize()
            final = await heard.final()
            assert final.text == "second"
            assert [word.start_ms for word in final.words] == ([240] if vendor.times else [])
        assert len(server.calls) == 2
    gc.collect()  # a connection that was left open warns


@every_vendor
async def test_before_open_it_says_what_to_call(vendor: Vendor) -> None:
    stt = vendor.stt("http://127.0.0.1:9")
    with pytest.raises(PatterConfigError, match=r"Call open\(AudioFormat\(\)\) first"):
        await stt.push(next(iter(frames(20))))
    await stt.aclose()


# --- connections


@every_socket
async def test_closing_says_goodbye_and_closes_the_connection(vendor: Vendor) -> None:
    async with SpeechServer([ROME]) as server:
        async with hearing(vendor.stt(server)) as heard:
            await heard.push(600)
            await heard.stt.finalize()
            await heard.final()
        await asyncio.wait_for(server.calls[0].closed.wait(), 10)
        if vendor.farewell:
            assert server.calls[0].texts[-1] == vendor.farewell
            assert server.calls[0].ended


@every_socket
async def test_a_warmed_connection_is_the_one_that_is_used(vendor: Vendor) -> None:
    async with SpeechServer(["yes"]) as server:
        stt = vendor.stt(server)
        await stt.warmup()  # type: ignore[attr-defined]  # sockets have it
        assert len(server.calls) == 1
        async with hearing(stt) as heard:
            await stt.warmup()  # type: ignore[attr-defined]
            await heard.push(600)
            await heard.stt.finalize()
            assert (await heard.final()).text == "yes"
        assert server.handshakes == 1


@every_socket
async def test_what_is_warmed_twice_has_one_connection(vendor: Vendor) -> None:
    async with SpeechServer() as server:
        stt = vendor.stt(server)
        await stt.warmup()  # type: ignore[attr-defined]
        await stt.warmup()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.calls[0].closed.wait(), 10)
        assert not server.calls[1].closed.is_set()
        await stt.aclose()
        await asyncio.wait_for(server.calls[1].closed.wait(), 10)


@every_socket
async def test_a_warmed_connection_that_nobody_uses_is_closed(vendor: Vendor) -> None:
    async with SpeechServer() as server:
        stt = vendor.stt(server)
        stt.clock = clock = ManualClock()
        await stt.warmup()  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        clock.advance(9_999)
        await asyncio.sleep(0)
        assert not server.calls[0].closed.is_set()
        clock.advance(1)
        await asyncio.wait_for(server.calls[0].closed.wait(), 10)


@every_socket
async def test_a_vendor_that_hangs_up_while_nobody_speaks_is_called_again(vendor: Vendor) -> None:
    """The silence that followed the first utterance is no second one."""
    async with SpeechServer(["first", "second"]) as server:
        stt = vendor.stt(server)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(600)
            await stt.finalize()
            await heard.final()
            await heard.push(300)
            clock.advance(1000)
            await server.hang_up()
            await asyncio.wait_for(server.calls[0].closed.wait(), 10)
            await heard.push(600, first=500)
            await stt.finalize()
            final = await heard.final(2)
            assert final.text == "second"
            assert len(server.calls) == 2
            assert [word.start_ms for word in final.words] == ([10_100] if vendor.times else [])


async def test_deepgram_is_kept_alive_while_nobody_speaks() -> None:
    async with SpeechServer(["yes"]) as server:
        stt = DEEPGRAM.stt(server)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(600)
            await stt.finalize()
            await heard.final()
            texts = server.calls[0].texts
            for beats in (1, 2, 3):
                clock.advance(3_999)
                await asyncio.sleep(0)
                assert texts.count('{"type": "KeepAlive"}') == beats - 1
                clock.advance(1)
                await server.until(lambda beats=beats: texts.count('{"type": "KeepAlive"}') == beats)  # type: ignore[misc]  # bound now
            assert server.calls[0].sizes == [640] * 30
            clock.advance(2_000)
            await heard.push(20)
            await server.until(lambda: len(server.calls[0].sizes) == 31)
            clock.advance(2_000)
            await asyncio.sleep(0)
            await heard.push(20)
            await server.until(lambda: len(server.calls[0].sizes) == 32)
            assert texts.count('{"type": "KeepAlive"}') == 3
