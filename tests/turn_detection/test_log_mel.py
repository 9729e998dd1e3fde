"""The log-mel picture, against what the library that the models were trained with makes of the same sound."""

from __future__ import annotations

import numpy as np
import pytest

from patter_nb.audio.frames import SAMPLE_RATE
from patter_nb.turn_detection.log_mel import log_mel

SECONDS = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
CHIRP = (0.5 * np.sin(2 * np.pi * (100 + 450 * SECONDS) * SECONDS)).astype(np.float32)

FROM_TRANSFORMERS = {
    (0, 0): 1.387334,
    (5, 10): 1.356819,
    (20, 100): -0.263618,
    (40, 300): -0.548057,
    (79, 799): 0.438411,
}
"""By band and column, of CHIRP: transformers.WhisperFeatureExtractor(chunk_length=8), from the copy of it in pipecat-ai 1.14.0."""


@pytest.mark.parametrize(("band", "column"), list(FROM_TRANSFORMERS))
def test_it_is_what_the_model_was_trained_on(band: int, column: int) -> None:
    assert log_mel(CHIRP)[band, column] == pytest.approx(FROM_TRANSFORMERS[band, column], abs=1e-5)


def test_a_tone_is_brightest_in_its_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * SECONDS).astype(np.float32)
    picture = log_mel(tone)
    assert picture.shape == (80, 800)
    assert set(picture.argmax(axis=0)[2:-2]) == {26}, "26 of the 80 bands lie below 1 kHz"


def test_silence_is_evenly_dark() -> None:
    assert np.ptp(log_mel(np.zeros(SAMPLE_RATE, np.float32))) == 0.0
