import asyncio
import gc
import itertools
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.audio.frames import FRAME_SAMPLES, AudioFormat, Frame, Pcm
from patter_nb.errors import AudioError, PatterError
from patter_nb.stt.base import STT, Transcript
from patter_nb.stt.utterance import LEAD, LONGEST, TAIL, Stretch, Utterance, UtteranceSTT

EVERY = 15
FRAME = np.zeros(FRAME_SAMPLES, np.int16)


def spoken(sounds: Sequence[bool], *, levels: Sequence[float] | None = None, start: int = 0) -> Utterance:
    utterance = Utterance(start, EVERY)
    for sound, level in zip(sounds, levels or [0.0] * len(sounds), strict=True):
        utterance.push(FRAME, level, sound=sound)
    return utterance


def speech(frames: int) -> list[bool]:
    return [True] * frames


def silence(frames: int) -> list[bool]:
    return [False] * frames


# --- what to transcribe next


def test_silence_is_not_worth_transcribing() -> None:
    utterance = spoken(silence(1000))
    assert utterance.due() is None
    utterance.finalized = True
    assert utterance.due() is None


def test_a_partial_waits_for_enough_new_sound() -> None:
    assert spoken(speech(EVERY - 1)).due() is None
    utterance = spoken(speech(EVERY), start=100)
    assert utterance.due() == Stretch(100, 100 + EVERY)
    utterance.take(Stretch(100, 100 + EVERY), "so")
    assert utterance.due() is None
    for _ in range(EVERY):
        utterance.push(FRAME, 0.0, sound=True)
    assert utterance.due() == Stretch(100, 100 + 2 * EVERY)


def test_only_a_little_silence_before_the_sound_is_kept() -> None:
    utterance = spoken([*silence(50), *speech(EVERY)])
    assert utterance.due() == Stretch(50 - LEAD, 50 + EVERY)
    assert len(utterance.pcm(Stretch(50 - LEAD, 50 + EVERY))) == (LEAD + EVERY) * FRAME_SAMPLES


def test_a_pause_is_transcribed_to_its_end_and_its_silence_changes_nothing() -> None:
    assert spoken([*speech(3), *silence(TAIL)]).due() is None
    utterance = spoken([*speech(3), *silence(TAIL + 1)])
    assert utterance.due() == Stretch(0, 3 + TAIL)
    utterance.take(Stretch(0, 3 + TAIL), "Yes.")
    for _ in range(100):
        utterance.push(FRAME, 0.0, sound=False)
    utterance.finalized = True
    assert utterance.due() is None
    assert utterance.text == "Yes."


def test_finalizing_transcribes_what_is_left() -> None:
    utterance = spoken(speech(EVERY + 3))
    utterance.take(Stretch(0, EVERY), "so")
    assert utterance.due() is None
    utterance.finalized = True
    assert utterance.due() == Stretch(0, EVERY + 3)


def test_a_long_utterance_is_cut_where_it_is_quietest() -> None:
    levels = [-20.0] * (LONGEST + 1)
    levels[600] = -40.0
    levels[100] = -60.0
    utterance = spoken(speech(LONGEST + 1), levels=levels)
    assert utterance.due() == Stretch(0, 600, cut=True)
    utterance.take(Stretch(0, 600, cut=True), " It was the best of times, ")
    assert utterance.due() == Stretch(600, LONGEST + 1)
    utterance.take(Stretch(600, LONGEST + 1), "it was the worst of times.")
    assert utterance.text == "It was the best of times, it was the worst of times."


def test_a_cut_after_the_last_sound_leaves_nothing_to_transcribe() -> None:
    levels = [-20.0] * (LONGEST - 3) + [-60.0] * 8
    utterance = spoken([*speech(LONGEST - 3), *silence(8)], levels=levels)
    cut = utterance.due()
    assert cut == Stretch(0, LONGEST - 3, cut=True)
    utterance.take(cut, "all")
    utterance.finalized = True
    assert utterance.due() is None
    assert utterance.text == "all"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=12), st.integers(1, 60))
def test_every_sound_is_in_what_was_transcribed_last(runs: list[tuple[bool, int]], step: int) -> None:
    sounds = [sound for sound, frames in runs for _ in range(frames)]
    utterance, taken = Utterance(0, EVERY), list[Stretch]()

    def work() -> None:
        while (stretch := utterance.due()) is not None:
            assert 0 < stretch.stop - stretch.start <= LONGEST
            assert len(utterance.pcm(stretch)) == (stretch.stop - stretch.start) * FRAME_SAMPLES
            if taken and not taken[-1].cut:
                taken.pop()
            taken.append(stretch)
            utterance.take(stretch, "x")

    for at, sound in enumerate(sounds):
        utterance.push(FRAME, -20.0 if sound else -60.0, sound=sound)
        if at % step == 0:
            work()
    utterance.finalized = True
    work()
    covered = set(itertools.chain.from_iterable(range(stretch.start, stretch.stop) for stretch in taken))
    assert {at for at, sound in enumerate(sounds) if sound} <= covered
    assert len(covered) == sum(stretch.stop - stretch.start for stretch in taken)


# --- the provider around it


class Counting(UtteranceSTT[str]):
    """Its text is how many frames it was given. `gate` holds it up, `broken` makes it fail."""

    provider: ClassVar[str] = "counting"

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.broken = False
        self.loads = 0
        super().__init__("test")

    def _load(self) -> str:
        self.loads += 1
        return "model"

    def _transcribe(self, model: str, pcm: Pcm) -> str:
        self.begun.set()
        self.gate.wait()
        if self.broken:
            raise ArithmeticError("no")
        self.heard.append(len(pcm) // FRAME_SAMPLES)
        return f"{len(pcm) // FRAME_SAMPLES} frames"


@pytest.fixture
async def stt() -> AsyncIterator[Counting]:
    counting = Counting()
    await counting.open(AudioFormat())
    yield counting
    counting.gate.set()
    await counting.aclose()


LOUD = np.full(FRAME_SAMPLES, 5000, np.int16)


async def push(stt: STT, sounds: Sequence[bool]) -> None:
    for sound in sounds:
        await stt.push(Frame(LOUD if sound else FRAME, 0, 0.0))


async def until_final(stt: STT) -> list[Transcript]:
    seen = []
    async for transcript in stt.transcripts():
        seen.append(transcript)
        if transcript.is_final:
            return seen
    raise AssertionError("no final")


def final(text: str) -> Transcript:
    return Transcript(text, is_final=True)


def partial(text: str) -> Transcript:
    return Transcript(text, is_final=False)


def test_it_is_a_recogniser() -> None:
    assert isinstance(Counting(), STT)


async def test_a_burst_is_answered_by_its_final_alone(stt: Counting) -> None:
    await push(stt, [*silence(20), *speech(100), *silence(20)])
    await stt.finalize()
    assert await until_final(stt) == [final(f"{LEAD + 100 + TAIL} frames")]
    assert stt.heard == [LEAD + 100 + TAIL]


async def test_partials_come_while_the_person_speaks(stt: Counting) -> None:
    transcripts = stt.transcripts()
    for count in (15, 30, 45):
        await push(stt, speech(15))
        assert await anext(transcripts) == partial(f"{count} frames")
    await stt.finalize()
    assert await anext(transcripts) == final("45 frames")
    assert stt.heard == [15, 30, 45]


async def test_the_silence_after_the_last_word_costs_nothing_at_the_end(stt: Counting) -> None:
    transcripts = stt.transcripts()
    await push(stt, [*speech(20), *silence(TAIL + 1)])
    assert await anext(transcripts) == partial(f"{20 + TAIL} frames")
    await push(stt, silence(30))
    stt.gate.clear()
    await stt.finalize()
    assert await anext(transcripts) == final(f"{20 + TAIL} frames")


async def test_a_slow_model_takes_the_newest_sound_and_falls_not_behind(stt: Counting) -> None:
    stt.gate.clear()
    reading = asyncio.ensure_future(until_final(stt))
    await push(stt, speech(20))
    await asyncio.to_thread(stt.begun.wait)
    await push(stt, speech(200))
    await stt.finalize()
    stt.gate.set()
    assert (await reading)[-1] == final("220 frames")
    assert stt.heard == [20, 220]


async def test_each_finalize_has_its_final(stt: Counting) -> None:
    await push(stt, speech(20))
    await stt.finalize()
    await stt.finalize()
    await push(stt, silence(50))
    await stt.finalize()
    await push(stt, speech(30))
    await stt.finalize()
    texts = [(await until_final(stt))[-1].text for _ in range(4)]
    assert texts == ["20 frames", "", "", "30 frames"]


async def test_after_a_failure_the_next_utterance_is_heard(stt: Counting) -> None:
    stt.broken = True
    await push(stt, speech(20))
    await stt.finalize()
    with pytest.raises(PatterError, match="counting test failed: no"):
        await until_final(stt)
    stt.broken = False
    await push(stt, speech(30))
    await stt.finalize()
    assert await until_final(stt) == [final("30 frames")]


async def test_a_failed_partial_loses_what_it_held_but_not_the_final(stt: Counting) -> None:
    stt.broken = True
    await push(stt, speech(20))
    with pytest.raises(PatterError):
        await anext(stt.transcripts())
    stt.broken = False
    await push(stt, speech(10))
    await stt.finalize()
    assert await until_final(stt) == [final("10 frames")]


async def test_steady_noise_is_the_room_and_not_sound(stt: Counting) -> None:
    noise = np.random.default_rng(1).normal(0, 60, (200, FRAME_SAMPLES)).astype(np.int16)
    for pcm in noise:
        await stt.push(Frame(pcm, 0, 0.0))
    await stt.finalize()
    assert await until_final(stt) == [final("")]


async def test_aclose_ends_the_transcripts(stt: Counting) -> None:
    reading = asyncio.ensure_future(until_final(stt))
    await push(stt, speech(3))
    await stt.aclose()
    with pytest.raises(AssertionError, match="no final"):
        await reading


async def test_it_can_be_opened_again(stt: Counting) -> None:
    await push(stt, speech(20))
    await stt.aclose()
    await stt.open(AudioFormat())
    await push(stt, speech(30))
    await stt.finalize()
    assert await until_final(stt) == [final("30 frames")]


async def test_the_model_stays_loaded_between_sessions_until_it_is_unloaded(stt: Counting) -> None:
    for loads, act in ((1, stt.aclose), (1, stt.unload), (2, stt.aclose)):
        await stt.warmup()
        assert stt.loads == loads
        await act()
        await stt.open(AudioFormat())


def test_the_model_goes_with_its_owner() -> None:
    class Owning(Counting):
        def _load(self) -> Any:
            return Model()

    class Model:
        pass

    async def use() -> weakref.ref[Any]:
        owner = Owning()
        await owner.warmup()
        await owner.aclose()
        return weakref.ref(owner._native._loaded)

    before = set(threading.enumerate())
    model = asyncio.run(use())
    for _ in range(400):  # its thread holds its last piece of work for a moment longer
        gc.collect()
        for thread in set(threading.enumerate()) - before:
            thread.join(0.05)
        if model() is None:
            break
    assert model() is None


async def test_another_sample_rate_is_refused(stt: Counting) -> None:
    with pytest.raises(AudioError, match="16000 Hz, not 8000 Hz"):
        await stt.open(AudioFormat(8000))


async def test_warmup_runs_the_model_once(stt: Counting) -> None:
    await stt.warmup()
    assert stt.heard == [25]
