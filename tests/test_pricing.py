"""What a turn costs: the default models have a price, caches have theirs, one's own go first, and what is unknown is not free."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from talking import silence, until

from patter_nb import AssemblyAISTT, CartesiaSTT, CartesiaTTS, DeepgramSTT, ElevenLabsTTS, OpenAITranscribeSTT, OpenAITTS
from patter_nb.audio.frames import AudioFormat
from patter_nb.charges import costs_by_stage
from patter_nb.display import mimebundle
from patter_nb.errors import PatterConfigError
from patter_nb.events import AudioSent, SpeechUsed
from patter_nb.llm.anthropic import AnthropicLLM
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.cerebras import CerebrasLLM
from patter_nb.llm.google import GoogleLLM
from patter_nb.llm.groq import GroqLLM
from patter_nb.llm.openai import OpenAILLM
from patter_nb.patter import Patter
from patter_nb.pricing import Prices
from patter_nb.testing import RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.turns import Turns

MILLION = 1_000_000


def usage(input: int = 0, output: int = 0, **more: int) -> LLMChunk:
    return LLMChunk("usage", input_tokens=input, output_tokens=output, **more)  # type: ignore[arg-type]


class Answering:
    """A model that costs, and says what it used."""

    costs = True

    def __init__(self, provider: str, model: str, *chunks: LLMChunk) -> None:
        self.provider, self.model, self._chunks = provider, model, chunks

    async def stream(self, messages: Any) -> Any:
        yield "Fine."
        for chunk in self._chunks:
            yield chunk
        yield LLMChunk("done", finish_reason="stop")


@pytest.mark.parametrize("kind", [OpenAILLM, AnthropicLLM, GroqLLM, CerebrasLLM, GoogleLLM])
def test_a_default_model_has_a_price(kind: Any) -> None:
    llm = kind("a key")
    cost = Prices().cost(usage(MILLION, MILLION), llm.provider, llm.model)
    assert cost is not None
    assert cost > 0


def test_a_dated_name_is_priced_and_a_smaller_relative_is_not_taken_for_it() -> None:
    prices = Prices()
    assert prices.cost(usage(MILLION), "openai", "gpt-4o-mini-2024-07-18") == prices.cost(usage(MILLION), "openai", "gpt-4o-mini")
    assert prices.cost(usage(MILLION), "openai", "gpt-4.1-nano") != prices.cost(usage(MILLION), "openai", "gpt-4.1")


def test_what_has_no_price_is_none() -> None:
    assert Prices().cost(usage(1), "openai", "no-such-model") is None
    assert Prices().cost(usage(1), "nobody", "gpt-4o") is None
    assert Prices().cost(usage(1), "openai", None) is None


def test_own_prices_go_first_and_fall_back_to_that_of_input() -> None:
    own = Prices({"openai": {"gpt-4o": {"input": 1, "output": 2, "cache_read": "0.1"}}})
    assert own.cost(usage(MILLION, MILLION, cache_read_tokens=MILLION, cache_write_tokens=MILLION), "openai", "gpt-4o") == Decimal("4.1")


@pytest.mark.parametrize(
    ("pricing", "problem"),
    [
        (["openai"], "pricing is list"),
        ({"openai": 3}, "holds int for a provider"),
        ({"openai": {"m": {"input": 1}}}, "has no output"),
        ({"openai": {"m": 2}}, "has no rates"),
        ({"openai": {"m": {"input": 1, "output": 1, "cached": 1}}}, "names cached"),
        ({"openai": {"m": {"input": "cheap", "output": 1}}}, "is no number"),
        ({"openai": {"m": {"input": -1, "output": 1}}}, "below 0"),
        ({"openai": {"m": {}}}, "has no input and no output"),
        ({"openai": {"m": {"minute": 1, "input": 1}}}, "has no output"),
        ({"deepgram": {"m": {"minute": "cheap"}}}, "is no number"),
        ({"deepgram": {"m": {"minute": -1}}}, "below 0"),
        ({"cartesia": {"m": {"characters": 1, "letters": 1}}}, "names letters"),
    ],
)
def test_what_is_no_price_is_refused(pricing: Any, problem: str) -> None:
    with pytest.raises(PatterConfigError, match=problem):
        Patter(pricing=pricing)


def stt(provider: str, model: str, seconds: float = 60.0, **more: Any) -> SpeechUsed:
    return SpeechUsed("stt", provider, model, True, seconds=seconds, **more)


def tts(provider: str, model: str, characters: int = 1000, seconds: float = 60.0) -> SpeechUsed:
    return SpeechUsed("tts", provider, model, True, seconds=seconds, characters=characters)


@pytest.mark.parametrize("kind", [DeepgramSTT, AssemblyAISTT, CartesiaSTT, OpenAITranscribeSTT])
def test_default_ears_have_a_price(kind: Any) -> None:
    ears = kind("a key")
    cost = Prices().speech(stt(ears.provider, ears.model))
    assert cost is not None
    assert cost > 0


@pytest.mark.parametrize("kind", [OpenAITTS, ElevenLabsTTS, CartesiaTTS])
def test_a_default_voice_has_a_price(kind: Any) -> None:
    voice = kind("a key")
    cost = Prices().speech(tts(voice.provider, voice.model))
    assert cost is not None
    assert cost > 0


@pytest.mark.parametrize(
    ("used", "usd"),
    [
        (stt("deepgram", "nova-3"), "0.0048"),
        (stt("deepgram", "nova-3", 30), "0.0024"),
        (stt("deepgram", "nova-3", tariff="nova-3-multilingual"), "0.0058"),
        (stt("deepgram", "nova-2-phonecall"), "0.0058"),
        (stt("openai", "whisper-1"), "0.006"),
        (stt("openai", "gpt-4o-mini-transcribe"), "0.003"),
        (stt("openai", "gpt-4o-mini-transcribe-2025-12-15"), "0.003"),
        (tts("openai", "tts-1"), "0.015"),
        (tts("openai", "tts-1-hd"), "0.03"),
        (tts("openai", "gpt-4o-mini-tts"), "0.012"),
        (tts("elevenlabs", "eleven_flash_v2_5", 200), "0.01"),
        (tts("elevenlabs", "eleven_multilingual_v2"), "0.1"),
        (tts("cartesia", "sonic-3"), "0.03"),
    ],
)
def test_speech_costs_what_the_vendors_list_says(used: SpeechUsed, usd: str) -> None:
    assert Prices().speech(used) == Decimal(usd)


def test_speech_without_a_price_or_a_count_is_none_and_what_runs_here_is_free() -> None:
    prices = Prices()
    assert prices.speech(stt("deepgram", "nova-9")) is None
    assert prices.speech(stt("nobody", "nova-3")) is None
    assert prices.speech(stt("openai", "gpt-4o")) is None, "it has a price, but not for sound"
    assert prices.speech(SpeechUsed("stt", "deepgram", "nova-3", True)) is None
    assert prices.speech(SpeechUsed("stt", "moonshine", "tiny-en", False, seconds=60.0)) == 0
    assert prices.speech(SpeechUsed("stt", "mine", None, True, seconds=60.0)) is None


def test_ones_own_prices_of_speech_go_first_even_for_what_runs_here() -> None:
    own = Prices(
        {
            "deepgram": {"nova-3": {"minute": "0.004"}, "nova-3-multilingual": {"minute": "0.005"}},
            "cartesia": {"sonic-3": {"characters": "0.02"}, "by-the-minute": {"minute": "0.05"}},
            "piper": {"joe": {"characters": 1}},
            "openai": {"gpt-4o-transcribe": {"input": 1, "output": 2, "minute": 9}},
        }
    )
    assert own.speech(stt("deepgram", "nova-3")) == Decimal("0.004")
    assert own.speech(stt("deepgram", "nova-3", tariff="nova-3-multilingual")) == Decimal("0.005")
    assert own.speech(stt("deepgram", "nova-2")) == Decimal("0.0058")
    assert own.speech(tts("cartesia", "sonic-3", 500)) == Decimal("0.01")
    assert own.speech(tts("cartesia", "by-the-minute", seconds=30.0)) == Decimal("0.025")
    assert own.speech(SpeechUsed("tts", "piper", "joe", False, characters=1000)) == 1
    assert own.speech(stt("openai", "gpt-4o-transcribe", tokens=(usage(MILLION, MILLION),))) == 3
    assert own.speech(stt("openai", "gpt-4o-transcribe")) == 9
    assert own.cost(usage(MILLION), "cartesia", "sonic-3") is None, "its price is for characters"


def test_a_model_that_is_charged_by_the_hour_is_not_free_by_the_token() -> None:
    assert Prices().cost(usage(MILLION), "openai", "whisper-1") is None


class Voice(ScriptedTTS):
    """A voice that costs."""

    provider, model, costs = "cartesia", "sonic-3", True


async def test_a_turn_costs_what_its_stages_do_and_says_which_is_unpriced() -> None:
    llm = Answering("openai", "gpt-4o", usage(MILLION, 0))
    phone = Patter()
    async with phone.serve(phone.agent(llm=llm, tts=Voice())) as session:
        turn = await session.ask("How are you?")
        assert turn.usage == {"input_tokens": MILLION, "output_tokens": 0, "tts_characters": len("Fine.")}
        assert turn.costs == {"llm": Decimal("2.5"), "tts": Decimal("0.03") * 5 / 1000}
        assert turn.cost == Decimal("2.50015")
        unknown = Voice()
        unknown.model = "nobody-knows"
        session.tts = unknown
        turn = await session.ask("And now?")
        assert turn.costs == {"llm": Decimal("2.5"), "tts": None}
        assert turn.cost is None
        assert "$2.5000 + tts unpriced" in mimebundle(turn)["text/plain"]
        assert "$5.0002 + 1 unpriced turn" in mimebundle(session)["text/plain"]
    assert costs_by_stage(session.turns.charges) == {"llm": 5, "tts": None}
    again = Turns()
    for event in session.events:
        again.fold(event)
    assert [turn.costs for turn in again] == [turn.costs for turn in session.turns], "the log alone tells it"


async def test_what_was_sent_when_the_session_stops_is_booked_before_its_end() -> None:
    story = "It is a long story. " * 50
    async with Patter().serve(Patter().agent(llm=ScriptedLLM([]), tts=Voice())) as session:
        saying = asyncio.create_task(session.say(story))
        await until(lambda: session.events.of(AudioSent))
        await session.stop()
        await asyncio.gather(saying, return_exceptions=True)
    (turn,) = session.turns
    sent = [event.body.characters for event in session.events.of(SpeechUsed)]
    assert sent
    assert turn.usage == {"tts_characters": sum(sent)}
    assert turn.cost
    assert [event.type for event in session.events if event.type in ("speech_used", "session_stopped")][-1] == "session_stopped"


async def test_sound_without_an_answer_is_charged_to_no_turn() -> None:
    """The person is in mid-sentence when it ends."""
    ears = ScriptedSTT([])
    ears.costs = True  # type: ignore[misc]
    parts = {"stt": ears, "llm": ScriptedLLM([]), "vad": RecordedVAD.speaking((500.0, 90_000.0))}
    async with Patter().serve(Patter().agent(**parts), transport=silence(60.0)) as session:
        await until(lambda: ears.pushed > 100)
        await session.stop()
    assert not session.turns
    (charge,) = session.turns.charges
    assert (charge.stage, charge.provider, charge.cost) == ("stt", "scripted", None)
    (used,) = (event.body for event in session.events.of(SpeechUsed))
    assert isinstance(used, SpeechUsed)
    assert used.seconds == pytest.approx(ears.pushed * 0.02)


async def test_a_voice_of_ones_own_that_does_not_say_may_cost() -> None:
    class Mine:
        format = AudioFormat(16_000)

        async def synthesize(self, text: str) -> Any:
            yield np.zeros(1600, np.int16)

        async def aclose(self) -> None: ...

    async with Patter().serve(Patter().agent(llm=ScriptedLLM([]), tts=Mine())) as session:
        turn = await session.say("Hello.")
    assert (turn.usage, turn.costs, turn.cost) == ({"tts_characters": 6}, {"tts": None}, None)


async def test_row_10_cached_tokens_are_paid_at_their_own_rate() -> None:
    prices = Prices()
    plain, cached = prices.cost(usage(MILLION), "openai", "gpt-4o"), prices.cost(usage(0, cache_read_tokens=MILLION), "openai", "gpt-4o")
    assert plain is not None
    assert cached == plain / 2


async def test_row_11_reading_and_writing_a_cache_have_their_rates() -> None:
    prices, haiku = Prices(), ("anthropic", "claude-haiku-4-5-20251001")
    read, written = (prices.cost(usage(0, **{name: MILLION}), *haiku) for name in ("cache_read_tokens", "cache_write_tokens"))
    assert (read, written) == (Decimal("0.1"), Decimal("1.25"))


async def test_row_14_a_turn_costs_what_its_own_model_does() -> None:
    million = usage(MILLION, MILLION)
    agent = Patter().agent(llm=Answering("anthropic", "claude-haiku-4-5-20251001", million))
    async with Patter().serve(agent) as session:
        assert (await session.ask("one")).cost == 6
        session.llm = Answering("openai", "gpt-4o", million)
        assert (await session.ask("two")).cost == Decimal("12.5")
        session.llm = Answering("openai", "gpt-4o")
        assert (await session.ask("nobody counted")).cost is None
        session.llm = ScriptedLLM(["Free."])
        assert (await session.ask("three")).cost == 0


async def test_a_turn_names_and_pays_who_answered() -> None:
    booked = LLMChunk("usage", input_tokens=MILLION, output_tokens=MILLION, provider="groq", model="llama-3.3-70b-versatile")
    async with Patter().serve(Patter().agent(llm=Answering("fallback", "groq, local", booked))) as session:
        turn = await session.ask("who?")
        assert (turn.provider, turn.model, turn.cost) == ("groq", "llama-3.3-70b-versatile", Decimal("1.38"))
        here = LLMChunk("usage", input_tokens=9, output_tokens=9, provider="local", model="smollm2")
        session.llm = Answering("fallback", "groq, local", here)
        turn = await session.ask("and now?")
        assert (turn.provider, turn.cost) == ("local", 0)


async def test_own_prices_are_those_of_the_sessions_that_are_served() -> None:
    phone = Patter(pricing={"Answering": {"mine": {"input": 1, "output": 1}}})
    async with phone.serve(phone.agent(llm=Answering("Answering", "mine", usage(MILLION, MILLION)))) as session:
        assert (await session.ask("one")).cost == 2
