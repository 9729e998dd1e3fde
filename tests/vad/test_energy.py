import numpy as np
import pytest

from patter_nb.agent import Agent
from patter_nb.audio.frames import FRAME_SAMPLES, Frame
from patter_nb.vad.energy import EnergyVAD
from patter_nb.vad.silero import SileroVAD

ROOM = np.random.default_rng(1)


def frame(level_db: float) -> Frame:
    """20 ms of noise of about this level."""
    noise = ROOM.normal(0, 32768 * 10 ** (level_db / 20), FRAME_SAMPLES)
    return Frame(np.clip(noise, -32768, 32767).astype(np.int16), 0, 0.0)


def hear(vad: EnergyVAD, level_db: float, frames: int) -> list[float]:
    return [vad.probability(frame(level_db)) for _ in range(frames)]


def test_a_voice_over_a_quiet_room() -> None:
    vad = EnergyVAD()
    assert max(hear(vad, -65, 50)) < 0.2
    assert min(hear(vad, -25, 25)) > 0.9
    assert max(hear(vad, -65, 50)[15:]) < 0.2


def test_a_short_gap_within_a_word_is_no_silence() -> None:
    vad = EnergyVAD()
    hear(vad, -65, 50)
    hear(vad, -25, 10)
    assert min(hear(vad, -65, 3)) > 0.5


def test_a_noise_that_stays_becomes_the_room() -> None:
    vad = EnergyVAD()
    hear(vad, -65, 50)
    heard = hear(vad, -40, 500)
    assert heard[0] > 0.9
    assert max(heard[-100:]) < 0.5


@pytest.mark.parametrize("level_db", [-96, -70, -56])
def test_what_is_very_quiet_is_never_speech(level_db: float) -> None:
    vad = EnergyVAD()
    hear(vad, -96, 50)
    assert max(hear(vad, level_db, 50)) < 0.5


def test_probabilities_stay_within_bounds() -> None:
    vad = EnergyVAD()
    heard = [probability for level in (-96, 0, -96, -50, -3) for probability in hear(vad, level, 20)]
    assert min(heard) >= 0.0
    assert max(heard) <= 1.0


def test_logs_call_detectors_by_name() -> None:
    assert Agent(vad=EnergyVAD()).parts() == {"vad": "energy"}
    assert Agent(vad=SileroVAD()).parts() == {"vad": "silero"}


def test_reset_forgets_the_room() -> None:
    vad = EnergyVAD()
    hear(vad, -30, 1000)
    assert hear(vad, -30, 1)[0] < 0.5
    vad.reset()
    assert hear(vad, -30, 1)[0] > 0.9
