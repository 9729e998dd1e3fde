"""What every recogniser makes of a vendor that refuses, breaks off, talks nonsense or says nothing; and that life goes on afterwards."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import pytest
from recognisers import ASSEMBLYAI, DEEPGRAM, KEY, OPENAI, WHISPER, Hearing, Vendor, every_socket, every_vendor, hearing, wire

from patter_nb.audio.frames import AudioFormat
from patter_nb.clock import ManualClock
from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    MalformedStream,
    ModelNotFound,
    PatterConfigError,
    PatterError,
    QuotaExceeded,
    RateLimitError,
    RequestTimeout,
    ServerError,
    TruncatedStream,
)
from patter_nb.stt.openai_transcribe import _Items
from patter_nb.stt.wire.link import Closed
from patter_nb.testing.wire.speech_script import Fault, FaultKind, Said, Turned
from patter_nb.testing.wire.speech_sockets import SpeechServer

ROME = "what is the weather in rome"


def at(vendor: Vendor, kind: FaultKind, *, status: int = 500, message: str = "Something failed.") -> Said:
    """An utterance that goes wrong after its third word, or, where a vendor hears nothing before, when its final is due."""
    return Said(ROME, fault=Fault(kind, 3 if vendor.by_itself else None, status, message))


def check(error: PatterError, vendor: Vendor, heard: str = "") -> None:
    """An error tells who, with which model, and what to do; and never the key."""
    assert error.provider == vendor.stt("http://127.0.0.1").provider
    assert error.model == vendor.stt("http://127.0.0.1").model
    assert error.hint
    assert KEY not in f"{error} {error!r} {vars(error)}"
    assert (f"Heard until then: {heard!r}." in error.message) == bool(heard)


async def speak(heard: Hearing, vendor: Vendor) -> None:
    """Say as much as the fault takes; where it needs one, ask for the final."""
    await heard.push(2000)
    if not vendor.by_itself:
        await heard.stt.finalize()


async def goes_on(heard: Hearing) -> None:
    """The next utterance is heard, by the same instance, as a session has it: `transcripts()` again, then sound."""
    before = len(heard.finals)
    asking = asyncio.ensure_future(heard.final(before + 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await heard.push(600)
    await heard.stt.finalize()
    assert (await asking).text == "thank you"


async def time_passes(clock: ManualClock, met: Callable[[], bool], *, up_to_ms: float = 60_000) -> None:
    """Move the clock on, a little at a time, until something has come of it: who waits for what begins to wait at its own pace."""
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0)
            if up_to_ms > 0 and clock._sleepers:
                clock.advance(50)
                up_to_ms -= 50


# --- refused


@every_vendor
async def test_a_wrong_key(vendor: Vendor) -> None:
    async with SpeechServer(key="another-key") as server, hearing(vendor.stt(server)) as heard:
        await heard.push(600)
        await heard.stt.finalize()
        error = await heard.failure()
    assert isinstance(error, AuthenticationError)
    assert error.status == 401
    assert vendor.key_name in str(error.hint)
    check(error, vendor)


@every_socket
async def test_a_model_that_is_not_there(vendor: Vendor) -> None:
    async with SpeechServer() as server:
        stt = vendor.stt(server, model="no-such-model")
        async with hearing(stt) as heard:
            await heard.push(600)
            error = await heard.failure()
    assert isinstance(error, ModelNotFound)
    assert error.model == "no-such-model"
    assert "Other models are " in str(error.hint)


@every_vendor
@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (402, "Insufficient funds: you exceeded your current quota.", QuotaExceeded),
        (429, "Too many sessions.", RateLimitError),
        (500, "The server had an error.", ServerError),
        (400, "Something is not as it should be.", BadRequest),
    ],
)
async def test_an_error_in_mid_stream(vendor: Vendor, status: int, message: str, kind: type[PatterError]) -> None:
    said = at(vendor, "error", status=status, message=message)
    async with SpeechServer([said, "thank you"]) as server, hearing(vendor.stt(server)) as heard:
        await speak(heard, vendor)
        error = await heard.failure()
        assert message in error.message
        assert "session.llm" not in str(error)
        if vendor is not DEEPGRAM:  # whose message tells no status
            assert type(error) is kind
        check(error, vendor, "what is the" if vendor.by_itself else "")
        await goes_on(heard)


@every_socket
@pytest.mark.parametrize(("status", "kind"), [(402, QuotaExceeded), (403, AuthenticationError), (429, RateLimitError), (500, ServerError)])
async def test_a_handshake_that_is_refused(vendor: Vendor, status: int, kind: type[PatterError]) -> None:
    told = {"retry-after": "7", "dg-error": "It did not work.", "dg-request-id": "dg-1"}
    async with SpeechServer(["thank you"], turned=[Turned(status, headers=told)]) as server, hearing(vendor.stt(server)) as heard:
        error = await heard.failure()
        assert type(error) is kind
        assert (error.status, error.request_id) == (status, "dg-1")
        assert getattr(error, "retry_after_s", 7.0) == 7.0
        check(error, vendor)
        await goes_on(heard)


@every_socket
async def test_an_address_that_is_no_websocket(vendor: Vendor) -> None:
    async with SpeechServer(turned=[Turned(200)]) as server, hearing(vendor.stt(server)) as heard:
        error = await heard.failure()
        assert isinstance(error, MalformedStream)
        assert "base_url" in str(error.hint)
    async with SpeechServer() as server, hearing(vendor.stt(f"{server.url}/elsewhere")) as heard:
        error = await heard.failure()
        assert isinstance(error, ModelNotFound)
        assert "base_url" in str(error.hint)


# --- unreachable


@every_vendor
async def test_nobody_there(vendor: Vendor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with hearing(vendor.stt(f"http://127.0.0.1:{taken.getsockname()[1]}")) as heard:
            await heard.push(600)
            await heard.stt.finalize()
            error = await heard.failure()
    assert isinstance(error, ConnectionFailed)
    check(error, vendor)


@every_vendor
async def test_somebody_there_who_never_answers(vendor: Vendor) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with hearing(vendor.stt(f"http://127.0.0.1:{port}", timeout_s=0.1)) as heard:
            await heard.push(600)
            await heard.stt.finalize()
            error = await heard.failure()
    assert isinstance(error, RequestTimeout)
    check(error, vendor)


@every_vendor
async def test_what_passes_is_tried_again(vendor: Vendor) -> None:
    """The sound waits meanwhile."""
    async with SpeechServer(["thank you"], turned=[Turned(503), Turned(429, headers={"retry-after": "3"})]) as server:
        stt = vendor.stt(server, max_retries=2)
        wire(stt).clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(600)
            await stt.finalize()
            for handshakes, wait_ms in ((1, 625), (2, 3000)):
                await server.until(lambda handshakes=handshakes: server.handshakes == handshakes)  # type: ignore[misc]  # bound now
                await time_passes(clock, lambda handshakes=handshakes: server.handshakes > handshakes, up_to_ms=wait_ms)  # type: ignore[misc]
            assert (await heard.final()).text == "thank you"
            assert server.handshakes == 3


@every_socket
async def test_a_failed_warmup_is_told_in_the_log_only(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    async with SpeechServer(["thank you"], turned=[Turned(503)]) as server:
        stt = vendor.stt(server)
        with caplog.at_level(logging.WARNING):
            await stt.warmup()  # type: ignore[attr-defined]  # sockets have it
        assert "could not be warmed up" in caplog.text
        assert KEY not in caplog.text
        async with hearing(stt) as heard:
            await heard.push(600)
            await stt.finalize()
            assert (await heard.final()).text == "thank you"


# --- broken off


@every_vendor
async def test_a_connection_that_drops(vendor: Vendor) -> None:
    async with SpeechServer([at(vendor, "drop"), "thank you"]) as server, hearing(vendor.stt(server)) as heard:
        await speak(heard, vendor)
        error = await heard.failure()
        if not vendor.socket:
            assert isinstance(error, ConnectionFailed)
        else:
            assert isinstance(error, TruncatedStream)
            assert error.partial_text == ("what is the" if vendor.by_itself else "")
        check(error, vendor, "what is the" if vendor.by_itself else "")
        assert heard.finals == []
        await goes_on(heard)


@every_socket
async def test_a_vendor_that_closes_in_mid_utterance(vendor: Vendor) -> None:
    async with SpeechServer([at(vendor, "close"), "thank you"]) as server, hearing(vendor.stt(server)) as heard:
        await speak(heard, vendor)
        error = await heard.failure()
        assert isinstance(error, TruncatedStream)
        assert error.code == "1011"
        await goes_on(heard)


@every_vendor
@pytest.mark.parametrize("kind", ["garbage", "foreign", "bytes", "frame"])
async def test_what_is_no_message_of_the_vendors(vendor: Vendor, kind: FaultKind) -> None:
    async with SpeechServer([at(vendor, kind), "thank you"]) as server, hearing(vendor.stt(server)) as heard:
        await speak(heard, vendor)
        error = await heard.failure()
        assert isinstance(error, MalformedStream)
        check(error, vendor, "what is the" if vendor.by_itself else "")
        await goes_on(heard)


@every_socket
async def test_a_vendor_that_says_nothing(vendor: Vendor) -> None:
    async with SpeechServer([at(vendor, "silence"), "thank you"]) as server:
        stt = vendor.stt(server, timeout_s=4.0)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(2000)
            if vendor.by_itself:
                await heard.until(lambda: heard.partials[-1:] == ["what is the"])
            await stt.finalize()
            await server.until(lambda: bool(server.calls) and vendor.asking in server.calls[0].texts)
            failing = asyncio.ensure_future(heard.failure())
            await time_passes(clock, failing.done)
            error = await failing
            assert isinstance(error, RequestTimeout)
            assert "4 s" in error.message
            check(error, vendor, "what is the" if vendor.by_itself else "")
            assert heard.finals == []
            await goes_on(heard)


async def test_an_upload_that_is_never_answered() -> None:
    async with SpeechServer([at(WHISPER, "silence"), "thank you"]) as server, hearing(WHISPER.stt(server, timeout_s=0.2)) as heard:
        await speak(heard, WHISPER)
        error = await heard.failure()
        assert isinstance(error, RequestTimeout)
        check(error, WHISPER)
        await goes_on(heard)


@pytest.mark.parametrize("vendor", [DEEPGRAM, ASSEMBLYAI], ids=lambda vendor: vendor.name)
async def test_a_vendor_that_has_nothing_left_may_say_so_by_silence(vendor: Vendor) -> None:
    """All words were in a final that it made itself; nothing is lost, and nobody waits for the time-out."""
    async with SpeechServer([Said("good morning", pauses_after=2, answers=False), "thank you"]) as server:
        stt = vendor.stt(server)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(1000)
            await heard.until(lambda: heard.partials[-1:] == ["good morning"])
            await stt.finalize()
            await server.until(lambda: bool(server.calls) and vendor.asking in server.calls[0].texts)
            await time_passes(clock, lambda: bool(heard.finals))
            assert heard.finals == ["good morning"]
            assert clock.now_ms() < 10_000
            await heard.push(600)
            await stt.finalize()
            await heard.final(2)
            assert heard.finals == ["good morning", "thank you"]


async def test_deepgrams_silence_about_much_sound_is_a_failure() -> None:
    """Three seconds behind its last final are not too little to speak of; words in them would be lost."""
    async with SpeechServer([Said("good morning", pauses_after=2, answers=False)]) as server:
        stt = DEEPGRAM.stt(server, timeout_s=4.0)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(3700)
            await heard.until(lambda: heard.partials[-1:] == ["good morning"])
            await stt.finalize()
            failing = asyncio.ensure_future(heard.failure())
            await time_passes(clock, failing.done)
            error = await failing
            assert isinstance(error, RequestTimeout)
            check(error, DEEPGRAM, "good morning")


async def test_assemblyai_says_nothing_of_noise_and_once_too_often_is_a_failure() -> None:
    vendor = ASSEMBLYAI
    async with SpeechServer(["", ""]) as server:
        stt = vendor.stt(server, timeout_s=4.0)
        stt.clock = clock = ManualClock()
        async with hearing(stt) as heard:
            await heard.push(600)
            await stt.finalize()
            await server.until(lambda: bool(server.calls) and vendor.asking in server.calls[0].texts)
            await time_passes(clock, lambda: bool(heard.finals))
            assert heard.finals == [""]
            await heard.push(600)
            await stt.finalize()
            failing = asyncio.ensure_future(heard.failure())
            await time_passes(clock, failing.done)
            assert isinstance(await failing, RequestTimeout)


@every_vendor
async def test_after_a_failure_the_instance_can_be_opened_again(vendor: Vendor) -> None:
    async with SpeechServer([at(vendor, "drop"), "thank you"]) as server:
        stt = vendor.stt(server)
        async with hearing(stt) as heard:
            await speak(heard, vendor)
            await heard.failure()
            with pytest.raises(PatterConfigError, match="another session already"):
                await stt.open(AudioFormat())  # whoever listened may listen again
            await stt.aclose()
            await stt.open(AudioFormat())
            await goes_on(heard)


@every_vendor
async def test_what_is_pushed_after_a_failure_belongs_to_the_lost_utterance(vendor: Vendor) -> None:
    async with SpeechServer([at(vendor, "drop"), "thank you"]) as server, hearing(vendor.stt(server)) as heard:
        await speak(heard, vendor)
        await heard.failure()
        await heard.push(200)
        await heard.stt.finalize()
        await goes_on(heard)
        assert len(heard.finals) == 1
        assert server.calls[-1].ms == pytest.approx(600, abs=100)


# --- wrong use


@every_vendor
def test_a_missing_key_is_named(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vendor.key_name, raising=False)
    with pytest.raises(PatterConfigError, match=vendor.key_name):
        vendor.kind()
    monkeypatch.setenv(vendor.key_name, "from the environment")
    stt = vendor.kind()
    assert stt.costs
    assert "environment" not in f"{stt!r} {stt}"
    assert stt.model in repr(stt)


@every_vendor
def test_an_unknown_keyword_has_a_hint(vendor: Vendor) -> None:
    with pytest.raises(TypeError, match="Did you mean language="):
        vendor.kind(KEY, langauge="en")


@every_vendor
@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"max_retries": -1}, {"base_url": "api.example.com"}])
def test_options_that_cannot_work(vendor: Vendor, options: dict[str, object]) -> None:
    with pytest.raises(PatterConfigError, match=next(iter(options))):
        vendor.kind(KEY, **options)


def test_assemblyais_english_model_is_for_english() -> None:
    with pytest.raises(PatterConfigError, match="universal-streaming-multilingual"):
        ASSEMBLYAI.kind(KEY, language="it")


async def test_openai_session_that_has_expired_is_no_failure_while_nobody_speaks() -> None:
    """A Realtime session ends after an hour."""
    with pytest.raises(Closed, match="hit the maximum duration"):
        list(_Items().take({"type": "error", "error": {"code": "session_expired", "message": "Your session hit the maximum duration."}}))
    assert OPENAI.stt("http://127.0.0.1").closing(1001, "") is None  # type: ignore[attr-defined]  # sockets have it
