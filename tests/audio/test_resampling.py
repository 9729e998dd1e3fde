"""Resampling: what can be heard stays, what cannot is gone, and a stream gives what one piece gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import Resampler, resample
from patter_nb.errors import AudioError

RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_056, 44_100, 48_000, 96_000])


def tone(hz: float, rate: int, seconds: float = 1.0) -> Pcm:
    wave = 16_000 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)
    pcm: Pcm = np.rint(wave).astype(np.int16)
    return pcm


def level_db(pcm: Pcm) -> float:
    """RMS of the middle half, where no edge rings, in dB of the RMS of `tone`."""
    middle = pcm[len(pcm) // 4 : -len(pcm) // 4].astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(middle**2)) / (16_000 / np.sqrt(2)) + 1e-12))


def test_a_tone_below_the_new_limit_survives() -> None:
    out = resample(tone(7_000, 44_100), 44_100, 16_000)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert int(np.argmax(spectrum)) == 7_000
    assert abs(level_db(out)) < 0.1


def test_a_tone_above_the_new_limit_does_not_alias() -> None:
    assert level_db(resample(tone(12_000, 44_100), 44_100, 16_000)) < -60


def test_up_and_down_again_gives_the_same_sound() -> None:
    before = tone(1_000, 16_000)
    after = resample(resample(before, 16_000, 48_000), 48_000, 16_000)
    assert np.max(np.abs(before[400:-400].astype(int) - after[400:-400])) <= 2


def test_full_scale_is_clipped_and_does_not_wrap() -> None:
    square = np.where(np.arange(8_000) // 40 % 2, 32767, -32768).astype(np.int16)
    out = resample(square, 8_000, 16_000)
    assert out[200:-200].max() == 32767
    assert np.mean(np.sign(out.astype(int)) == np.sign(np.repeat(square.astype(int), 2))) > 0.95


@settings(deadline=None, max_examples=60)
@given(from_rate=RATES, to_rate=RATES, sizes=st.lists(st.integers(0, 5_000), max_size=12), seed=st.integers(0, 2**16))
def test_a_stream_gives_what_one_piece_gives(from_rate: int, to_rate: int, sizes: list[int], seed: int) -> None:
    pcm = np.random.default_rng(seed).integers(-32768, 32768, sum(sizes)).astype(np.int16)
    whole = resample(pcm, from_rate, to_rate)
    assert len(whole) == (2 * len(pcm) * to_rate + from_rate) // (2 * from_rate)
    resampler = Resampler(from_rate, to_rate)
    for _ in range(2):  # after flush a new stream begins
        pieces = [resampler.push(piece) for piece in np.split(pcm, np.cumsum(sizes)[:-1])] if sizes else []
        assert np.array_equal(np.concatenate([*pieces, resampler.flush()]), whole)


def test_equal_rates_pass_the_sound_through() -> None:
    pcm = tone(440, 16_000)
    resampler = Resampler(16_000, 16_000)
    assert resampler.push(pcm) is pcm
    assert len(resampler.flush()) == 0


def test_the_same_sound_gives_the_same_samples_every_time() -> None:
    pcm = tone(440, 22_050)
    assert np.array_equal(resample(pcm, 22_050, 16_000), resample(pcm, 22_050, 16_000))


@pytest.mark.parametrize("rate", [0, -8_000, 999, 2**31 - 1])
def test_a_rate_that_is_none_is_refused(rate: int) -> None:
    for rates in ((rate, 16_000), (16_000, rate)):
        with pytest.raises(AudioError, match=f"sample rate of {rate} Hz"):
            Resampler(*rates)
