"""The rows of the behaviour table that concern speech to text, voices and engines: what no other test of theirs shows yet.

`test_row_1_*` are claims, `test_row_12_*` bugs that others had, the rest is named after its section.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from engine_person import LONG, Page, heard_all
from talking import bodies, one_utterance, silence, talking, until

import patter_nb
from patter_nb import Patter, WavTransport
from patter_nb.audio.frames import Pcm
from patter_nb.console.transport import ListenBy
from patter_nb.engines.base import Engine
from patter_nb.errors import MalformedStream, PatterConfigError
from patter_nb.events import StageFailed, TurnEnded, TurnStarted, UtteranceDropped
from patter_nb.session import Session
from patter_nb.stt.base import STT, Transcript
from patter_nb.stt.moonshine import MoonshineSTT
from patter_nb.stt.whisper import WhisperSTT
from patter_nb.stt.whisper.local import LocalWhisper
from patter_nb.testing import Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS, block_real_requests
from patter_nb.testing.wire.convai import ConvAIServer
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer, Spoken, Utterance
from patter_nb.testing.wire.speech_script import Said
from patter_nb.testing.wire.speech_sockets import SpeechServer
from patter_nb.tts.base import TTS
from patter_nb.vad.energy import EnergyVAD
from patter_nb.vad.silero import SileroVAD

KEYS = {
    "AssemblyAISTT": ("ASSEMBLYAI_API_KEY",),
    "CartesiaSTT": ("CARTESIA_API_KEY",),
    "CartesiaTTS": ("CARTESIA_API_KEY",),
    "DeepgramSTT": ("DEEPGRAM_API_KEY",),
    "ElevenLabsConvAI": ("ELEVENLABS_API_KEY",),
    "ElevenLabsTTS": ("ELEVENLABS_API_KEY",),
    "GeminiLive": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "OpenAIRealtime": ("OPENAI_API_KEY",),
    "OpenAITTS": ("OPENAI_API_KEY",),
    "OpenAITranscribeSTT": ("OPENAI_API_KEY",),
}
"""Whoever hears or speaks by a vendor, and where its key comes from, the first that is there."""
HERE = ("BrowserTTS", "MoonshineSTT", "PiperTTS", "WhisperSTT")
"""Whoever needs no vendor."""
AT_VENDORS = KEYS | {"WhisperSTT": ("OPENAI_API_KEY",)}
"""Whisper is both: of those by itself, at its vendor where that is asked for."""
every_vendor = pytest.mark.parametrize("name", AT_VENDORS)


def made(name: str, key: str | None = None, **options: Any) -> Any:
    """An instance of a public name at its vendor; an agent of ElevenLabs' needs the name of one, and Whisper that of OpenAI's model."""
    more = {"ElevenLabsConvAI": {"agent_id": "agent-1"}, "WhisperSTT": {"model": "whisper-1"}}.get(name, {})
    return getattr(patter_nb, name)(key, **more, **options)


def key_of(one: Any) -> str:
    key: str = (one._ears if isinstance(one, WhisperSTT) else one)._key
    return key


@dataclass(frozen=True)
class Way:
    """An engine at the server that speaks as its vendor does."""

    server: Callable[..., Any]
    name: str

    @asynccontextmanager
    async def talking(
        self, replies: Sequence[Any], *, odd: bool = False, transport: Any = None, hears: Sequence[Utterance] = (), **parts: Any
    ) -> AsyncIterator[tuple[Session, Page, Any]]:
        """A session by this engine, with a person at a page unless there is another transport."""
        page = Page()
        async with self.server(replies, hears=hears) as server:
            server.odd = odd
            agent = Patter().agent("Be brief.", engine=made(self.name, "test-key", base_url=server.url), **parts)
            async with Patter().serve(agent, transport=transport or page.transport, name="rows") as session:
                if transport is None:
                    page.transport.offer(ListenBy(page))
                yield session, page, server


WAYS = {
    "openai": Way(RealtimeServer, "OpenAIRealtime"),
    "elevenlabs": Way(ConvAIServer, "ElevenLabsConvAI"),
    "google": Way(GeminiLiveServer, "GeminiLive"),
}
every_engine = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


# --- claims


def test_every_recogniser_voice_and_engine_is_in_the_table() -> None:
    """Another one that is made public has to be put into it."""
    speaks = (STT, TTS, Engine)
    classes = {name for name in patter_nb.__all__ if name.endswith(("STT", "TTS")) or isinstance(getattr(patter_nb, name), type)}
    found = {name for name in classes if any(_has_all(getattr(patter_nb, name), kind) for kind in speaks)}
    assert found == {*KEYS, *HERE}


def _has_all(kind: Any, protocol: Any) -> bool:
    """Whether a class has what the protocol asks for."""
    return kind is not protocol and all(hasattr(kind, name) for name in vars(protocol) if not name.startswith("_"))


@every_vendor
def test_row_1_23_every_stage_reads_its_key_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in AT_VENDORS[name]:
        monkeypatch.delenv(key, raising=False)
    with pytest.raises(PatterConfigError, match=f"{name} has no API key.*{AT_VENDORS[name][0]}"):
        made(name)
    for key in AT_VENDORS[name]:
        monkeypatch.setenv(key, "  ")
    with pytest.raises(PatterConfigError, match="has no API key"):
        made(name)
    for key in reversed(AT_VENDORS[name]):
        monkeypatch.setenv(key, f" from {key} ")
        assert key_of(made(name)) == f"from {key}"
    assert key_of(made(name, "given")) == "given"
    monkeypatch.setenv(AT_VENDORS[name][0], "changed")
    assert key_of(made(name, "given")) == "given"


@every_vendor
def test_row_15_2_nothing_is_opened_where_one_is_made_and_no_key_is_shown(name: str) -> None:
    with block_real_requests() as blocked:
        one = made(name, "sk-very-secret")
    assert blocked == []
    assert "sk-very-secret" not in f"{one!r} {one} {Patter().agent(**_as_part(one))!r}"
    assert one.costs is True


def _as_part(one: Any) -> dict[str, Any]:
    return {next(name for name, kind in (("engine", Engine), ("stt", STT), ("tts", TTS)) if isinstance(one, kind)): one}


def test_a_key_where_a_models_name_is_due_is_not_shown() -> None:
    with pytest.raises(PatterConfigError, match=r"knows no model of that name") as caught:
        WhisperSTT(model="sk-very-secret")
    assert "secret" not in str(caught.value)


# --- 8: recognisers, voices and engines


def test_row_12_15_the_default_models_are_listed_in_one_place() -> None:
    """A vendor retires a model: then this is where it is seen, and the class's own table of names is where it is changed."""
    models = {name: made(name, "k").model for name in AT_VENDORS if name != "ElevenLabsConvAI"}
    assert models == {
        "AssemblyAISTT": "universal-streaming-english",
        "CartesiaSTT": "ink-whisper",
        "CartesiaTTS": "sonic-3",
        "DeepgramSTT": "nova-3",
        "ElevenLabsTTS": "eleven_flash_v2_5",
        "GeminiLive": "gemini-2.5-flash-native-audio-preview-09-2025",
        "OpenAIRealtime": "gpt-realtime-mini",
        "OpenAITTS": "gpt-4o-mini-tts",
        "OpenAITranscribeSTT": "gpt-4o-transcribe",
        "WhisperSTT": "whisper-1",
    }
    assert (MoonshineSTT().model, WhisperSTT().model) == ("tiny-en", "tiny.en")
    engines = [made(name, "k") for name in ("OpenAIRealtime", "GeminiLive", "ElevenLabsConvAI")]
    assert [engine.voice for engine in engines] == ["alloy", "Puck", None]
    for name in ("AssemblyAISTT", "CartesiaSTT", "DeepgramSTT", "OpenAITranscribeSTT", "OpenAITTS", "ElevenLabsTTS", "CartesiaTTS"):
        assert getattr(patter_nb, name).models[0] == models[name]


async def _session_told(**options: Any) -> dict[str, Any]:
    """What OpenAI is told of the session."""
    async with RealtimeServer([]) as server:
        agent = Patter().agent("Be brief.", engine=patter_nb.OpenAIRealtime("test-key", base_url=server.url, **options))
        async with Patter().serve(agent, transport=Page().transport, name="told"):
            await until(lambda: server.sessions)
        told: dict[str, Any] = server.sessions[0]
    return told


async def test_row_8_5_what_openai_is_told_where_nothing_else_was_asked_for() -> None:
    pcm = {"type": "audio/pcm", "rate": 24_000}
    vad = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 300}
    assert await _session_told() == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "tools": [],
        "tool_choice": "auto",
        "audio": {
            "input": {
                "format": pcm,
                "transcription": {"model": "whisper-1"},
                "turn_detection": vad | {"create_response": True, "interrupt_response": True},
            },
            "output": {"format": pcm, "voice": "alloy"},
        },
    }


async def test_row_8_5_every_option_of_openai_reaches_the_wire() -> None:
    told = await _session_told(
        voice="marin",
        turn_detection={"type": "semantic_vad", "eagerness": "low"},
        noise_reduction="far_field",
        transcription_model="gpt-4o-mini-transcribe",
        transcription_language="it",
        reasoning_effort="low",
    )
    heard, spoken = told["audio"]["input"], told["audio"]["output"]
    assert heard["turn_detection"] == {"type": "semantic_vad", "eagerness": "low", "create_response": True, "interrupt_response": True}
    assert heard["transcription"] == {"model": "gpt-4o-mini-transcribe", "language": "it"}
    assert (heard["noise_reduction"], spoken["voice"], told["reasoning"]) == ({"type": "far_field"}, "marin", {"effort": "low"})


async def test_row_8_5_what_gemini_is_told_where_nothing_else_was_asked_for() -> None:
    async with WAYS["google"].talking([]) as (_, page, server):
        page.speak(40)
        await until(lambda: server.heard)
        (setup,) = server.setups
        (first, *_) = server.received
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}
    assert setup == {
        "model": "models/gemini-2.5-flash-native-audio-preview-09-2025",
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": voice},
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }
    assert first["realtimeInput"]["audio"]["mimeType"] == "audio/pcm;rate=16000"


async def test_row_8_5_elevenlabs_speaks_the_agents_language_and_not_italian() -> None:
    async with WAYS["elevenlabs"].talking([], language="de") as (_, page, server):
        page.speak(40)
        await until(lambda: server.heard)
        (begun,) = server.messages("conversation_initiation_client_data")
    assert begun["conversation_config_override"]["agent"]["language"] == "de"


async def test_row_8_5_what_elevenlabs_takes_for_heard_does_not_replace_what_was_heard() -> None:
    """Behind an interruption it sends its own reckoning as a correction; who played the sound knows better."""
    hears = [Utterance(100, 500, "Tell me."), Utterance(1500, 2000, "Stop.")]
    async with WAYS["elevenlabs"].talking([Spoken(LONG, paced=True), "All right."], hears=hears) as (session, page, _):
        page.speak(700)
        await until(lambda: page.sent > 24_000)
        page.played(12_000)
        await until(lambda: session.state == "speaking")
        page.speak(1500)
        await until(lambda: len(session.turns) == 2)
        await heard_all(session, page)
        first, second = session.turns
        assert LONG.startswith(first.heard_text)
        assert "..." not in first.heard_text + first.agent_text + second.agent_text
        assert session.history[1] == {"role": "assistant", "content": first.heard_text}


# --- 7.2: what is no words


@pytest.mark.parametrize("heard", ["...", "?!", "♪♪", " — ", "。"])
async def test_row_7_2_punctuation_is_no_turn(heard: str) -> None:
    llm = ScriptedLLM([])
    async with talking(transport=silence(), llm=llm, stt=ScriptedSTT([heard]), tts=ScriptedTTS(), vad=one_utterance()) as session:
        await session.wait()
        assert [body.reason for body in bodies(session, UtteranceDropped)] == ["no words were heard"]
    assert not session.turns


@asynccontextmanager
async def _whisper_hears(*said: Said) -> AsyncIterator[Session]:
    """A session that hears this by OpenAI's Whisper, one utterance after the other."""
    spans = [(500.0 + 3000 * number, 1500.0 + 3000 * number) for number in range(len(said))]
    async with SpeechServer(said) as server:
        stt = patter_nb.OpenAITranscribeSTT("test-key", model="whisper-1", base_url=f"{server.url}/v1")
        agent = Patter().agent(llm=ScriptedLLM(["Fine."] * len(said)), stt=stt, vad=RecordedVAD.speaking(*spans))
        async with Patter().serve(agent, transport=silence(3.0 * len(said) + 2), name="whisper") as session:
            await session.wait()
            yield session


@pytest.mark.parametrize(
    "imagined", ["Thank you for watching!", "Thank you.", "Please subscribe to my channel.", "you", "Subtitles by the Amara.org community"]
)
async def test_row_7_2_what_whisper_writes_of_silence_is_no_turn_and_the_same_words_spoken_are(imagined: str) -> None:
    async with _whisper_hears(Said(imagined, no_speech=0.75), Said(imagined, no_speech=0.2)) as session:
        assert [turn.user_text for turn in session.turns] == [imagined]
        assert [body.reason for body in bodies(session, UtteranceDropped)] == ["no words were heard"]
        assert not bodies(session, StageFailed)


async def test_row_7_2_captions_of_sounds_are_no_words_however_sure_whisper_is() -> None:
    async with _whisper_hears(Said("[Music]", no_speech=0.1), Said("(door closes)"), Said("*sighs*"), Said("♪ la la ♪")) as session:
        assert not session.turns


async def test_row_7_2_a_sentence_is_kept_where_whisper_is_in_doubt() -> None:
    """It is no stock phrase, and its words are probable."""
    async with _whisper_hears(Said("Turn off the light.", no_speech=0.75), Said("mumble", no_speech=0.75, confidence=0.2)) as session:
        assert [turn.user_text for turn in session.turns] == ["Turn off the light."]


@dataclass(frozen=True)
class _Segment:
    text: str
    no_speech_prob: float
    avg_logprob: float


@pytest.mark.parametrize(
    ("segments", "text"),
    [
        ([_Segment(" Thank you.", 0.12, -0.13)], "Thank you."),
        ([_Segment(" Thank you.", 0.75, -0.4)], ""),
        ([_Segment(" You", 0.75, -1.48)], ""),
        ([_Segment(" Turn it off.", 0.3, -0.2), _Segment(" Thanks for watching!", 0.8, -0.3)], "Turn it off."),
    ],
)
def test_row_7_2_the_whisper_on_this_machine_drops_the_same(segments: list[_Segment], text: str) -> None:
    class Model:
        def transcribe(self, pcm: Any, **options: Any) -> tuple[Any, None]:
            return iter(segments), None

    here = WhisperSTT()._ears
    assert isinstance(here, LocalWhisper)
    assert here._transcribe(Model(), np.zeros(16_000, np.int16)) == text


@pytest.mark.parametrize("pause_ms", [600.0, 1900.0])
async def test_row_7_2_who_says_the_same_again_is_answered_again(pause_ms: float) -> None:
    """Time tells no repetition from an echo: a final answers its own `finalize`, so none comes twice."""
    vad = RecordedVAD.speaking((500.0, 900.0), (900.0 + pause_ms, 1300.0 + pause_ms))
    llm = ScriptedLLM(["First.", "Second."])
    async with talking(transport=silence(6.0), llm=llm, stt=ScriptedSTT(["Yes.", "Yes."]), vad=vad) as session:
        await session.wait()
        assert [turn.user_text for turn in session.turns] == ["Yes.", "Yes."]


class Stammering(ScriptedSTT):
    """A recogniser that sends each of its finals once more when the next utterance begins."""

    released = False

    async def transcripts(self) -> AsyncIterator[Transcript]:
        async for transcript in super().transcripts():
            yield transcript
            await until(lambda: self.released)
            yield transcript


async def test_row_7_2_a_final_that_comes_again_when_its_turn_has_begun_is_nobodys() -> None:
    stt = Stammering(["Yes."])
    llm = ScriptedLLM(["First."])
    async with talking(transport=silence(60.0), llm=llm, stt=stt, vad=one_utterance()) as session:
        await until(lambda: session.turns and session.turns[0].status == "completed")
        stt.released = True
        await until(lambda: bodies(session, UtteranceDropped))
        assert [body.text for body in bodies(session, UtteranceDropped)] == ["Yes."]
        assert [turn.user_text for turn in session.turns] == ["Yes."]


# --- 12: bugs that others had


installed = pytest.mark.skipif(not find_spec("faster_whisper"), reason='needs pip install "patter-nb[whisper]"')
EARS: dict[str, tuple[str, Callable[[], Any], Any]] = {
    **{name: ("stt", lambda name=name: made(name, "k", base_url="http://127.0.0.1:9"), ()) for name in AT_VENDORS if name.endswith("STT")},
    "MoonshineSTT": ("stt", MoonshineSTT, pytest.mark.models),
    "WhisperSTT-here": ("stt", WhisperSTT, installed),
    "SileroVAD": ("vad", SileroVAD, pytest.mark.models),
    "EnergyVAD": ("vad", EnergyVAD, ()),
}
"""Whoever keeps one person's sound: the part of an agent that it is, how it is made, and what it needs. Engines are below."""


@pytest.mark.parametrize(("part", "make"), [pytest.param(part, make, id=name, marks=marks) for name, (part, make, marks) in EARS.items()])
async def test_row_12_36_two_sessions_never_share_ears(part: str, make: Callable[[], Any]) -> None:
    ears = {part: make()}
    others = {} if part == "stt" else {"stt": ScriptedSTT([])}
    agent = Patter().agent(llm=ScriptedLLM([]), **ears, **others)
    async with Patter().serve(agent, transport=silence(60.0), name="mine"):
        other = Patter().agent(llm=ScriptedLLM([]), **ears, **({} if part == "stt" else {"stt": ScriptedSTT([])}))
        with pytest.raises(PatterConfigError, match=f"{part}=.* is in use by the session 'mine'.*{type(ears[part]).__name__}"):
            await Patter().serve(other, transport=silence(), name="theirs")
    async with Patter().serve(other, transport=silence(1.0), name="theirs") as session:
        assert session.state != "stopped"


@every_engine
async def test_row_12_36_two_sessions_never_share_an_engine(way: Way) -> None:
    async with way.talking(["Mine."]) as (session, _, _server):
        other = Patter().agent(engine=session.engine)
        with pytest.raises(PatterConfigError, match=f"engine={way.name} is in use by the session 'rows'"):
            await Patter().serve(other, transport=Page().transport, name="theirs")
        assert (await session.ask("Still there?")).agent_text == "Mine."


def _ended(session: Session) -> list[tuple[int | None, str]]:
    return [(event.turn, event.body.status) for event in session.events.of(TurnEnded)]  # type: ignore[union-attr]  # they are of that kind


@every_engine
async def test_row_12_38_a_turn_of_an_engine_is_recorded_once_also_where_the_session_ends_in_its_middle(way: Way) -> None:
    async with way.talking(["One.", Spoken(LONG, paced=True)]) as (session, page, _):
        await session.ask("first")
        await heard_all(session, page)
        asking = asyncio.create_task(session.ask("second"))
        await until(lambda: session.turns[-1].agent_text and len(session.turns) == 2)
        await session.stop()
        await asyncio.gather(asking, return_exceptions=True)
        assert [(turn.user_text, turn.status) for turn in session.turns] == [("first", "completed"), ("second", "interrupted")]
        assert _ended(session) == [(1, "completed"), (2, "interrupted")]
        assert [event.turn for event in session.events.of(TurnStarted)] == [1, 2]


async def test_row_12_38_a_spoken_turn_is_recorded_once_also_where_the_session_ends_in_its_middle() -> None:
    llm = ScriptedLLM([["It is sunny in Rome today. And", Hold(asyncio.Event())]])
    parts = {"stt": ScriptedSTT(["Weather?"]), "tts": ScriptedTTS(), "vad": one_utterance()}
    async with talking(transport=silence(60.0), llm=llm, **parts) as session:
        await until(lambda: session.turns and session.turns[0].agent_text)
        await session.stop()
        assert [(turn.user_text, turn.status) for turn in session.turns] == [("Weather?", "interrupted")]
        assert _ended(session) == [(1, "interrupted")]


def _tone(hz: float, seconds: float = 1.0) -> Pcm:
    sound: Pcm = (12_000 * np.sin(np.arange(int(24_000 * seconds)) * (2 * np.pi * hz / 24_000))).astype(np.int16)
    return sound


@every_engine
async def test_row_12_odd_byte_pcm_of_an_engine_is_neither_hiss_nor_a_crash(way: Way) -> None:
    """However the bytes are cut, the samples are the same: one byte off, all of them would be noise."""
    said = Spoken("One two three four five.", _tone(400))
    async with way.talking([said, said], odd=True) as (session, page, _):
        for text in ("first", "second"):
            assert (await session.ask(text)).agent_text == said.text
            await heard_all(session, page)
        spoken = np.concatenate([block.pcm for block in page.blocks]).astype(float)
        assert not bodies(session, StageFailed)
    spectrum = np.abs(np.fft.rfft(spoken)) ** 2
    hz = np.fft.rfftfreq(len(spoken), 1 / 24_000)
    assert len(spoken) > 1.9 * 24_000
    assert spectrum[(hz > 300) & (hz < 500)].sum() > 0.99 * spectrum.sum()


@every_engine
async def test_row_12_missing_anti_alias_filter_in_24_to_16_khz_of_an_engine(way: Way) -> None:
    """A tone of 10 kHz has no place at 16 kHz; without a filter it would be heard at 6 kHz, as loud."""
    transport = WavTransport((np.full(16_000 * 6, 500, np.int16), 16_000), paced=False)
    hears = [Utterance(100, 500, "Hello.")]
    async with way.talking([Spoken("Hi.", _tone(10_000))], transport=transport, hears=hears) as (session, _, _server):
        await session.wait()
        assert [turn.status for turn in session.turns] == ["completed"]
        spoken = np.asarray(session.audio.spoken)
    assert len(spoken) == pytest.approx(16_000, rel=0.02)
    assert np.abs(spoken[2000:-2000].astype(int)).max() < 120  # 40 dB below the tone


@every_engine
async def test_sound_that_is_no_base64_is_a_malformed_stream_and_another_provider_goes_on(way: Way) -> None:
    wrong = {
        "OpenAIRealtime": '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "%%%"}',
        "ElevenLabsConvAI": '{"type": "audio", "audio_event": {"audio_base_64": "%%%", "event_id": 5}}',
        "GeminiLive": '{"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "%%%"}}]}}}',
    }
    async with way.talking([]) as (session, page, server):
        page.speak(40)
        await until(lambda: server.heard)
        await server.babble(wrong[way.name])
        await until(lambda: bodies(session, StageFailed))
        error = bodies(session, StageFailed)[0].error
        assert isinstance(error, MalformedStream)
        assert error.provider and error.hint
        assert "no base64" in error.message
        session.use(engine=None, llm=ScriptedLLM(["Still here."]))
        assert (await session.ask("And now?")).agent_text == "Still here."


# --- 9.1: figures


@every_engine
async def test_row_9_1_no_figure_of_an_engines_turn_is_below_zero(way: Way) -> None:
    """Speech, an answer, an interruption, another answer: what was measured is a time, and what was not is left out."""
    hears = [Utterance(100, 500, "Tell me."), Utterance(1500, 2000, "Stop.")]
    async with way.talking([Spoken(LONG, paced=True), "All right."], hears=hears) as (session, page, _):
        page.speak(700)
        await until(lambda: page.sent > 24_000)
        page.played(12_000)
        await until(lambda: session.state == "speaking")
        page.speak(1500)
        await until(lambda: len(session.turns) == 2)
        await heard_all(session, page)
        figures = [dict(turn.latency) for turn in session.turns]
    assert [turn.status for turn in session.turns] == ["interrupted", "completed"]
    assert all(ms >= 0 for told in figures for ms in told.values()), figures
    assert "response" in figures[0]
