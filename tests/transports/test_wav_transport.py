"""A call from file to file: frames in time, a loudspeaker that behaves as one, and a recording aligned with the question."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patter_nb import transports
from patter_nb.agent import Agent
from patter_nb.audio.frames import FRAME_SAMPLES, Block, Frame, Pcm
from patter_nb.audio.wav import read_wav, write_wav
from patter_nb.clock import ManualClock, SystemClock
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.testing import ScriptedSTT, ScriptedTTS
from patter_nb.transports.base import Played, Transport, TransportInput
from patter_nb.transports.wav import WavTransport


def counted(start: int, length: int) -> Block:
    """A block whose every sample tells its own position, from 1 so that none is silence."""
    return Block(np.arange(start + 1, start + length + 1, dtype=np.int16), start)


def question(samples: int) -> tuple[Pcm, int]:
    return np.arange(samples, dtype=np.int16), 16_000


async def frames(inputs: AsyncGenerator[TransportInput, None], count: int) -> list[TransportInput]:
    """What comes up to and with the next `count` frames."""
    taken: list[TransportInput] = []
    while count:
        taken.append(await anext(inputs))
        count -= isinstance(taken[-1], Frame)
    return taken


async def test_frames_are_the_question_then_silence() -> None:
    transport = WavTransport(question(800), paced=False)
    assert isinstance(transport, Transport)
    inputs = transport.inputs()
    seen: list[Frame] = []
    exhausted: list[bool] = []
    for _ in range(5):
        frame = await anext(inputs)
        assert isinstance(frame, Frame)
        seen.append(frame)
        exhausted.append(transport.exhausted)
    assert [(frame.seq, frame.capture_ms, frame.late_ms, len(frame.pcm)) for frame in seen] == [(n, 20.0 * n, 0.0, 320) for n in range(5)]
    assert np.concatenate([frame.pcm for frame in seen]).tolist() == [*range(800), *[0] * 800]
    assert exhausted == [False, False, True, True, True]
    assert transport.clock.now_ms() == 100.0
    await inputs.aclose()


async def test_who_waited_for_a_time_runs_before_the_frame_of_that_time() -> None:
    transport = WavTransport(question(640), paced=False)
    order: list[object] = []

    async def wait() -> None:
        await transport.clock.sleep_until(40)
        order.append("woken")

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    order += [type(item) for item in await frames(transport.inputs(), 1)]
    assert order == [Frame]
    order += [type(item) for item in await frames(transport.inputs(), 1)]
    assert order == [Frame, "woken", Frame]
    await waiting


async def test_a_later_iterator_goes_on_where_the_first_stopped() -> None:
    transport = WavTransport(question(6_400), paced=False)
    first = transport.inputs()
    await frames(first, 2)
    await first.aclose()
    (frame,) = await frames(transport.inputs(), 1)
    assert isinstance(frame, Frame)
    assert (frame.seq, frame.pcm[0]) == (2, 640)


def test_any_rate_becomes_16_khz() -> None:
    stereo = np.zeros((44_100, 2), np.float32)
    assert len(WavTransport((stereo, 44_100), paced=False).record) == 16_000


async def test_paced_frames_come_when_captured_and_late_ones_in_order() -> None:
    transport = WavTransport(question(6_400))
    assert isinstance(transport.clock, SystemClock)
    clock = transport.clock = ManualClock()
    clock.advance(5_000)  # models warming up: file time begins with the first frame asked for
    inputs = transport.inputs()
    first = asyncio.ensure_future(frames(inputs, 1))
    await asyncio.sleep(0)
    clock.advance(19.5)
    await asyncio.sleep(0)
    assert not first.done()
    clock.advance(0.5)
    seen = await first
    clock.advance(70)
    seen += await frames(inputs, 3)
    assert [(frame.seq, frame.capture_ms, frame.late_ms) for frame in seen if isinstance(frame, Frame)] == [
        (0, 0.0, 0.0),
        (1, 20.0, 50.0),
        (2, 40.0, 30.0),
        (3, 60.0, 10.0),
    ]


async def test_on_the_wall_clock_no_frame_comes_early() -> None:
    transport = WavTransport(question(320))
    (frame,) = await frames(transport.inputs(), 1)
    assert isinstance(frame, Frame)
    assert transport.clock.now_ms() >= 20.0


async def test_the_answer_is_aligned_with_the_question_and_outlasts_it(tmp_path: Path) -> None:
    src, dst = tmp_path / "question.wav", tmp_path / "answer.wav"
    write_wav(src, np.ones(640, np.int16), 16_000)
    transport = WavTransport(src, str(dst), paced=False)
    inputs = transport.inputs()
    await frames(inputs, 2)
    await transport.play(counted(0, 500))
    assert not dst.exists()
    assert [item for item in await frames(inputs, 4) if not isinstance(item, Frame)] == [Played(320), Played(500)]
    await inputs.aclose()
    await transport.aclose()
    assert read_wav(dst)[0].tolist() == [*[0] * 640, *range(1, 501)]
    dst.unlink()
    await transport.aclose()
    assert not dst.exists(), "written once"


async def test_the_recording_is_at_least_as_long_as_the_question(tmp_path: Path) -> None:
    dst = tmp_path / "answer.wav"
    transport = WavTransport(question(1_000), dst, paced=False)
    await frames(transport.inputs(), 1)
    await transport.aclose()
    assert read_wav(dst)[0].tolist() == [0] * 1_000


async def test_sound_handed_over_before_the_first_frame_is_heard_from_the_start() -> None:
    transport = WavTransport(question(320), paced=False)
    await transport.play(counted(0, 100))
    await frames(transport.inputs(), 1)
    assert transport.record.tolist() == [*range(1, 101), *[0] * 220]


async def test_a_pause_keeps_the_place_and_a_flush_ends_it() -> None:
    transport = WavTransport(question(320), paced=False)
    inputs = transport.inputs()
    await frames(inputs, 1)
    await transport.play(counted(0, 2_000))
    await frames(inputs, 1)
    await transport.pause()
    await frames(inputs, 1)
    await transport.resume()
    await frames(inputs, 1)
    await transport.pause()
    await transport.flush()
    await transport.play(counted(2_000, 320))
    later = await frames(inputs, 2)
    assert Played(2_320) in later
    assert transport.record.tolist() == [*[0] * 320, *range(1, 321), *[0] * 320, *range(321, 641), *range(2_001, 2_321)]


async def test_a_block_before_the_last_one_is_a_mistake() -> None:
    transport = WavTransport(question(320), paced=False)
    await transport.play(counted(0, 100))
    with pytest.raises(ValueError, match="starts at 99"):
        await transport.play(counted(99, 10))


def test_what_cannot_work_is_found_out_before_the_call(tmp_path: Path) -> None:
    src = tmp_path / "question.wav"
    with pytest.raises(AudioError, match="no file"):
        WavTransport(src)
    write_wav(src, np.ones(320, np.int16), 16_000)
    with pytest.raises(AudioError, match="cannot be written"):
        WavTransport(src, tmp_path / "nowhere" / "answer.wav")
    with pytest.raises(AudioError, match="the question itself"):
        WavTransport(src, tmp_path / "." / "question.wav")
    with pytest.raises(AudioError, match="samples, rate"):
        WavTransport((16_000, np.zeros(320)))  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="sample rate of 16 Hz"):
        WavTransport((np.zeros(320), 16))


def test_it_carries_who_hears_and_with_a_destination_who_speaks(tmp_path: Path) -> None:
    hearing, speaking = Agent(stt=ScriptedSTT([])), Agent(stt=ScriptedSTT([]), tts=ScriptedTTS())
    spoken, kept = WavTransport(question(320)), WavTransport(question(320), tmp_path / "answer.wav")
    spoken.check(hearing)
    kept.check(speaking)
    for transport in (spoken, kept):
        with pytest.raises(PatterConfigError, match="no speech-to-text"):
            transport.check(Agent(tts=ScriptedTTS()))
    with pytest.raises(PatterConfigError, match="no text-to-speech"):
        kept.check(hearing)


async def test_a_call_that_never_began_writes_nothing(tmp_path: Path) -> None:
    dst = tmp_path / "answer.wav"
    dst.write_bytes(b"an older answer")
    transport = WavTransport(question(320), dst, paced=False)
    await transport.aclose()
    assert dst.read_bytes() == b"an older answer"


async def test_a_failed_recording_can_be_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    transport = WavTransport(question(320), folder / "answer.wav", paced=False)
    await frames(transport.inputs(), 1)
    folder.rmdir()
    with pytest.raises(AudioError, match="cannot be written"):
        await transport.aclose()
    folder.mkdir()
    await transport.aclose()
    assert len(read_wav(folder / "answer.wav")[0]) == 320


class Reference:
    """A loudspeaker one sample at a time, as plainly as can be said."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.queue: deque[int] = deque()
        self.paused = False
        self.position = 0

    def run_until(self, time: int) -> None:
        while len(self.heard) < time:
            if self.queue and not self.paused:
                self.position = self.queue.popleft()
                self.heard.append(self.position)
            else:
                self.heard.append(0)


lengths = st.one_of(st.sampled_from([0, 1, 319, 320, 321]), st.integers(0, 1_200))
operations = st.lists(
    st.one_of(
        st.tuples(st.just("input"), st.just(0)),
        st.tuples(st.sampled_from(["wait", "play"]), lengths),
        st.tuples(st.sampled_from(["pause", "resume", "flush"]), st.just(0)),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=300)
@given(operations)
def test_the_loudspeaker_does_what_a_plain_one_does(steps: list[tuple[str, int]]) -> None:
    asyncio.run(compare(steps))


async def compare(steps: list[tuple[str, int]]) -> None:
    transport = WavTransport(question(1_000), paced=False)
    clock = transport.clock
    assert isinstance(clock, ManualClock)
    plain, inputs = Reference(), transport.inputs()
    await anext(inputs)
    plain.run_until(FRAME_SAMPLES)
    end, reported, after_frame = 0, 0, True
    for step, amount in steps:
        match step:
            case "input":
                item = await anext(inputs)
                if after_frame and plain.position > reported:
                    assert item == Played(plain.position)
                    reported, after_frame = plain.position, False
                else:
                    assert isinstance(item, Frame)
                    after_frame = True
            case "wait":
                clock.advance(amount / 16)
            case "play":
                await transport.play(counted(end, amount))
                plain.queue.extend(range(end + 1, end + amount + 1))
                end += amount
            case "pause":
                await transport.pause()
                plain.paused = True
            case "resume":
                await transport.resume()
                plain.paused = False
            case "flush":
                await transport.flush()
                plain.queue.clear()
                plain.paused = False
        plain.run_until(round(clock.now_ms() * 16))
    record = transport.record
    heard = record[record > 0]
    assert np.all(np.diff(heard.astype(int)) > 0), "in order, and none twice"
    length = max(1_000, int(record.nonzero()[0].max(initial=-1)) + 1)
    assert record.tolist() == (plain.heard + [0] * length)[:length]


def test_the_import_is_light() -> None:
    code = "import sys, patter_nb.transports.wav; print(sorted({'soxr', 'onnxruntime', 'pydantic', 'IPython'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_transport_is_found_by_its_public_name() -> None:
    assert transports.WavTransport is WavTransport
    with pytest.raises(AttributeError, match="Nothing"):
        transports.Nothing  # noqa: B018
